"""Whose a container is: the app's own, or that of the hub whose mappings named it first.

A mapping claims the container that it reads and the one that it moves files to. Of the hubs that claim a container the
first owns it, and the others may use it while the owner lists it in its `sharedContainers`; to move files there they
need no leave as long as the owner reads none from it. A PUT is checked against what is stored at that moment; what two
hubs PUT at the same moment, what was stored before a connector's account was known, and what has changed since, is
found out when the container is used.
"""

import json
import logging
import time
from collections.abc import Mapping as Facts
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from shared.clock import Clock
from shared.definitions.kinds import CONNECTOR, HUB, MAPPING
from shared.definitions.mapping_rules import DESTINATION, FOLDER, own_container
from shared.definitions.store import HUBS, DefinitionStore, Stored
from shared.domain.connectors import Connector
from shared.domain.errors import ConflictError, Fault, RequestError
from shared.domain.hubs import Hub
from shared.domain.mappings import Mapping
from shared.domain.names import name_key, same_name
from shared.domain.places import is_own_container
from shared.settings import Settings
from shared.storage.accounts import StorageAccount, hub_account

logger = logging.getLogger(__name__)

# Names of facts among the internal ones of a connector: its account, while it is known; and the account that its
# mappings claim containers of, since when, which stays until another one lets it in; empty while none ever has.
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
    """A hub's claim of a container.

    Attributes:
        since: when it began.
        is_shared: whether others may use the container.
        is_read: whether its mappings read the container, and do not only move files to it.
        is_only: whether no other hub claims the container.
    """

    since: datetime
    hub: str
    is_shared: bool
    is_read: bool
    is_only: bool = True


type _Claims = dict[tuple[str, str], _Claim]


@dataclass(frozen=True)
class _Known:
    """First claims as they were read at a moment of the monotonic clock, after so many changes of this process."""

    claims: _Claims
    at: float
    commits: int


class Containers:
    """Who may use which container; safe for use by many threads."""

    def __init__(self, store: DefinitionStore, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        # Replaced as a whole and never waited for: whoever finds it too old reads for itself, with its own patience.
        self._known: _Known | None = None

    def is_own_account(self, account: str | None) -> bool:
        """Whether an account of this name is the hub's own, by whatever endpoint it is reached."""
        return account is not None and same_name(account, self._own_account)

    def check_use(
        self, hub: str, account: StorageAccount, container: str, target: str = "", *, is_destination: bool = False
    ) -> None:
        """Refuses a container that the hub may not use.

        Args:
            hub: that wants to use it.
            account: that has the container.
            container: its name.
            target: what names it, for the error.
            is_destination: whether files are only moved to it.

        Raises:
            RequestError: it is the app's own (`ContainerNotAllowed`).
            ConflictError: it is that of another hub (`ContainerOfAnotherHub`).
        """
        if is_own_container(container, is_own_account=self.is_own_account(account.name)):
            fault = own_container(container, target)
            raise RequestError(fault.code, fault.message, target, [fault])
        wanted = hub, account.name, container, is_destination
        if _owner(self._recent(), *wanted) and (owner := _owner(self._read(), *wanted)):
            logger.warning("container refused: hub %s container %s is of the hub %s", hub, container, owner)
            raise _of_another([_of_another_fault(container, target)])

    def check_new(self, connector: Stored[Connector], hub: str, mapping: Mapping) -> None:
        """Raises ConflictError for containers of other hubs that a mapping is about to name.

        While its connector's account was never found, nothing can be said; `check_use` does so later.
        """
        account = connector.internal.get(ACCOUNT) or facts_of_claim(connector).get(CLAIMED_ACCOUNT)
        claims = self._read() if account is not None else {}
        found = [
            _of_another_fault(container, target)
            for container, target in _named(mapping)
            if _owner(claims, hub, account or "", container, target == DESTINATION)
        ]
        if found:
            raise _of_another(found)

    def is_alone(self, hub: str, account: StorageAccount, container: str) -> bool:
        """Whether the mappings of no other hub name a container of the account, as of now."""
        claim = self._read().get((name_key(account.name), container))
        return claim is None or (claim.is_only and same_name(claim.hub, hub))

    def facts_of_mapping(
        self, connector: Stored[Connector], mapping: Mapping, old: Stored[Mapping] | None
    ) -> dict[str, str]:
        """The internal facts of a mapping: since when it names its containers."""
        now = self._moment(facts_of_claim(connector).get(CLAIMED_ACCOUNT))
        since = {container: (_since_named(old, container) if old else None) or now for container, _ in _named(mapping)}
        return {_CONTAINERS: json.dumps({name: moment.isoformat() for name, moment in since.items()})}

    def facts_of_account(self, connector: Stored[Connector], account: str, *, is_let_in: bool) -> dict[str, str]:
        """The internal facts of a connector whose account was found: it claims that account since now, or as before.

        Where the account does not let it in, what it claimed before stays: a secret can name any account.
        """
        earlier = facts_of_claim(connector)
        if same_name(earlier.get(CLAIMED_ACCOUNT, ""), account):
            return earlier
        if not is_let_in:
            return earlier or {CLAIMED_ACCOUNT: ""}
        return {CLAIMED_ACCOUNT: account, CLAIMED_SINCE: self._moment(account).isoformat()}

    @cached_property
    def _own_account(self) -> str:
        return hub_account(self._settings).name

    def _moment(self, account: str | None) -> datetime:
        """Now, and behind every claim of the account: the clocks of instances differ."""
        claims = self._read() if account is not None else {}
        known = [claim.since for (name, _), claim in claims.items() if same_name(name, account or "")]
        return max([self._clock.machine_now(), *(since + _MOMENT for since in known)])

    def _recent(self) -> _Claims:
        known = self._known
        if known is None or known.commits != self._store.commits or time.monotonic() - known.at >= _FRESH_S:
            return self._read()
        return known.claims

    def _read(self) -> _Claims:
        began, commits = time.monotonic(), self._store.commits
        claims: _Claims = {}
        with self._store.one_look():
            for hub in self._store.all(HUB, HUBS):
                for place, claim in self._claims_of(hub.document).items():
                    earlier = claims.get(place)
                    claims[place] = claim if earlier is None else _first_of(earlier, claim)
        self._known = _Known(claims, began, commits)
        return claims

    def _claims_of(self, hub: Hub) -> _Claims:
        """The claims of one hub: of each container since the first of its mappings named it."""
        found: _Claims = {}
        for connector in self._store.all(CONNECTOR, hub.hub_name):
            facts = facts_of_claim(connector)
            if CLAIMED_ACCOUNT not in facts:
                continue
            account, account_since = name_key(facts[CLAIMED_ACCOUNT]), _moment_of(facts[CLAIMED_SINCE])
            for mapping in self._store.all(MAPPING, hub.hub_name, connector.document.connector_name):
                for container, target in _named(mapping.document):
                    since = max(account_since, _since_named(mapping, container) or _EVER)
                    claim = _Claim(since, hub.hub_name, container in hub.shared_containers, target == FOLDER)
                    other = found.get((account, container), claim)
                    first, is_read = min(claim, other, key=lambda each: each.since), claim.is_read or other.is_read
                    found[account, container] = replace(first, is_read=is_read)
        return found


def facts_of_claim(connector: Stored[Connector]) -> dict[str, str]:
    """Which account a connector claims, and since when, among its internal facts; empty where none ever let it in."""
    facts = connector.internal
    if facts.get(CLAIMED_ACCOUNT):
        return {name: facts[name] for name in (CLAIMED_ACCOUNT, CLAIMED_SINCE)}
    if ACCOUNT not in facts or CLAIMED_ACCOUNT in facts:
        return {}
    # Stored by an earlier release.
    since = connector.document.created or _EVER
    return {CLAIMED_ACCOUNT: facts[ACCOUNT], CLAIMED_SINCE: since.isoformat()}


def _first_of(one: _Claim, other: _Claim) -> _Claim:
    """Of the claims of two hubs the one that came first; the name decides between claims of one moment."""
    return replace(min(one, other, key=lambda each: (each.since, name_key(each.hub))), is_only=False)


def _owner(claims: _Claims, hub: str, account: str, container: str, is_destination: bool) -> str | None:
    """The other hub that keeps a hub from using a container."""
    claim = claims.get((name_key(account), container))
    if claim is None or claim.is_shared or same_name(claim.hub, hub) or (is_destination and not claim.is_read):
        return None
    return claim.hub


def _named(mapping: Mapping) -> list[tuple[str, str]]:
    """The containers that a mapping names, and where it does."""
    named = [(mapping.container, FOLDER)]
    if mapping.destination not in {None, mapping.container}:
        named.append((mapping.destination or "", DESTINATION))
    return named


def _since_named(mapping: Stored[Mapping], container: str) -> datetime | None:
    """Since when a mapping names a container; None if it does not."""
    known: Facts[str, str] = json.loads(mapping.internal.get(_CONTAINERS, "{}"))
    if container in known:
        return _moment_of(known[container])
    # Stored by an earlier release.
    is_named = any(container == name for name, _ in _named(mapping.document))
    return (mapping.document.created or _EVER) if is_named else None


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
