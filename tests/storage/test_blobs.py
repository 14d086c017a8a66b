"""Containers on Azurite: every name, every version, and no mix of versions."""

import gc
import gzip
import os
import threading
import warnings
from pathlib import Path

import pytest
from azure.storage.blob import ContentSettings
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from infra.local.azurite import Endpoints
from shared.domain.errors import (
    NotFoundError,
    PreconditionError,
    RefusedError,
    SkippedError,
    SupersededError,
    TransientError,
    UnavailableError,
)
from shared.storage.accounts import StorageAccount
from shared.storage.blob.blobs import BlobContainer, container_names
from shared.storage.clients import blob_service
from tests.fault_proxy import Answer, CutAnswer, FaultProxy, LoseAnswer, Request, running_proxy
from tests.local_services import account_of
from tests.thorough import examples

MIB = 1024**2
# Azurite answers 500 to a listing that holds control characters, and Azure refuses such names; `.` and `..` are
# resolved by every HTTP client before they reach the service.
SEGMENT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="/\\\ufffe\uffff"), min_size=1, max_size=12
).filter(lambda text: text.strip(".") != "" and not text.endswith("."))
PATH = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)


def test_a_container_is_there_after_it_was_asked_for(account: StorageAccount, name: str) -> None:
    container = BlobContainer(account, name)
    assert not container.exists()
    container.ensure()
    container.ensure()
    assert container.exists()
    assert name in list(container_names(account))


def test_listing_tells_what_a_blob_is(container: BlobContainer) -> None:
    etag = container.upload_bytes("in/a.csv", b"abc", {"runid": "1"}, "text/csv")
    container.upload_bytes("in/b.csv", b"")
    container.upload_bytes("other.csv", b"x")
    first, second = container.list("in/", metadata=True)
    assert (first.path, first.etag, first.size, first.metadata) == ("in/a.csv", etag, 3, {"runid": "1"})
    assert '"' not in first.etag
    assert first.last_modified.tzinfo is not None
    assert (second.path, second.size, second.metadata) == ("in/b.csv", 0, {})
    assert [entry.metadata for entry in container.list("in/")] == [{}, {}]
    assert container.properties("in/a.csv").etag == etag
    assert container.properties("in/a.csv").metadata == {"runid": "1"}


def test_a_listing_has_more_than_one_page(container: BlobContainer) -> None:
    blobs = blob_service(container._account).get_container_client(container.name)
    for number in range(30):
        container.upload_bytes(f"{number:03d}", b"")
    pages = [len(list(page)) for page in blobs.list_blobs(results_per_page=7).by_page()]
    assert pages == [7, 7, 7, 7, 2]
    assert [entry.path for entry in container.list()] == [f"{number:03d}" for number in range(30)]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATH)
@example(path="a//b.csv")
@example(path="a b+c%20d#e?f&g=h.csv")
@example(path="100%.csv")
@example(path='\'; drop table "x"')
@example(path="cafe\u0301/\u202egnp.csv")
def test_any_name_survives(container: BlobContainer, path: str) -> None:
    etag = container.upload_bytes(path, path.encode())
    assert b"".join(container.download(path, etag)) == path.encode()
    assert path in [entry.path for entry in container.list(path[:3])]
    assert container.delete(path, etag)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200, 1000, 1001])
def test_a_version_is_read_in_pieces_of_the_chosen_size(container: BlobContainer, size: int) -> None:
    data = os.urandom(size)
    etag = container.upload_bytes("a blob", data)
    pieces = list(container.download("a blob", etag, chunk_bytes=100))
    assert b"".join(pieces) == data
    assert all(len(piece) == 100 for piece in pieces[:-1])


def test_a_large_blob_is_read_whole(container: BlobContainer) -> None:
    data = os.urandom(20 * MIB + 7)
    etag = container.upload_bytes("blob", data)
    assert b"".join(container.download("blob", etag)) == data


def test_a_blob_with_a_content_encoding_is_given_as_it_lies(container: BlobContainer, account: StorageAccount) -> None:
    data = gzip.compress(b"a,b\n" * 10_000)
    blob_service(account).get_blob_client(container.name, "x.csv").upload_blob(
        data, content_settings=ContentSettings(content_encoding="gzip")
    )
    entry = container.properties("x.csv")
    assert entry.content_encoding == "gzip"
    assert b"".join(container.download("x.csv", entry.etag, chunk_bytes=50)) == data
    assert container.read_bytes("x.csv") == data


def test_another_version_is_not_read(container: BlobContainer) -> None:
    old = container.upload_bytes("blob", b"old")
    container.upload_bytes("blob", b"new")
    with pytest.raises(SupersededError) as refused:
        list(container.download("blob", old))
    assert refused.value.code == "BlobOverwritten"


def test_a_blob_that_is_overwritten_while_it_is_read_ends_the_read(container: BlobContainer) -> None:
    """Every range asks for the version."""
    old = container.upload_bytes("blob", b"o" * 1000)
    pieces = container.download("blob", old, chunk_bytes=10)
    read = [next(pieces)]
    container.upload_bytes("blob", b"n" * 1000)
    with pytest.raises(SupersededError):
        read.extend(pieces)
    assert set(b"".join(read)) == {ord("o")}


def test_a_blob_that_is_deleted_while_it_is_read_is_gone(container: BlobContainer) -> None:
    etag = container.upload_bytes("blob", b"o" * 1000)
    pieces = container.download("blob", etag, chunk_bytes=10)
    next(pieces)
    container.delete("blob")
    with pytest.raises(SkippedError) as refused:
        list(pieces)
    assert refused.value.code == "BlobGone"


def test_a_read_that_is_given_up_leaves_no_thread(container: BlobContainer) -> None:
    etag = container.upload_bytes("blob", b"o" * 1000)
    pieces = container.download("blob", etag, chunk_bytes=10)
    next(pieces)
    next(pieces)
    busy = [thread for thread in threading.enumerate() if thread.name.startswith("download")]
    assert busy
    pieces.close()  # type: ignore[attr-defined]
    for thread in busy:
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_what_is_not_there_is_named(container: BlobContainer, account: StorageAccount) -> None:
    with pytest.raises(NotFoundError, match="no/such") as gone:
        container.properties("no/such")
    assert gone.value.code == "BlobNotFound"
    with pytest.raises(NotFoundError):
        container.read_bytes("no/such")
    missing = BlobContainer(account, "no-such-container")
    for attempt in (lambda: list(missing.list()), lambda: missing.upload_bytes("x", b"")):
        with pytest.raises(RefusedError, match="no-such-container") as refused:
            attempt()
        assert refused.value.code == "ContainerNotFound"


def test_a_blob_is_written_once_where_that_is_asked(container: BlobContainer) -> None:
    etag = container.upload_bytes("blob", b"1", if_none_match=True)
    with pytest.raises(PreconditionError) as refused:
        container.upload_bytes("blob", b"2", if_none_match=True)
    assert refused.value.code == "BlobExists"
    assert container.properties("blob").etag == etag
    assert container.upload_bytes("blob", b"3") != etag


def test_a_file_is_uploaded_in_blocks(container: BlobContainer, tmp_path: Path) -> None:
    local = tmp_path / "part"
    local.write_bytes(os.urandom(17 * MIB))
    etag = container.upload_file("part", local, {"a": "1"})
    entry = container.properties("part")
    assert (entry.etag, entry.size, entry.metadata) == (etag, 17 * MIB, {"a": "1"})
    assert container.read_bytes("part") == local.read_bytes()


def test_only_the_version_meant_is_deleted(container: BlobContainer) -> None:
    old = container.upload_bytes("blob", b"1")
    new = container.upload_bytes("blob", b"2")
    with pytest.raises(PreconditionError):
        container.delete("blob", old)
    assert container.delete("blob", new)
    assert not container.delete("blob", new)
    assert not container.delete("blob")


def test_a_blob_is_copied_to_another_container(container: BlobContainer, account: StorageAccount, name: str) -> None:
    other = BlobContainer(account, f"{name}-done")
    other.ensure()
    etag = container.upload_bytes("in/a b%.csv", b"abc", {"k": "v"})
    container.copy("in/a b%.csv", other.name, "out/a b%.csv", etag)
    assert other.read_bytes("out/a b%.csv") == b"abc"
    assert other.properties("out/a b%.csv").copy_status == "success"
    container.upload_bytes("in/a b%.csv", b"newer")
    with pytest.raises(PreconditionError):
        container.copy("in/a b%.csv", other.name, "out/x", etag)
    with pytest.raises(NotFoundError):
        container.copy("no/such", other.name, "out/x")
    with pytest.raises(RefusedError) as refused:
        container.copy("in/a b%.csv", "no-such-container", "x")
    assert refused.value.code == "ContainerNotFound"


def proxied(azurite: Endpoints, proxy: FaultProxy, name: str) -> BlobContainer:
    return BlobContainer(account_of(azurite, blob=proxy.endpoint), name)


def is_get(request: Request) -> bool:
    return request.method == "GET"


def test_a_fault_that_passes_is_not_seen(azurite: Endpoints, container: BlobContainer) -> None:
    """One 503, then all is well."""
    etag = container.upload_bytes("blob", b"abc")
    with running_proxy(azurite.blob) as proxy:
        proxy.break_once(Answer(503, "ServerBusy"), is_get)
        assert b"".join(proxied(azurite, proxy, container.name).download("blob", etag)) == b"abc"
        assert len(proxy.requests) == 2


def test_a_refused_download_leaves_no_connection_behind(azurite: Endpoints, container: BlobContainer) -> None:
    etag = container.upload_bytes("blob", b"abc")
    with running_proxy(azurite.blob) as proxy:
        proxy.plan = lambda _: Answer(500, "InternalError")
        hurried = BlobContainer(account_of(azurite, blob=proxy.endpoint).hurried(), container.name)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with pytest.raises(UnavailableError):
                next(hurried.download("blob", etag))
            gc.collect()
        assert len(proxy.requests) > 1
        assert [str(warning.message) for warning in warned] == []


def test_a_cut_body_is_read_again(azurite: Endpoints, container: BlobContainer) -> None:
    """Never a prefix."""
    data = os.urandom(3 * MIB)
    etag = container.upload_bytes("blob", data)
    with running_proxy(azurite.blob) as proxy:
        proxy.break_once(CutAnswer(1000), is_get)
        assert b"".join(proxied(azurite, proxy, container.name).download("blob", etag, MIB)) == data


def is_stream(request: Request) -> bool:
    """Whether it asks for what follows the first piece; the SDK has a header of its own for a range."""
    return is_get(request) and "range" in {name.casefold() for name in request.headers}


def test_a_large_blob_comes_with_few_requests(azurite: Endpoints, container: BlobContainer) -> None:
    data = os.urandom(5 * MIB)
    etag = container.upload_bytes("in/blob-1.csv", data)
    with running_proxy(azurite.blob) as proxy:
        assert b"".join(proxied(azurite, proxy, container.name).download("in/blob-1.csv", etag, MIB)) == data
        assert [is_stream(request) for request in proxy.requests] == [False, True]


@pytest.mark.parametrize(
    "fault",
    [
        CutAnswer(0),
        CutAnswer(MIB // 2),
        CutAnswer(3 * MIB),
        LoseAnswer(),
        Answer(503, "ServerBusy"),
        Answer(403, "AuthenticationFailed"),
        Answer(307, headers={"Location": "http://127.0.0.1:1/elsewhere"}),
    ],
    ids=repr,
)
def test_what_a_stream_does_not_bring_is_read_by_ranges(
    azurite: Endpoints, container: BlobContainer, fault: Answer | CutAnswer | LoseAnswer
) -> None:
    data = os.urandom(5 * MIB + 1)
    etag = container.upload_bytes("blob", data)
    with running_proxy(azurite.blob) as proxy:
        proxy.break_once(fault, is_stream)
        assert b"".join(proxied(azurite, proxy, container.name).download("blob", etag, MIB)) == data
        assert any(is_stream(request) for request in proxy.requests)


@pytest.mark.parametrize(
    ("answer", "code", "retry_after"),
    [
        (Answer(503, "ServerBusy", {"Retry-After": "7"}), "StorageUnavailable", 7.0),
        (Answer(500, "InternalError"), "StorageUnavailable", None),
        (Answer(429, "TooManyRequests", {"Retry-After": "3"}), "Throttled", 3.0),
    ],
)
def test_a_fault_that_stays_says_to_try_again(
    azurite: Endpoints, container: BlobContainer, answer: Answer, code: str, retry_after: float | None
) -> None:
    with running_proxy(azurite.blob) as proxy:
        proxy.plan = lambda _: answer
        with pytest.raises(TransientError) as failed:
            proxied(azurite, proxy, container.name).properties("blob")
    assert (failed.value.code, failed.value.retry_after_s) == (code, retry_after)


def test_a_blob_in_the_archive_tier_says_what_to_do(azurite: Endpoints, container: BlobContainer) -> None:
    with running_proxy(azurite.blob) as proxy:
        proxy.plan = lambda _: Answer(409, "BlobArchived")
        with pytest.raises(RefusedError, match="rehydrate") as refused:
            list(proxied(azurite, proxy, container.name).download("blob", "0x1"))
    assert refused.value.code == "BlobArchived"


def test_storage_that_is_gone_is_unavailable(azurite: Endpoints, container: BlobContainer) -> None:
    with running_proxy(azurite.blob) as proxy:
        gone = proxied(azurite, proxy, container.name)
    with pytest.raises(UnavailableError) as failed:
        gone.properties("blob")
    assert failed.value.code == "StorageUnavailable"


def test_redirects_are_not_followed(azurite: Endpoints, container: BlobContainer) -> None:
    """A redirect would carry the signature away."""
    with running_proxy(azurite.blob) as proxy, running_proxy(azurite.blob) as other:
        proxy.plan = lambda _: Answer(307, headers={"Location": f"{other.endpoint}/{container.name}"})
        with pytest.raises(RefusedError):
            proxied(azurite, proxy, container.name).properties("blob")
        assert other.requests == []


def test_the_wrong_key_is_denied(account: StorageAccount, container: BlobContainer) -> None:
    wrong = f"AccountName={account.name};AccountKey=d3Jvbmcta2V5;BlobEndpoint={account.blob_endpoint}"
    denied = StorageAccount(account.name, account.blob_endpoint, connection_string=SecretStr(wrong))
    with pytest.raises(RefusedError) as refused:
        BlobContainer(denied, container.name).properties("blob")
    assert refused.value.code == "AccessDenied"
    assert "d3Jvbmcta2V5" not in str(refused.value)


@pytest.mark.parametrize("path", ["../other/a.csv", "in/../../other/a.csv", "./a.csv", "in/.."])
def test_no_path_leaves_the_container(container: BlobContainer, path: str) -> None:
    for work in (container.properties, container.read_bytes, container.delete):
        with pytest.raises(RefusedError, match="UnsafePath"):
            work(path)
