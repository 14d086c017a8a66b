"""The slots of one export of the tests: when they are due, where they lie, what is in them."""

import csv
import io
from datetime import datetime

from shared.domain.documents.connectors import ExportedEntityType
from shared.domain.slot import SLOT_LENGTH, slot_of
from shared.outbound.export_slot import SlotRequest, find_export
from shared.outbound.plan import Export
from tests.outbound.conftest import NOON, HubUnderTest

FIRST = "Profile/Customer/year=2026/month=11/day=22/hour=12/min=00/data.csv"


def at(number: int) -> datetime:
    """Seven minutes into the slot with that number, from noon on."""
    return NOON + number * SLOT_LENGTH


def path_of(number: int) -> str:
    return f"Profile/Customer/{slot_of(at(number)):year=%Y/month=%m/day=%d/hour=%H/min=%M}/data.csv"


def rows_in(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def ids_in(content: bytes) -> list[str]:
    return [row["Id"] for row in rows_in(content)]


def export_of(hub: HubUnderTest, number: int = 0) -> Export:
    export = find_export(hub.services, request_of(hub, number))
    assert export is not None
    return export


def request_of(hub: HubUnderTest, number: int) -> SlotRequest:
    return SlotRequest(hub.name, "Partner", ExportedEntityType.PROFILE, "Customer", slot_of(at(number)))


def contents(hub: HubUnderTest) -> dict[str, list[str]]:
    """The ids in each published slot."""
    return {path: ids_in(content) for path, content in hub.partner.blobs("Profile/").items()}
