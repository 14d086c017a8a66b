"""Copies of blobs within an account: which may take the place of what is there, and waiting for their end."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient

from shared.domain.errors import ConflictError, UnavailableError
from shared.storage.translate import service_code

_TAKES_AT_MOST_S = 120
_POLL_S = 0.5


def copy_blob(
    source: str, target: BlobClient, condition: dict[str, Any], may_replace: Callable[[], bool], what: str
) -> None:
    """Copies a blob and waits for the end of it; errors of the SDK are the caller's to translate.

    Args:
        source: URL of the blob, with a signature where it needs one.
        target: where it is copied to. An earlier copy of the same source is replaced.
        condition: on the source.
        may_replace: whether anything else may be replaced as well; asked only where something else is there.
        what: the copy, for messages.

    Raises:
        ConflictError: `BlobInTheWay`, something else is there that may not be replaced.
        UnavailableError: the copy is not finished, or what is there changes.
    """
    deadline = monotonic() + _TAKES_AT_MOST_S
    status = _start(source, target, condition, may_replace, what)
    while status == "pending" and monotonic() < deadline:
        sleep(_POLL_S)
        status = str(target.get_blob_properties().copy.status)
    if status != "success":
        raise UnavailableError("CopyUnfinished", f"{what} is still being copied, or the copy failed")


def _start(
    source: str, target: BlobClient, condition: dict[str, Any], may_replace: Callable[[], bool], what: str
) -> str:
    """The status of the copy that was begun."""
    try:
        begun = target.start_copy_from_url(source, match_condition=MatchConditions.IfMissing, **condition)
        return str(begun["copy_status"])
    except ResourceExistsError as error:
        if service_code(error) != "BlobAlreadyExists":
            raise
    try:
        there = target.get_blob_properties()
    except ResourceNotFoundError:
        # Not to be taken for a source that is gone.
        raise UnavailableError("BlobChanging", f"{what}: what was there is gone; it is tried again") from None
    if _bare(there.copy.source or "") == _bare(source):
        only_this: dict[str, Any] = {"etag": there.etag, "match_condition": MatchConditions.IfNotModified}
    elif may_replace():
        only_this = {}
    else:
        raise ConflictError("BlobInTheWay", f"{what} stays where it is: a file that is not ours has that name there")
    return str(target.start_copy_from_url(source, **only_this, **condition)["copy_status"])


def _bare(url: str) -> str:
    """A URL without its signature."""
    return url.partition("?")[0]
