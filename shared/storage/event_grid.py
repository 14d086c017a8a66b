"""Events of Azure Storage, in the Event Grid schema or as CloudEvents: `BlobCreated`, taken apart and cross-checked."""

import json
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from azure.eventgrid import SystemEventNames

from shared.domain.blob_version import bare_etag
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.names import account_and_path, same_name

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
# It is sent back as a header: https://www.rfc-editor.org/rfc/rfc9110#field.etag, without the bytes over ASCII.
_ETAG = re.compile(rf"[!#-~]{{1,{_LONGEST_FACT}}}")
_CLOUD_EVENTS = "1.0"


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


def read_event(text: str) -> object:
    """What the host hands on as one event: the value of its JSON, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def is_committing(api: str) -> bool:
    """Whether the blob had its content when the event was sent."""
    return api.casefold() not in _NOT_YET


def parse_blob_created(event: object) -> BlobCreated:
    """Reads an event; its URL is never opened, and only cross-checked against the subject.

    Args:
        event: the value of its JSON. What names a `specversion` is a CloudEvent
            (https://learn.microsoft.com/azure/event-grid/cloud-event-schema), all else of the Event Grid schema.

    Raises:
        InvalidRequestError: it is not a whole `BlobCreated`; every fault is named.
    """
    if not isinstance(event, dict):
        fault = Fault("InvalidEvent", "event", "must be a JSON object")
        raise InvalidRequestError([fault], "malformed event: " + _summary([fault]))
    faults: list[Fault] = []
    is_cloud_event = "specversion" in event
    if is_cloud_event and event["specversion"] != _CLOUD_EVENTS:
        faults.append(Fault("InvalidEvent", "specversion", f"must be {_CLOUD_EVENTS}"))
    kind, account_id = ("type", "source") if is_cloud_event else ("eventType", "topic")
    if event.get(kind) != _TYPE:
        faults.append(Fault("InvalidEvent", kind, f"must be {_TYPE}"))
    data = event.get("data")
    if not isinstance(data, dict):
        faults.append(Fault("InvalidEvent", "data", "must be an object"))
        data = {}
    location = _location_of_subject(event.get("subject"), faults)
    account = _account_of(event.get(account_id))
    if (url := data.get("url")) is not None and location is not None:
        location, account = _cross_check(location, account, url, account_id, faults)
    etag = data.get("eTag")
    if not isinstance(etag, str) or not _ETAG.fullmatch(bare_etag(etag)):
        faults.append(Fault("InvalidEvent", "data.eTag", "must be the ETag of the blob version"))
    size = data.get("contentLength")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST_SIZE):
        faults.append(Fault("InvalidEvent", "data.contentLength", "must be a number of bytes"))
    sequencer, api = data.get("sequencer"), data.get("api")
    for name, value in (("sequencer", sequencer), ("api", api)):
        if value is not None and not (isinstance(value, str) and _is_plain(value)):
            message = f"must be a text of at most {_LONGEST_FACT} characters"
            faults.append(Fault("InvalidEvent", f"data.{name}", message))
    if location is not None and not all(_is_plain(name, _LONGEST_PATH) for name in location):
        faults.append(Fault("InvalidEvent", "subject", "names a blob as none can be called"))
    if faults or location is None:
        raise InvalidRequestError(faults, "malformed event: " + _summary(faults))
    return BlobCreated(*location, bare_etag(str(etag)), size, sequencer or None, account, api or "")


def _is_plain(text: str, longest: int = _LONGEST_FACT) -> bool:
    """Whether a text can be stored: half a character (a lone surrogate, which JSON can spell) cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return len(text) <= longest


def _location_of_subject(subject: object, faults: list[Fault]) -> tuple[str, str] | None:
    if isinstance(subject, str) and subject.startswith(_SUBJECT):
        container, separator, path = subject.removeprefix(_SUBJECT).partition(_BLOBS)
        if separator and container and path and "/" not in container:
            return container, path
    message = f"must be {_SUBJECT}CONTAINER{_BLOBS}PATH"
    faults.append(Fault("InvalidEvent", "subject", message))
    return None


def _account_of(resource_id: object) -> str | None:
    if not isinstance(resource_id, str):
        return None
    parts = resource_id.strip("/").split("/")
    is_account = len(parts) >= 2 and parts[-2].casefold() == "storageaccounts"
    return parts[-1] if is_account and parts[-1] else None


def _cross_check(
    location: tuple[str, str], account: str | None, url: object, account_id: str, faults: list[Fault]
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
        return location, account
    named, raw = account_and_path(host, raw)
    _, decoded = account_and_path(host, decoded)
    if "/".join(location) not in {raw, decoded}:
        faults.append(Fault("InvalidEvent", "data.url", "names another blob than the subject"))
    # A resource id tells nothing of the cloud.
    if account is not None and not same_name(account, named.partition(".")[0]):
        faults.append(Fault("InvalidEvent", "data.url", f"names another account than the {account_id}"))
    container, _, path = decoded.partition("/")
    return (container, path), named


def _summary(faults: list[Fault]) -> str:
    return "; ".join(f"{fault.target} {fault.message}" for fault in faults)
