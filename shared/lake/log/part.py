"""Files that belong, or are about to belong, to a table."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Part:
    """A closed Parquet file.

    Attributes:
        low, high: bounds of its keys, shortened where keys are long.
        refreshes: lowest and highest `refresh` in it, where it has that column.
        processed: latest `System_ProcessingTime` in it, where it has that column.
    """

    path: Path
    rows: int
    size: int
    low: str
    high: str
    refreshes: tuple[int, int] | None = None
    processed: datetime | None = None


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """A part that lies in the table's folder and belongs to nothing yet.

    Attributes:
        path: below the table.
        table_id: tells the table from a later one of its name.
    """

    path: str
    part: Part
    table_id: str
