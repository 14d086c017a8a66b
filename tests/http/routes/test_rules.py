"""What definitions refuse: every fault at once, and what stands in the way of a change, by name."""

from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from tests.http import bodies
from tests.http.bodies import Body
from tests.http.conftest import Client

FIELD = {"fieldName": "ContactId", "fieldType": "Edm.String"}


def faults(answer: Any) -> set[tuple[str, str]]:
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "InvalidRequest"
    for detail in error["details"]:
        assert detail["message"]
        assert detail["message"] in error["message"]
    return {(detail["code"], detail["target"]) for detail in error["details"]}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("profiles/Contact", {}, {("MissingProperty", "fields"), ("MissingProperty", "strongIds")}),
        (
            "profiles/Contact",
            bodies.profile_type(
                fields=[
                    {"fieldName": "1x", "fieldType": "Edm.Text"},
                    {"fieldName": "Ok"},
                    FIELD | {"isArray": "maybe"},
                ],
                strongIds=[],
                colour="red",
                attributes=3,
            ),
            {
                ("InvalidValue", "fields[0].fieldName"),
                ("UnknownValue", "fields[0].fieldType"),
                ("MissingProperty", "fields[1].fieldType"),
                ("InvalidValue", "fields[2].isArray"),
                ("InvalidValue", "strongIds"),
                ("UnknownProperty", "colour"),
                ("InvalidValue", "attributes"),
            },
        ),
        (
            "interactions/Order",
            bodies.interaction_type(idPropertyNames="OrderId", isActivity=[]),
            {("InvalidValue", "idPropertyNames"), ("InvalidValue", "isActivity")},
        ),
        (
            "kpi/Revenue",
            bodies.kpi(function="Median", calculationWindow="Year", entityType="None", thresHolds={"lowerLimit": "x"}),
            {
                ("UnknownValue", "function"),
                ("UnknownValue", "calculationWindow"),
                ("UnknownValue", "entityType"),
                ("InvalidValue", "thresHolds.lowerLimit"),
                ("MissingProperty", "thresHolds.upperLimit"),
                ("MissingProperty", "thresHolds.increasingKpi"),
            },
        ),
        (
            "profiles/Contact",
            bodies.profile_type(
                fields=[FIELD, FIELD | {"fieldName": "contactid"}, {"fieldName": "At", "fieldType": "Edm.Guid"}],
                timestampFieldName="At",
                strongIds=[
                    {"strongIdName": "Main", "keyPropertyNames": ["ContactId"]},
                    {"strongIdName": "Other", "keyPropertyNames": ["Absent"]},
                ],
            ),
            {
                ("InvalidValue", "fields"),
                ("InvalidValue", "timestampFieldName"),
                ("InvalidValue", "strongIds[1].keyPropertyNames"),
            },
        ),
        (
            "interactions/Order",
            bodies.interaction_type(idPropertyNames=["Absent", "OrderId", "Tags"], timestampFieldName="Never"),
            {("InvalidValue", "idPropertyNames"), ("InvalidValue", "timestampFieldName")},
        ),
        (
            "kpi/Revenue",
            bodies.kpi(expression="Amount * 2", filter="Amount > 1", aliases=[{"aliasName": "a", "expression": "b"}]),
            {("InvalidValue", "expression"), ("InvalidValue", "filter"), ("InvalidValue", "aliases")},
        ),
        (
            "connectors/Shop",
            {"connectorType": "Salesforce", "connectorProperties": {}},
            {("UnknownValue", "connectorType")},
        ),
        ("connectors/Shop", {"connectorProperties": {}}, {("MissingProperty", "connectorType")}),
        (
            "connectors/Shop",
            {"connectorType": "AzureBlob", "isInternal": "perhaps", "size": 1},
            {
                ("MissingProperty", "connectorProperties"),
                ("InvalidValue", "isInternal"),
                ("UnknownProperty", "size"),
            },
        ),
        (
            "connectors/Shop",
            {"connectorType": "Outbound", "connectorProperties": {"entityList": [{"entityType": "Link"}]}},
            {
                ("UnknownValue", "connectorProperties.entityList[0].entityType"),
                ("MissingProperty", "connectorProperties.entityList[0].entityName"),
                ("MissingProperty", "connectorProperties.outputBlobSASUri"),
            },
        ),
        (
            "connectors/Files/mappings/m1",
            {
                "entityType": "Relationship",
                "mappingProperties": {
                    "folderPath": "UPPER CASE",
                    "errorManagement": {"errorManagementType": "Ignore"},
                    "availability": {"interval": 0, "frequency": "Year"},
                    "structure": [{"propertyName": "ContactId"}],
                    "format": {"columnDelimiter": "", "encoding": "klingon"},
                },
            },
            {
                ("UnknownValue", "entityType"),
                ("MissingProperty", "entityTypeName"),
                ("InvalidValue", "mappingProperties.folderPath"),
                ("UnknownValue", "mappingProperties.errorManagement.errorManagementType"),
                ("InvalidValue", "mappingProperties.availability.interval"),
                ("UnknownValue", "mappingProperties.availability.frequency"),
                ("MissingProperty", "mappingProperties.structure[0].columnName"),
                ("InvalidValue", "mappingProperties.format.columnDelimiter"),
                ("InvalidValue", "mappingProperties.format.encoding"),
            },
        ),
        (
            "connectors/Files/mappings/m1/preview",
            {"blob": "", "rows": 0, "row": 5},
            {("InvalidValue", "blob"), ("InvalidValue", "rows"), ("UnknownProperty", "row")},
        ),
    ],
)
def test_all_faults_of_a_body_at_once(
    client: Client, hub: str, path: str, body: Body, expected: set[tuple[str, str]]
) -> None:
    method = "POST" if path.endswith("preview") else "PUT"
    assert faults(client.send(method, f"{hub}/{path}", json=body)) == expected


def test_all_faults_against_what_is_there(
    client: Client, hub: str, storage_secret_url: str, container: ContainerClient, sas_uri: str
) -> None:
    client.put(f"{hub}/profiles/Contact", bodies.profile_type())
    client.put(f"{hub}/interactions/Order", bodies.interaction_type())
    client.put(f"{hub}/connectors/Files", bodies.blob_connector(storage_secret_url))
    listed = [
        {"entityType": "Profile", "entityName": "Absent"},
        {"entityType": "Profile", "entityName": "contact", "fieldNames": "Name,Nickname;Size"},
        {"entityType": "Kpi", "entityName": "Revenue"},
    ]
    body = bodies.outbound_connector(sas_uri)
    body["connectorProperties"]["entityList"] = listed
    targets = {target for _, target in faults(client.put(f"{hub}/connectors/Out", body))}
    assert len(targets) == 4
    assert all(target.startswith("connectorProperties.entityList[") for target in targets)

    mapping = bodies.mapping(container.container_name)
    mapping["mappingProperties"]["structure"] = [
        {"propertyName": "Nickname", "columnName": "a"},
        {"propertyName": "Age", "columnName": "b", "customFormatSpecifier": "dd/MM"},
    ]
    targets = {target for _, target in faults(client.put(f"{hub}/connectors/Files/mappings/m1", mapping))}
    assert "mappingProperties.structure[0].propertyName" in targets
    assert len(targets) >= 3

    kpi = bodies.kpi(expression="Price", groupBy=["OrderId", "Shop"], calculationWindowFieldName="Amount")
    found = {target for _, target in faults(client.put(f"{hub}/kpi/Revenue", kpi))}
    assert found == {"expression", "groupBy[1]", "calculationWindowFieldName"}


def test_conflicts(client: Client, hub: str, storage_secret_url: str, container: ContainerClient, sas_uri: str) -> None:
    def put(path: str, body: Body) -> None:
        assert client.put(f"{hub}/{path}", body).status_code == 201

    put("profiles/Contact", bodies.profile_type(apiEntitySetName="Contacts"))
    put("interactions/Order", bodies.interaction_type())
    put("kpi/Revenue", bodies.kpi())
    put("connectors/Files", bodies.blob_connector(storage_secret_url))
    put("connectors/Files/mappings/m1", bodies.mapping(container.container_name))
    put("connectors/Out", bodies.outbound_connector(sas_uri))
    other_type = bodies.profile_type()
    other_type["fields"][1]["fieldType"] = "Edm.Int64"
    refused: list[tuple[str, str, Any, str, str]] = [
        ("PUT", "interactions/contact", bodies.interaction_type(), "NameTaken", "Contact"),
        ("PUT", "profiles/Guest", bodies.profile_type(apiEntitySetName="contacts"), "NameTaken", "contacts"),
        ("PUT", "profiles/Contact", other_type, "SchemaConflict", "Name"),
        ("DELETE", "profiles/Contact", None, "InUse", "m1"),
        ("DELETE", "profiles/Contact", None, "InUse", "Out"),
        ("DELETE", "interactions/Order", None, "InUse", "Revenue"),
        ("DELETE", "", None, "InUse", "profile type"),
        ("PUT", "connectors/Files", bodies.outbound_connector(sas_uri), "ConnectorTypeConflict", "Files"),
    ]
    for method, path, body, code, named in refused:
        answer = client.send(method, f"{hub}/{path}".rstrip("/"), json=body)
        assert answer.status_code == 409, (method, path, answer.text)
        assert answer.json()["error"]["code"] == code
        assert named in answer.json()["error"]["message"]
    for path in ("connectors/Out", "connectors/Files", "kpi/Revenue", "interactions/Order", "profiles/Contact"):
        assert client.delete(f"{hub}/{path}").status_code == 204
    assert client.delete(hub).status_code == 204


def test_flags_and_numbers_are_read_from_text(client: Client, hub: str) -> None:
    fields = [{"fieldName": "ContactId", "fieldType": "edm.STRING", "isRequired": "true", "maxLength": "40"}]
    answer = client.put(f"{hub}/profiles/Contact", bodies.profile_type(fields=fields))
    assert answer.status_code == 201
    field = answer.json()["fields"][0]
    assert (field["fieldType"], field["isRequired"], field["maxLength"]) == ("Edm.String", True, 40)
    # What was left out is shown as what it means.
    assert (field["isArray"], field["isEnum"], field["isName"]) == (False, False, False)
