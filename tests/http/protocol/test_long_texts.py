"""Texts of 100 KB wherever a request may hold one: no answer repeats more than 200 characters in a row of them."""

import json
import uuid
from typing import Any

import pytest

from tests.http import bodies
from tests.http.conftest import Client

LONG = "xyz" * 34_000
MOST = LONG[:201]

PROFILE = bodies.profile_type()
FIELD, MAIN = PROFILE["fields"][0], PROFILE["strongIds"][0]
MAPPING = bodies.mapping("inbox")
PROPERTIES = MAPPING["mappingProperties"]
COLUMN = PROPERTIES["structure"][0]
DATE = {"propertyName": "Born", "columnName": "born"}
ENTITY = {"entityType": "Profile", "entityName": "Contact"}
LINK: dict[str, Any] = {"connectorType": "Outbound"}


def columns(*found: dict[str, Any]) -> dict[str, Any]:
    return {**MAPPING, "mappingProperties": {**PROPERTIES, "structure": [*PROPERTIES["structure"], *found]}}


def properties(**changes: Any) -> dict[str, Any]:
    return {**MAPPING, "mappingProperties": {**PROPERTIES, **changes}}


def outbound(**changes: Any) -> dict[str, Any]:
    return {**LINK, "connectorProperties": {"entityList": [{**ENTITY, **changes}], "outputBlobSASUri": "https://x/y"}}


REFUSED: list[tuple[str, Any]] = [
    ("", {LONG: 1}),
    ("", {LONG[:512]: 1}),
    ("", {"tags": {LONG[:500]: 1}}),
    ("", {"hubName": LONG}),
    ("", {"tags": LONG}),
    ("", {"tenantFeatures": LONG}),
    ("", {"tags": {"a": f"{LONG} AccountKey={LONG}"}}),
    ("/profiles/Person", {**PROFILE, "typeName": LONG}),
    ("/profiles/Person", {**PROFILE, "kind": LONG}),
    ("/profiles/Person", {**PROFILE, "fields": [{**FIELD, "fieldName": LONG}]}),
    ("/profiles/Person", {**PROFILE, "fields": [{**FIELD, "fieldType": LONG}]}),
    ("/profiles/Person", {**PROFILE, "fields": [{**FIELD, LONG[:512]: LONG}]}),
    ("/profiles/Person", {**PROFILE, "strongIds": [{**MAIN, "keyPropertyNames": [LONG]}]}),
    ("/profiles/Person", {**PROFILE, "strongIds": [{**MAIN, "strongIdName": LONG}] * 2}),
    ("/interactions/Visit", bodies.interaction_type(timestampFieldName=LONG)),
    ("/interactions/Visit", bodies.interaction_type(idPropertyNames=[LONG, LONG])),
    ("/kpi/Turnover", bodies.kpi(expression=LONG)),
    ("/kpi/Turnover", bodies.kpi(entityTypeName=LONG)),
    ("/kpi/Turnover", bodies.kpi(function=LONG)),
    ("/kpi/Turnover", bodies.kpi(groupBy=[LONG], calculationWindowFieldName=LONG)),
    ("/kpi/Turnover", bodies.kpi(filter=LONG)),
    ("/connectors/Partner", {"connectorType": LONG, "connectorProperties": {}}),
    ("/connectors/Partner", {"connectorType": "None", "connectorName": LONG, "connectorProperties": {}}),
    ("/connectors/Partner", bodies.blob_connector(LONG)),
    ("/connectors/Partner", bodies.blob_connector(f"https://{LONG}.vault.azure.net/secrets/{LONG}")),
    ("/connectors/Partner", outbound(entityName=LONG)),
    ("/connectors/Partner", outbound(entityType=LONG)),
    ("/connectors/Partner", outbound(fieldNames=[LONG, LONG])),
    ("/connectors/Partner", {**LINK, "connectorProperties": {"entityList": [ENTITY], "outputBlobSASUri": LONG}}),
    (
        "/connectors/Partner",
        {**LINK, "connectorProperties": {"entityList": [ENTITY], "outputBlobSASUri": f"https://{LONG}/{LONG}?{LONG}"}},
    ),
    ("/connectors/Files/mappings/daily", {**MAPPING, "entityTypeName": LONG}),
    ("/connectors/Files/mappings/daily", {**MAPPING, "state": LONG, LONG[:300]: 1}),
    ("/connectors/Files/mappings/daily", columns({"propertyName": LONG, "columnName": LONG})),
    ("/connectors/Files/mappings/daily", columns(*[{"propertyName": LONG, "columnName": LONG}] * 2)),
    ("/connectors/Files/mappings/daily", columns({**DATE, "customFormatSpecifier": LONG})),
    ("/connectors/Files/mappings/daily", columns({**DATE, "customFormatSpecifier": f"yyyy-MM-dd {'y' * 110}"})),
    ("/connectors/Files/mappings/daily", properties(folderPath=LONG)),
    ("/connectors/Files/mappings/daily", properties(folderPath=f"https://{LONG}.blob.core.windows.net/{LONG}/{LONG}")),
    ("/connectors/Files/mappings/daily", properties(fileFilter=LONG)),
    ("/connectors/Files/mappings/daily", properties(format={"encoding": LONG})),
    ("/connectors/Files/mappings/daily", properties(format={"acceptLanguage": LONG})),
    ("/connectors/Files/mappings/daily", properties(format={"columnDelimiter": LONG, "quoteCharacter": LONG})),
    ("/connectors/Files/mappings/daily", properties(availability={"frequency": LONG, "interval": LONG})),
    (
        "/connectors/Files/mappings/daily",
        properties(completeOperation={"completionOperationType": "MoveFile", "destinationFolder": LONG}),
    ),
    (
        "/connectors/Files/mappings/daily",
        properties(completeOperation={"completionOperationType": LONG}, errorManagement={"errorManagementType": LONG}),
    ),
]
# An address may have some kilobytes.
SHORTER = LONG[:6000]
ASKED = [
    f"/{SHORTER}",
    f"/profiles/{SHORTER}",
    f"/connectors/{SHORTER}/mappings/{SHORTER}",
    f"/runs/{SHORTER}",
    f"/runs?connector={SHORTER}&state={SHORTER}&kind={SHORTER}",
    f"/runs?%24{SHORTER}=1",
    f"/connectors?$orderby={SHORTER}",
    f"/connectors?$top={SHORTER}&$skiptoken={SHORTER}",
    f"/data/{SHORTER}",
    f"/data/Contact('{SHORTER}')",
    f"/data/Contact?$filter={SHORTER} eq 1",
    f"/data/Contact?$filter={SHORTER}(Name) eq 1",
    f"/data/Contact?$filter=Name eq '{SHORTER}",
    f"/data/Contact/C1?$expand={SHORTER},{SHORTER}",
    f"/data/KPIs/{SHORTER}",
]


def check(answer_text: str) -> None:
    # Quotes within a text are escaped in JSON, but there are none in ours.
    assert MOST not in answer_text


@pytest.fixture(scope="module")
def known(client: Client, storage_secret_url: str) -> str:
    """The path of a hub with types and a connector; what is refused leaves it as it is, so tests share it."""
    hub = f"/hubs/h{uuid.uuid4().hex[:12]}"
    born = {"fieldName": "Born", "fieldType": "Edm.Date"}
    for path, body in (
        ("", {}),
        ("/profiles/Contact", bodies.profile_type(fields=[*PROFILE["fields"], born])),
        ("/interactions/Order", bodies.interaction_type()),
        ("/connectors/Files", bodies.blob_connector(storage_secret_url)),
    ):
        assert client.put(f"{hub}{path}", body).status_code == 201
    return hub


@pytest.mark.parametrize(("path", "body"), REFUSED, ids=lambda value: json.dumps(value)[:60])
def test_what_is_refused_is_not_repeated(client: Client, known: str, path: str, body: Any) -> None:
    answer = client.put(f"{known}{path}", body)
    assert 400 <= answer.status_code < 500
    check(answer.text)


@pytest.mark.parametrize("path", ASKED, ids=lambda path: path[:40])
def test_what_is_asked_for_is_not_repeated(client: Client, hub: str, path: str) -> None:
    assert client.put(f"{hub}/profiles/Contact", bodies.profile_type()).status_code == 201
    answer = client.get(f"{hub}{path}")
    assert 400 <= answer.status_code < 500 or answer.json() == {"value": []}
    check(answer.text)
