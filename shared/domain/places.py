"""Names of the containers, queues and tables of the hub's account: one place for code and infrastructure."""

CONTAINER_LAKE = "lake"
CONTAINER_RUNS = "runs"
OWN_CONTAINERS = frozenset({CONTAINER_LAKE, CONTAINER_RUNS})

QUEUE_INGEST = "ingest"
QUEUE_EXPORT = "export"
POISON = "-poison"

TABLE_DEFINITIONS = "definitions"
TABLE_RUNS = "runs"
TABLE_SLOTS = "slots"
TABLE_BAD_EVENTS = "badevents"

HUB_STORAGE = "HUB_STORAGE"

LAKE_PROFILES = "profiles"
LAKE_INTERACTIONS = "interactions"
LAKE_KPIS = "kpis"


def plain_lake_path(hub: str, folder: str, name: str) -> str:
    """Where the tables of the first type or KPI of a name lie in the container `lake`; later ones have other places."""
    return f"{hub.lower()}/{folder}/{name.lower()}"


def rejects_path(hub: str, run_id: str, attempt: str) -> str:
    """Path of the rejects of a run, as an attempt at it or at a correction leaves them, in the container `runs`."""
    return f"{hub.lower()}/{run_id}/rejects-{attempt}.csv"


def correction_path(hub: str, run_id: str, digest: str) -> str:
    """Path of a corrected CSV in the container `runs`."""
    return f"{hub.lower()}/{run_id}/corrections/{digest}.csv"
