"""Previews of files that are large, ugly or asked for by many at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from azure.storage.blob import ContainerClient

from shared.app import Services
from shared.domain.errors import ConflictError, DataError
from shared.suggest.first_rows import PART_BYTES
from shared.suggest.preview import preview
from shared.suggest.read_sample import SAMPLE_BYTES
from tests.http import bodies
from tests.http.conftest import Client

MB = 1 << 20


@dataclass(frozen=True)
class Previews:
    """A mapping of two columns, and the container that it reads."""

    client: Client
    services: Services
    hub: str
    container: ContainerClient

    def upload(self, content: bytes, path: str = "a.csv") -> None:
        self.container.upload_blob(path, content, overwrite=True)

    def ask(self, rows: int = 20) -> httpx.Response:
        body = {"blob": "a.csv", "rows": rows}
        return self.client.post(f"{self.hub}/connectors/Files/mappings/Contacts/preview", body)

    def outcome(self, rows: int = 20) -> str:
        answer = self.ask(rows)
        return "" if answer.status_code == 200 else f"{answer.status_code} {answer.json()['error']['code']}"

    def found(self, rows: int = 20) -> dict[str, Any]:
        answer = self.ask(rows)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) < 2 * PART_BYTES + MB
        return dict(answer.json())


@pytest.fixture
def previews(
    client: Client, services: Services, hub: str, storage_secret_url: str, container: ContainerClient
) -> Previews:
    for path, body in (
        ("profiles/Contact", bodies.profile_type()),
        ("connectors/Files", bodies.blob_connector(storage_secret_url)),
        ("connectors/Files/mappings/Contacts", bodies.mapping(container.container_name)),
    ):
        assert client.put(f"{hub}/{path}", body).status_code == 201
    return Previews(client, services, hub, container)


def test_a_preview_ends_when_its_time_is_up(previews: Previews) -> None:
    previews.upload(b"id,name\n1,a\n")
    names = previews.services, previews.hub.removeprefix("/hubs/"), "Files", "Contacts"
    with pytest.raises(ConflictError, match="name one as `blob`") as ended, preview(*names, within_s=0):
        pass
    assert ended.value.code == "TooManyBlobs"
    with pytest.raises(DataError, match="within 0 seconds") as refused, preview(*names, "a.csv", within_s=0):
        pass
    assert refused.value.code == "TooSlow"


@pytest.mark.parametrize(
    ("cell", "rows"),
    [("x" * 100_000, 83), ("\x01" * 100_000, 13), ("é" * 50_000, 83), ('""' * 50_000, 83)],
    ids=["plain", "control characters", "not ASCII", "quotes"],
)
def test_the_rows_of_a_preview_have_a_size_as_json(previews: Previews, cell: str, rows: int) -> None:
    previews.upload(b"id,name\n" + b"".join(b'%d,"%s"\n' % (number, cell.encode()) for number in range(100)))
    found = previews.found(1000)
    assert (len(found["rows"]), found["isCut"]) == (rows, True)
    assert {row["Name"] for row in found["rows"]} == {cell.replace('""', '"')}
    assert not previews.found(rows)["isCut"]


def test_the_rejects_of_a_preview_have_a_size_as_json(previews: Previews) -> None:
    previews.upload(b"id,name\n1,a\n" + b"2,b,%s\n" % (b"\x01" * 60_000) * 100)
    found = previews.found(1000)
    assert (len(found["rows"]), len(found["rejects"]), found["isCut"]) == (1, 23, True)


def test_a_row_that_alone_is_too_large_is_shown_in_part(previews: Previews) -> None:
    """A column may fill many fields, which makes more of a file than it has."""
    names = [f"Note{number}" for number in range(40)]
    fields = [{"fieldName": name, "fieldType": "Edm.String", "isArray": name == "Note0"} for name in names]
    body = bodies.profile_type()
    body["fields"] += fields
    assert previews.client.put(f"{previews.hub}/profiles/Contact", body).status_code == 200
    mapping = bodies.mapping(previews.container.container_name)
    mapping["mappingProperties"]["structure"] += [{"propertyName": name, "columnName": "note"} for name in names]
    path = f"{previews.hub}/connectors/Files/mappings/Contacts"
    assert previews.client.put(path, mapping).status_code == 200
    previews.upload(b"id,name,note\n" + b"1,a,%s\n" % (b"\x01;" * (1 << 15)) * 2)
    found = previews.found()
    assert found["isCut"]
    (row,) = found["rows"]
    assert row["ContactId"] == "1"
    assert row["Note1"].startswith("\x01;\x01;")
    assert 1000 < len(row["Note1"]) < 1 << 19
    assert 1000 < len(row["Note0"]) < 1 << 18


def test_a_preview_that_sees_a_part_of_its_file_says_so(previews: Previews) -> None:
    previews.upload(b"id,name,beside\n" + b"1,a,%s\n" % (b"x" * MB) * (SAMPLE_BYTES // MB + 8))
    found = previews.found(7)
    assert (len(found["rows"]), found["isCut"]) == (7, False)
    found = previews.found(1000)
    assert (len(found["rows"]), found["isCut"]) == (SAMPLE_BYTES // MB, True)


def test_a_preview_of_a_file_that_begins_with_no_row_ends(previews: Previews) -> None:
    previews.upload(b"\n" * SAMPLE_BYTES + b"id,name\n1,a\n")
    found = previews.found()
    assert (found["rows"], found["rejects"], found["isCut"]) == ([], [], True)


def test_an_ordinary_preview_is_not_refused_where_some_ask_at_once(previews: Previews) -> None:
    previews.upload(b"id,name\n1,a\n")
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: previews.outcome(), range(6))) == [""] * 6


def test_of_many_who_ask_at_once_some_are_told_to_come_again(previews: Previews) -> None:
    previews.upload(b"id,name\n" + b"1,%s\n" % (b"\x01" * 200_000) * 50)
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(lambda _: previews.outcome(1000), range(16)))
    assert {""} < set(outcomes) <= {"", "429 PreviewsBusy", "429 OutsideCallsBusy"}
    assert outcomes.count("") >= 6
    assert previews.outcome() == ""


def test_previews_and_suggestions_are_made_one_at_a_time(previews: Previews) -> None:
    previews.upload(b"id,name\n1,a\n")
    name = previews.hub.removeprefix("/hubs/")
    refused = threading.Event()

    def ask(_: int) -> int:
        body = {"blob": f"{previews.container.container_name}/a.csv"}
        answer = previews.client.post(f"{previews.hub}/connectors/Files/suggest", body)
        if answer.status_code == 429:
            refused.set()
        return answer.status_code

    with ThreadPoolExecutor(6) as pool:
        with preview(previews.services, name, "Files", "Contacts", "a.csv") as found:
            assert len(found["rows"]) == 1
            answers = [pool.submit(ask, number) for number in range(6)]
            assert refused.wait(30)
            assert sum(answer.done() for answer in answers) == 1, "the others wait for the preview"
        assert sorted(answer.result() for answer in answers) == [200] * 5 + [429]
