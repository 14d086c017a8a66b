"""A container is claimed once it was listed: to name one that another works in, or is to, keeps nobody out.

One that nobody has listed yet is listed for all that name it, in that order (`namers.py`).
"""

import json
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress

from shared.deadline import seconds_left
from shared.definitions.places.claim_facts import USES, Named, is_let_in, named, unlisted, with_listed
from shared.definitions.places.containers import Containers
from shared.definitions.places.destinations import note
from shared.definitions.places.namers import NamersOfContainers, Naming, list_one
from shared.definitions.rules.mapping_rules import FOLDER
from shared.definitions.store.definition_store import Change, DefinitionStore, Stored
from shared.definitions.store.kinds import MAPPING
from shared.definitions.store.rows import size_of
from shared.domain.documents.connectors import Connector, ConnectorState
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import HubError
from shared.domain.names import name_key
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.key_vault import Vaults
from shared.storage.tables import ETAG

logger = logging.getLogger(__name__)

# A transaction takes 100 operations and 4 MiB, in which a character of a row may be six.
_MAPPINGS_AT_ONCE = 90
_BYTES_AT_ONCE = 600_000

# A mapping, and what was listed for it.
type _Found = tuple[Stored[Mapping], Sequence[Named]]


class Listings:
    """What connectors have listed of the containers of their mappings."""

    def __init__(self, store: DefinitionStore, containers: Containers, vaults: Vaults, settings: Settings) -> None:
        self._store = store
        self._containers = containers
        self._namers = NamersOfContainers(store, containers, vaults, settings)

    def list_first(
        self,
        connector: Stored[Connector],
        mapping: Stored[Mapping],
        account: StorageAccount,
        asking: Callable[[], AbstractContextManager[None]],
    ) -> HubError | None:
        """Lists one blob of each container of a mapping that its connector has not listed yet, and notes that it could.

        Its hub claims the container, and hears of its blobs, from then on: whoever lists all of it afterwards finds
        what came before. A connector whose check was not let in by the account claims it from then on, and is `Ready`;
        it has a new ETag then. Gives why the container that files are moved to cannot be listed, where that is so.

        Args:
            connector: of the mapping.
            mapping: whose containers are found to be for its hub; see `Definitions.account_of_mapping`.
            account: that the connector reads.
            asking: entered for as long as the account is asked.

        Raises:
            ConflictError: another hub has listed it at the same moment, and came first (`ContainerOfAnotherHub`).
            HubError: the folder's container cannot be listed.
        """
        hub, is_known = mapping.document.tenant_id, is_let_in(connector, account.name)
        wanted = unlisted(connector, mapping, account.name) if is_known else named(mapping.document)
        listed: list[Named] = []
        refusal: HubError | None = None
        for container, target in wanted:
            try:
                with asking():
                    list_one(account, mapping.document, (container, target))
            except HubError as error:
                if target == FOLDER:
                    raise
                refusal = error
            else:
                listed.append((container, target))
        if not is_known:
            connector = self._let_in(hub, connector, account)
        # None where the connector was changed meanwhile, to be found anew by the next sweep.
        found = [one for one in unlisted(connector, mapping, account.name) if one in listed]
        if found:
            self._note_for_all(hub, account, [(mapping, found)])
            # Whoever has named them first, or listed them meanwhile, came first.
            self._containers.check_mapping(hub, account.name, mapping.document)
        return refusal

    def note_checked(
        self,
        connector: Stored[Connector],
        mappings: Sequence[Stored[Mapping]],
        account: StorageAccount,
        listed: Collection[str],
    ) -> bool:
        """Notes what the check of a connector has listed, and lists where its mappings move files to.

        Args:
            connector: as it is after the check.
            mappings: of it.
            account: that was checked.
            listed: the containers that its mappings read and that could be listed.

        Returns:
            Whether any was listed for the first time: it may have gone to another hub, which named it first.
        """
        hub, tried = connector.document.tenant_id, dict[str, bool]()

        def is_listed(container: str, target: str, mapping: Mapping) -> bool:
            if target == FOLDER:
                return container in listed
            if container not in tried:
                tried[container] = False
                with suppress(HubError):
                    self._containers.check_use(hub, account.name, container, use=USES[target])
                    list_one(account.hurried(), mapping, (container, target))
                    tried[container] = True
            return tried[container]

        found: list[_Found] = []
        for mapping in mappings:
            if seconds_left() <= 0:
                break  # the sweeps go on with it
            wanted = unlisted(connector, mapping, account.name)
            if names := [(name, target) for name, target in wanted if is_listed(name, target, mapping.document)]:
                found.append((mapping, names))
        # The check itself is done and noted; what cannot be noted now is listed by the sweeps again.
        with suppress(HubError):
            self._note_for_all(hub, account, found)
        return bool(found)

    def _note_for_all(self, hub: str, account: StorageAccount, found: Sequence[_Found]) -> None:
        """Notes what was listed for mappings of a hub, and for the others that name it, who named it first first."""
        containers = {container for _, names in found for container, _ in names}
        others = self._namers.list_for_others(hub, account.name, containers)
        self._note_for_others(account, others.before)
        kept = ((mapping, [one for one in names if one[0] not in others.left]) for mapping, names in found)
        found = [(mapping, names) for mapping, names in kept if names]
        while found:
            found = found[self._note(hub, account, found) :]
        self._note_for_others(account, others.after)

    def _note_for_others(self, account: StorageAccount, namings: Sequence[Naming]) -> None:
        for one in namings:
            try:
                self._note(one.hub, account, [(one.mapping, [one.named])])
            except HubError as error:  # nobody else shall go without for that
                logger.warning("a listing for another hub was not noted: hub %s: %s", one.hub, error)

    def _let_in(self, hub: str, connector: Stored[Connector], account: StorageAccount) -> Stored[Connector]:
        """Notes that an account has let a connector in whose check did not come to that; returns it as it is then."""
        facts = self._containers.facts_of_account(connector, account, is_let_in=True)
        is_better = connector.document.state in {ConnectorState.CREATING, ConnectorState.FAILED}
        verdict = (ConnectorState.READY, None) if is_better else None
        return note(self._store, hub, connector, verdict, {**connector.internal, **facts})

    def _note(self, hub: str, account: StorageAccount, found: Sequence[_Found]) -> int:
        """Notes what was listed for mappings, as many of them as one change takes; returns how many it came to.

        One that was changed meanwhile is left out. Their ETags stay, for they say the same.
        """

        containers = {container for _, listed in found for container, _ in listed}

        def make(change: Change) -> int:
            size, moment = 0, self._containers.moment(account.name, containers)
            for number, (mapping, listed) in enumerate(found[:_MAPPINGS_AT_ONCE]):
                key = _key(mapping.document)
                row = self._store.noted(hub, key)
                if row is None or row["revision"] != mapping.etag:
                    continue
                size += size_of(row)
                if number and size > _BYTES_AT_ONCE:
                    return number
                earlier = json.loads(row["internal"])
                facts = with_listed(earlier, account.name, listed, moment)
                if facts != earlier:
                    etag = row.pop(ETAG)
                    change.note(key, {**row, "internal": json.dumps(facts)}, etag)
            return min(len(found), _MAPPINGS_AT_ONCE)

        return self._store.change(hub, make)


def _key(mapping: Mapping) -> str:
    names = (mapping.connector_name, mapping.connector_mapping_name)
    return "|".join((MAPPING.prefix, *(name_key(name) for name in names)))
