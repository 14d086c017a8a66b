"""Names of what is the app's own: containers, queues and tables of the hub's account, and secrets of its vault.

One place for code and infrastructure.
"""

import re
import secrets

CONTAINER_LAKE = "lake"
CONTAINER_RUNS = "runs"
CONTAINER_DEPLOYMENTS = "deployments"
CONTAINER_DEAD_LETTERS = "deadletter"
OWN_CONTAINERS = frozenset({CONTAINER_LAKE, CONTAINER_RUNS, CONTAINER_DEPLOYMENTS, CONTAINER_DEAD_LETTERS})
# Where the Functions host keeps the app's keys, leases and events; wherever such a container is, no files land in it.
_HOST_PREFIX = "azure-webjobs-"
# Containers of the service itself (`$logs`, `$root`, `$web`), and those into which tools publish an app's code:
# https://learn.microsoft.com/azure/azure-functions/flex-consumption-how-to#configure-deployment-settings
_OWN_PREFIXES = ("$", "app-package-", "function-releases", "scm-releases")

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

# https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers
_SECRET_NAME_LIMIT = 127
_OWN_SECRET = re.compile(r"[a-z][a-z0-9]{1,63}-[0-9a-f]{32}-[0-9a-f]{10}(?:-[0-9a-z-]*)?", re.IGNORECASE)


def is_own_container(container: str, *, is_own_account: bool) -> bool:
    """Whether a container is the app's or the host's, so that no mapping may name it.

    Args:
        container: its name.
        is_own_account: whether it lies in the hub's own account; elsewhere only the host's containers are refused.
    """
    if container.startswith(_HOST_PREFIX):
        return True
    return is_own_account and (container in OWN_CONTAINERS or container.startswith(_OWN_PREFIXES))


def new_secret_name(hub: str, instance_id: str, place: str) -> str:
    """A name in the vault that nothing else has or ever had, for the secret at a place of a connector.

    At most 64 + 32 characters of hub and connector, ten random digits, and as much of the place as fits.
    """
    readable = re.sub(r"[^0-9A-Za-z]+", "-", place).strip("-")
    name = f"{hub.lower()}-{instance_id}-{secrets.token_hex(5)}-{readable}"
    return name[:_SECRET_NAME_LIMIT].rstrip("-")


def is_own_secret(name: str) -> bool:
    """Whether a secret's name is one that the app makes for a connector, of any hub; in any case."""
    return bool(_OWN_SECRET.fullmatch(name))


def plain_lake_path(hub: str, folder: str, name: str) -> str:
    """Where the tables of the first type or KPI of a name lie in the container `lake`; later ones have other places."""
    return f"{hub.lower()}/{folder}/{name.lower()}"


def run_files_of(hub: str, run_id: str = "") -> str:
    """What the paths of all files of a run start with in the container `runs`, or of all runs of a hub."""
    return f"{hub.lower()}/{run_id}/" if run_id else f"{hub.lower()}/"


def rejects_path(hub: str, run_id: str, attempt: str) -> str:
    """Path of the rejects of a run, as an attempt at it or at a correction leaves them, in the container `runs`."""
    return f"{run_files_of(hub, run_id)}rejects-{attempt}.csv"


def correction_path(hub: str, run_id: str, digest: str) -> str:
    """Path of a corrected CSV in the container `runs`."""
    return f"{run_files_of(hub, run_id)}corrections/{digest}.csv"
