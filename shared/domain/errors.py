"""The error tree. The class says what to do about it; the code says which fault it is.

    HubError
    ├── RequestError                  the caller must change the request or the definition (4xx)
    │   ├── InvalidRequestError       400, every fault in `details`
    │   ├── NotFoundError             404
    │   │   └── GoneError             404, a definition was deleted while it was worked with
    │   ├── MethodNotAllowedError     405
    │   ├── ConflictError             409, name taken or definition in use
    │   │   ├── ForeignContainerError 409, the container is another hub's
    │   │   └── TypeGoneError         409, the type that took the rows was deleted
    │   ├── PreconditionError         412, ETag
    │   ├── RequestTooLargeError      413
    │   ├── RangeError                416
    │   ├── OwnContainerError         400, the container is the app's own
    │   └── MediaTypeError            415
    ├── DataError                     this blob version is refused; recorded, acknowledged, not retried
    │   ├── SkippedError              nothing to ingest (gone, empty); the run ends Skipped
    │   ├── OutdatedMappingError      the mapping does not fit its type any more
    │   ├── TooManyColumnsError       the file is wider than allowed
    │   └── SupersededError           a newer version of the blob has taken its place
    ├── DeferredError                 not now: the work is requeued, and the attempt does not count
    │   ├── PausedError               the mapping is paused; its resume goes on
    │   └── UnfinishedError           there was no time for all of it; another message goes on
    ├── ClaimLostError                another worker has taken the work over; stop, and write nothing
    ├── RefusedError                  an outside system refuses us; its owner must act (rights, expiry, gone)
    │   ├── MissingError              the container or secret does not exist
    │   ├── DeniedError               our identity, key or signature is not let in
    │   ├── ArchivedError             the blob is in the archive tier
    │   ├── ProtectedError            the blob is leased, immutable, or has snapshots
    │   ├── ForeignBlobError          a blob of somebody else is in the place of ours
    │   └── LostBlobError             what we have just written is gone or changed
    ├── TransientError                the same call may succeed later
    │   ├── UnavailableError          storage or vault does not answer
    │   ├── ThrottledError            asked to slow down (429)
    │   └── CommitConflictError       another writer won the race; reload and redo
    └── FatalError                    damage or a fault of ours; stop, do not guess
        ├── ExpiredError              what was asked for is older than the tables know
        └── AccountingError           counts that must agree do not

SDK exceptions become these where the SDK is called (`shared/storage`, `shared/lake`) and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

from shared.domain.shown import shortened

# A request that is wrong everywhere would have an answer many times its own size, and everybody waits while it is made.
FAULTS_LIMIT = 100
_TOLD = 20  # that a message itself tells


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: `target` is a JSON path such as `fields[2].fieldType`."""

    code: str
    target: str
    message: str

    def __post_init__(self) -> None:
        # A property that nobody knows is a target too, and its name can be anything.
        object.__setattr__(self, "target", shortened(self.target))


def told(messages: Sequence[str], more: int = 0) -> str:
    """The first of the messages in one, and how many more there are, beside `more` that were never made."""
    first = [*messages[:_TOLD]]
    if left := len(messages) - len(first) + more:
        first.append(f"and {left} more")
    return "; ".join(first)


class HubError(Exception):
    """Root of the tree.

    Args:
        code: stable PascalCase name that scripts may compare.
        message: for people: what is wrong, where, and what to do. Never a secret, never a cell's value.
        target: the property, name or blob that is meant.
        details: single faults, where there are several.
    """

    def __init__(self, code: str, message: str, target: str = "", details: Sequence[Fault] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.target = shortened(target)
        self.details = tuple(details[:FAULTS_LIMIT])

    def __copy__(self) -> Self:
        """The same error for another thread to raise."""
        # Not by the constructor: what it takes differs from class to class, and is not what `args` keeps.
        copied = type(self).__new__(type(self), *self.args)
        copied.__dict__.update(self.__dict__)
        return copied


class RequestError(HubError):
    """The request or definition must be changed by whoever sent it."""


class InvalidRequestError(RequestError):
    """The request's content is invalid; `details` names every fault found, up to FAULTS_LIMIT of them.

    Args:
        details: the faults, or the first of them.
        message: instead of one that tells the first few.
        more: how many faults there are beside `details`.
    """

    def __init__(self, details: Sequence[Fault], message: str = "", more: int = 0) -> None:
        if not message:
            named = [f"{fault.target}: {fault.message}" if fault.target else fault.message for fault in details[:_TOLD]]
            message = told(named, len(details) - len(named) + more)
        super().__init__("InvalidRequest", message, details[0].target if details else "", details)


class NotFoundError(RequestError):
    """What was asked for does not exist."""


class GoneError(NotFoundError):
    """A definition was deleted while it was worked with; whatever failed did so for that reason, and may stop."""


class MethodNotAllowedError(RequestError):
    """The route exists, but not with this method."""


class ConflictError(RequestError):
    """The name is taken by another kind, or the definition is in use."""


class ForeignContainerError(ConflictError):
    """The container is another hub's."""


class TypeGoneError(ConflictError):
    """The type that took the rows of a run was deleted, whether or not another of its name was made."""


class PreconditionError(RequestError):
    """`If-Match` or `If-None-Match` does not hold."""


class RequestTooLargeError(RequestError):
    """The body is over the limit, or the answer would be."""


class RangeError(RequestError):
    """There is no byte of the range that is asked for.

    Args:
        size: how many bytes there are.
    """

    def __init__(self, code: str, message: str, target: str = "", size: int = 0) -> None:
        super().__init__(code, message, target)
        self.size = size


class OwnContainerError(RequestError):
    """The container is the app's own, and nobody else's business."""


class MediaTypeError(RequestError):
    """The body is not JSON."""


class DataError(HubError):
    """This blob version is refused as it is; the run ends Failed and is not retried."""


class SkippedError(DataError):
    """There is nothing to ingest: the blob is gone or empty; the run ends Skipped."""


class OutdatedMappingError(DataError):
    """The mapping does not fit its type any more; whoever keeps it must correct it."""


class TooManyColumnsError(DataError):
    """The file has more columns than are allowed: often its delimiter is another one."""


class SupersededError(DataError):
    """A newer version of the same blob has taken its place; the run ends Superseded."""


class DeferredError(HubError):
    """Not now: the work goes back to where it waited, and the attempt does not count.

    Args:
        rest_s: seconds until which its record says that it rests; None where whoever sends messages decides.
    """

    def __init__(self, code: str, message: str, target: str = "", rest_s: int | None = None) -> None:
        super().__init__(code, message, target)
        self.rest_s = rest_s


class PausedError(DeferredError):
    """The mapping is paused; its resume goes on with what waits."""


class UnfinishedError(DeferredError):
    """There was no time for all of it; what is left is noted, and another message goes on."""


class ClaimLostError(HubError):
    """Another worker has taken the work over; this one stops and writes nothing."""


class RefusedError(HubError):
    """A source, destination or vault refuses us (rights, expiry, container gone); its owner must act."""


class MissingError(RefusedError):
    """The container or secret that is asked for does not exist, as far as we are let in to see."""


class DeniedError(RefusedError):
    """The service refuses whatever is asked of it with our identity, key or signature."""


class ArchivedError(RefusedError):
    """The blob is in the archive tier, for years maybe; it can be read once somebody rehydrates it."""


class ProtectedError(RefusedError):
    """The blob's owner protects it: by a lease, an immutability policy, a legal hold or snapshots."""


class ForeignBlobError(RefusedError):
    """A blob of somebody else is in the place of ours; it is not replaced."""


class LostBlobError(RefusedError):
    """What we have just written at a destination is gone or changed; the connection to it is well."""


class TransientError(HubError):
    """The same call may succeed later.

    Args:
        retry_after_s: seconds to wait, where the service said so.
    """

    def __init__(self, code: str, message: str, target: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(code, message, target)
        self.retry_after_s = retry_after_s


class UnavailableError(TransientError):
    """A service that we need does not answer."""


class ThrottledError(TransientError):
    """A service asks us to slow down."""


# `visibilityTimeout` of host.json: after so long a message comes again whose attempt failed.
_NEXT_ATTEMPT_S = 30.0


def asked_to_wait_s(error: Exception) -> float | None:
    """Seconds for which a service asked to be left alone; None where the next attempt comes no earlier anyway."""
    asked = error.retry_after_s if isinstance(error, TransientError) else None
    return asked if asked is not None and asked > _NEXT_ATTEMPT_S else None


class CommitConflictError(TransientError):
    """Another writer won the race for the same table or entity; reload and redo."""


class FatalError(HubError):
    """Damage, or a fault of ours; going on would risk data."""


class ExpiredError(FatalError):
    """What was asked for is older than the tables know; everything has to be read instead."""


class AccountingError(FatalError):
    """Counts that must agree do not; nothing was committed."""


class Recovery(Enum):
    """What a queue, event or timer function does about an error of the tree."""

    RECORD = "record the outcome and acknowledge"
    RETRY = "raise, so that the host delivers again"


# The first class in the error's own order of inheritance that stands here decides.
HTTP_STATUS: dict[type[HubError], int] = {
    InvalidRequestError: 400,
    NotFoundError: 404,
    MethodNotAllowedError: 405,
    ConflictError: 409,
    PreconditionError: 412,
    RequestTooLargeError: 413,
    RangeError: 416,
    MediaTypeError: 415,
    RequestError: 400,
    DataError: 409,
    ClaimLostError: 409,
    DeferredError: 503,
    RefusedError: 409,
    ThrottledError: 429,
    TransientError: 503,
    FatalError: 500,
    HubError: 500,
}

RECOVERY: dict[type[HubError], Recovery] = {
    RequestError: Recovery.RECORD,
    DataError: Recovery.RECORD,
    ClaimLostError: Recovery.RECORD,
    DeferredError: Recovery.RECORD,
    RefusedError: Recovery.RECORD,
    TransientError: Recovery.RETRY,
    FatalError: Recovery.RETRY,
    HubError: Recovery.RETRY,
}


def http_status(error: HubError) -> int:
    """The HTTP status that answers `error`."""
    return next(HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in HTTP_STATUS)


def recovery(error: HubError) -> Recovery:
    """What a function that is not HTTP does about `error`."""
    return next(RECOVERY[kind] for kind in type(error).__mro__ if kind in RECOVERY)
