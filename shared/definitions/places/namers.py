"""Who has named a container before anybody could list it: once one hub lists it, it is listed for the others as well.

So the hub that named it first is its owner, whichever sweep comes first. To name it is not enough: each is asked for
with its own secret, and who is not let in, or not answered in time, gains nothing.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from datetime import datetime

from shared.connectors.kinds import kind_of
from shared.connectors.source_account import open_account
from shared.deadline import deadline, pool_of_threads, seconds_left
from shared.definitions.places.claim_facts import ACCOUNT, Location, Named, is_let_in, named_since, unlisted
from shared.definitions.places.containers import Containers
from shared.definitions.places.named_containers import hubs_naming
from shared.definitions.rules.mapping_rules import FOLDER
from shared.definitions.store.definition_store import DefinitionStore, Stored
from shared.definitions.store.kinds import CONNECTOR_ALONE, CONNECTOR_AS_STORED, MAPPING_ALONE
from shared.domain.documents.connectors import ConnectorState
from shared.domain.documents.mappings import Mapping as DataMapping
from shared.domain.documents.mappings import split_folder
from shared.domain.errors import HubError
from shared.domain.names import name_key, same_name
from shared.permits import Permits
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.blob.blobs import BlobContainer
from shared.storage.key_vault import Vaults

logger = logging.getLogger(__name__)

# Those who named a container first are asked for, all at once, and nobody is waited for longer than this.
_MOST_HUBS = 8
_MOST_CONNECTORS = 2
_MOST_CONTAINERS = 4
_WITHIN_S = 2.0
# With less time than this it is left to a sweep, which has more.
_LEAST_S = 1.0
# Who does not answer keeps a thread for a few seconds, but no more of them than these.
_OF_ONE_HUB, _OF_ALL = 8, 256


@dataclass(frozen=True)
class Naming:
    """A container that a mapping names and that was not listed for it yet.

    Attributes:
        hub: of the mapping, whose connector its account has let in.
        since: when the mapping began to name it.
    """

    hub: str
    since: datetime
    mapping: Stored[DataMapping]
    named: Named

    @property
    def order(self) -> tuple[datetime, str]:
        """Who named it first comes first; of one moment the name of the hub decides, as with claims."""
        return self.since, name_key(self.hub)


@dataclass(frozen=True)
class Namers:
    """For whom else containers are listed.

    Attributes:
        before: those who named one before the hub that lists it now, the first first, and could list it.
        after: the others who could.
        left: containers that are to be listed again later, since now there was no time for all of them.
    """

    before: Sequence[Naming] = ()
    after: Sequence[Naming] = ()
    left: Collection[str] = field(default=frozenset())


class NamersOfContainers:
    """Lists containers for all who have named them; safe for use by many threads."""

    def __init__(self, store: DefinitionStore, containers: Containers, vaults: Vaults, settings: Settings) -> None:
        self._store = store
        self._containers = containers
        self._vaults = vaults
        self._settings = settings
        self._permits = Permits(_OF_ONE_HUB, _OF_ALL, 0.0, at_once_of_one=_OF_ONE_HUB, at_once=_OF_ALL)

    def list_for_others(self, hub: str, account: str, containers: Collection[str]) -> Namers:
        """Lists containers of an account that a hub has just listed for the other hubs that name them.

        One that anybody has listed before is not asked for again.
        """
        with self._store.consistent_read():
            new = [name for name in sorted(containers) if not self._containers.is_claimed(account, name)]
            namings = {name: self._namings_of((name_key(account), name)) for name in new}
        ours = {name: _first_of(hub, found) for name, found in namings.items()}
        wanted = {name: chosen for name, found in namings.items() if (chosen := _chosen(hub, found))}
        asked = [*wanted][:_MOST_CONTAINERS] if seconds_left() >= _LEAST_S else []
        listed = sorted(self._listed([one for name in asked for one in wanted[name]], account), key=_order)

        def is_before(one: Naming) -> bool:
            own = ours[one.named[0]]
            return own is None or one.order < own.order

        return Namers(
            [one for one in listed if is_before(one)],
            [one for one in listed if not is_before(one)],
            {*wanted} - {*asked},
        )

    def _listed(self, wanted: Sequence[Naming], account: str) -> list[Naming]:
        """Those of them that could list their container in time."""
        if not wanted:
            return []
        with deadline(min(_WITHIN_S, seconds_left() / 2)):
            pool = pool_of_threads(len(wanted), "namers")
            try:
                asked = {pool.submit(self._is_let_in, one, account): one for one in wanted}
                answered, _ = wait(asked, timeout=max(seconds_left(), 0.0))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        return [one for answer, one in asked.items() if answer in answered and answer.result()]

    def _is_let_in(self, one: Naming, account: str) -> bool:
        name = one.mapping.document.connector_name
        try:
            with self._permits.permit_now(name_key(one.hub)) as may:
                return may and self._can_list(one, account)
        except HubError as error:
            logger.info("nothing is listed for another hub: hub %s connector %s: %s", one.hub, name, error)
        except Exception:
            logger.exception("listing for another hub failed unexpectedly: hub %s connector %s", one.hub, name)
        return False

    def _can_list(self, one: Naming, account: str) -> bool:
        connector = self._store.require(CONNECTOR_AS_STORED, one.hub, one.mapping.document.connector_name).document
        if (source := kind_of(connector).source) is None:
            return False
        theirs = open_account(source(connector), self._vaults, self._settings)
        if not same_name(theirs.name, account):
            return False
        list_one(theirs.hurried(), one.mapping.document, one.named)
        return True

    def _namings_of(self, location: Location) -> list[Naming]:
        naming = hubs_naming(self._store, {location[1]})
        hubs = [hub.stored.document.hub_name for hub in naming if hub.stored is not None]
        found = [one for hub in hubs for one in self._of_hub(hub).get(location, ())]
        return sorted(found, key=_order)

    def _of_hub(self, hub: str) -> Mapping[Location, Sequence[Naming]]:
        def find() -> dict[Location, list[Naming]]:
            places: dict[Location, list[Naming]] = {}
            for location, one in self._find(hub):
                places.setdefault(location, []).append(one)
            return places

        return self._store.derived(hub, "namings", find)

    def _find(self, hub: str) -> Iterator[tuple[Location, Naming]]:
        connectors = {
            name_key(stored.document.connector_name): stored
            for stored in self._store.readable(CONNECTOR_ALONE, hub)
            if kind_of(stored.document).source and stored.document.state is not ConnectorState.DELETING
        }
        for mapping in self._store.readable(MAPPING_ALONE, hub) if connectors else []:
            connector = connectors.get(name_key(mapping.document.connector_name))
            account = connector.internal.get(ACCOUNT, "") if connector else ""
            if connector is None or not account or not is_let_in(connector, account):
                continue
            for one in unlisted(connector, mapping, account):
                yield (name_key(account), one[0]), Naming(hub, named_since(connector, mapping, one), mapping, one)


def list_one(account: StorageAccount, mapping: DataMapping, one: Named) -> None:
    """Asks for one blob where a mapping reads, or moves files to."""
    container, target = one
    folder = mapping.mapping_properties.complete_operation.destination_folder or ""
    prefix = mapping.prefix if target == FOLDER else split_folder(folder)[1]
    next(BlobContainer(account, container).pages(prefix, "", 1), None)


def _order(one: Naming) -> tuple[datetime, str]:
    return one.order


def _first_of(hub: str, namings: Sequence[Naming]) -> Naming | None:
    return next((one for one in namings if same_name(one.hub, hub)), None)


def _chosen(hub: str, namings: Sequence[Naming]) -> list[Naming]:
    """Of the first other hubs the first namings by some connectors of each."""
    hubs: dict[str, dict[str, Naming]] = {}
    for one in namings:
        if same_name(one.hub, hub):
            continue
        by_connector = hubs.setdefault(name_key(one.hub), {})
        by_connector.setdefault(name_key(one.mapping.document.connector_name), one)
    return [one for found in [*hubs.values()][:_MOST_HUBS] for one in [*found.values()][:_MOST_CONNECTORS]]
