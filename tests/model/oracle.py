"""What has to be in the tables, said with plain dictionaries: no clock, no storage, no code of the app."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

type Fields = dict[str, Any]
type Cells = tuple[str, ...]

HEADER: Cells = ("id", "city", "points")


@dataclass(frozen=True)
class Rule:
    """A mapping: which files it takes, and what it makes of their columns.

    Attributes:
        entity: name of the type.
        folder: of the files.
        fields: the type's fields, with the column that each is read from.
    """

    entity: str
    folder: str
    fields: dict[str, str]


MAPPINGS = {
    "Whole": Rule("Customer", "whole/", {"Id": "id", "City": "city", "Points": "points"}),
    "Points": Rule("Customer", "points/", {"Id": "id", "Points": "points"}),
    "Visits": Rule("Visit", "whole/", {"Id": "id", "City": "city"}),
}
NUMBERS = frozenset({"Points"})


@dataclass(eq=False)
class Version:
    """One content of a blob.

    Attributes:
        second: in which storage took it.
        nth: how manieth upload it is of all.
    """

    path: str
    etag: str
    rows: tuple[Cells, ...]
    second: int
    nth: int

    @property
    def mappings(self) -> list[str]:
        return [name for name, rule in MAPPINGS.items() if self.path.startswith(rule.folder)]


@dataclass
class Expected:
    """What a mapping has to make of a version: the lines and fields of good rows; the others' lines and codes."""

    good: list[tuple[int, Fields]] = field(default_factory=list)
    rejects: list[tuple[int, str]] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, int, int]:
        return len(self.good) + len(self.rejects), len(self.good), len(self.rejects)


def text_of(rows: Iterable[Cells]) -> str:
    """The file; no cell needs quotes."""
    return "".join(",".join(cells) + "\n" for cells in (HEADER, *rows))


def expected(mapping: str, rows: Iterable[Cells]) -> Expected:
    """What a mapping has to make of rows."""
    rule, found = MAPPINGS[mapping], Expected()
    for line, cells in enumerate(rows, 2):
        if len(cells) != len(HEADER):
            found.rejects.append((line, "RowWidth"))
            continue
        row = dict(zip(HEADER, cells, strict=True))
        values: Fields = {}
        for name, column in rule.fields.items():
            text = row[column]
            if name == "Id" and rule.entity == "Customer" and not text:
                found.rejects.append((line, "EmptyKey"))
                break
            if name in NUMBERS and text and not text.isdigit():
                found.rejects.append((line, "NotAnInteger"))
                break
            values[name] = (int(text) if name in NUMBERS else text) if text else None
        else:
            found.good.append((line, values))
    return found


@dataclass(frozen=True)
class Ingested:
    """A version whose rows are in.

    Attributes:
        has_sequencer: whether its run knew its place within the second; else any place in it will do.
    """

    mapping: str
    version: Version
    has_sequencer: bool

    def is_surely_after(self, other: "Ingested") -> bool:
        mine, its = self.version, other.version
        if mine.path == its.path:
            return mine.nth > its.nth
        if mine.second != its.second:
            return mine.second > its.second
        return self.has_sequencer and other.has_sequencer and mine.nth > its.nth


def customers(ingested: Iterable[Ingested]) -> dict[str, dict[str, set[Any]]]:
    """For each customer and field, the values that it may have: one, unless storage does not say which came last."""
    told: dict[str, dict[str, list[tuple[Ingested, Any]]]] = defaultdict(lambda: defaultdict(list))
    for one, values in _good_rows(ingested, "Customer"):
        for name, value in values.items():
            told[values["Id"]][name].append((one, value))
    return {
        key: {name: _last(values) for name, values in by_name.items()} | _unset(by_name)
        for key, by_name in told.items()
    }


def visits(ingested: Iterable[Ingested]) -> Counter[tuple[str | None, str | None]]:
    """Each row of a file once, equal rows of one file as often as a version has them."""
    most: dict[tuple[str, Cells], int] = {}
    for one in ingested:
        if MAPPINGS[one.mapping].entity == "Visit":
            good = Counter(cells for cells in one.version.rows if len(cells) == len(HEADER))
            for cells, number in good.items():
                place = (one.version.path, cells)
                most[place] = max(most.get(place, 0), number)
    found: Counter[tuple[str | None, str | None]] = Counter()
    for (_, cells), number in most.items():
        found[cells[0] or None, cells[1] or None] += number
    return found


def _good_rows(ingested: Iterable[Ingested], entity: str) -> Iterator[tuple[Ingested, Fields]]:
    for one in ingested:
        if MAPPINGS[one.mapping].entity == entity:
            for _, values in expected(one.mapping, one.version.rows).good:
                yield one, values


def _last(values: list[tuple[Ingested, Any]]) -> set[Any]:
    # Of the rows of one version the last one counts.
    of_version = {id(one.version): (one, value) for one, value in values}.values()
    return {value for one, value in of_version if not any(other.is_surely_after(one) for other, _ in of_version)}


def _unset(by_name: dict[str, Any]) -> dict[str, set[Any]]:
    return {name: {None} for name in MAPPINGS["Whole"].fields if name not in by_name}
