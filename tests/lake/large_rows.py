"""Rows with cells of megabytes: how they are brought in, and a process that reads them and says what it took.

Run as a program it reads pages of its type, several at once, and prints the rows of each and the peak of its memory.
"""

import json
import random
import sys
import threading
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shared.domain.documents.entity_types import EntityType
from shared.expressions.odata_filter import condition
from shared.lake.container.store import Lake
from shared.lake.files.parts import PartWriter
from shared.lake.read.instances import instances
from shared.lake.schema import changes_schema
from shared.settings import Settings
from shared.storage.accounts import hub_account
from tests.lake.given import changes_of, interaction_type, profile_type, typed

NOTE = {"fieldName": "Note", "fieldType": "Edm.String"}
CUSTOMER = profile_type(NOTE)
VISIT = interaction_type(NOTE)
PARTS = [f"Part{number}" for number in range(40)]
PATCHED = profile_type(*({"fieldName": name, "fieldType": "Edm.String"} for name in PARTS), name="Patched")
TYPES: dict[str, EntityType] = {"Customer": CUSTOMER, "Visit": VISIT, "Patched": PATCHED}


@dataclass(frozen=True)
class Reading:
    """What the program is to read; `pages` of them at once."""

    connection_string: str
    container: str
    type_name: str
    where: str | None = None
    top: int = 30
    pages: int = 1


def key(number: int) -> str:
    return f"k{number:05d}"


def note(number: int, size: int) -> str:
    """Text that differs from row to row and packs well."""
    some = random.Random(number)
    unit = " ".join(f"{some.random():.9f}" for _ in range(200))
    return (unit * (size // len(unit) + 1))[:size]


def bring(lake: Lake, folder: Path, entity_type: EntityType, numbers: Iterable[int], size: int, **more: Any) -> None:
    """Commits one blob of rows, each with a note of `size` bytes."""
    fresh = folder / uuid.uuid4().hex
    fresh.mkdir()
    writer = PartWriter(changes_schema(entity_type), fresh)
    for number in numbers:
        row = {"_key": key(number), "CustomerId": key(number), "Note": note(number, size), **more}
        writer.write(typed(entity_type, [row], line=number + 2))
    changes = changes_of(lake, entity_type)
    changes.commit(changes.upload(writer.close(), uuid.uuid4().hex), uuid.uuid4().hex, 1)


def bring_parts(lake: Lake, folder: Path, numbers: Iterable[int], size: int) -> None:
    """Commits a change for each part of each row: no change is large, but every row is."""
    writer = PartWriter(changes_schema(PATCHED), folder)
    rows = [(key(number), note(number, size)) for number in numbers]
    for index, name in enumerate(PARTS):
        part = [{"_key": its_key, name: text} for its_key, text in rows]
        writer.write(typed(PATCHED, part, line=2 + index * len(rows)))
    changes = changes_of(lake, PATCHED)
    changes.commit(changes.upload(writer.close(), "run"), uuid.uuid4().hex, 1)


def read(reading: Reading) -> dict[str, Any]:
    settings = Settings.model_validate(
        {"azure_functions_environment": "Development", "hub_storage": reading.connection_string}
    )
    lake = Lake(hub_account(settings), settings, container=reading.container)
    entity_type = TYPES[reading.type_name]
    where = None if reading.where is None else condition(reading.where, entity_type)
    found: list[tuple[int, str | None]] = []

    def one_page() -> None:
        page = instances(lake, entity_type, where, reading.top)
        found.append((len(page.rows), page.next_key))

    threads = [threading.Thread(target=one_page) for _ in range(reading.pages)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return {"pages": found, "peak_mb": peak // 1024}


def command(reading: Reading) -> list[str]:
    return [sys.executable, "-m", "tests.lake.large_rows", json.dumps(asdict(reading))]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read(Reading(**json.loads(sys.argv[1])))))
