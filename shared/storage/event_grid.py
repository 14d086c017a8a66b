"""Events of Azure Storage in the Event Grid schema: `BlobCreated`, taken apart and cross-checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from azure.eventgrid import SystemEventNames

from shared.domain.blob_version import bare_etag
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.names import LOOPBACK

_TYPE = SystemEventNames.StorageBlobCreatedEventName.value
_SUBJECT = "/blobServices/default/containers/"
_BLOBS = "/blobs/"
# Data Lake and SFTP clients announce the empty file first, and the content when it is complete:
# https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
_NOT_YET = frozenset({"createfile", "sftpcreate"})
# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_LONGEST_PATH = 1024
_LARGEST_SIZE = 2**63 - 1
# Far beyond what the service sends; what is longer comes from somebody else.
_LONGEST_FACT = 256


@dataclass(frozen=True, slots=True)
class BlobCreated:
    """A blob version that was committed.

    Attributes:
        etag: without quotes.
        size: bytes; None where the event does not say.
        sequencer: Event Grid's order among the versions of one blob; None where the event has none.
        account: name of the storage account; None where the event names none.
        api: the call that committed it, such as `PutBlockList`; empty where the event does not say.
    """

    container: str
    path: str
    etag: str
    size: int | None
    sequencer: str | None
    account: str | None
    api: str


def is_committing(api: str) -> bool:
    """Whether the blob had its content when the event was sent."""
    return api.casefold() not in _NOT_YET


def parse_blob_created(event: Mapping[str, Any]) -> BlobCreated:
    """Reads an event; its URL is never opened, and only cross-checked against the subject.

    Raises:
        InvalidRequestError: it is not a whole `BlobCreated`; every fault is named.
    """
    faults: list[Fault] = []
    kind = event.get("eventType")
    if kind != _TYPE:
        faults.append(Fault("InvalidEvent", "eventType", f"must be {_TYPE}"))
    data = event.get("data")
    if not isinstance(data, Mapping):
        faults.append(Fault("InvalidEvent", "data", "must be an object"))
        data = {}
    place = _place_of_subject(event.get("subject"), faults)
    account = _account_of_topic(event.get("topic"))
    if (url := data.get("url")) is not None and place is not None:
        place, account = _cross_check(place, account, url, faults)
    etag = data.get("eTag")
    if not isinstance(etag, str) or not bare_etag(etag) or not _is_plain(etag):
        faults.append(Fault("InvalidEvent", "data.eTag", "must be the ETag of the blob version"))
    size = data.get("contentLength")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST_SIZE):
        faults.append(Fault("InvalidEvent", "data.contentLength", "must be a number of bytes"))
    sequencer, api = data.get("sequencer"), data.get("api")
    for name, value in (("sequencer", sequencer), ("api", api)):
        if value is not None and not (isinstance(value, str) and _is_plain(value)):
            message = f"must be a text of at most {_LONGEST_FACT} characters"
            faults.append(Fault("InvalidEvent", f"data.{name}", message))
    if place is not None and not all(_is_plain(name, _LONGEST_PATH) for name in place):
        faults.append(Fault("InvalidEvent", "subject", "names a blob as none can be called"))
    if faults or place is None:
        raise InvalidRequestError(faults, "malformed event: " + _summary(faults))
    return BlobCreated(*place, bare_etag(str(etag)), size, sequencer or None, account, api or "")


def _is_plain(text: str, longest: int = _LONGEST_FACT) -> bool:
    """Whether a text can be stored: half a character (a lone surrogate, which JSON can spell) cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return len(text) <= longest


def _place_of_subject(subject: object, faults: list[Fault]) -> tuple[str, str] | None:
    if isinstance(subject, str) and subject.startswith(_SUBJECT):
        container, separator, path = subject.removeprefix(_SUBJECT).partition(_BLOBS)
        if separator and container and path and "/" not in container:
            return container, path
    message = f"must be {_SUBJECT}CONTAINER{_BLOBS}PATH"
    faults.append(Fault("InvalidEvent", "subject", message))
    return None


def _account_of_topic(topic: object) -> str | None:
    if not isinstance(topic, str):
        return None
    parts = topic.strip("/").split("/")
    is_account = len(parts) >= 2 and parts[-2].casefold() == "storageaccounts"
    return parts[-1] if is_account and parts[-1] else None


def _cross_check(
    place: tuple[str, str], account: str | None, url: object, faults: list[Fault]
) -> tuple[tuple[str, str], str | None]:
    """The place as the URL confirms it, and the account that the URL names.

    The URL is percent-encoded, the subject may be: where they agree only after decoding, the decoded form is
    the blob's name.
    """
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        raw = parts.path.lstrip("/") if parts else ""
        decoded = unquote(raw, errors="strict")
        host = (parts.hostname or "") if parts else ""
    except ValueError:
        parts = None
    if parts is None or not host or "@" in parts.netloc:
        faults.append(Fault("InvalidEvent", "data.url", "must be the URL of the blob"))
        return place, account
    named = host.split(".", maxsplit=1)[0]
    if host in LOOPBACK:
        # The emulator's URLs have the account first in their path.
        named, _, raw = raw.partition("/")
        decoded = decoded.partition("/")[2]
    if "/".join(place) not in {raw, decoded}:
        faults.append(Fault("InvalidEvent", "data.url", "names another blob than the subject"))
    if account is not None and account.casefold() != named.casefold():
        faults.append(Fault("InvalidEvent", "data.url", "names another account than the topic"))
    container, _, path = decoded.partition("/")
    return (container, path), named


def _summary(faults: list[Fault]) -> str:
    return "; ".join(f"{fault.target} {fault.message}" for fault in faults)
