"""The clean table: seeded customers, the type and mapping they go into, and how they are written as CSV."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from shared.domain.documents.entity_types import EntityType, ProfileType
from shared.domain.documents.mappings import Mapping

COLUMNS = ("id", "name", "city", "amount", "joined", "tags")
MAX_NAME = 200

CUSTOMER: EntityType = ProfileType.from_request(
    {
        "fields": [
            {"fieldName": "id", "fieldType": "Edm.String"},
            {"fieldName": "name", "fieldType": "Edm.String", "maxLength": MAX_NAME},
            {"fieldName": "city", "fieldType": "Edm.String"},
            {"fieldName": "amount", "fieldType": "Edm.Decimal"},
            {"fieldName": "joined", "fieldType": "Edm.Date"},
            {"fieldName": "tags", "fieldType": "Edm.String", "isArray": True},
        ],
        "strongIds": [{"strongIdName": "ById", "keyPropertyNames": ["id"]}],
    }
)
NAMES = ("Ada", "Bo", "Chloë", "Dmitri", "Esi", "Gül", "Łucja", "健太", "Zoë 🙂", "O'Neil")
LATIN_NAMES = ("Ada", "Bo", "Chloë", "Esi", "José", "Günther", "Zoë")
# The second byte of ソ is a backslash in Shift-JIS, that of ポ a vertical bar.
JAPANESE_NAMES = ("ソニア", "山田", "ポール", "Ada")
CITIES = ("Paris", "Utrecht", "Oslo", "Lyon", "Porto")


type Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One customer; what a right reader gives for its row."""

    id: str
    name: str | None
    city: str | None
    amount: Decimal | None
    joined: date | None
    tags: tuple[str, ...] | None

    @property
    def values(self) -> Values:
        """In the order of `COLUMNS`."""
        return self.id, self.name, self.city, self.amount, self.joined, self.tags


@dataclass(frozen=True, slots=True)
class Style:
    """How a table is written; minimal quoting.

    Attributes:
        escape: what stands before a quote in a quoted cell.
        decimal_comma: amounts as `1.234,50`.
        date_format: strftime pattern.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    decimal_comma: bool = False
    date_format: str = "%Y-%m-%d"

    def row(self, record: Record) -> bytes:
        """The record's row, without line end."""
        return self.join(self.cells(record))

    def cells(self, record: Record) -> list[str]:
        """Texts of the record's cells, before quoting."""
        amount = "" if record.amount is None else f"{record.amount:,.2f}" if self.decimal_comma else str(record.amount)
        if self.decimal_comma:
            amount = amount.translate(str.maketrans(",.", ".,"))
        joined = "" if record.joined is None else record.joined.strftime(self.date_format)
        tags = ";".join(tag.replace("\\", "\\\\").replace(";", "\\;") for tag in record.tags or ())
        return [record.id, record.name or "", record.city or "", amount, joined, tags]

    def join(self, cells: Sequence[str]) -> bytes:
        """Cells as a row, quoted where they must be."""
        return self.delimiter.join(map(self._quoted, cells)).encode()

    def _quoted(self, cell: str) -> str:
        if not self.quote or not any(mark in cell for mark in ("\r", "\n", self.quote, self.delimiter)):
            return cell
        if self.escape != self.quote:
            cell = cell.replace(self.escape, self.escape * 2)
        return self.quote + cell.replace(self.quote, self.escape + self.quote) + self.quote


def records(rng: random.Random, count: int, *, quoted: bool, names: Sequence[str] = NAMES) -> list[Record]:
    """Customers.

    Args:
        quoted: whether some cells hold delimiters, quotes or line ends; else no row needs a quote.
        names: to choose from.
    """
    made = []
    for number in range(1, count + 1):
        record = Record(
            id=f"{number:05}",
            name=rng.choice(names),
            city=rng.choice((*CITIES, None)),
            amount=rng.choice((Decimal(rng.randrange(-(10**7), 10**7)) / 100, None, Decimal(rng.randrange(100)))),
            joined=date(2000, 1, 1) + timedelta(days=rng.randrange(9000)),
            tags=rng.choice((None, ("news",), ("news", "a;b"), ("x\\y",))),
        )
        made.append(_with_marks(record, rng) if quoted and rng.random() < 0.2 else record)
    return made


def with_line_end(record: Record, line_end: str) -> Record:
    """The record with a line end in its name."""
    return replace(record, name=f"{record.name}{line_end}{record.name}")


def _with_marks(record: Record, rng: random.Random) -> Record:
    mark = rng.choice((", jr.", ' "the" one', "\n2nd line", "\r\n\r\n", ',"', '\n"\n'))
    return replace(record, name=f"{record.name}{mark}")


def mapping_of(
    form: dict[str, Any],
    *,
    has_header: bool = True,
    columns: Sequence[str] = COLUMNS,
    fields: Sequence[str] = COLUMNS,
    joined_format: str | None = None,
    kind: str = "Profile",
) -> Mapping:
    """A mapping that fills `fields` from `columns`.

    Args:
        form: the `format` that it declares.
        joined_format: `customFormatSpecifier` of the field `joined`.
    """
    structure = [
        {
            "propertyName": field,
            "columnName": column,
            "customFormatSpecifier": joined_format if field == "joined" else None,
        }
        for field, column in zip(fields, columns, strict=True)
    ]
    return Mapping.from_request(
        {
            "entityType": kind,
            "entityTypeName": "Customer",
            "mappingProperties": {
                "folderPath": "inbox",
                "hasHeader": has_header,
                "format": form,
                "errorManagement": {"errorManagementType": "RejectAndContinue"},
                "structure": structure,
            },
        }
    )
