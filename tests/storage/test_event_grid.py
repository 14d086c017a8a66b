"""Events of Azure Storage: what is read from them, and what is refused."""

import contextlib
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequestError
from shared.storage.event_grid import BlobCreated, is_committing, parse_blob_created, read_event

TOPIC = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/contoso"
NAME = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(
    lambda text: not text.startswith("/")
)


def event(path: str = "in/a.csv", subject: str | None = None, **data: Any) -> dict[str, Any]:
    """The sample of the documentation, for a path."""
    return {
        "topic": TOPIC,
        "subject": f"/blobServices/default/containers/inbox/blobs/{path}" if subject is None else subject,
        "eventType": "Microsoft.Storage.BlobCreated",
        "eventTime": "2026-11-22T14:15:16.1234567Z",
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "data": {
            "api": "PutBlockList",
            "clientRequestId": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
            "requestId": "831e1650-001e-001b-66ab-eeb76e000000",
            "eTag": "0x8D4BCC2E4835CD0",
            "contentType": "text/csv",
            "contentLength": 524288,
            "blobType": "BlockBlob",
            "url": f"https://contoso.blob.core.windows.net/inbox/{quote(path)}",
            "sequencer": "00000000000004420000000000028963",
            "storageDiagnostics": {"batchId": "b68529f3-68cd-4744-baa4-3c0498ec19f0"},
            **data,
        },
        "dataVersion": "",
        "metadataVersion": "1",
    }


def cloud_event(**changed: Any) -> dict[str, Any]:
    """The same sample in the CloudEvents schema."""
    sample = event()
    kept = {name: sample[name] for name in ("id", "subject", "data")}
    renamed = {"source": sample["topic"], "type": sample["eventType"], "time": sample["eventTime"]}
    return {"specversion": "1.0", **kept, **renamed, **changed}


@pytest.mark.parametrize("service", ["blob", "dfs"])
def test_an_account_of_another_cloud_is_not_its_namesake(service: str) -> None:
    sample = event(url=f"https://contoso.{service}.core.usgovcloudapi.net/inbox/in/a.csv")
    assert parse_blob_created(sample).account == "contoso.usgovcloudapi.net"


@pytest.mark.parametrize("sample", [event(), cloud_event()], ids=["Event Grid", "CloudEvents"])
def test_the_documented_sample_is_read(sample: dict[str, Any]) -> None:
    assert parse_blob_created(sample) == BlobCreated(
        container="inbox",
        path="in/a.csv",
        etag="0x8D4BCC2E4835CD0",
        size=524288,
        sequencer="00000000000004420000000000028963",
        account="contoso",
        api="PutBlockList",
    )


@pytest.mark.parametrize("etag", ['"0x8D4"', "0x8D4", 'W/"0x8D4"', ' "0x8D4" '])
def test_an_etag_is_bare(etag: str) -> None:
    assert parse_blob_created(event(eTag=etag)).etag == "0x8D4"


def test_what_may_be_missing() -> None:
    sparse = event()
    sparse["data"] = {"eTag": "0x1"}
    del sparse["topic"]
    assert parse_blob_created(sparse) == BlobCreated("inbox", "in/a.csv", "0x1", None, None, None, "")


@given(path=NAME, extra=st.sampled_from(["", "%20", "100%", "a%2Fb", "?x=1#y", "+", "//", "/blobs/"]))
def test_any_name_is_read_whether_the_subject_is_encoded_or_not(path: str, extra: str) -> None:
    path += extra
    raw = parse_blob_created(event(path))
    encoded = parse_blob_created(event(path, f"/blobServices/default/containers/inbox/blobs/{quote(path)}"))
    assert raw == encoded
    assert (raw.container, raw.path) == ("inbox", path)


def test_urls_of_data_lake_and_emulator_are_understood() -> None:
    lake = event(url="https://contoso.dfs.core.windows.net/inbox/in/a.csv", api="FlushWithClose")
    assert parse_blob_created(lake).account == "contoso"
    local = event("a b.csv", url="http://127.0.0.1:10000/contoso/inbox/a%20b.csv")
    assert parse_blob_created(local).path == "a b.csv"
    assert parse_blob_created(local).account == "contoso"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/inbox/in/a.csv",
        "https://evil.blob.core.windows.net/inbox/in/a.csv",
        "https://contoso@evil.example/inbox/in/a.csv",
        "https://contoso.blob.core.windows.net/inbox/other.csv",
        "https://contoso.blob.core.windows.net/other/in/a.csv",
        "https://contoso.blob.core.windows.net/inbox/in/%ff.csv",
        "https://\u0441ontoso.blob.core.windows.net/inbox/in/a.csv",
        "http://[half/inbox/in/a.csv",
        "inbox/in/a.csv",
        "",
        17,
        {"nested": True},
    ],
)
def test_a_url_that_contradicts_the_rest_is_refused(url: Any) -> None:
    """It is compared, never opened."""
    with pytest.raises(InvalidRequestError) as refused:
        parse_blob_created(event(url=url))
    assert {fault.target for fault in refused.value.details} == {"data.url"}
    assert "evil" not in str(refused.value)


def without(name: str) -> dict[str, Any]:
    broken = event()
    broken.get("data", {}).pop(name, None)
    broken.pop(name, None)
    return broken


@pytest.mark.parametrize(
    ("broken", "target"),
    [
        ({}, "eventType"),
        ({**event(), "eventType": "Microsoft.Storage.BlobDeleted"}, "eventType"),
        ({**event(), "eventType": 5}, "eventType"),
        ({**event(), "data": None}, "data"),
        ({**event(), "data": "text"}, "data"),
        ({**event(), "subject": None}, "subject"),
        ({**event(), "subject": ["a"]}, "subject"),
        (event(subject=""), "subject"),
        (event(subject="/blobServices/default/containers/inbox"), "subject"),
        (event(subject="/blobServices/default/containers/inbox/blobs/"), "subject"),
        (event(subject="/blobServices/default/containers//blobs/a"), "subject"),
        (event(subject="/blobServices/default/containers/in/box/blobs/a"), "subject"),
        (event(subject="/queueServices/default/containers/inbox/blobs/a"), "subject"),
        (without("eTag"), "data.eTag"),
        (event(eTag=""), "data.eTag"),
        (event(eTag='""'), "data.eTag"),
        (event(eTag=7), "data.eTag"),
        (event(contentLength=-1), "data.contentLength"),
        (event(contentLength="5"), "data.contentLength"),
        (event(contentLength=True), "data.contentLength"),
        (event(contentLength=1.5), "data.contentLength"),
        (event(sequencer=5), "data.sequencer"),
        (event(api=["PutBlob"]), "data.api"),
        (event(eTag="0x1\r\nHost: x"), "data.eTag"),
        (event(eTag="x" * 257), "data.eTag"),
        (cloud_event(specversion="0.3"), "specversion"),
        (cloud_event(specversion=None), "specversion"),
        (cloud_event(type=None, eventType="Microsoft.Storage.BlobCreated"), "type"),
        (cloud_event(source=TOPIC.replace("contoso", "other")), "data.url"),
        (cloud_event(data=None, data_base64="e30="), "data"),
        (None, "event"),
        (7, "event"),
        ("text", "event"),
        ([event()], "event"),
    ],
)
def test_what_is_malformed_is_named(broken: object, target: str) -> None:
    with pytest.raises(InvalidRequestError, match="malformed event") as refused:
        parse_blob_created(broken)
    assert target in {fault.target for fault in refused.value.details}


@pytest.mark.parametrize("text", ["", "no json", "{", "[" * 200_000, '{"a": ' + "9" * 5000 + "}", "\x00"])
def test_what_is_no_json_is_no_event(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        parse_blob_created(read_event(text))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_no_content_of_an_event_is_unexpected(value: Any) -> None:
    with contextlib.suppress(InvalidRequestError):
        assert parse_blob_created(value).container
    for name in ("topic", "subject", "eventType", "data"):
        with contextlib.suppress(InvalidRequestError):
            assert parse_blob_created({**event(), name: value}).container
    for name in ("source", "subject", "type", "data", "specversion"):
        with contextlib.suppress(InvalidRequestError):
            assert parse_blob_created(cloud_event(**{name: value})).container
    for name in ("api", "eTag", "contentLength", "url", "sequencer"):
        with contextlib.suppress(InvalidRequestError):
            assert parse_blob_created(event(**{name: value})).etag


@pytest.mark.parametrize(
    ("api", "committing"),
    [
        ("PutBlob", True),
        ("PutBlockList", True),
        ("CopyBlob", True),
        ("FlushWithClose", True),
        ("SftpCommit", True),
        ("", True),
        ("CreateFile", False),
        ("createfile", False),
        ("SftpCreate", False),
    ],
)
def test_an_empty_announcement_is_not_content(api: str, committing: bool) -> None:
    assert is_committing(api) is committing
