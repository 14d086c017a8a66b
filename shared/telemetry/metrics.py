"""Metrics: what all runs come to, in rows and seconds; units are those of UCUM (https://ucum.org).

They have few attributes, none of them a name that a user gave: each value of one is a series of its own at whoever
keeps them. Without an endpoint to export to, nothing is counted.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from shared.domain.documents.run import Run
from shared.telemetry.export import EXPORTER

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter

_ROWS, _SECONDS, _RETRIES = "{row}", "s", "{retry}"
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_BOUNDS_OF_WORK_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE)
_BOUNDS_OF_AGE_S = (1, 5, 15, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY)


class _Instruments(NamedTuple):
    read: "Counter"
    ingested: "Counter"
    rejected: "Counter"
    retries: "Counter"
    duration: "Histogram"
    lag: "Histogram"
    freshness: "Histogram"


def count_run(run: Run) -> None:
    """Counts a run that has ended, its rows and how long its last attempt took."""
    instruments = _instruments()
    if instruments is None:
        return
    kind = {"run.kind": run.kind.value}
    instruments.read.add(run.rows_read, kind)
    instruments.ingested.add(run.rows_ingested, kind)
    instruments.rejected.add(run.rows_rejected, kind)
    if run.duration_ms is not None:
        instruments.duration.record(run.duration_ms / 1000, {**kind, "run.state": run.state.value})


def record_lag(seconds: float) -> None:
    """Records how old a blob version was when its rows were committed."""
    instruments = _instruments()
    if instruments is not None:
        instruments.lag.record(max(seconds, 0.0))


def record_freshness(seconds: float, entity_type: str) -> None:
    """Records how old what a slot carries was when it was published: `entity_type` is Profile or Kpi."""
    instruments = _instruments()
    if instruments is not None:
        instruments.freshness.record(max(seconds, 0.0), {"entity.type": entity_type})


def count_commit_retry() -> None:
    """Counts a commit to a table of the lake that is done again, since another writer was first."""
    instruments = _instruments()
    if instruments is not None:
        instruments.retries.add(1)


def _instruments() -> _Instruments | None:
    recorders = EXPORTER.recorders()
    return None if recorders is None else _made_by(recorders.meter)


@lru_cache(maxsize=1)
def _made_by(meter: "Meter") -> _Instruments:
    def seconds(name: str, what: str, bounds: tuple[float, ...]) -> "Histogram":
        return meter.create_histogram(name, _SECONDS, what, explicit_bucket_boundaries_advisory=bounds)

    return _Instruments(
        read=meter.create_counter("connector.rows.read", _ROWS, "Rows that runs read"),
        ingested=meter.create_counter("connector.rows.ingested", _ROWS, "Rows that came into a table or an export"),
        rejected=meter.create_counter("connector.rows.rejected", _ROWS, "Rows that were refused"),
        retries=meter.create_counter("connector.commit.retries", _RETRIES, "Commits done again after a lost race"),
        duration=seconds("connector.run.duration", "Duration of the last attempt at a run", _BOUNDS_OF_WORK_S),
        lag=seconds("connector.arrival.lag", "Age of a blob version when its rows are committed", _BOUNDS_OF_AGE_S),
        freshness=seconds("connector.export.freshness", "Age of a slot when it is published", _BOUNDS_OF_AGE_S),
    )
