"""The secrets of connectors: taken out of the document, kept in Key Vault, and found again.

Every PUT that brings secrets stores them under names of their own. So what a failed PUT has stored is removed without
harm to another PUT of the same connector, and a deleted name, which the vault refuses for as long as it can be
recovered, is never used again.
"""

import json
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import SecretStr

from shared.connectors.kinds import connector_from_json, kind_of
from shared.domain.documents.connectors import MASK, Connector, is_secret_name, is_secret_value
from shared.domain.errors import FatalError, Fault, RefusedError
from shared.domain.own_names import is_own_secret, new_secret_name
from shared.redact import carries_secret
from shared.settings import Settings
from shared.storage.accounts import hub_account
from shared.storage.key_vault import Vaults

PROPERTIES = "connectorProperties"
MOST_SECRETS = 16
"""How many secrets a definition may have; each is a request to the vault."""

# Among the internal facts of a connector: its references by place, and the names that it used in the vault lately.
_REFERENCES = "secrets"
_NAMES = "secretNames"
_NAMES_KNOWN = 4 * MOST_SECRETS
# Tells the app's secrets from those of another installation in the same vault.
_TAG = "connectorsOf"
_ANY_VERSION = "0" * 32

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


def split(properties: Mapping[str, Any], declared: AbstractSet[str] = frozenset()) -> SplitProperties:
    """Takes the secrets out of connector properties, at any depth.

    Args:
        properties: as JSON values.
        declared: those that are secrets by what their kind says, whatever their name.
    """
    found = SplitProperties({}, {}, [], [])
    found.masked.update(_masked_object(properties, "", False, found, declared))
    if (number := len(found.secrets) + len(found.kept)) > MOST_SECRETS:
        message = f"these are {number} secrets, and a definition may have {MOST_SECRETS}; make several connectors of it"
        found.faults.append(Fault("TooManySecrets", PROPERTIES, message))
    return found


def masked_connector(stored: object) -> Connector:
    """Reads a stored connector; what is a secret by today's rules, and was none when it was stored, is `***`."""
    document = connector_from_json(stored)
    body = document.to_json()
    masked = split(body[PROPERTIES], kind_of(document).secrets).masked
    return document if masked == body[PROPERTIES] else connector_from_json({**body, PROPERTIES: masked})


def target_of(pointer: Pointer) -> str:
    """What a fault of the secret at a place names."""
    return PROPERTIES + "".join(f".{part}" for part in pointer.split("/")[1:])


def faults_of_secrets(document: Any, target: str = "") -> list[Fault]:
    """Faults for every text, outside connector properties, that carries a secret."""
    if isinstance(document, str):
        if not carries_secret(document):
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

    def __init__(self, vaults: Vaults, settings: Settings) -> None:
        self._vaults = vaults
        self._settings = settings

    def keep(self, names: Mapping[Pointer, str], secrets: Mapping[Pointer, SecretStr]) -> dict[Pointer, str]:
        """Stores secrets of a connector, each under its name.

        Returns:
            A reference, which is no secret, for each place.
        """
        tags = {_TAG: self._installation}
        return {
            pointer: self._vaults.set(name, secrets[pointer].get_secret_value(), tags)
            for pointer, name in names.items()
        }

    def read(self, internal: Mapping[str, str], pointer: Pointer) -> SecretStr:
        """The secret at a place of a stored connector; raises RefusedError where the vault has it no more."""
        reference = references(internal).get(pointer)
        if reference is None:
            raise RefusedError("SecretMissing", f"the connector has no secret at {pointer}; PUT it again with one")
        return SecretStr(self._vaults.get_own(reference))

    def forget(self, internal: Mapping[str, str]) -> None:
        """Deletes the secrets that a stored connector has or had lately; older ones are left to upkeep."""
        for name in secret_names(internal):
            self._vaults.delete(name)

    def delete(self, names: AbstractSet[str]) -> int:
        """Deletes secrets; nothing happens where one is gone. Returns how many names there were."""
        for name in sorted(names):
            self._vaults.delete(name)
        return len(names)

    def delete_made_here(self, names: AbstractSet[str]) -> int:
        """Deletes those secrets that are there and that this installation made; how many there were."""
        wanted = {name.lower() for name in names}
        return self.delete(
            {
                secret.name
                for secret in self._vaults.kept()
                if secret.name.lower() in wanted
                and is_own_secret(secret.name)
                and secret.tags.get(_TAG) == self._installation
            }
        )

    @cached_property
    def _installation(self) -> str:
        return hub_account(self._settings).name


def new_names(hub: str, instance_id: str, pointers: Sequence[Pointer]) -> dict[Pointer, str]:
    """Names in the vault for secrets at places of a connector, which nothing had before."""
    if not re.fullmatch(r"[0-9a-f]{32}", instance_id):
        raise FatalError("InvalidInstance", "a connector's instance id must be 32 hexadecimal digits")
    return {pointer: new_secret_name(hub, instance_id, pointer) for pointer in pointers}


def references(internal: Mapping[str, str]) -> dict[Pointer, str]:
    """The references among the internal facts of a connector."""
    found: dict[Pointer, str] = json.loads(internal.get(_REFERENCES, "{}"))
    return found


def expected_references(names: Mapping[Pointer, str]) -> dict[Pointer, str]:
    """References as long as those that the vault will give for these names."""
    return {pointer: f"{name}/{_ANY_VERSION}" for pointer, name in names.items()}


def with_references(internal: Mapping[str, str], found: Mapping[Pointer, str]) -> dict[str, str]:
    """Internal facts of a connector with other references."""
    # What was used lately is known, so that it goes with the connector: a run may still read it until then.
    earlier = [name for name in secret_names(internal) if name not in _names_in(found)]
    names = [*earlier, *_names_in(found)][-_NAMES_KNOWN:]
    return {**internal, _REFERENCES: json.dumps(dict(found)), _NAMES: json.dumps(names)}


def secret_names(internal: Mapping[str, str]) -> list[str]:
    """The names in the vault that a connector uses, behind those that it used before."""
    found: list[str] = json.loads(internal.get(_NAMES, "[]"))
    return found


def names_in_use(internal: Mapping[str, str]) -> list[str]:
    """The names in the vault that a connector refers to."""
    return _names_in(references(internal))


def _names_in(found: Mapping[Pointer, str]) -> list[str]:
    return [reference.split("/", maxsplit=1)[0] for reference in found.values()]


def _masked_object(
    value: Mapping[str, Any],
    pointer: Pointer,
    inside: bool,
    found: SplitProperties,
    declared: AbstractSet[str] = frozenset(),
) -> dict[str, Any]:
    masked = {}
    for name, item in value.items():
        if carries_secret(name):
            message = "a property's name carries a signature, key or password; remove it"
            found.faults.append(Fault("SecretNotAllowed", PROPERTIES, message))
            continue
        below = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        masked[name] = _masked(item, below, inside or name in declared or is_secret_name(name), found)
    return masked


def _masked(value: Any, pointer: Pointer, inside: bool, found: SplitProperties) -> Any:
    """`inside` says that the value stands in a property whose name makes everything in it a secret."""
    if isinstance(value, Mapping):
        return _masked_object(value, pointer, inside, found)
    if isinstance(value, list):
        return [_masked(item, f"{pointer}/{at}", inside, found) for at, item in enumerate(value)]
    if value == MASK:
        found.kept.append(pointer)
        return MASK
    if value is None or not (inside or is_secret_value(value)):
        return value
    found.secrets[pointer] = SecretStr(value if isinstance(value, str) else json.dumps(value))
    return MASK
