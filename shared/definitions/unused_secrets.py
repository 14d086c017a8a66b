"""Secrets in the vault that no connector names: listed before they can be, and removed by that list alone.

A row `secrets|...` of the hub's partition belongs to one PUT. It names the secrets that the PUT is about to store; the
transaction that stores the document puts those in their place that the document refers to no more, or takes the row
away. It outlives connector and hub. What no row lists is never deleted, so a table of definitions that is lost, or
restored to an older state, costs no secret.
"""

import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from itertools import groupby

from pydantic import SecretStr

from shared.clock import Clock
from shared.definitions.secrets.secrets import Pointer, Secrets, names_in_use, new_names
from shared.definitions.store.definition_store import Change, DefinitionStore
from shared.definitions.store.kinds import CONNECTOR
from shared.domain.errors import FatalError, HubError, PreconditionError
from shared.domain.names import name_key
from shared.storage.tables import ETAG, Row

logger = logging.getLogger(__name__)

_ROWS = "secrets|"
# A run that began with an earlier document, and may still read its secrets, is long over.
_UNUSED_FOR = timedelta(days=1)


class NewSecrets:
    """What one PUT stores in the vault, however often its change is made anew.

    Attributes:
        references: what the vault gave, by place.
    """

    def __init__(self, store: DefinitionStore, secrets: Secrets, clock: Clock, hub: str) -> None:
        self.references: dict[Pointer, str] = {}
        self._store = store
        self._secrets = secrets
        self._clock = clock
        self._hub = hub
        self._names: list[str] = []
        self._key = _new_key()
        self._etag: str | None = None

    @property
    def row(self) -> Row | None:
        """The row that lists what was stored, as it was last written; None where nothing was."""
        return {**self._row(), ETAG: self._etag} if self._etag else None

    def names_for(self, hub: str, instance_id: str, secrets: Mapping[Pointer, SecretStr]) -> dict[Pointer, str]:
        """New names for those secrets that are not stored yet, by place."""
        if self._etag and not self._is_ours():
            # An earlier try took effect after all, or upkeep took this PUT for dead: the names are no longer to be had.
            self.references, self._names, self._key, self._etag = {}, [], _new_key(), None
        return new_names(hub, instance_id, [pointer for pointer in secrets if pointer not in self.references])

    def keep(self, names: Mapping[Pointer, str], secrets: Mapping[Pointer, SecretStr]) -> None:
        """Lists names, and then stores their secrets."""
        if not names:
            return
        self._names += names.values()
        self._etag = self._store.write_noted(self._row(), self._etag)
        self.references |= self._secrets.keep(names, secrets)

    def confirm(self, change: Change, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Lists what a document no longer names, in the change that stores it.

        Args:
            change: takes effect only if nobody touched the row meanwhile.
            before: internal facts of the connector that is replaced.
            after: those of the one that is stored.
        """
        named = names_in_use(after)
        unused = [name for name in [*names_in_use(before), *self._names] if name not in named]
        if unused:
            key = self._key if self._etag else _new_key()
            change.note(key, self._facts(unused), self._etag)
        elif self._etag:
            change.drop_note(self._key, self._etag)

    def _is_ours(self) -> bool:
        row = self._store.noted(self._hub, self._key)
        return row is not None and row[ETAG] == self._etag

    def _row(self) -> Row:
        return {"PartitionKey": name_key(self._hub), "RowKey": self._key, **self._facts(self._names)}

    def _facts(self, names: Sequence[str]) -> Row:
        return {"names": json.dumps(names), "since": self._clock.machine_now()}


class UnusedSecrets:
    """The lists of all hubs, and the end of what they name."""

    def __init__(self, store: DefinitionStore, secrets: Secrets, clock: Clock) -> None:
        self._store = store
        self._secrets = secrets
        self._clock = clock

    def of_put(self, hub: str) -> NewSecrets:
        """The list of a PUT that begins."""
        return NewSecrets(self._store, self._secrets, self._clock, hub)

    def withdraw(self, new: NewSecrets) -> None:
        """Removes what a failed PUT stored, as far as the vault lets us; upkeep removes the rest.

        Nothing happens if the document was stored all the same; if it was not, it never will be.
        """
        try:
            if new.row:
                self._remove([new.row], self._secrets.delete)
        except HubError as error:
            logger.warning("secrets that a failed PUT stored are left to upkeep: %s", error)

    def remove(self, now: datetime) -> int:
        """Removes secrets from the vault that the app made and that no connector names; how many there were.

        Args:
            now: a request of less than a day ago may still be about to name what it has stored.

        Raises:
            RefusedError, UnavailableError: the vault refuses, or does not answer.
        """
        rows = [row for row in self._store.all_noted(_ROWS) if row["since"] < now - _UNUSED_FOR]
        return self._remove(rows, self._secrets.delete_made_here)

    def _remove(self, rows: Sequence[Row], delete: Callable[[AbstractSet[str]], int]) -> int:
        # From here on no change that needs a row as it was takes effect; those that did are seen below.
        claimed = [row for row in rows if self._claim(row)]
        unused: set[str] = set()
        confirmed: list[Row] = []
        for hub, of_hub in groupby(claimed, lambda row: row["PartitionKey"]):
            try:
                named = self._named(hub)
            except FatalError as error:
                # What it names nobody knows, so all that is listed of its hub waits until it can be read.
                logger.error("secrets of a hub are left to a later upkeep: hub %s: %s", hub, error)
                continue
            rows_of_hub = list(of_hub)
            unused |= {name for row in rows_of_hub for name in json.loads(row["names"])} - named
            confirmed += rows_of_hub
        removed = delete(unused) if unused else 0
        for row in confirmed:
            self._store.delete_noted(row)
        return removed

    def _named(self, hub: str) -> set[str]:
        return {name for stored in self._store.all(CONNECTOR, hub) for name in names_in_use(stored.internal)}

    def _claim(self, row: Row) -> bool:
        try:
            row[ETAG] = self._store.write_noted(row, row[ETAG])
        except PreconditionError:
            return False
        return True


def _new_key() -> str:
    return _ROWS + uuid.uuid4().hex
