"""Whose a container is: the app's own, or that of the hub that named it first.

A hub claims the containers that its mappings read, those that they move files to, and those that it exports to. What
one hub puts into a container, or expects there, no other may read: whoever comes later needs its leave, or that of the
first of all, which is given by listing the container in `sharedContainers`. To move files into a container nobody
needs leave as long as the others only do so too, nor to export where the others only export, nor to do either where its
hub reads. A claim that is refused keeps nobody out. A PUT is checked against what is stored at that moment; what two
hubs PUT at the same moment, what was stored before a connector's account was known, and what has changed since, is
found out when the container is used.
"""

import json
import logging
import time
from collections.abc import Mapping as Facts
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from shared.clock import Clock
from shared.definitions.claims import Claim, Use, in_the_way, standing
from shared.definitions.kinds import CONNECTOR_AS_STORED, HUB, MAPPING
from shared.definitions.mapping_rules import DESTINATION, FOLDER, own_container_faults
from shared.definitions.store import HUBS, DefinitionStore, Kept, Stored
from shared.domain.connectors import Connector, ConnectorState, OutboundConnector
from shared.domain.errors import ConflictError, Fault, RequestError
from shared.domain.hubs import Hub
from shared.domain.mappings import Mapping
from shared.domain.names import name_key, same_name
from shared.settings import Settings
from shared.storage.accounts import StorageAccount, hub_account

logger = logging.getLogger(__name__)

OF_ANOTHER_HUB = "ContainerOfAnotherHub"

# Names of facts among the internal ones of a connector: the account that its secret names, while it is known; and the
# account that its mappings claim containers of, since when, which stays until another one lets it in; empty while none
# ever has. It hears of blobs where both are the same.
ACCOUNT = "account"
CLAIMED_ACCOUNT = "claimed_account"
CLAIMED_SINCE = "claimed_since"
# Of an Outbound connector: account and container that it exports to, and since when; empty while none ever let it in.
EXPORTS_TO = "exports_to"
# And of a mapping: its containers and since when it names them, by the property that does.
_CONTAINERS = "containers"

# A use is checked against claims that are at most so old; before it is refused they are read anew.
_FRESH_S = 30.0
_EVER = datetime.min.replace(tzinfo=UTC)
_MOMENT = timedelta(microseconds=1)
_USES = {FOLDER: Use.READ, DESTINATION: Use.MOVE}


# Since when a hub uses containers, by account and container.
type _Moments = dict[tuple[str, str], dict[Use, datetime]]
type _Claims = dict[tuple[str, str], list[Claim]]


@dataclass(frozen=True)
class _Known:
    """Claims as they were read at a moment of the monotonic clock, after so many changes of this process."""

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

    def check_use(self, hub: str, account: str, container: str, target: str = "", use: Use = Use.READ) -> None:
        """Refuses a container that the hub may not use.

        Args:
            hub: that wants to use it.
            account: name of the one that has the container.
            container: its name.
            target: what names it, for the error.
            use: what for.

        Raises:
            RequestError: it is the app's own (`ContainerNotAllowed`).
            ConflictError: it is that of another hub (`ContainerOfAnotherHub`).
        """
        self.check_not_own(account, container, target)
        wanted = hub, account, container
        if _other(self._recent(), *wanted, use) and (other := _other(self._read(), *wanted, use)):
            logger.warning("container refused: hub %s container %s is of the hub %s", hub, container, other.hub)
            raise _of_another([_of_another_fault(container, target, use, other)])

    def may_read(self, hub: str, account: str, container: str) -> bool:
        """Whether the hub may read a container, as of now; of many questions within a look one reads the definitions.

        For what tells a hub of blobs before any is asked for: `check_use` may go by what was stored 30 s ago.
        """
        if own_container_faults(container, "", is_own_account=self.is_own_account(account)):
            return False
        place = name_key(account), container
        with self._store.one_look():
            claims = [self._claim(hub, place) for hub in self._store.kept(HUB, HUBS)]
        found = standing([claim for claim in claims if claim is not None])
        return in_the_way(found, hub, Use.READ) is None

    def check_not_own(self, account: str, container: str, target: str) -> None:
        """Raises RequestError (`ContainerNotAllowed`) for a container of the app itself."""
        for fault in own_container_faults(container, target, is_own_account=self.is_own_account(account)):
            raise RequestError(fault.code, fault.message, target, [fault])

    def check_new_export(self, hub: str, account: str, container: str, target: str) -> None:
        """Raises ConflictError for a container that is another hub's and that a hub is about to export to."""
        if other := _other(self._read(), hub, account, container, Use.EXPORT):
            raise _of_another([_of_another_fault(container, target, Use.EXPORT, other)])

    def check_new(self, connector: Stored[Connector], hub: str, mapping: Mapping) -> None:
        """Raises ConflictError for containers of other hubs that a mapping is about to name.

        While its connector's account was never found, nothing can be said; `check_use` does so later.
        """
        account = connector.internal.get(ACCOUNT) or facts_of_claim(connector).get(CLAIMED_ACCOUNT)
        claims = self._read() if account is not None else {}
        found = [
            _of_another_fault(container, target, use, other)
            for container, target in _named(mapping)
            if (other := _other(claims, hub, account or "", container, use := _USES[target]))
        ]
        if found:
            raise _of_another(found)

    def is_alone(self, hub: str, account: StorageAccount, container: str) -> bool:
        """Whether no claim of another hub on a container of the account stands, as of now."""
        claims = standing(self._read().get((name_key(account.name), container), []))
        return all(same_name(claim.hub, hub) for claim in claims)

    def facts_of_mapping(
        self, connector: Stored[Connector], mapping: Mapping, old: Stored[Mapping] | None
    ) -> dict[str, str]:
        """The internal facts of a mapping: since when it names its containers."""
        now = self._moment(facts_of_claim(connector).get(CLAIMED_ACCOUNT))
        since = {
            target: [container, ((_since_named(old, container, target) if old else None) or now).isoformat()]
            for container, target in _named(mapping)
        }
        return {_CONTAINERS: json.dumps(since)}

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

    def export_claim(self, connector: Stored[Connector], account: str, container: str) -> str:
        """The fact `EXPORTS_TO` of a connector whose container lets it in: claimed since now, or as before."""
        place, earlier = [name_key(account), container], connector.internal.get(EXPORTS_TO)
        if earlier and json.loads(earlier)[:2] == place:
            return earlier
        is_past = may_claim_its_past(connector)
        since = (connector.document.created or _EVER) if is_past else self._moment(account)
        return json.dumps([*place, since.isoformat()])

    @cached_property
    def _own_account(self) -> str:
        return hub_account(self._settings).name

    def _moment(self, account: str | None) -> datetime:
        """Now, and behind every claim of the account: the clocks of instances differ."""
        claims = self._read() if account is not None else {}
        known = [
            moment + _MOMENT
            for (name, _), found in claims.items()
            for claim in found
            for moment in claim.since.values()
            if same_name(name, account or "")
        ]
        return max([self._clock.machine_now(), *known])

    def _recent(self) -> _Claims:
        known = self._known
        if known is None or known.commits != self._store.commits or time.monotonic() - known.at >= _FRESH_S:
            return self._read()
        return known.claims

    def _read(self) -> _Claims:
        began, commits = time.monotonic(), self._store.commits
        claims: _Claims = {}
        with self._store.one_look():
            for hub in self._store.kept(HUB, HUBS):
                for place, claim in self._claims_of(hub).items():
                    claims.setdefault(place, []).append(claim)
        self._known = _Known(claims, began, commits)
        return claims

    def _claims_of(self, hub: Kept[Hub]) -> dict[tuple[str, str], Claim]:
        """The claims of one hub, by account and container."""
        claims = {place: self._claim(hub, place) for place in self._moments_of(hub)}
        return {place: claim for place, claim in claims.items() if claim is not None}

    def _claim(self, hub: Kept[Hub], place: tuple[str, str]) -> Claim | None:
        """The claim of one hub on a container of an account.

        A hub that cannot be read shares nothing: it opens no container to others.
        """
        since = self._moments_of(hub).get(place)
        if since is None:
            return None
        name, shared = (
            (hub.stored.document.hub_name, hub.stored.document.shared_containers) if hub.stored else (hub.name, ())
        )
        return Claim(name, since, place[1] in shared)

    def _moments_of(self, hub: Kept[Hub]) -> _Moments:
        return self._store.derived(hub.name, "containers", lambda: self._find_moments(hub.name))

    def _find_moments(self, hub: str) -> _Moments:
        """Each since the first that names it; what cannot be read claims what is noted of it."""
        moments: _Moments = {}
        # In one request for all of them, since anybody may make connectors by the hundred.
        mappings: dict[str, list[Kept[Mapping]]] = {}
        for mapping in self._store.kept(MAPPING, hub):
            mappings.setdefault(mapping.parent, []).append(mapping)
        for connector in self._store.kept(CONNECTOR_AS_STORED, hub):
            if exports_to := connector.internal.get(EXPORTS_TO):
                account, container, since = json.loads(exports_to)
                _note(moments, (account, container), Use.EXPORT, _moment_of(since))
            facts = _claim_in(connector.internal, connector.stored.document if connector.stored else None)
            if CLAIMED_ACCOUNT not in facts:
                continue
            account, account_since = name_key(facts[CLAIMED_ACCOUNT]), _moment_of(facts[CLAIMED_SINCE])
            for mapping in mappings.get(connector.name, []):
                for container, target, named_since in _noted_since(mapping):
                    _note(moments, (account, container), _USES[target], max(account_since, named_since))
        return moments


def facts_of_claim(connector: Stored[Connector]) -> dict[str, str]:
    """Which account a connector claims, and since when, among its internal facts; empty where none ever let it in."""
    return _claim_in(connector.internal, connector.document)


def _claim_in(facts: Facts[str, str], document: Connector | None) -> dict[str, str]:
    if facts.get(CLAIMED_ACCOUNT):
        return {name: facts[name] for name in (CLAIMED_ACCOUNT, CLAIMED_SINCE)}
    if ACCOUNT not in facts or CLAIMED_ACCOUNT in facts or document is None:
        return {}
    # Stored by an earlier release.
    return {CLAIMED_ACCOUNT: facts[ACCOUNT], CLAIMED_SINCE: (document.created or _EVER).isoformat()}


def is_let_in(connector: Stored[Connector], account: str) -> bool:
    """Whether a connector names an account, as far as is known, that has let it in; not whether it does so now."""
    named, claimed = connector.internal.get(ACCOUNT, ""), facts_of_claim(connector).get(CLAIMED_ACCOUNT, "")
    return same_name(named, account) and same_name(claimed, account)


def may_claim_its_past(connector: Stored[Connector]) -> bool:
    """Whether an earlier release exported with a connector, and found its container well, but did not note which."""
    document = connector.document
    return (
        isinstance(document, OutboundConnector)
        and document.state is ConnectorState.READY
        and EXPORTS_TO not in connector.internal
    )


def is_same_but_for_claim(present: Stored[Connector], earlier: Stored[Connector]) -> bool:
    """Whether a connector is as it was, but that it may have been noted meanwhile where it exports to."""
    if present.etag == earlier.etag:
        return True
    return present.document == earlier.document and _but_for_claim(present.internal) == _but_for_claim(earlier.internal)


def with_claim(facts: Facts[str, str], present: Facts[str, str], exports_to: str | None) -> dict[str, str]:
    """Internal facts of a connector with the claim of where it exports to: the present one, unless it has moved.

    Args:
        facts: all others.
        present: the facts as they are now, whose claim may be older than the new one, and then stands before it.
        exports_to: the new claim; empty where no container ever let it in, None where nothing was found out.
    """
    kept = present.get(EXPORTS_TO)
    if not exports_to or (kept and json.loads(kept)[:2] == json.loads(exports_to)[:2]):
        exports_to = exports_to if kept is None else kept
    return {**_but_for_claim(facts), **({} if exports_to is None else {EXPORTS_TO: exports_to})}


def _but_for_claim(facts: Facts[str, str]) -> dict[str, str]:
    return {name: fact for name, fact in facts.items() if name != EXPORTS_TO}


def _note(moments: _Moments, place: tuple[str, str], use: Use, moment: datetime) -> None:
    since = moments.setdefault(place, {})
    since[use] = min(moment, since.get(use, moment))


def _other(claims: _Claims, hub: str, account: str, container: str, use: Use) -> Claim | None:
    """The claim of another hub that keeps a hub from using a container so."""
    return in_the_way(standing(claims.get((name_key(account), container), [])), hub, use)


def _named(mapping: Mapping) -> list[tuple[str, str]]:
    """The containers that a mapping names, and where it does."""
    named = [(mapping.container, FOLDER)]
    if mapping.destination not in {None, mapping.container}:
        named.append((mapping.destination or "", DESTINATION))
    return named


def _noted_since(mapping: Kept[Mapping]) -> list[tuple[str, str, datetime]]:
    """The containers that a mapping names, where it does, and since when."""
    if (stored := mapping.stored) is None:
        known: Facts[str, list[str]] = json.loads(mapping.internal.get(_CONTAINERS, "{}"))
        return [(container, target, _moment_of(since)) for target, (container, since) in known.items()]
    named = _named(stored.document)
    return [(container, target, _since_named(stored, container, target) or _EVER) for container, target in named]


def _since_named(mapping: Stored[Mapping], container: str, target: str) -> datetime | None:
    """Since when a mapping names a container at a place; None if it does not."""
    if _CONTAINERS in mapping.internal:
        known: Facts[str, list[str]] = json.loads(mapping.internal[_CONTAINERS])
        name, since = known.get(target, ["", ""])
        return _moment_of(since) if name == container else None
    # Stored by an earlier release.
    return (mapping.document.created or _EVER) if (container, target) in _named(mapping.document) else None


def _moment_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _of_another_fault(container: str, target: str, use: Use, other: Claim) -> Fault:
    if Use.READ in other.since:
        what = "came first to" if use is Use.READ else "reads what is put into"
    else:
        what = "exports to" if Use.EXPORT in other.since and use is not Use.EXPORT else "moves files to"
    message = (
        f"another hub {what} the container {container!r}; name one that is this hub's own, or have the other hub list "
        "it in its sharedContainers"
    )
    return Fault(OF_ANOTHER_HUB, target, message)


def _of_another(found: list[Fault]) -> ConflictError:
    return ConflictError(found[0].code, "; ".join(fault.message for fault in found), found[0].target, found)
