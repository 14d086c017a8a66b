"""The secrets of connectors: taken out of the document, kept in Key Vault, and found again."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from shared.domain.connectors import MASK, is_secret
from shared.domain.errors import FatalError, Fault, RefusedError
from shared.domain.names import name_key
from shared.storage.key_vault import Vaults

# Among the internal facts of a connector: its references by place, and every name it ever used in the vault.
_REFERENCES = "secrets"
_NAMES = "secretNames"
# https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers
_NAME_LIMIT = 127

type Pointer = str


@dataclass(frozen=True)
class SplitProperties:
    """Connector properties without their secrets.

    Attributes:
        masked: the properties with `***` where a secret was.
        secrets: the secrets by place, a JSON pointer (RFC 6901).
        kept: places that came as `***`: the earlier secret stays.
        faults: what cannot be kept safe.
    """

    masked: dict[str, Any]
    secrets: dict[Pointer, SecretStr]
    kept: list[Pointer]
    faults: list[Fault]


def split(properties: Mapping[str, Any]) -> SplitProperties:
    """Takes the secrets out of connector properties, at any depth."""
    found = SplitProperties({}, {}, [], [])
    found.masked.update(_masked_object(properties, "", False, found))
    return found


def faults_of_secrets(document: Any, target: str = "") -> list[Fault]:
    """Faults for every text, outside connector properties, that carries a secret."""
    if isinstance(document, str):
        if not is_secret("", document):
            return []
        message = "this text carries a signature, key or password, which is kept in connectorProperties only; remove it"
        return [Fault("SecretNotAllowed", target, message)]
    if isinstance(document, Mapping):
        faults = [fault for name in document for fault in faults_of_secrets(name, target)]
        for name, value in document.items():
            faults += faults_of_secrets(value, f"{target}.{name}" if target else str(name))
        return faults
    if isinstance(document, list):
        return [fault for at, item in enumerate(document) for fault in faults_of_secrets(item, f"{target}[{at}]")]
    return []


class Secrets:
    """The secrets of all connectors, in the hub's own vault."""

    def __init__(self, vaults: Vaults) -> None:
        self._vaults = vaults

    def keep(self, hub: str, instance_id: str, secrets: Mapping[Pointer, SecretStr]) -> dict[Pointer, str]:
        """Stores secrets of a connector; the names repeat with a repeated request, so nothing piles up.

        Returns:
            A reference, which is no secret, for each place.
        """
        return {
            place: self._vaults.set(_vault_name(hub, instance_id, place), secret.get_secret_value())
            for place, secret in secrets.items()
        }

    def read(self, internal: Mapping[str, str], place: Pointer) -> SecretStr:
        """The secret at a place of a stored connector; raises RefusedError where the vault has it no more."""
        reference = references(internal).get(place)
        if reference is None:
            raise RefusedError("SecretMissing", f"the connector has no secret at {place}; PUT it again with one")
        return SecretStr(self._vaults.get_own(reference))

    def forget(self, internal: Mapping[str, str]) -> None:
        """Deletes all secrets that a stored connector ever had."""
        for name in _names(internal):
            self._vaults.delete(name)


def references(internal: Mapping[str, str]) -> dict[Pointer, str]:
    """The references among the internal facts of a connector."""
    found: dict[Pointer, str] = json.loads(internal.get(_REFERENCES, "{}"))
    return found


def with_references(internal: Mapping[str, str], found: Mapping[Pointer, str]) -> dict[str, str]:
    """Internal facts of a connector with other references."""
    names = sorted({*_names(internal), *(reference.split("/", maxsplit=1)[0] for reference in found.values())})
    return {**internal, _REFERENCES: json.dumps(dict(found)), _NAMES: json.dumps(names)}


def _names(internal: Mapping[str, str]) -> list[str]:
    # A name that is not used any more is kept until the connector is deleted: a vault does not take a deleted
    # name again until it is purged, and the property may come back.
    found: list[str] = json.loads(internal.get(_NAMES, "[]"))
    return found


def _masked_object(value: Mapping[str, Any], place: Pointer, inside: bool, found: SplitProperties) -> dict[str, Any]:
    masked = {}
    for name, item in value.items():
        if is_secret("", name):
            message = "a property's name carries a signature, key or password; remove it"
            found.faults.append(Fault("SecretNotAllowed", "connectorProperties", message))
            continue
        below = f"{place}/{name.replace('~', '~0').replace('/', '~1')}"
        masked[name] = _masked(item, below, inside or _is_secret_name(name), found)
    return masked


def _masked(value: Any, place: Pointer, inside: bool, found: SplitProperties) -> Any:
    """`inside` says that the value stands in a property whose name makes everything in it a secret."""
    if isinstance(value, Mapping):
        return _masked_object(value, place, inside, found)
    if isinstance(value, list):
        return [_masked(item, f"{place}/{at}", inside, found) for at, item in enumerate(value)]
    if value == MASK:
        found.kept.append(place)
        return MASK
    if value is None or not (inside or is_secret("", value)):
        return value
    found.secrets[place] = SecretStr(value if isinstance(value, str) else json.dumps(value))
    return MASK


def _is_secret_name(name: str) -> bool:
    return is_secret(name, "any value")


def _vault_name(hub: str, instance_id: str, place: Pointer) -> str:
    """At most 64 + 32 characters of hub and connector, a digest of the place, and as much of it as fits."""
    if not re.fullmatch(r"[0-9a-f]{32}", instance_id):
        raise FatalError("InvalidInstance", "a connector's instance id must be 32 hexadecimal digits")
    digest = hashlib.sha256(place.encode()).hexdigest()[:10]
    readable = re.sub(r"[^0-9A-Za-z]+", "-", place).strip("-")
    return f"{name_key(hub)}-{instance_id}-{digest}-{readable}"[:_NAME_LIMIT].rstrip("-")
