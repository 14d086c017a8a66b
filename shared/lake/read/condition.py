"""What is asked of the rows of a page."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a row.

    Attributes:
        sql: over the fields.
        values: to bind.
        cells: so many texts, each as long as a cell, may be made to find out.
    """

    sql: str
    values: list[Any]
    cells: int
