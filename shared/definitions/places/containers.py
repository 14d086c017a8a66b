"""Whose a container is: the app's own, or that of the hub that came first.

A hub claims the containers that its mappings read, those that they move files to, and those that it exports to, each
once its connector was let in there: by listing it, or by a write. To name a container keeps nobody out. What
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
from collections.abc import Collection
from collections.abc import Mapping as Facts
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from shared.clock import Clock
from shared.definitions.places.claim_facts import (
    ACCOUNT,
    BLOB_ENDPOINT,
    CLAIMED_ACCOUNT,
    CLAIMED_SINCE,
    CLAIMS_BY_LISTING,
    EVER,
    EXPORTS_TO,
    USES,
    Location,
    claims_of,
    facts_of_claim,
    may_claim_its_past,
    named,
)
from shared.definitions.places.claims import Claim, Use, in_the_way, standing
from shared.definitions.places.named_containers import containers_named, hubs_naming
from shared.definitions.rules.mapping_rules import own_container_faults
from shared.definitions.store.definition_store import DefinitionStore, Kept, Stored
from shared.definitions.store.kinds import CONNECTOR_ALONE, MAPPING_ALONE
from shared.domain.documents.connectors import Connector
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import Fault, ForeignContainerError, OwnContainerError
from shared.domain.names import name_key, same_name
from shared.settings import Settings
from shared.storage.accounts import StorageAccount, hub_account

logger = logging.getLogger(__name__)


# A use is checked against claims that are at most so old; before it is refused they are read anew.
_FRESH_S = 30.0
_MOMENT = timedelta(microseconds=1)
# Since when a hub uses containers, by account and container.
type _Moments = dict[Location, dict[Use, datetime]]
type _Claims = dict[Location, list[Claim]]


@dataclass(frozen=True)
class _Known:
    """Claims of a container as they were read at a moment of the monotonic clock, after so many changes here."""

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
        self._known: Facts[str, _Known] = {}

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
        if _other(self._recent(container), *wanted, use) and (other := _other(self._read({container}), *wanted, use)):
            logger.warning("container refused: hub %s container %s is of the hub %s", hub, container, other.hub)
            raise _of_another([_of_another_fault(container, target, use, other)])

    def may_read(self, hub: str, account: str, container: str) -> bool | None:
        """Whether a claim of the hub to read a container stands, as of now; None where it has none and may get one.

        Of many questions within a consistent read only one reads the definitions.

        For what tells a hub of blobs before any is asked for: `check_use` may go by what was stored 30 s ago.
        """
        if own_container_faults(container, "", is_own_account=self.is_own_account(account)):
            return False
        location = name_key(account), container
        with self._store.consistent_read():
            claims = [self._claim(one, location) for one in hubs_naming(self._store, {container})]
        found = standing([claim for claim in claims if claim is not None])
        if any(same_name(claim.hub, hub) and Use.READ in claim.since for claim in found):
            return True
        return None if in_the_way(found, hub, Use.READ) is None else False

    def check_not_own(self, account: str, container: str, target: str) -> None:
        """Raises RequestError (`ContainerNotAllowed`) for a container of the app itself."""
        for fault in own_container_faults(container, target, is_own_account=self.is_own_account(account)):
            raise OwnContainerError(fault.code, fault.message, target, [fault])

    def check_new_export(self, hub: str, account: str, container: str, target: str) -> None:
        """Raises ConflictError for a container that is another hub's and that a hub is about to export to."""
        if other := _other(self._read({container}), hub, account, container, Use.EXPORT):
            raise _of_another([_of_another_fault(container, target, Use.EXPORT, other)])

    def check_new(self, connector: Stored[Connector], hub: str, mapping: Mapping) -> None:
        """Raises ConflictError for containers of other hubs that a mapping is about to name.

        While its connector's account was never found, nothing can be said; `check_use` does so later.
        """
        account = connector.internal.get(ACCOUNT) or facts_of_claim(connector).get(CLAIMED_ACCOUNT)
        claims = self._read({container for container, _ in named(mapping)}) if account is not None else {}
        found = [
            _of_another_fault(container, target, use, other)
            for container, target in named(mapping)
            if (other := _other(claims, hub, account or "", container, use := USES[target]))
        ]
        if found:
            raise _of_another(found)

    def check_mapping(self, hub: str, account: str, mapping: Mapping) -> None:
        """Raises as `check_use` for the containers of a mapping."""
        for container, target in named(mapping):
            self.check_use(hub, account, container, use=USES[target])

    def is_alone(self, hub: str, account: StorageAccount, container: str) -> bool:
        """Whether no claim of another hub on a container of the account stands, as of now."""
        claims = standing(self._read({container}).get((name_key(account.name), container), []))
        return all(same_name(claim.hub, hub) for claim in claims)

    def is_claimed(self, account: str, container: str) -> bool:
        """Whether anybody claims a container, as of now, even if the claim does not stand."""
        return (name_key(account), container) in self._read({container})

    def facts_of_account(
        self, connector: Stored[Connector], account: StorageAccount, *, is_let_in: bool
    ) -> dict[str, str]:
        """The internal facts of a connector whose account was found: it claims that account since now, or as before.

        Where the account does not let it in, what it claimed before stays: a secret can name any account.
        """
        earlier = facts_of_claim(connector)
        known = {ACCOUNT: account.name, BLOB_ENDPOINT: account.blob_endpoint}
        if same_name(earlier.get(CLAIMED_ACCOUNT, ""), account.name):
            return known | earlier
        if not is_let_in:
            return known | (earlier or {CLAIMED_ACCOUNT: ""})
        # What its mappings have listed in this account before counts again.
        containers = containers_named(self._store, connector.document.tenant_id)
        since = self.moment(account.name, containers).isoformat()
        return known | {CLAIMED_ACCOUNT: account.name, CLAIMED_SINCE: since, CLAIMS_BY_LISTING: "yes"}

    def export_claim(self, connector: Stored[Connector], account: str, container: str) -> str:
        """The fact `EXPORTS_TO` of a connector whose container lets it in: claimed since now, or as before."""
        location, earlier = [name_key(account), container], connector.internal.get(EXPORTS_TO)
        if earlier and json.loads(earlier)[:2] == location:
            return earlier
        is_past = may_claim_its_past(connector)
        since = (connector.document.created or EVER) if is_past else self.moment(account, {container})
        return json.dumps([*location, since.isoformat()])

    def moment(self, account: str, containers: Collection[str] | None) -> datetime:
        """Now, and behind every claim of these containers of an account, or of all: the clocks of instances differ."""
        known = [
            moment + _MOMENT
            for (name, _), found in self._read(containers).items()
            for claim in found
            for moment in claim.since.values()
            if same_name(name, account)
        ]
        return max([self._clock.machine_now(), *known])

    @cached_property
    def _own_account(self) -> str:
        return hub_account(self._settings).name

    def _recent(self, container: str) -> _Claims:
        known = self._known.get(container)
        return known.claims if known is not None and self._is_fresh(known) else self._read({container})

    def _is_fresh(self, known: _Known) -> bool:
        return known.commits == self._store.commits and time.monotonic() - known.at < _FRESH_S

    def _read(self, containers: Collection[str] | None = None) -> _Claims:
        """The claims of these containers, as of now, or of all; there may be others with them."""
        began, commits = time.monotonic(), self._store.commits
        claims: _Claims = {}
        with self._store.consistent_read():
            for hub in hubs_naming(self._store, containers):
                for location, claim in self._claims_of(hub).items():
                    claims.setdefault(location, []).append(claim)
        known = {
            name: _Known({location: found for location, found in claims.items() if location[1] == name}, began, commits)
            for name in containers or ()
        }
        fresh = {name: one for name, one in self._known.items() if self._is_fresh(one)}
        self._known = {**fresh, **known}
        return claims

    def _claims_of(self, hub: Kept[Hub]) -> dict[Location, Claim]:
        """The claims of one hub, by account and container."""
        claims = {location: self._claim(hub, location) for location in self._moments_of(hub)}
        return {location: claim for location, claim in claims.items() if claim is not None}

    def _claim(self, hub: Kept[Hub], location: Location) -> Claim | None:
        """The claim of one hub on a container of an account.

        A hub that cannot be read shares nothing: it opens no container to others.
        """
        since = self._moments_of(hub).get(location)
        if since is None:
            return None
        name, shared = (
            (hub.stored.document.hub_name, hub.stored.document.shared_containers) if hub.stored else (hub.name, ())
        )
        return Claim(name, since, location[1] in shared)

    def _moments_of(self, hub: Kept[Hub]) -> _Moments:
        return self._store.derived(hub.name, "containers", lambda: self._find_moments(hub.name))

    def _find_moments(self, hub: str) -> _Moments:
        """Since when a hub uses containers; what cannot be read claims what is noted of it."""
        moments: _Moments = {}
        # In one request for all of them, since anybody may make connectors by the hundred.
        mappings: dict[str, list[Kept[Mapping]]] = {}
        for mapping in self._store.kept(MAPPING_ALONE, hub):
            mappings.setdefault(mapping.parent, []).append(mapping)
        for connector in self._store.kept(CONNECTOR_ALONE, hub):
            for location, use, moment in claims_of(connector, mappings.get(connector.name, [])):
                since = moments.setdefault(location, {})
                since[use] = min(moment, since.get(use, moment))
        return moments


def _other(claims: _Claims, hub: str, account: str, container: str, use: Use) -> Claim | None:
    """The claim of another hub that keeps a hub from using a container so."""
    return in_the_way(standing(claims.get((name_key(account), container), [])), hub, use)


def _of_another_fault(container: str, target: str, use: Use, other: Claim) -> Fault:
    if Use.READ in other.since:
        what = "came first to" if use is Use.READ else "reads what is put into"
    else:
        what = "exports to" if Use.EXPORT in other.since and use is not Use.EXPORT else "moves files to"
    message = (
        f"another hub {what} the container {container!r}; name one that is this hub's own, or have the other hub list "
        "it in its sharedContainers"
    )
    return Fault("ContainerOfAnotherHub", target, message)


def _of_another(found: list[Fault]) -> ForeignContainerError:
    return ForeignContainerError(found[0].code, "; ".join(fault.message for fault in found), found[0].target, found)
