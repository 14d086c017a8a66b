"""Everything of ours that reads text from outside, as the growth of its cost is tried."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from azure.storage.blob import BlobServiceClient
from pydantic import ValidationError

from infra.local.azurite import ACCOUNT, Endpoints
from infra.local.key_vault import KeyVault
from infra.local.stack import running_azurite
from shared.app import Services
from shared.arrivals.match import handle_event, queue_version
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import DataError
from shared.http.app import create_http_app
from shared.messages.ingest import carry_out_run
from shared.storage.event_grid import read_event
from tests.abuse.growth import Good, Target
from tests.casts.typing_cases import mapping_of, profile_type, type_file, typer_of
from tests.http import bodies
from tests.http.conftest import Client
from tests.local_services import STORAGE_SECRET, development, running_vault

_HUB = "/hubs/Growth"
_ROWS = 4_000
_DAY = {"fieldName": "day", "fieldType": "Edm.Date"}
_ID = {"fieldName": "id", "fieldType": "Edm.String"}


def _base64(text: str) -> str:
    """Of a text whose length is a multiple of three, so that more can follow."""
    return base64.b64encode(text.encode()).decode()


# Texts that are taken at any length that is read at all. The filters look at every row, as none fits.
_FILTERS = (
    Good(
        "Age lt 0",
        (" or Age eq -2", " and Name ne 'a'", " or not (Age ge -3)", " or Age in (-1, -2)", " or Name gt 'z'"),
    ),
    Good("Age in (-1", (", -2", ", 1000", ", -3"), ")"),
    Good("Name eq 'b", ("b", " ", "''", "é"), "'"),
    Good("Age lt 0 or Tags/any(x: x eq 'z", ("b", "''"), "')"),
)
_KEYS = (Good(_base64('"aa'), ("YWFh", "YmJi"), _base64('aa"')),)
_PLACES = (Good(_base64('{"connectorName":"aaa'), ("YWFh", "YmJi"), _base64('a"}')),)
_CONNECTOR = '{"connectorType":"None","connectorProperties":{'
_BODIES = (
    Good(_CONNECTOR, (" ", "\n", "\t "), "}}"),
    Good(f'{_CONNECTOR}}},"connectorId":"', ("a", "\\u0041", "\\n", "[{"), '"}'),
)
_SUBJECT = "/blobServices/default/containers/inbox/blobs/events.csv"
_EVENTS = (
    Good(
        f'{{"eventType":"Microsoft.Storage.BlobCreated","topic":"/storageAccounts/{ACCOUNT}","subject":"{_SUBJECT}",'
        '"data":{"eTag":"0x1","api":"PutBlob"},"id":"',
        ("a", "\\\\", "\\u0041", "é", "/"),
        '"}',
    ),
)


def _is_ok(status: int) -> bool:
    return status == 200


@contextmanager
def readers(folder: Path) -> Iterator[dict[str, Target]]:
    """The targets, over the real app on a storage of its own."""
    with running_azurite() as endpoints, running_vault(folder / "vault", endpoints) as vault:
        services = Services(development(endpoints, vault.url))
        client = Client(create_http_app(services))
        assert client.put(_HUB, {}).status_code == 201
        assert client.put(f"{_HUB}/profiles/Contact", bodies.profile_type()).status_code == 201
        _bring_in_rows(services, client, endpoints, vault)
        yield {target.name: target for target in (*_requests(client), *_definitions(), _events(services))}


def _bring_in_rows(services: Services, client: Client, endpoints: Endpoints, vault: KeyVault) -> None:
    """Contacts, so that a filter has something to look at."""
    connector = bodies.blob_connector(f"{vault.url}/secrets/{STORAGE_SECRET}")
    assert client.put(f"{_HUB}/connectors/Files", connector).json()["state"] == "Ready"
    body = bodies.mapping("inbox")
    for name in ("Age", "Tags"):
        body["mappingProperties"]["structure"].append({"propertyName": name, "columnName": name.lower()})
    with BlobServiceClient.from_connection_string(endpoints.connection_string) as storage:
        inbox = storage.create_container("inbox")
        assert client.put(f"{_HUB}/connectors/Files/mappings/Contacts", body).status_code == 201
        rows = "".join(f"C{n},{'Ann' * (n % 9)},{n % 90},{'a;b;c' if n % 2 else ''}\n" for n in range(_ROWS))
        inbox.upload_blob("contacts.csv", f"id,name,age,tags\n{rows}")
        entry = inbox.get_blob_client("contacts.csv").get_blob_properties()
    hub = _HUB.removeprefix("/hubs/")
    mapping = services.definitions.mapping(hub, "Files", "Contacts")
    run_id = queue_version(services, hub, mapping, BlobVersion("inbox", "contacts.csv", entry.etag.strip('"')))
    carry_out_run(services, hub, run_id, "message")
    assert client.get(f"{_HUB}/data/Contact?$filter=Age ge 0&$top=1000").json()["nextLink"]


def _requests(client: Client) -> list[Target]:
    def asks(path: str) -> Callable[[str], object]:
        def read(text: str) -> int:
            answer = client.get(f"{_HUB}{path}{quote(text, safe='')}")
            assert answer.status_code in {200, 400}, f"{answer.status_code}: {answer.text[:500]}"
            return answer.status_code

        return read

    def sends(text: str) -> list[int]:
        content = text.encode("utf-8", "surrogatepass")
        paths = (f"{_HUB}/profiles/Spoilt", f"{_HUB}/connectors/Spoilt")
        answers = [client.send("PUT", path, content=content) for path in paths]
        for answer in answers:
            assert answer.status_code in {200, 201, 400, 413}, f"{answer.status_code}: {answer.text[:500]}"
        return [answer.status_code for answer in answers]

    fields = ("Name", "Age", "Tags", "ContactId")
    joints = (
        " and ",
        " or ",
        " eq ",
        " gt ",
        "not ",
        "(",
        ")",
        ",",
        "'",
        "''",
        " in (",
        "/any(x: x eq ",
        "/",
        " ",
        "-",
    )
    numbers = ("1", "1.5", "9", "e9", "e-9", "-", "null", "true")
    values = (*numbers, "'a'", "2026-01-31", "2026-01-31T00:00:00Z", "tolower(", "concat(", "length(")
    return [
        Target("$filter", (*fields, *joints, *values), 8_000, asks("/data/Contact?$top=1&$filter="),
               _FILTERS, _is_ok, ("", "Age eq 1", "not ", "(", "Name eq '"), ("", " and Age eq 1", ")", "'", " eq 1")),
        Target("$skiptoken of data", ("a", "A", "=", "-", "_", "9", "W1", "Ilx1", " "), 8_000,
               asks("/data/Contact?$top=1&$skiptoken="), _KEYS, _is_ok),
        Target("$skiptoken of definitions", ("a", "A", "=", "-", "_", "9", "W1", "eyJh", " "), 8_000,
               asks("/connectors?$skiptoken="), _PLACES, _is_ok),
        Target("JSON body", ('"', "\\", "{", "}", "[", "]", ":", ",", '"a":', "1", "e9", "\\u0041", "\\ud800", " ",
                             "\n", "null", "é", '"fields"', "-", "."), 250_000, sends,
               _BODIES, lambda statuses: bool({200, 201} & set(statuses)),
               ("", "{", '{"fields":[', '{"description":"', '{"connectorProperties":{"a":', "["),
               ("", "}", '"}', "]}", "}}")),
    ]  # fmt: skip


def _definitions() -> list[Target]:
    def globs(text: str) -> None:
        pattern, _, path = text.partition("\n")
        made = _mapping(fileFilter=pattern[:256] or "*")
        for _ in range(20):
            made.matches("inbox", path)

    def formats(text: str) -> bool:
        try:
            entity_type = profile_type(_ID, _DAY)
            mapping = mapping_of(entity_type, formats={"day": text})
            typer = typer_of(entity_type, mapping, ["id", "day"])
        except (ValidationError, DataError):
            return False
        with typer:
            type_file(typer, ["id", "day"], [[str(number), "2026-01-31"] for number in range(_ROWS)])
        return True

    globs_of = ("*a", "**/", "*", "?", "[ab]", "a", "/")
    patterns = [
        "*a" * 20 + "b",
        "**/a" * 20 + "b",
        "**" * 60 + "b",
        "*" * 200 + "b",
        "[ab]*" * 20 + "c",
        "?*" * 40 + "b",
    ]
    signs = ("yyyy", "MM", "dd", "-", "'", "''", "%%", "%", "%d", "%Y", "\\", " ", '"', "a", ".", "HH", "tt")
    return [
        Target("path for fileFilter", ("a", "b", "/", "aa/", "ab", ".", "*"), 1_024, globs,
               (Good("**/*a*/b\n", ("a", "/a", "b/", "aa", ".")),),
               beginnings=tuple(f"{pattern}\n" for pattern in patterns)),
        Target("fileFilter", globs_of, 256, lambda text: globs(f"{text}\n{'a' * 512}{'/a' * 256}"),
               (Good("**/", ("*a", "?", "[ab]", "a", "/")),)),
        Target("customFormatSpecifier", signs, 128, formats,
               (Good("yyyy-MM-dd", ("'a'", "-", ".", " ")), Good("%Y-%m-%d", ("%%", "-", " "))), bool,
               ("yyyy-MM-dd", "%Y-%m-%d", "")),
    ]  # fmt: skip


def _mapping(**properties: Any) -> Mapping:
    body = bodies.mapping("inbox")
    body["mappingProperties"].update(properties)
    return Mapping.model_validate(body, context="request")


def _events(services: Services) -> Target:
    def announces(text: str) -> list[str]:
        return handle_event(services, read_event(text))

    kind = '{"eventType":"Microsoft.Storage.BlobCreated"'
    return Target(
        "event", ("a", "/", "%2F", "%", "..", "blobs", "é", "\\\\", "\\u0000", "\\ud800", "sig=", "=", "?", "@"),
        60_000, announces, _EVENTS, bool,
        (f'{kind},"subject":"', f'{kind},"topic":"', f'{kind},"id":"', f'{kind},"data":{{"api":"PutBlob","url":"http://a/'),
        ('"}', '"}}', '","data":{"eTag":"1"}}'),
    )  # fmt: skip
