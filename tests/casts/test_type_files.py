"""Whole files: a slow second reading types and refuses the same rows, whatever the batches."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.entity_types import EntityType
from tests.casts.time_oracle import RefusedError
from tests.casts.type_oracle import columns_of, read_row, same
from tests.casts.typing_cases import interaction_type, mapping_of, profile_type, type_file, typer_of
from tests.thorough import examples

ID = {"fieldName": "id", "fieldType": "Edm.String"}
EVERYTHING: list[dict[str, Any]] = [
    ID,
    {"fieldName": "short", "fieldType": "Edm.String", "maxLength": 2, "isRequired": True},
    {"fieldName": "number", "fieldType": "Edm.Int16"},
    {"fieldName": "amount", "fieldType": "Edm.Decimal"},
    {"fieldName": "rate", "fieldType": "Edm.Double"},
    {"fieldName": "flag", "fieldType": "Edm.Boolean", "isRequired": True},
    {"fieldName": "day", "fieldType": "Edm.Date"},
    {"fieldName": "seen", "fieldType": "Edm.DateTimeOffset"},
    {"fieldName": "guid", "fieldType": "Edm.Guid"},
    {"fieldName": "tags", "fieldType": "Edm.String", "isArray": True},
    {"fieldName": "scores", "fieldType": "Edm.Byte", "isArray": True},
    {
        "fieldName": "level",
        "fieldType": "Edm.Int32",
        "isEnum": True,
        "enumValidValues": [{"value": 4, "localizedValueNames": {"en": "Gold"}}],
    },
]
CELLS = {
    "id": ["a", "b", " ", "", "k" * 1024, "k" * 1030],
    "short": ["a", "ab", "abc", "", "é😀"],
    "number": ["1", "-1", "1.5", "70000", "", " 7"],
    "amount": ["1,5", "1.234,50", "1.5", "", "1"],
    "rate": ["0,5", "1e400", "", "x"],
    "flag": ["true", "0", "", "yes"],
    "day": ["31/01/2026", "31/02/2026", "", "2026-01-31"],
    "seen": ["2026-01-31", "2026-01-31T10:00:00+02:00", "", "x", "2026-01-31T10:00:00.1234567Z"],
    "guid": ["0123abcd-89ab-cdef-0123-456789abcdef", "", "0123"],
    "tags": ["a;b", "a\\;b", "", ";"],
    "scores": ["1;2", "", "1;;2", "1;256", "1;x"],
    "level": ["4", "Gold", "gold", ""],
    "note": ["", "anything", "x\ny"],
}  # fmt: skip


@pytest.mark.parametrize(
    "entity_type",
    [
        profile_type(*EVERYTHING),
        profile_type(*EVERYTHING, key=("seen", "id", "number", "flag")),
        interaction_type(*EVERYTHING),
        interaction_type(*EVERYTHING, key=("amount", "level")),
    ],
    ids=["profile", "composite", "interaction", "interaction with id"],
)
def test_two_readings_of_any_file_agree_whatever_the_batches(entity_type: EntityType) -> None:
    form = {"acceptLanguage": "de-DE"}
    mapping = mapping_of(entity_type, form=form, formats={"day": "dd/MM/yyyy"})
    columns = columns_of(mapping.mapping_properties.structure, entity_type)
    # Mostly good cells, so that refusals happen in every column and most rows are typed.
    cell = {
        name: st.one_of(st.just(cells[0]), st.just(cells[0]), st.sampled_from(cells)) for name, cells in CELLS.items()
    }

    @settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        header=st.permutations(list(CELLS)),
        rows=st.lists(st.fixed_dictionaries(cell), max_size=30),
        batch_rows=st.sampled_from([1, 7, 1000]),
    )
    def agree(header: list[str], rows: list[dict[str, str]], batch_rows: int) -> None:
        expected_rows, expected_rejects = [], []
        for row in rows:
            cells = {name: row[name] for name in header}
            try:
                expected_rows.append(read_row(cells, columns, entity_type, MappingFormat.from_request(form)))
            except RefusedError as refused:
                expected_rejects.append((refused.args[1], refused.code))
        with typer_of(entity_type, mapping, header) as typer:
            typed, rejects = type_file(
                typer, header, [[row[name] for name in header] for row in rows], batch_rows=batch_rows, window_bytes=256
            )
        assert [(reject.column, reject.code) for reject in rejects] == expected_rejects
        assert [reject.line for reject in rejects] == sorted({reject.line for reject in rejects})
        for row, (values, key) in zip(typed, expected_rows, strict=True):
            assert all(same(row[name], value) for name, value in values.items())
            assert key in {None, row["_key"]}
        if not entity_type.key_fields:
            kept = Counter(
                tuple(row[name] for name in CELLS) for row, _ in good(rows, header, columns, entity_type, form)
            )
            assert sorted(Counter(row["_key"] for row in typed).values()) == sorted(kept.values())

    agree()


def good(
    rows: list[dict[str, str]], header: list[str], columns: Any, entity_type: EntityType, form: dict[str, str]
) -> list[tuple[dict[str, str], Any]]:
    found = []
    for row in rows:
        try:
            values = read_row(
                {name: row[name] for name in header}, columns, entity_type, MappingFormat.from_request(form)
            )
        except RefusedError:
            continue
        found.append((row, values))
    return found
