"""Keeping connectors: `Creating`, then the check of the connection, then `Ready` or `Failed`; `Deleting` at the end.

A secret goes to the vault when all else is checked, and before the document that refers to it goes to the table, so a
connector never lacks the secret it needs. What was stored for nothing is removed, by the PUT itself or by upkeep.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from shared.clock import Clock
from shared.connectors.check import Check, failures
from shared.connectors.kind import Trial
from shared.connectors.kinds import connector_from_json, kind_of
from shared.connectors.source_account import as_of_now, listed, open_account
from shared.definitions.hubs import open_hub
from shared.definitions.places.claim_facts import ACCOUNT, BLOB_ENDPOINT, BLOCKED, facts_of_claim
from shared.definitions.places.containers import Containers
from shared.definitions.places.destinations import Destinations, note, without_blocked
from shared.definitions.places.listings import Listings
from shared.definitions.rules.entity_list import check_entity_list
from shared.definitions.secrets.secrets import (
    PROPERTIES,
    Secrets,
    SplitProperties,
    expected_references,
    faults_of_secrets,
    references,
    split,
    target_of,
    with_references,
)
from shared.definitions.store.definition_store import HUBS, Change, Conditions, DefinitionStore, Stored
from shared.definitions.store.kinds import CONNECTOR, CONNECTOR_ALONE, CONNECTOR_AS_STORED, HUB, MAPPING
from shared.definitions.store.rows import check_size
from shared.definitions.unused_secrets import UnusedSecrets
from shared.domain.documents.connectors import Connector, ConnectorState
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping as DataMapping
from shared.domain.errors import (
    CommitConflictError,
    ConflictError,
    Fault,
    HubError,
    InvalidRequestError,
    RefusedError,
    RequestError,
)
from shared.domain.names import check_name, same_name
from shared.domain.schema_mark import Writer
from shared.failpoints import FailPoint, failpoint
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.key_vault import Vaults

logger = logging.getLogger(__name__)

_NOT_RUN = "this release keeps {} connectors, but does not run them yet"
# A transaction takes 100 operations.
_MAPPINGS_AT_ONCE = 90
_ANY = Conditions()


@dataclass(frozen=True)
class _Found:
    """What the check of a connection found out.

    Attributes:
        checks: what was tried.
        internal: the connector's internal facts, but for where it exports to.
        exports_to: that, as `note` takes it.
        account: that the connector reads, where its secret names one.
    """

    checks: list[Check]
    internal: Mapping[str, str]
    exports_to: str | None = None
    account: StorageAccount | None = None


class Connectors:
    """The life of connectors.

    Attributes:
        destinations: of those that export.
        unused_secrets: those in the vault that none of them names.
    """

    def __init__(
        self,
        store: DefinitionStore,
        vaults: Vaults,
        containers: Containers,
        listings: Listings,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._store = store
        self._vaults = vaults
        self._containers = containers
        self._listings = listings
        self._secrets = Secrets(vaults, settings)
        self.destinations = Destinations(store, self._secrets, containers, settings)
        self.unused_secrets = UnusedSecrets(store, self._secrets, clock)
        self._clock = clock
        self._settings = settings

    def all(self, hub: str) -> list[Stored[Connector]]:
        """The connectors of a hub, by name."""
        return self._store.all(CONNECTOR, hub)

    def readable(self, hub: str) -> list[Stored[Connector]]:
        """`all` for work on each of them, which goes on without what cannot be read; that is logged."""
        return self._store.readable(CONNECTOR, hub)

    def put(
        self, hub: str, name: str, connector: Connector, conditions: Conditions = _ANY
    ) -> tuple[Stored[Connector], bool]:
        """Creates or replaces a connector, tries its connection, and leaves it `Ready` or `Failed`.

        Of a type that this release does not run it is `Created`; where the process ends before the check does it stays
        `Creating`, until it is tested, replaced, or exports. A secret given as `***` stays as it was.
        """
        check_name(name, "connectorName")
        body = connector.to_json()
        destination = kind_of(connector).destination
        given = split(body[PROPERTIES], kind_of(connector).secrets)
        faults = [*given.faults, *self._faults_of_secrets_given(connector, body, given)]
        new = self.unused_secrets.of_put(hub)
        conditions = self.destinations.claim_past(hub, name, conditions)

        def make(change: Change) -> tuple[Stored[Connector], bool]:
            stored_hub = open_hub(self._store, change, hub)
            hub_name = stored_hub.document.hub_name
            old = self._store.get(CONNECTOR_AS_STORED, hub, name)
            conditions.check(old)
            if old is not None:
                _refuse_replacing(old.document, connector)
            listed, found = check_entity_list(self._store, hub, connector)
            kept, in_plain = _earlier_secrets(old, given.kept)
            found += [_nothing_to_keep(place) for place in given.kept if place not in {*kept, *in_plain}]
            if faults or found:
                raise InvalidRequestError([*faults, *found])
            if (sas := given.secrets.get(destination)) is not None:
                with self._store.consistent_read():
                    place = self.destinations.location_of(sas)
                    self._containers.check_new_export(hub, *place, target_of(destination))
            if old is None:
                change.connectors += 1
            instance_id = old.instance_id if old else _new_instance(stored_hub, name, change.connectors)
            document = connector_from_json({**body, PROPERTIES: {**given.masked, **listed}})
            document = document.model_copy(update=self._stamps(hub_name, name, old, change, document))
            facts = _facts_to_keep(old, document)
            secrets = {**given.secrets, **in_plain}
            names = new.names_for(hub_name, instance_id, secrets)
            check_size(document, with_references(facts, kept | new.references | expected_references(names)))
            new.keep(names, secrets)
            failpoint(FailPoint.SECRETS_KEPT)
            internal = with_references(facts, kept | {place: new.references[place] for place in secrets})
            new.confirm(change, old.internal if old else {}, internal)
            return change.put(CONNECTOR_AS_STORED, (name,), document, instance_id, internal), old is None

        try:
            stored, created = self._store.change(hub, make, asks_outside=True)
        except (RequestError, RefusedError, CommitConflictError):
            # Any other error is the service's, so upkeep asks it again later.
            self.unused_secrets.withdraw(new)
            raise
        failpoint(FailPoint.CONNECTOR_STORED)
        if stored.document.state is ConnectorState.CREATING:
            stored, _ = self._set_outcome(hub, stored)
        return stored, created

    def test(self, hub: str, name: str, *, take_over: bool = False) -> list[Check]:
        """Tries a connection for real; the connector is `Ready` or `Failed` afterwards.

        Args:
            hub, name: of the connector.
            take_over: whether a `metadata.json` that somebody else wrote to its destination becomes its own;
                InvalidRequestError where it has no destination.
        """
        self._store.require(HUB, HUBS, hub)
        stored = self._store.require(CONNECTOR, hub, name)
        if take_over and not kind_of(stored.document).destination:
            kind = stored.document.connector_type
            message = f"the connector {name!r} is {kind}, so it has no metadata.json to take over"
            raise InvalidRequestError([Fault("InvalidValue", "takeOver", message)])
        if stored.document.state is ConnectorState.DELETING:
            return [Check("connection", False, "the connector is being deleted; repeat its DELETE to finish that")]
        return self._set_outcome(hub, stored, take_over=take_over)[1]

    def set_state(self, hub: str, stored: Stored[Connector], state: ConnectorState, detail: str | None = None) -> None:
        """Notes what a run found out about a connection; nothing happens if the connector was changed meanwhile."""
        note(self._store, hub, stored, (state, detail), stored.internal)

    def delete(self, hub: str, name: str, conditions: Conditions = _ANY) -> None:
        """Deletes a connector with its mappings and secrets; it stays `Deleting` while the vault does not answer."""

        def begin(change: Change) -> Stored[Connector] | None:
            old = self._store.get(CONNECTOR_AS_STORED, hub, name)
            conditions.check(old)
            if old is None or old.document.state is ConnectorState.DELETING:
                return old
            document = old.document.model_copy(
                update={"state": ConnectorState.DELETING, "state_detail": "being deleted"}
            )
            return change.put(CONNECTOR_AS_STORED, (name,), document, old.instance_id, old.internal)

        stored = self._store.change(hub, begin)
        if stored is None:
            return
        failpoint(FailPoint.CONNECTOR_DELETING)
        while self._delete_mappings(hub, name):
            pass
        self._secrets.forget(stored.internal)
        failpoint(FailPoint.SECRETS_FORGOTTEN)

        def end(change: Change) -> None:
            if (present := self._store.get(CONNECTOR, hub, name)) and present.etag == stored.etag:
                change.delete(CONNECTOR, name)

        self._store.change(hub, end, is_begun=True)
        logger.info("connector deleted: hub %s connector %s", hub, name)

    def writer(self, hub: str, stored: Stored[Connector]) -> Writer:
        """Who writes to the destination of a connector that exports, as what it writes is marked."""
        name = stored.document.connector_name
        others = (other for other in self._store.kept(CONNECTOR_ALONE, hub) if not same_name(other.name, name))
        # One that cannot be read may export, and what it has written is not to be touched.
        neighbours = (
            other.name for other in others if other.stored is None or kind_of(other.stored.document).destination
        )
        return Writer(self._store.require(HUB, HUBS, hub).instance_id, name, frozenset(neighbours))

    def source_account(self, stored: Stored[Connector]) -> StorageAccount:
        """The account whose blobs a connector reads.

        Raises:
            InvalidRequestError: the secret is no usable connection.
            RefusedError: the vault refuses. UnavailableError: it does not answer.
        """
        document = stored.document
        if (source := kind_of(document).source) is None:
            message = f"the connector {document.connector_name!r} is {document.connector_type}, so it reads no blobs"
            raise RefusedError("NotAzureBlob", message)
        return open_account(source(document), self._vaults, self._settings)

    def _stamps(
        self, hub_name: str, name: str, old: Stored[Connector] | None, change: Change, document: Connector
    ) -> dict[str, Any]:
        now = self._clock.now()
        runs = kind_of(document).check is not None
        return {
            "connector_id": old.document.connector_id if old else change.connectors,
            "connector_name": old.document.connector_name if old else name,
            "tenant_id": hub_name,
            "created": old.document.created if old else now,
            "last_modified": now,
            "state": ConnectorState.CREATING if runs else ConnectorState.CREATED,
            "state_detail": None if runs else _NOT_RUN.format(document.connector_type),
        }

    def _faults_of_secrets_given(
        self, connector: Connector, body: Mapping[str, Any], given: SplitProperties
    ) -> list[Fault]:
        kind = kind_of(connector)
        faults = faults_of_secrets({name: value for name, value in body.items() if name != PROPERTIES})
        if (sas := given.secrets.get(kind.destination)) is not None:
            target = target_of(kind.destination)
            faults += _details_of(lambda: self._containers.check_not_own(*self.destinations.location_of(sas), target))
        if kind.source is not None:
            url = kind.source(connector)
            faults += _details_of(lambda: self._vaults.check_url(url))
        return faults

    def _set_outcome(
        self, hub: str, stored: Stored[Connector], *, take_over: bool = False
    ) -> tuple[Stored[Connector], list[Check]]:
        """Checks the connection and notes the outcome."""
        mappings: list[Stored[DataMapping]] = []
        if kind_of(stored.document).source is not None:
            mappings = self._store.all(MAPPING, hub, stored.document.connector_name)
        found = self._check(hub, stored, mappings, take_over)
        if found is None:
            message = _NOT_RUN.format(stored.document.connector_type)
            return stored, [Check("connection", False, f"{message}; nothing was tried")]
        checks, account = found.checks, found.account
        stored = note(self._store, hub, stored, _verdict(stored, checks), found.internal, found.exports_to)
        if account and self._listings.note_checked(stored, mappings, account, listed(checks)):
            checks = as_of_now(checks, lambda name: self._containers.check_use(hub, account.name, name))
            if checks != found.checks:
                stored = note(self._store, hub, stored, _verdict(stored, checks), stored.internal)
        return stored, checks

    def _check(
        self, hub: str, stored: Stored[Connector], mappings: Sequence[Stored[DataMapping]], take_over: bool
    ) -> _Found | None:
        """Tries the connection; None where there is nothing to try."""
        kind = kind_of(stored.document)
        if kind.check is None:
            return None
        sas, exports_to = None, None
        if kind.destination:
            exports_to = "" if stored.document.state is ConnectorState.CREATING else None
            try:
                sas = self.destinations.sas(stored)
            except HubError as error:
                return _Found([Check("secret", False, error.message)], stored.internal, exports_to)
        trial = Trial(
            self._settings,
            self._vaults,
            lambda place: sas if sas and place == kind.destination else self._secrets.read(stored.internal, place),
            [mapping.document.container for mapping in mappings],
            lambda account, container: self._containers.check_use(hub, account.name, container),
            lambda: self.writer(hub, stored),
            take_over,
        )
        found = kind.check(stored.document, trial)
        internal = without_blocked(stored.internal)
        if found.account is not None:
            internal |= self._containers.facts_of_account(stored, found.account, is_let_in=found.is_let_in)
        if sas is not None and found.is_let_in:
            exports_to = self._containers.export_claim(stored, *self.destinations.location_of(sas))
        return _Found(found.checks, internal, exports_to, found.account)

    def _delete_mappings(self, hub: str, connector: str) -> bool:
        """Deletes some mappings; whether there may be more."""

        def make(change: Change) -> bool:
            found = self._store.some(MAPPING, hub, connector, most=_MAPPINGS_AT_ONCE)
            for mapping in found:
                change.delete(MAPPING, connector, mapping.document.connector_mapping_name)
            return len(found) == _MAPPINGS_AT_ONCE

        return self._store.change(hub, make, is_begun=True)


def _earlier_secrets(old: Stored[Connector] | None, kept: Sequence[str]) -> tuple[dict[str, str], dict[str, SecretStr]]:
    """What `***` stands for, by place: references, and what an earlier release left in the document."""
    if old is None or not kept:
        return {}, {}
    known = references(old.internal)
    in_plain = split(old.document.to_json()[PROPERTIES], kind_of(old.document).secrets).secrets
    return (
        {place: known[place] for place in kept if place in known},
        {place: in_plain[place] for place in kept if place in in_plain and place not in known},
    )


def _new_instance(hub: Stored[Hub], name: str, number: int) -> str:
    """The id of a new connector: the same when a failed request is repeated, so that its secrets are found again."""
    return uuid.uuid5(uuid.UUID(hub.instance_id), f"{name.lower()}|{number}").hex


def _refuse_replacing(old: Connector, new: Connector) -> None:
    if old.state is ConnectorState.DELETING:
        message = f"the connector {old.connector_name!r} is being deleted; repeat its DELETE to finish that"
        raise ConflictError("ConnectorDeleting", message, old.connector_name)
    if old.connector_type != new.connector_type:
        message = f"the connector {old.connector_name!r} is {old.connector_type}, and stays so; use another name"
        raise ConflictError("ConnectorTypeConflict", message, "connectorType")


def _facts_to_keep(old: Stored[Connector] | None, new: Connector) -> Mapping[str, str]:
    """The account that was found is forgotten with the URL that led to it, not before: `is_let_in` goes by it."""
    if old is None:
        return {}
    source = kind_of(new).source
    if source is not None and source(old.document) == source(new):
        return old.internal
    # What its mappings claim stays theirs: the new URL may lead to the same account.
    kept = {name: value for name, value in old.internal.items() if name not in {ACCOUNT, BLOB_ENDPOINT, BLOCKED}}
    return {**kept, **facts_of_claim(old)}


def _verdict(stored: Stored[Connector], checks: Sequence[Check]) -> tuple[ConnectorState, str | None]:
    if (detail := failures(checks)) is not None:
        return ConnectorState.FAILED, detail
    return ConnectorState.READY, kind_of(stored.document).remark(stored.document)


def _nothing_to_keep(place: str) -> Fault:
    message = "there is no earlier secret that *** could stand for; send the secret"
    return Fault("NoSecretToKeep", target_of(place), message)


def _details_of(check: Any) -> list[Fault]:
    try:
        check()
    except RequestError as error:
        return list(error.details)
    return []
