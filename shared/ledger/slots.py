"""The ledger of export slots: what each slot carries, written down before it is carried out.

Table `slots`, one partition for each series. Its rows: `head` (how far slots are planned), `plan|{slot}` (planned, not
published yet) and `slot|{slot}` (published). Every plan replaces the head that it was made from, so ranges follow one
another without gap or overlap however many workers plan at once.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared.domain.errors import CommitConflictError, ConflictError, PreconditionError
from shared.storage.tables import ETAG, Delete, FilterValue, Insert, Operation, Replace, Row, Table, Upsert, above

_HEAD = "head"
_PLAN = "plan|"
_SLOT = "slot|"
_SLOT_FORMAT = "%Y-%m-%dT%H:%MZ"
# A property holds 64 KiB, two bytes to a character:
# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_PROPERTY_CHARACTERS = 30_000
_OPERATIONS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Series:
    """The slots of one entity that go to one connector.

    Attributes:
        connector_id: instance id of the connector; one that is deleted and made anew has another.
        entity_type: `Profile` or `Kpi`.
        entity_id: instance id of the profile type or KPI.
    """

    hub: str
    connector_id: str
    entity_type: str
    entity_id: str

    @property
    def partition(self) -> str:
        """Partition key of the series."""
        return "|".join((self.hub.lower(), self.connector_id, self.entity_type, self.entity_id))


@dataclass(frozen=True, slots=True)
class Head:
    """How far a series is planned.

    Attributes:
        life: made with the series' first plan; a series that was forgotten begins another life.
        last_slot: the newest slot that was ever planned; no slot up to it is planned again.
        planned_to: the version up to which slots are planned; None where the next slot is to carry every instance.
    """

    life: str
    last_slot: datetime
    planned_to: int | None
    etag: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one slot carries: every instance, or those that changed in the versions (from, to].

    Attributes:
        from_version: exclusive; 0 for the first slot of a series.
        table_version: Delta version of the table that the rows are read at, so that a repetition reads the same.
        columns: names of the fields of the CSV, as they were chosen when the slot was planned.
    """

    slot: datetime
    run_id: str
    from_version: int
    to_version: int
    table_version: int
    is_first: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a plan: facts of the published blob."""

    rows: int
    size: int
    sha256: str


class Slots:
    """The ledger of all series. Safe for use by many threads."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def head(self, series: Series) -> Head | None:
        """The head of a series; None before its first plan."""
        row = self._table.get(series.partition, _HEAD)
        if row is None:
            return None
        return Head(row["life"], _read_slot(row["lastSlot"]), row.get("plannedTo"), row[ETAG])

    def plan(self, series: Series, head: Head | None, life: str, plan: Plan) -> None:
        """Writes a plan down and moves the head, both or neither.

        Args:
            head: as it was read before the plan was made.
            life: of the head, or of `new_life` where there is none.

        Raises:
            CommitConflictError: the head has moved meanwhile; read it again.
        """
        row = _head_row(series, life, plan.slot, plan.to_version)
        self._commit(
            [Replace(row, head.etag) if head else Insert(row), Insert(_plan_row(series, plan))],
        )

    def planned(self, series: Series, slot: datetime) -> Plan | None:
        """The plan of a slot that waits to be published."""
        row = self._table.get(series.partition, f"{_PLAN}{slot:{_SLOT_FORMAT}}")
        return _read_plan(row) if row else None

    def waiting(self, series: Series) -> Iterator[Plan]:
        """The plans that are not published yet, oldest slot first."""
        for row in self._rows(series, _PLAN):
            yield _read_plan(row)

    def oldest(self, series: Series) -> Plan | None:
        """The plan that is to be published next."""
        return next(iter(self._first(series, 1)), None)

    def record_published(self, series: Series, plan: Plan, published: Published) -> None:
        """Turns a plan into a published slot; nothing happens where that was done already."""
        row: Row = {
            "PartitionKey": series.partition,
            "RowKey": f"{_SLOT}{plan.slot:{_SLOT_FORMAT}}",
            "runId": plan.run_id,
            "fromVersion": plan.from_version,
            "toVersion": plan.to_version,
            "rows": published.rows,
            "bytes": published.size,
            "sha256": published.sha256,
        }
        try:
            self._table.transact([_delete_plan(series, plan), Upsert(row)])
        except PreconditionError:
            return

    def pass_on(self, series: Series, plan: Plan, *, everything: bool = False) -> None:
        """Drops the oldest waiting plan and has the slot after it carry its rows too, or every instance.

        Raises:
            CommitConflictError: the series has changed meanwhile.
        """
        head = self.head(series)
        found = self._first(series, 2)
        if head is None or found[:1] != [plan]:
            raise CommitConflictError("SlotChanged", "another worker changed the slots meanwhile")
        following = found[1] if len(found) > 1 else None
        operations: list[Operation] = [_delete_plan(series, plan)]
        if following is not None:
            is_first = everything or plan.is_first
            longer = replace(following, from_version=0 if is_first else plan.from_version, is_first=is_first)
            operations += [Upsert(_plan_row(series, longer)), Replace(_moved(series, head, head.planned_to), head.etag)]
        else:
            back_to = None if everything or plan.is_first else plan.from_version
            operations.append(Replace(_moved(series, head, back_to), head.etag))
        self._commit(operations)

    def series_of(self, hub: str) -> list[Series]:
        """Every series of a hub that has a head."""
        prefix = f"{hub.lower()}|"
        where = "PartitionKey ge @from and PartitionKey lt @to and RowKey eq @head"
        values = {"from": prefix, "to": above(prefix), "head": _HEAD}
        found = self._table.query(where, values, ["PartitionKey", "RowKey"])
        return [Series(*row["PartitionKey"].split("|")) for row in found]

    def forget(self, series: Series) -> None:
        """Deletes all that is known of a series; should its entity be exported again, it starts anew."""
        where = "PartitionKey eq @partition"
        rows = self._table.query(where, {"partition": series.partition}, ["PartitionKey", "RowKey"])
        self._delete(series, [row["RowKey"] for row in rows])

    def forget_published(self, series: Series, before: datetime) -> None:
        """Deletes the records of published slots that are older than `before`."""
        old = f"{_SLOT}{before:{_SLOT_FORMAT}}"
        keys = (row["RowKey"] for row in self._rows(series, _SLOT, ["PartitionKey", "RowKey"]))
        self._delete(series, [key for key in keys if key < old])

    def _first(self, series: Series, count: int) -> list[Plan]:
        rows, _ = self._table.page(*_rows_of(series, _PLAN), count)
        return [_read_plan(row) for row in rows]

    def _rows(self, series: Series, prefix: str, select: Sequence[str] | None = None) -> Iterator[Row]:
        return self._table.query(*_rows_of(series, prefix), select)

    def _delete(self, series: Series, keys: list[str]) -> None:
        for start in range(0, len(keys), _OPERATIONS_AT_ONCE):
            try:
                self._table.transact(
                    [Delete(series.partition, key) for key in keys[start : start + _OPERATIONS_AT_ONCE]]
                )
            except PreconditionError:
                return  # somebody else is at it; what is left goes the next time

    def _commit(self, operations: list[Operation]) -> None:
        try:
            self._table.transact(operations)
        except (ConflictError, PreconditionError) as error:
            raise CommitConflictError("SlotChanged", "another worker changed the slots meanwhile") from error


def new_life() -> str:
    """The life of a series that is planned for the first time."""
    return uuid.uuid4().hex


def _rows_of(series: Series, prefix: str) -> tuple[str, dict[str, FilterValue]]:
    where = "PartitionKey eq @partition and RowKey ge @from and RowKey lt @to"
    return where, {"partition": series.partition, "from": prefix, "to": above(prefix)}


def _head_row(series: Series, life: str, last_slot: datetime, planned_to: int | None) -> Row:
    return {
        "PartitionKey": series.partition,
        "RowKey": _HEAD,
        "life": life,
        "lastSlot": f"{last_slot:{_SLOT_FORMAT}}",
        "plannedTo": planned_to,
    }


def _moved(series: Series, head: Head, planned_to: int | None) -> Row:
    return _head_row(series, head.life, head.last_slot, planned_to)


def _delete_plan(series: Series, plan: Plan) -> Delete:
    return Delete(series.partition, f"{_PLAN}{plan.slot:{_SLOT_FORMAT}}")


def _plan_row(series: Series, plan: Plan) -> Row:
    columns = json.dumps(plan.columns, ensure_ascii=False, separators=(",", ":"))
    pieces = range(0, len(columns), _PROPERTY_CHARACTERS)
    return {
        "PartitionKey": series.partition,
        "RowKey": f"{_PLAN}{plan.slot:{_SLOT_FORMAT}}",
        "runId": plan.run_id,
        "fromVersion": plan.from_version,
        "toVersion": plan.to_version,
        "tableVersion": plan.table_version,
        "isFirst": plan.is_first,
        **{f"columns{number}": columns[start : start + _PROPERTY_CHARACTERS] for number, start in enumerate(pieces)},
    }


def _read_plan(row: Row) -> Plan:
    pieces = sorted((name for name in row if name.startswith("columns")), key=lambda name: int(name[7:]))
    return Plan(
        slot=_read_slot(row["RowKey"].removeprefix(_PLAN)),
        run_id=row["runId"],
        from_version=row["fromVersion"],
        to_version=row["toVersion"],
        table_version=row["tableVersion"],
        is_first=row["isFirst"],
        columns=tuple(json.loads("".join(row[name] for name in pieces))),
    )


def _read_slot(text: str) -> datetime:
    return datetime.strptime(text, _SLOT_FORMAT).replace(tzinfo=UTC)
