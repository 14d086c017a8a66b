"""Outbound connectors: is the signature good for what exports do, and does the container take a blob?"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from shared.connectors.check import Check, each_in_time
from shared.domain.documents.connectors import ExportedEntity
from shared.domain.errors import HubError, PreconditionError
from shared.domain.schema_mark import FOREIGN_METADATA, Owner, Writer
from shared.domain.slot import entity_folder, metadata_path
from shared.settings import Settings
from shared.storage.blob.destination import DestinationContainer
from shared.storage.blob.sas import ContainerSas

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


def check_metadata(
    sas_uri: SecretStr, settings: Settings, writer: Writer, listed: Sequence[ExportedEntity], *, take_over: bool
) -> list[Check]:
    """Looks for each `metadata.json` that somebody else wrote, in a container that `check` found well.

    Args:
        sas_uri: `outputBlobSASUri`.
        settings: of the process.
        writer: the connector.
        listed: what it exports.
        take_over: whether such a `metadata.json` becomes the connector's own, for the next export to replace.

    Returns:
        One for each that is, or was, somebody else's, and one more where there was no time to look for all.
    """
    destination = DestinationContainer(sas_uri, settings, is_hurried=True)

    def name(entity: ExportedEntity) -> str:
        return f"metadata {entity_folder(entity.entity_type.value)}/{entity.entity_name}"

    def check(entity: ExportedEntity) -> Check | None:
        path = metadata_path(entity.entity_type.value, entity.entity_name)
        found = destination.find(path)
        owner = writer.owner_of(found.metadata) if found else Owner.OURS
        if found is None or owner is Owner.OURS:
            return None
        if take_over:
            destination.set_metadata(path, writer.takes_over(found.metadata), found.etag)
            return Check(name(entity), True, f"{path} was taken over; the next export replaces it")
        return Check(name(entity), False, f"{path} {FOREIGN_METADATA}") if owner is Owner.OTHERS else None

    return list(each_in_time(listed, name, check, "listed entities"))


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
    path = f"Metadata/.probe-{uuid.uuid4().hex}"
    try:
        etag = _written(destination, path)
    except HubError as error:
        return Check(name, False, error.message)
    try:
        destination.delete(path, etag)
    except HubError as error:
        message = f"the blob {path!r} was written for a trial and could not be deleted, delete it: {error.message}"
        return Check(name, False, message)
    return Check(name, True, "a blob was written and deleted")


def _written(destination: DestinationContainer, path: str) -> str:
    """Writes an empty blob of a name that nobody else has, and returns its ETag."""
    try:
        return destination.upload_bytes(path, b"", "application/octet-stream")
    except PreconditionError:
        # An earlier try of the request has written it, and its answer was lost.
        found = destination.find(path)
        if found is None:
            raise
        return found.etag
