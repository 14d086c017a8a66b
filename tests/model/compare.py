"""What came of it all in the end, against the dictionary."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from shared.domain.documents.run import Run, RunState
from tests.model.define import NAME
from tests.model.hub import IS_IN, ModelHub
from tests.model.oracle import MAPPINGS, Ingested, Version, customers, expected, visits


def check_rows(
    hub: ModelHub, version_of: Callable[[Run], Version], is_newest: Callable[[Version], bool]
) -> list[Ingested]:
    """Each good row of each version that is in stands in the table once, under its run; nothing else stands there.

    Returns:
        What is in.
    """
    ingested: list[Ingested] = []
    rows: dict[str, Counter[tuple[Any, ...]]] = {rule.entity: Counter() for rule in MAPPINGS.values()}
    for run in hub.runs():
        version = version_of(run)
        assert run.state.is_final, run
        if run.state not in IS_IN:
            assert not is_newest(version), run
            assert (run.rows_read, run.rows_ingested, run.rows_rejected) == (0, 0, 0)
            continue
        wanted = expected(run.mapping or "", version.rows)
        assert (run.rows_read, run.rows_ingested, run.rows_rejected) == wanted.counts
        assert run.state is (RunState.PARTIALLY_SUCCEEDED if wanted.rejects else RunState.SUCCEEDED)
        assert hub.rejects(run) == wanted.rejects
        entity = MAPPINGS[run.mapping or ""].entity
        for line, values in wanted.good:
            rows[entity][run.run_id, line, tuple(sorted(values.items()))] += 1
        sequencer = run.blob.sequencer if run.blob else None
        ingested.append(Ingested(run.mapping or "", version, sequencer is not None))
    for entity, of_entity in rows.items():
        assert hub.changes(entity) == of_entity
    return ingested


def check_data(hub: ModelHub, ingested: Iterable[Ingested]) -> None:
    """`/data` shows the merge of what is in."""
    check_customers(hub.data("Customer"), ingested)
    assert Counter((row["Id"], row["City"]) for row in hub.data("Visit")) == visits(ingested)


def check_total(hub: ModelHub) -> None:
    """The KPI adds up what `/data` shows."""
    points = [row["Points"] for row in hub.data("Customer") if row["Points"] is not None]
    assert hub.total() == (sum(points) if points else None)


def check_paths(hub: ModelHub) -> None:
    """Nothing lies in the lake but the tables of the types and KPIs that are there."""
    definitions = hub.seen.definitions
    here = {stored.document.lake_path for stored in definitions.entity_types(NAME)}
    here |= {stored.document.lake_path for stored in definitions.kpis(NAME)}
    assert {"/".join(blob.path.split("/")[:3]) for blob in hub.seen.lake.blobs.list()} <= here


def check_customers(rows: list[dict[str, Any]], ingested: Iterable[Ingested]) -> None:
    may_be = customers(ingested)
    assert sorted(row["Id"] for row in rows) == sorted(may_be)
    for row in rows:
        for name, values in may_be[row["Id"]].items():
            assert row[name] in values, f"{row}: {name} must be one of {values}"
