"""A container's shared access signature: taken apart and judged without any call."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr

from shared.domain.errors import Fault, InvalidRequestError, RefusedError
from shared.domain.names import CONTAINER_PATTERN
from shared.settings import Settings
from shared.storage.accounts import read_blob_url

RIGHTS = {"c": "create", "w": "write", "l": "list", "d": "delete"}
_TARGET = "connectorProperties.outputBlobSASUri"


@dataclass(frozen=True)
class ContainerSas:
    """A container and the signature that opens it.

    Attributes:
        container_url: without the signature.
        signature: the query, without `?`.
        rights: letters of `sp`; None where a stored access policy of the container holds them.
        starts: and `expires`: the time within which it is valid; None where the signature does not say.
    """

    account: str
    container: str
    container_url: str
    signature: SecretStr
    rights: frozenset[str] | None
    starts: datetime | None
    expires: datetime | None

    def missing(self, rights: str) -> list[str]:
        """The names of those of the rights (letters) that the signature is known to lack."""
        return [RIGHTS[right] for right in rights if self.rights is not None and right not in self.rights]

    def refusal(self, right: str = "") -> RefusedError | None:
        """Why a call that needs a right cannot succeed, as far as the signature itself tells; None if it may."""
        # Storage judges by its own clock, so ours is the machine's, whatever time the app is told to live in.
        now = datetime.now(UTC)
        if self.expires is not None and self.expires <= now:
            message = f"the signature for {self.name} expired at {_shown(self.expires)}; set outputBlobSASUri anew"
            return RefusedError("SasExpired", message)
        if self.starts is not None and self.starts > now:
            message = f"the signature for {self.name} is valid only from {_shown(self.starts)} on"
            return RefusedError("SasNotYetValid", message)
        if missing := self.missing(right):
            message = f"the signature for {self.name} lacks the right to {' and '.join(missing)}; set one that has it"
            return RefusedError("SasRightMissing", message)
        return None

    @property
    def place(self) -> str:
        """What tells the container from all others, whatever signature opens it: `ACCOUNT/CONTAINER`."""
        return f"{self.account}/{self.container}"

    @property
    def name(self) -> str:
        """The container, for messages."""
        return f"the container {self.container!r} of the account {self.account!r}"


def read_container_sas(uri: SecretStr, settings: Settings) -> ContainerSas:
    """Takes a container SAS apart.

    Raises:
        InvalidRequestError: it is not the URL of a container on Azure Storage with a SAS of its own; nothing of
            it is repeated.
    """
    try:
        return _read(uri.get_secret_value().strip(), settings)
    except ValueError as error:
        raise InvalidRequestError([Fault("InvalidSas", _TARGET, f"this is no usable SAS: {error}")]) from None


def _read(text: str, settings: Settings) -> ContainerSas:
    url = read_blob_url(text, settings)
    container = unquote(url.path.rstrip("/"))
    if not container or "/" in container:
        raise ValueError("it must name a container, and nothing below it")
    if not re.fullmatch(CONTAINER_PATTERN, container):
        raise ValueError("its container has no name that exports can go to: 3 to 63 of a-z, 0-9 and single hyphens")
    pairs = parse_qsl(url.query, keep_blank_values=True)
    values = {name.casefold(): value for name, value in pairs}
    if len(values) < len(pairs):
        raise ValueError("a parameter of its query stands there more than once")
    if not values.get("sig"):
        raise ValueError("it has no signature (sig); create a SAS of the container and give its whole URL")
    if "ss" in values or "srt" in values:
        raise ValueError("it is a SAS of a whole account; create one of the container alone")
    if values.get("sr") != "c":
        raise ValueError("it is not a SAS of a container (sr=c); create one of the container")
    if "si" not in values and not (values.get("sp") and values.get("se")):
        raise ValueError("it has neither rights (sp) and expiry (se) nor a stored access policy (si)")
    return ContainerSas(
        account=url.account,
        container=container,
        container_url=f"{url.endpoint}/{container}",
        signature=SecretStr(url.query),
        rights=frozenset(values["sp"]) if values.get("sp") else None,
        starts=_time(values.get("st")),
        expires=_time(values.get("se")),
    )


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("its start (st) or expiry (se) is not a time") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
