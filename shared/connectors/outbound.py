"""Outbound connectors: is the signature good for what exports do, and does the container take a blob?"""

from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from shared.connectors.check import Check
from shared.domain.errors import HubError
from shared.settings import Settings
from shared.storage.destination import DestinationContainer
from shared.storage.sas import ContainerSas

_PROBE = "Metadata/.probe"
_NEEDED = "cwl"
_EXPIRES_SOON = timedelta(days=7)
_LONG_LIVED = timedelta(days=90)


def check(sas_uri: SecretStr, settings: Settings) -> list[Check]:
    """Tries a connection; nothing is left behind in the container."""
    try:
        destination = DestinationContainer(sas_uri, settings, is_hurried=True)
    except HubError as error:
        return [Check("signature", False, error.message)]
    sas = destination.sas
    checks = [
        Check("signature", True, f"the signature is one of {sas.name}"),
        _check_validity(sas),
        _check_rights(sas),
    ]
    if all(found.ok for found in checks):
        checks.append(_check_listing(destination))
    if all(found.ok for found in checks):
        checks.append(_check_writing(destination))
    return checks


def _check_validity(sas: ContainerSas) -> Check:
    name = "validity"
    if (refusal := sas.refusal()) is not None:
        return Check(name, False, refusal.message)
    if sas.expires is None:
        return Check(name, True, "a stored access policy decides how long the signature is valid")
    # As in `ContainerSas.refusal`: the clock that storage judges by.
    left = sas.expires - datetime.now(UTC)
    message = f"the signature is valid until {sas.expires:%Y-%m-%dT%H:%M:%SZ}"
    if left < _EXPIRES_SOON:
        message += "; it expires soon, set outputBlobSASUri anew"
    elif left > _LONG_LIVED:
        message += "; that is long, prefer one of at most 90 days or a stored access policy"
    return Check(name, True, message)


def _check_rights(sas: ContainerSas) -> Check:
    name = "rights"
    if missing := sas.missing(_NEEDED):
        message = f"the signature for {sas.name} lacks the right to {' and '.join(missing)}; set one that has it"
        return Check(name, False, message)
    if sas.missing("d"):
        message = "the signature lacks the right to delete, so expired exports stay; set one that has it"
        return Check(name, True, message)
    return Check(name, True, "the signature has the rights that exports need")


def _check_listing(destination: DestinationContainer) -> Check:
    try:
        next(destination.list("Metadata/"), None)
    except HubError as error:
        return Check("listing", False, error.message)
    return Check("listing", True, f"{destination.sas.name} can be listed")


def _check_writing(destination: DestinationContainer) -> Check:
    name = "writing"
    if destination.sas.rights is None or destination.sas.missing("d"):
        return Check(name, True, "not tried, because what is written for a trial could not be deleted")
    try:
        destination.upload_bytes(_PROBE, b"", "application/octet-stream")
        destination.delete(_PROBE)
    except HubError as error:
        return Check(name, False, error.message)
    return Check(name, True, "a blob was written and deleted")
