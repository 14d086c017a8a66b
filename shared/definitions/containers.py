"""Whose a container is: the app's own, or that of the hub whose mappings named it first.

A mapping claims the container that it reads and the one that it moves files to. Of the hubs that claim a container the
first owns it, and the others may use it while the owner lists it in its `sharedContainers`. A PUT is checked against
what is stored at that moment; what two hubs PUT at the same moment, what was stored before a connector's account was
known, and what has changed since, is found out when the container is used.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping as Facts
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from shared.clock import Clock
from shared.definitions.kinds import CONNECTOR, HUB, MAPPING
from shared.definitions.mapping_rules import DESTINATION, FOLDER, own_container
from shared.definitions.store import HUBS, DefinitionStore, Stored
from shared.domain.connectors import Connector
from shared.domain.errors import ConflictError, Fault, RequestError
from shared.domain.mappings import Mapping
from shared.domain.names import name_key, same_name
from shared.domain.places import is_own_container
from shared.settings import Settings
from shared.storage.accounts import StorageAccount, hub_account

logger = logging.getLogger(__name__)

# Names of facts among the internal ones of a connector: its account, while it is known; and the account that its
# mappings claim containers of, since when, which stays until another one is found.
ACCOUNT = "account"
CLAIMED_ACCOUNT = "claimed_account"
CLAIMED_SINCE = "claimed_since"
# And of a mapping: since when it names its containers.
_CONTAINERS = "containers"

# A use is checked against claims that are at most so old; before it is refused they are read anew.
_FRESH_S = 30.0
_EVER = datetime.min.replace(tzinfo=UTC)
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Claim:
    since: datetime
    hub: str
    is_shared: bool


type _Claims = dict[tuple[str, str], _Claim]


class Containers:
    """Who may use which container; safe for use by many threads."""

    def __init__(self, store: DefinitionStore, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._known: _Claims = {}
        self._known_at: float | None = None
        self._known_commits = 0
        self._lock = threading.Lock()

    def is_own_account(self, account: str | None) -> bool:
        """Whether an account of this name is the hub's own, by whatever endpoint it is reached."""
        return account is not None and same_name(account, self._own_account)

    def check_use(self, hub: str, account: StorageAccount, container: str, target: str = "") -> None:
        """Refuses a container that the hub may not use.

        Raises:
            RequestError: it is the app's own (`ContainerNotAllowed`).
            ConflictError: it is that of another hub (`ContainerOfAnotherHub`).
        """
        if is_own_container(container, is_own_account=self.is_own_account(account.name)):
            fault = own_container(container, target)
            raise RequestError(fault.code, fault.message, target, [fault])
        if self._owner(self._recent(), hub, account.name, container) and (
            owner := self._owner(self._read(), hub, account.name, container)
        ):
            logger.warning("container refused: hub %s container %s is of the hub %s", hub, container, owner)
            raise _of_another([_of_another_fault(container, target)])

    def check_new(self, connector: Stored[Connector], hub: str, mapping: Mapping) -> None:
        """Raises ConflictError for containers of other hubs that a mapping is about to name.

        While its connector's account was never found, nothing can be said; `check_use` does so later.
        """
        account = facts_of_claim(connector).get(CLAIMED_ACCOUNT)
        claims = self._read() if account is not None else {}
        found = [
            _of_another_fault(container, target)
            for container, target in _named(mapping)
            if self._owner(claims, hub, account or "", container)
        ]
        if found:
            raise _of_another(found)

    def facts_of_mapping(
        self, connector: Stored[Connector], mapping: Mapping, old: Stored[Mapping] | None
    ) -> dict[str, str]:
        """The internal facts of a mapping: since when it names its containers."""
        now = self._moment(facts_of_claim(connector).get(CLAIMED_ACCOUNT))
        since = {container: (_since_named(old, container) if old else None) or now for container, _ in _named(mapping)}
        return {_CONTAINERS: json.dumps({name: moment.isoformat() for name, moment in since.items()})}

    def facts_of_account(self, connector: Stored[Connector], account: str) -> dict[str, str]:
        """The internal facts of a connector whose account was found: it claims that account since now, or as before."""
        earlier = facts_of_claim(connector)
        if same_name(earlier.get(CLAIMED_ACCOUNT, ""), account):
            return earlier
        return {CLAIMED_ACCOUNT: account, CLAIMED_SINCE: self._moment(account).isoformat()}

    @cached_property
    def _own_account(self) -> str:
        return hub_account(self._settings).name

    def _moment(self, account: str | None) -> datetime:
        """Now, and behind every claim of the account: the clocks of instances differ."""
        claims = self._read() if account is not None else {}
        known = [claim.since for (name, _), claim in claims.items() if same_name(name, account or "")]
        return max([self._clock.machine_now(), *(since + _MOMENT for since in known)])

    def _owner(self, claims: _Claims, hub: str, account: str, container: str) -> str | None:
        """The other hub that alone may use a container."""
        claim = claims.get((name_key(account), container))
        if claim is None or claim.is_shared or same_name(claim.hub, hub):
            return None
        return claim.hub

    def _recent(self) -> _Claims:
        with self._lock:
            is_fresh = self._known_at is not None and time.monotonic() - self._known_at < _FRESH_S
            if is_fresh and self._known_commits == self._store.commits:
                return self._known
            return self._read_now()

    def _read(self) -> _Claims:
        with self._lock:
            return self._read_now()

    def _read_now(self) -> _Claims:
        began, commits = time.monotonic(), self._store.commits
        claims: _Claims = {}
        with self._store.one_look():
            for hub in self._store.all(HUB, HUBS):
                for place, since in self._claims_of(hub.document.hub_name):
                    claim = _Claim(since, hub.document.hub_name, place[1] in hub.document.shared_containers)
                    first = claims.get(place)
                    if first is None or (since, name_key(claim.hub)) < (first.since, name_key(first.hub)):
                        claims[place] = claim
        self._known, self._known_at, self._known_commits = claims, began, commits
        return claims

    def _claims_of(self, hub: str) -> list[tuple[tuple[str, str], datetime]]:
        found = []
        for connector in self._store.all(CONNECTOR, hub):
            facts = facts_of_claim(connector)
            if CLAIMED_ACCOUNT not in facts:
                continue
            account, account_since = name_key(facts[CLAIMED_ACCOUNT]), _moment_of(facts[CLAIMED_SINCE])
            for mapping in self._store.all(MAPPING, hub, connector.document.connector_name):
                for container, _ in _named(mapping.document):
                    since = _since_named(mapping, container) or mapping.document.created or _EVER
                    found.append(((account, container), max(account_since, since)))
        return found


def facts_of_claim(connector: Stored[Connector]) -> dict[str, str]:
    """Which account a connector claims, and since when, among its internal facts; empty where none was ever found."""
    facts = connector.internal
    if CLAIMED_ACCOUNT in facts:
        return {name: facts[name] for name in (CLAIMED_ACCOUNT, CLAIMED_SINCE)}
    if ACCOUNT not in facts:
        return {}
    # Stored by an earlier release.
    since = connector.document.created or _EVER
    return {CLAIMED_ACCOUNT: facts[ACCOUNT], CLAIMED_SINCE: since.isoformat()}


def _named(mapping: Mapping) -> list[tuple[str, str]]:
    """The containers that a mapping names, and where it does."""
    named = [(mapping.container, FOLDER)]
    if mapping.destination not in {None, mapping.container}:
        named.append((mapping.destination or "", DESTINATION))
    return named


def _since_named(mapping: Stored[Mapping], container: str) -> datetime | None:
    known: Facts[str, str] = json.loads(mapping.internal.get(_CONTAINERS, "{}"))
    return _moment_of(known[container]) if container in known else None


def _moment_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _of_another_fault(container: str, target: str) -> Fault:
    message = (
        f"mappings of another hub use the container {container!r}; name another, or have that hub list it in its "
        "sharedContainers"
    )
    return Fault("ContainerOfAnotherHub", target, message)


def _of_another(found: list[Fault]) -> ConflictError:
    return ConflictError(found[0].code, "; ".join(fault.message for fault in found), found[0].target, found)
