"""Slots of rows with cells of megabytes come out, whole and in order, where memory is short."""

import hashlib

from tests.lake.large_rows import note
from tests.outbound.conftest import PROFILE, HubUnderTest
from tests.outbound.slots import at, path_of
from tests.thorough import THOROUGH

CELL = 4 * 1024**2  # MAX_FIELD_BYTES
ROWS = 40 if THOROUGH else 16  # what 40 of them take is more than the engine has


def expected(name: str, size: int, number: int, points: str) -> list[bytes]:
    return [name.encode(), note(number, size).encode(), points.encode()]


def test_slots_of_large_rows_come_out(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound({**PROFILE, "fieldNames": ["Id", "City", "Points"]})
    names = [f"c{number:02d}" for number in range(ROWS)]
    for first in range(0, ROWS, 8):
        hub.ingest(customer, [{"Id": names[row], "City": note(row, CELL)} for row in range(first, first + 8)])
    hub.tick(at(0))
    hub.ingest(customer, [{"Id": name, "Points": number} for number, name in enumerate(names)])
    hub.tick(at(1))
    hub.ingest(customer, [{"Id": name, "City": note(number, 9)} for number, name in enumerate(names[:3])])
    hub.tick(at(2))

    assert hub.codes() == ["Succeeded"] * 3
    for slot, rows in enumerate(
        (
            [expected(name, CELL, number, "") for number, name in enumerate(names)],
            [expected(name, CELL, number, str(number)) for number, name in enumerate(names)],
            [expected(name, 9, number, str(number)) for number, name in enumerate(names[:3])],
        )
    ):
        content = hub.partner.blobs(path_of(slot))[path_of(slot)]
        header, *lines = content.splitlines()
        assert header == b"Id,City,Points,System_ProcessingTime"
        assert [line.split(b",")[:3] for line in lines] == rows
        facts = hub.partner.metadata(path_of(slot))
        assert facts["rows"] == str(len(rows))
        assert facts["sha256"] == hashlib.sha256(content).hexdigest()
