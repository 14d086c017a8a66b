"""A partner's container on Azurite: whole blobs or none, and denials that say why."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr

from infra.local.azurite import Endpoints
from shared.domain.errors import HubError, PreconditionError, RefusedError, UnavailableError
from shared.settings import Settings
from shared.storage.blob.blobs import BlobContainer
from shared.storage.blob.destination import DestinationContainer
from shared.storage.clients import BLOCK_BYTES
from tests.fault_proxy import DamageBody, LoseAnswer, running_proxy
from tests.local_services import container_sas

CSV = "text/csv; charset=utf-8"
ANY = "0x8D4BCC2E4835CD0"  # an ETag that no blob here has: rights are judged before conditions


type Opening = Callable[[str], DestinationContainer]


@pytest.fixture
def opened(settings: Settings) -> Opening:
    """Opens the container of a SAS."""
    return lambda url: DestinationContainer(SecretStr(url), settings)


@pytest.fixture
def destination(azurite: Endpoints, container: BlobContainer, opened: Opening) -> DestinationContainer:
    return opened(container_sas(azurite, container.name))


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES + 17])
def test_a_blob_of_any_size_is_written(destination: DestinationContainer, container: BlobContainer, size: int) -> None:
    data = os.urandom(size)
    pieces = [data[start : start + 3_000_000] for start in range(0, size, 3_000_000)]
    etag = destination.upload_blocks("Profile/a b%/data.csv", pieces, {"runid": "r1", "rows": "7"}, CSV)
    entry = container.properties("Profile/a b%/data.csv")
    assert (entry.etag, entry.size, entry.metadata) == (etag, size, {"runid": "r1", "rows": "7"})
    assert container.read_bytes("Profile/a b%/data.csv") == data


def test_nothing_shows_before_the_commit(destination: DestinationContainer, container: BlobContainer) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * BLOCK_BYTES
            assert list(container.list()) == []
            assert list(destination.list()) == []

    destination.upload_blocks("data.csv", chunks(), {}, CSV)
    assert [entry.path for entry in container.list()] == ["data.csv"]


def test_what_is_damaged_on_its_way_is_not_taken(azurite: Endpoints, container: BlobContainer, opened: Opening) -> None:
    with running_proxy(azurite.blob) as proxy:
        destination = opened(container_sas(azurite, container.name).replace(azurite.blob, proxy.endpoint))
        proxy.break_once(DamageBody(), lambda request: "comp=block&" in request.target)
        with pytest.raises(UnavailableError):
            destination.upload_blocks("data.csv", [b"a,b\n" * 1000], {}, CSV)
        proxy.break_once(DamageBody(), lambda request: "metadata.json" in request.target)
        with pytest.raises(UnavailableError):
            destination.upload_bytes("metadata.json", b"{}", "application/json")
    assert list(container.list()) == []


def test_an_upload_that_fails_leaves_nothing(destination: DestinationContainer, container: BlobContainer) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * BLOCK_BYTES
        raise RuntimeError("the rows could not be read")

    with pytest.raises(RuntimeError):
        destination.upload_blocks("data.csv", chunks(), {}, CSV)
    assert list(container.list()) == []


def test_a_second_writer_cannot_change_what_is_being_written(
    destination: DestinationContainer, container: BlobContainer
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a" * BLOCK_BYTES
        intruder = destination.upload_blocks
        with pytest.raises(RuntimeError):
            intruder("data.csv", _breaking(b"b" * BLOCK_BYTES), {}, CSV)
        yield b"a" * 10

    destination.upload_blocks("data.csv", chunks(), {}, CSV)
    assert set(container.read_bytes("data.csv")) == {ord("a")}


def _breaking(block: bytes) -> Iterator[bytes]:
    yield block
    raise RuntimeError("stopped after its first block")


def test_a_blob_that_is_there_is_left_alone(destination: DestinationContainer, container: BlobContainer) -> None:
    destination.upload_blocks("data.csv", [b"first"], {"runid": "1"}, CSV)
    with pytest.raises(PreconditionError) as refused:
        destination.upload_blocks("data.csv", [b"second"], {"runid": "2"}, CSV)
    assert refused.value.code == "BlobExists"
    assert container.read_bytes("data.csv") == b"first"
    with pytest.raises(PreconditionError):
        destination.upload_bytes("data.csv", b"third", CSV)
    assert container.read_bytes("data.csv") == b"first"


def test_only_the_version_that_was_looked_at_is_changed(
    destination: DestinationContainer, container: BlobContainer
) -> None:
    """A partner may replace a blob between our look and what we do about it."""
    seen = destination.upload_bytes("x", b"1", CSV, {"k": "v"})
    theirs = container.upload_bytes("x", b"theirs", {"their": "own"})
    for attempt in (
        lambda: destination.upload_bytes("x", b"2", CSV, etag=seen),
        lambda: destination.set_metadata("x", {"k": "w"}, seen),
    ):
        with pytest.raises(PreconditionError):
            attempt()
    assert not destination.delete("x", seen)
    entry = destination.find("x")
    assert entry is not None
    assert (container.read_bytes("x"), entry.etag, entry.metadata) == (b"theirs", theirs, {"their": "own"})
    destination.set_metadata("x", {"k": "w"}, theirs)
    marked = destination.find("x")
    assert marked is not None
    assert (container.read_bytes("x"), marked.metadata) == (b"theirs", {"k": "w"})
    destination.upload_bytes("x", b"ours", CSV, {"k": "z"}, etag=marked.etag)
    replaced = destination.find("x")
    assert replaced is not None
    assert (container.read_bytes("x"), replaced.metadata) == (b"ours", {"k": "z"})


def test_a_blob_is_found_by_its_whole_path(destination: DestinationContainer) -> None:
    for path in ("a/b.csv.old", "a/b.csv2"):
        destination.upload_bytes(path, b"", CSV)
    assert destination.find("a/b.csv") is None
    destination.upload_bytes("a/b.csv", b"1", CSV, {"k": "v"})
    found = destination.find("a/b.csv")
    assert found is not None
    assert (found.path, found.size, found.metadata) == ("a/b.csv", 1, {"k": "v"})


def test_metadata_is_read_by_listing(destination: DestinationContainer) -> None:
    destination.upload_blocks("Profile/c/data.csv", [b"1"], {"runid": "1", "sha256": "ab"}, CSV)
    destination.upload_bytes("Metadata/Profile/c/metadata.json", b"{}", "application/json")
    [entry] = destination.list("Profile/")
    assert (entry.path, entry.metadata) == ("Profile/c/data.csv", {"runid": "1", "sha256": "ab"})
    destination.upload_bytes("x", b"", CSV, {"empty": ""})
    [entry] = destination.list("x")
    assert entry.metadata == {"empty": ""}


def test_deleting_says_whether_there_was_something(destination: DestinationContainer) -> None:
    etag = destination.upload_bytes("x", b"1", CSV)
    assert destination.delete("x", etag)
    assert not destination.delete("x", etag)


def test_a_lost_answer_of_the_commit_looks_like_a_foreign_blob(
    azurite: Endpoints, container: BlobContainer, opened: Opening
) -> None:
    """Whoever publishes must look whose run id it carries."""
    url = container_sas(azurite, container.name)
    with running_proxy(azurite.blob) as proxy:
        proxy.break_once(LoseAnswer(), lambda request: "comp=blocklist" in request.target)
        broken = opened(url.replace(azurite.blob, proxy.endpoint))
        with pytest.raises(PreconditionError):
            broken.upload_blocks("data.csv", [b"1"], {"runid": "mine"}, CSV)
    [entry] = opened(url).list("data.csv")
    assert entry.metadata == {"runid": "mine"}


type Attempt = Callable[[DestinationContainer], object]


def write(destination: DestinationContainer) -> object:
    return destination.upload_blocks("x", [b"1"], {}, CSV)


def overwrite(destination: DestinationContainer) -> object:
    return destination.upload_bytes("x", b"1", CSV, etag=ANY)


def enumerate_blobs(destination: DestinationContainer) -> object:
    return list(destination.list())


def delete(destination: DestinationContainer) -> object:
    return destination.delete("x", ANY)


@pytest.mark.parametrize(
    ("rights", "hours", "attempt", "code"),
    [
        ("cl", 1, write, "SasRightMissing"),
        ("l", 1, overwrite, "SasRightMissing"),
        ("cwd", 1, enumerate_blobs, "SasRightMissing"),
        ("cwl", 1, delete, "SasRightMissing"),
        ("cwld", -1, write, "SasExpired"),
        ("cwld", -1, enumerate_blobs, "SasExpired"),
        ("cwld", -1, delete, "SasExpired"),
    ],
)
def test_a_denial_says_why(
    azurite: Endpoints, container: BlobContainer, rights: str, hours: int, attempt: Attempt, code: str, opened: Opening
) -> None:
    container.upload_bytes("x", b"1")
    url = container_sas(azurite, container.name, rights, timedelta(hours=hours))
    with pytest.raises(RefusedError) as refused:
        attempt(opened(url))
    assert refused.value.code == code
    assert "sig=" not in str(refused.value)


def test_a_signature_of_another_key_is_denied(azurite: Endpoints, container: BlobContainer, opened: Opening) -> None:
    url = container_sas(azurite, container.name)
    forged = url.partition("sig=")[0] + "sig=Zm9yZ2Vk"
    with pytest.raises(RefusedError) as refused:
        enumerate_blobs(opened(forged))
    assert refused.value.code == "AccessDenied"


def test_a_container_that_is_not_there_is_named(azurite: Endpoints, opened: Opening) -> None:
    for attempt in (write, overwrite, enumerate_blobs, delete):
        with pytest.raises(RefusedError, match="no-such-container") as refused:
            attempt(opened(container_sas(azurite, "no-such-container")))
        assert refused.value.code == "ContainerNotFound"


def test_a_destination_that_is_down_is_unavailable(
    azurite: Endpoints, container: BlobContainer, opened: Opening
) -> None:
    with running_proxy(azurite.blob) as proxy:
        gone = opened(container_sas(azurite, container.name).replace(azurite.blob, proxy.endpoint))
    with pytest.raises(UnavailableError) as failed:
        enumerate_blobs(gone)
    assert isinstance(failed.value, HubError)
    assert "sig" not in failed.value.message
