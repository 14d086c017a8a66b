"""A container is claimed once it was listed: to name one that another works in, or is to, keeps nobody out."""

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress

from shared.deadline import seconds_left
from shared.definitions.claim_facts import USES, Named, unlisted, with_listed
from shared.definitions.containers import Containers
from shared.definitions.kinds import MAPPING
from shared.definitions.mapping_rules import FOLDER
from shared.definitions.store import Change, DefinitionStore, Stored
from shared.domain.connectors import Connector
from shared.domain.errors import HubError
from shared.domain.mappings import Mapping, split_folder
from shared.domain.names import name_key
from shared.storage.accounts import StorageAccount
from shared.storage.blobs import BlobContainer
from shared.storage.tables import ETAG


class Listings:
    """What connectors have listed of the containers of their mappings."""

    def __init__(self, store: DefinitionStore, containers: Containers) -> None:
        self._store = store
        self._containers = containers

    def list_first(
        self,
        connector: Stored[Connector],
        mapping: Stored[Mapping],
        account: StorageAccount,
        asking: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Lists what was not listed yet of a mapping's containers, and notes it; see `Definitions.list_first`."""
        hub, wanted = mapping.document.tenant_id, unlisted(connector, mapping, account.name)
        if not wanted:
            return
        listed: list[Named] = []
        for container, target in wanted:
            try:
                with asking():
                    _list(account, container, mapping.document, target)
            except HubError:
                if target == FOLDER:
                    raise
            else:
                listed.append((container, target))
        if listed:
            self._note(hub, mapping, account, listed)
            # Whoever has listed them meanwhile came first.
            self._containers.check_mapping(hub, account.name, mapping.document)

    def note_checked(
        self,
        connector: Stored[Connector],
        mappings: Sequence[Stored[Mapping]],
        account: StorageAccount,
        listed: Collection[str],
    ) -> None:
        """Notes what the check of a connector has listed, and lists where its mappings move files to.

        Args:
            connector: as it is after the check.
            mappings: of it.
            account: that was checked.
            listed: the containers that its mappings read and that could be listed.
        """
        hub, tried = connector.document.tenant_id, dict[str, bool]()

        def is_listed(container: str, target: str, mapping: Mapping) -> bool:
            if target == FOLDER:
                return container in listed
            if container not in tried:
                tried[container] = False
                with suppress(HubError):
                    self._containers.check_use(hub, account.name, container, use=USES[target])
                    _list(account.hurried(), container, mapping, target)
                    tried[container] = True
            return tried[container]

        for mapping in mappings:
            if seconds_left() <= 0:
                return  # the sweeps go on with it
            wanted = unlisted(connector, mapping, account.name)
            if found := [(name, target) for name, target in wanted if is_listed(name, target, mapping.document)]:
                self._note(hub, mapping, account, found)

    def _note(self, hub: str, mapping: Stored[Mapping], account: StorageAccount, listed: Sequence[Named]) -> None:
        """Notes what was listed, unless the mapping was changed meanwhile; its ETag stays, for it says the same."""
        document = mapping.document
        names = (document.connector_name, document.connector_mapping_name)
        key = "|".join((MAPPING.prefix, *(name_key(name) for name in names)))

        def make(change: Change) -> None:
            row = self._store.noted(hub, key)
            if row is None or row["revision"] != mapping.etag:
                return
            earlier = json.loads(row["internal"])
            facts = with_listed(earlier, account.name, listed, self._containers.moment(account.name))
            if facts != earlier:
                etag = row.pop(ETAG)
                change.note(key, {**row, "internal": json.dumps(facts)}, etag)

        self._store.change(hub, make)


def _list(account: StorageAccount, container: str, mapping: Mapping, target: str) -> None:
    """Asks for one blob where a mapping reads, or moves files to."""
    folder = mapping.mapping_properties.complete_operation.destination_folder or ""
    prefix = mapping.prefix if target == FOLDER else split_folder(folder)[1]
    next(BlobContainer(account, container).pages(prefix, "", 1), None)
