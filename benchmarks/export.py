"""A profile export of every row, against DuckDB alone doing local Parquet -> local CSV with the same formats."""

from pathlib import Path
from typing import Any

import duckdb

from benchmarks.dataset import FIELDS
from benchmarks.ingest import NOW, PROFILE
from benchmarks.measure import timed
from shared.app import Services
from shared.domain.connectors import ExportedEntityType, connector_from_request
from shared.domain.hubs import Hub
from shared.domain.slot import slot_of
from shared.settings import Settings

CONNECTOR = "Partner"


def define(settings: Settings, hub: str, sas_uri: str) -> None:
    """Defines hub, type and the connector that exports all of it."""
    definitions = Services(settings).definitions
    definitions.put_hub(hub, Hub.from_request({}))
    definitions.put_entity_type(hub, PROFILE.type_name, PROFILE)
    properties = {
        "outputBlobSASUri": sas_uri,
        "entityList": [{"entityType": "Profile", "entityName": PROFILE.type_name}],
    }
    body = {"connectorType": "Outbound", "connectorProperties": properties}
    stored, _ = definitions.put_connector(hub, CONNECTOR, connector_from_request(body))
    if stored.document.state != "Ready":
        raise RuntimeError(f"the connector is {stored.document.state}: {stored.document.state_detail}")


def export(settings: Settings, hub: str) -> tuple[float, dict[str, Any]]:
    """Merges and plans the first slot, then publishes it; the seconds are of publishing, the rest is beside them."""
    from shared.outbound.export_slot import SlotRequest, find_export
    from shared.outbound.plan import plan_slot
    from shared.outbound.publish import publish_slot

    request = SlotRequest(hub, CONNECTOR, ExportedEntityType.PROFILE, PROFILE.type_name, slot_of(NOW))
    found = find_export(Services(settings), request, worker="bench")
    if found is None:
        raise RuntimeError("the connector exports nothing")
    merging, _ = timed(lambda: plan_slot(found, request.slot))
    plan = next(found.services.slots.waiting(found.series))
    publishing, _ = timed(lambda: publish_slot(found, plan))
    run = found.services.runs.get(hub, plan.run_id)
    return publishing, {"rows": run.run.rows_read if run else 0, "merge_seconds": merging}


def duckdb_alone(source: Path, target: Path) -> tuple[float, dict[str, Any]]:
    """The peer: the same columns and formats, from a local file to a local file."""
    cells = []
    for field in FIELDS:
        name = field["fieldName"]
        if field["fieldType"] == "Edm.DateTimeOffset":
            cells.append(f"strftime({name} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS {name}")
        elif field.get("isArray"):
            cells.append(f"array_to_string({name}, ';') AS {name}")
        else:
            cells.append(name)
    query = f"SELECT {', '.join(cells)} FROM '{source}' ORDER BY customer_id"

    def work() -> None:
        with duckdb.connect(config={"threads": 2}) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            connection.execute(f"COPY ({query}) TO '{target}' (HEADER, DELIMITER ',', NULLSTR '')")

    seconds, _ = timed(work)
    return seconds, {"bytes": target.stat().st_size}
