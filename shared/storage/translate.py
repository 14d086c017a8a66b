"""Errors of the Azure SDKs become errors of our tree: here, and nowhere else.

The SDKs' own errors are dropped from the chain (`from None`): their texts carry URLs, and with them signatures.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from requests import RequestException

from shared.domain.errors import (
    ArchivedError,
    ConflictError,
    DeniedError,
    HubError,
    MissingError,
    NotFoundError,
    PreconditionError,
    ProtectedError,
    RefusedError,
    RequestTooLargeError,
    ThrottledError,
    UnavailableError,
)
from shared.storage.retries import asked_by

# Codes of the services: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
_EXISTS = frozenset({"BlobAlreadyExists"})
_TAKEN = frozenset({"EntityAlreadyExists", "ContainerAlreadyExists", "TableAlreadyExists", "QueueAlreadyExists"})
_CHANGED = frozenset(
    {"ConditionNotMet", "UpdateConditionNotSatisfied", "TargetConditionNotMet", "SourceConditionNotMet"}
)
_PASSING = frozenset(
    {
        "AccountBeingCreated",
        "ContainerBeingDeleted",
        "Md5Mismatch",
        "OperationTimedOut",
        "QueueBeingDeleted",
        "TableBeingDeleted",
    }
)
# Of a copy, what the source answers: https://learn.microsoft.com/rest/api/storageservices/copy-blob
_SOURCE_CODE = "x-ms-copy-source-error-code"
_BUSY = frozenset({"InternalError", "OperationTimedOut", "ServerBusy"})
_TOO_LARGE = frozenset({"EntityTooLarge", "PropertyValueTooLarge", "RequestBodyTooLarge"})
_ARCHIVED = "BlobArchived"
_PROTECTED = {
    "BlobImmutableDueToPolicy": "is protected by an immutability policy or legal hold",
    "LeaseIdMissing": "is leased by somebody else; break the lease",
    "SnapshotsPresent": "has snapshots; delete them first",
}
_DENIALS = {
    "AuthenticationFailed": "the key or signature is wrong, was replaced, or has expired; set a valid one",
    "AuthorizationSourceIPMismatch": "the signature is limited to other addresses",
    "AuthorizationProtocolMismatch": "the signature is limited to another protocol",
    "AuthorizationServiceMismatch": "the signature is for another service",
    "AccountIsDisabled": "the account is disabled",
    "KeyBasedAuthenticationNotPermitted": "the account accepts no keys; use its URL and an identity",
}
_DENIED = "the identity, key or signature lacks the right, or the account's firewall refuses this app"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns what an SDK raises into an error of our tree.

    Args:
        what: the thing that is worked on, for messages: `the container 'inbox' of the account 'contoso'`.
    """
    try:
        yield
    except AzureError as error:
        raise translate(error, what) from None
    except RequestException as error:
        # The tables' SDK reads the answer to a transaction behind the back of its own transport.
        message = f"the answer of {what} ended too early ({type(error).__name__})"
        raise UnavailableError("StorageUnavailable", message) from None


def translate(error: AzureError, what: str) -> HubError:
    """The error of our tree for an SDK's error."""
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if status is None:
        return _without_answer(error, what)
    code = service_code(error)
    if status in {401, 403}:
        return DeniedError("AccessDenied", f"access to {what} is denied: {_DENIALS.get(code, _DENIED)}")
    if status == 429:
        return ThrottledError("Throttled", f"{what} asks to slow down", retry_after_s=asked_by(error))
    if status >= 500 or status == 408 or code in _PASSING or _source_code(error) in _BUSY:
        message = f"{what} answers {status} {code}".rstrip()
        return UnavailableError("StorageUnavailable", message, retry_after_s=asked_by(error))
    if status == 404:
        return _not_found(code, what)
    return _refused(status, code, what)


def service_code(error: AzureError) -> str:
    """The service's own name of the fault, such as `TableNotFound`; empty where it gave none."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _source_code(error: AzureError) -> str:
    response = getattr(error, "response", None)
    return str(response.headers.get(_SOURCE_CODE) or "") if response is not None else ""


def _without_answer(error: AzureError, what: str) -> HubError:
    kind = type(error).__name__
    if isinstance(error, ClientAuthenticationError):
        return UnavailableError(
            "IdentityUnavailable", f"no token can be had for {what} ({kind}); check the app's identity"
        )
    return UnavailableError("StorageUnavailable", f"{what} does not answer ({kind})")


def _not_found(code: str, what: str) -> HubError:
    if code == "ContainerNotFound":
        return MissingError("ContainerNotFound", f"{what}: the container does not exist; create it")
    if code in {"BlobNotFound", "CannotVerifyCopySource", "ResourceNotFound", ""}:
        return NotFoundError("BlobNotFound", f"{what} does not exist")
    return NotFoundError(code, f"{what} does not exist")


def _refused(status: int, code: str, what: str) -> HubError:
    if code == _ARCHIVED:
        return ArchivedError(code, f"{what} is in the archive tier; rehydrate it and run the mapping again")
    if reason := _PROTECTED.get(code):
        return ProtectedError(code, f"{what} {reason}")
    return _conflict(status, code, what)


def _conflict(status: int, code: str, what: str) -> HubError:
    if code in _EXISTS:
        return PreconditionError("BlobExists", f"{what} exists already")
    if code in _TAKEN:
        return ConflictError("AlreadyExists", f"{what} exists already")
    if code in _CHANGED or status == 412:
        return PreconditionError("PreconditionFailed", f"{what} was changed meanwhile")
    if status == 413 or code in _TOO_LARGE:
        return RequestTooLargeError("TooLarge", f"{what} does not take so much at once; make it smaller")
    return RefusedError("StorageRefused", f"{what} is refused with {status} {code}".rstrip())
