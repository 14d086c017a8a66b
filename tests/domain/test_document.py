"""Documents: strict with who sends them, lenient with what another release has stored."""

from typing import Any

import pytest

from shared.connectors.kinds import connector_from_json, connector_from_request
from shared.domain.documents.entity_types import ProfileType
from shared.domain.documents.run import Run
from shared.domain.errors import InvalidRequestError
from tests.http import bodies

TYPE = bodies.profile_type()
LATER: dict[str, Any] = {
    **TYPE,
    "laterProperty": {"x": 1},
    "fields": [{**field, "laterHint": True} for field in TYPE["fields"]],
}
CONNECTOR = {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": "https://v/secrets/s"}}


def test_a_request_must_not_name_what_is_not_known() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        ProfileType.from_request(LATER)
    assert {fault.target for fault in refused.value.details} == {
        "laterProperty",
        *(f"fields[{number}].laterHint" for number in range(len(TYPE["fields"]))),
    }


def test_what_a_later_release_stored_is_read() -> None:
    assert ProfileType.from_stored(LATER) == ProfileType.from_stored(TYPE)
    run = {"runId": "r", "kind": "Ingest", "queuedAt": "2026-11-22T12:00:00Z"}
    assert Run.from_stored({**run, "laterFact": 1}) == Run.from_stored(run)


def test_other_properties_of_a_connector_are_kept() -> None:
    with_more = {**CONNECTOR, "connectorProperties": {**CONNECTOR["connectorProperties"], "note": "ours"}}  # type: ignore[dict-item]
    asked = connector_from_request(with_more)
    stored = connector_from_json({**asked.to_json(), "laterProperty": 1})
    assert stored == asked
    assert stored.to_json()["connectorProperties"]["note"] == "ours"
