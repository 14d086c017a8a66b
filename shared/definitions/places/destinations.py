"""Where connectors export to: their signatures, and whose the containers are."""

import json
from collections.abc import Mapping
from dataclasses import replace

from pydantic import SecretStr

from shared.connectors.kinds import kind_of
from shared.definitions.places.claim_facts import (
    BLOCKED,
    EXPORTS_TO,
    exports_from,
    is_same_but_for_claim,
    may_claim_its_past,
    with_claim,
)
from shared.definitions.places.claims import Use
from shared.definitions.places.containers import Containers
from shared.definitions.places.named_containers import note_named
from shared.definitions.secrets.secrets import Secrets, target_of
from shared.definitions.store.definition_store import Change, Conditions, DefinitionStore, Stored
from shared.definitions.store.kinds import CONNECTOR_AS_STORED
from shared.domain.documents.connectors import Connector, ConnectorState
from shared.domain.errors import RefusedError, RequestError, told
from shared.settings import Settings
from shared.storage.blob.sas import ContainerSas, read_container_sas

# A state of a connector, and its detail.
type Verdict = tuple[ConnectorState, str | None]


class Destinations:
    """The containers that connectors export to."""

    def __init__(self, store: DefinitionStore, secrets: Secrets, containers: Containers, settings: Settings) -> None:
        self._store = store
        self._secrets = secrets
        self._containers = containers
        self._settings = settings

    def sas(self, stored: Stored[Connector]) -> SecretStr:
        """The container SAS that a connector exports by.

        Raises:
            RequestError: no container's SAS, or the app's own. ConflictError: `ContainerOfAnotherHub`.
            RefusedError: the vault has it no more, or refuses. UnavailableError: the vault does not answer.
        """
        document, destination = stored.document, kind_of(stored.document).destination
        sas = self._secrets.read(stored.internal, destination)
        location = self.location_of(sas)
        if may_claim_its_past(stored):
            # Before anybody is asked: who came later shall not keep it out.
            self._claim(document.tenant_id, stored, *location)
        self._containers.check_use(document.tenant_id, *location, target_of(destination), Use.EXPORT)
        return sas

    def claim(self, hub: str, stored: Stored[Connector], sas: ContainerSas, exported: str | None = None) -> None:
        """Notes where a connector exports to, once its container has let it in, unless it was changed meanwhile.

        With an entity that has come out, by its folder, it is `Ready`, unless something is in the way of another one.
        """
        self._claim(hub, stored, sas.account, sas.container, exported)

    def block(self, hub: str, stored: Stored[Connector], folder: str, message: str) -> None:
        """Notes that an entity has somebody else's blob in its way: `Failed`, until it comes out, or a PUT or test."""
        blocked = {**_blocked(stored.internal), folder: message}
        note(self._store, hub, stored, _verdict(blocked), _with_blocked(stored.internal, blocked))

    def claim_past(self, hub: str, name: str, conditions: Conditions) -> Conditions:
        """Notes where a connector of an earlier release exports to, before it is replaced.

        Returns:
            The conditions, met by the connector as it is now where they were by the one without the note.
        """
        old = self._store.get(CONNECTOR_AS_STORED, hub, name)
        if old is None or not may_claim_its_past(old):
            return conditions
        conditions.check(old)
        try:
            location = self.location_of(self._secrets.read(old.internal, kind_of(old.document).destination))
        except (RequestError, RefusedError):
            return conditions  # there is nothing any more that it could export with
        noted = self._claim(hub, old, *location)
        if conditions.if_match is None or not is_same_but_for_claim(noted, old):
            return conditions
        return replace(conditions, if_match=noted.etag)

    def location_of(self, sas_uri: SecretStr) -> tuple[str, str]:
        """Account and container of a SAS."""
        sas = read_container_sas(sas_uri, self._settings)
        return sas.account, sas.container

    def _claim(
        self, hub: str, stored: Stored[Connector], account: str, container: str, exported: str | None = None
    ) -> Stored[Connector]:
        verdict, internal = None, stored.internal
        if exported is not None and stored.document.state in {ConnectorState.CREATING, ConnectorState.FAILED}:
            blocked = {folder: message for folder, message in _blocked(internal).items() if folder != exported}
            verdict, internal = _verdict(blocked), _with_blocked(internal, blocked)
        if verdict == (stored.document.state, stored.document.state_detail) and internal == stored.internal:
            verdict = None
        exports_to = self._containers.export_claim(stored, account, container)
        if verdict is None and exports_to == stored.internal.get(EXPORTS_TO):
            return stored
        return note(self._store, hub, stored, verdict, internal, exports_to)


def note(
    store: DefinitionStore,
    hub: str,
    stored: Stored[Connector],
    verdict: Verdict | None,
    internal: Mapping[str, str],
    exports_to: str | None = None,
) -> Stored[Connector]:
    """Notes what was found out about a connector, unless it was changed meanwhile; returns it as it is then.

    A claim that was noted meanwhile is no change, and stays unless it moved. Another verdict is one, but not for the
    check of a PUT, which finds the connector `Creating`: who exports in these seconds has not tried all that it does.

    Args:
        store: of all definitions.
        hub: of the connector.
        stored: the connector, as it was when this was found out.
        verdict: its new state, with the detail; None where that says nothing about it.
        internal: its internal facts, but for where it exports to.
        exports_to: its claim of where it exports to, as `with_claim` takes it.
    """
    name = stored.document.connector_name

    def make(change: Change) -> Stored[Connector]:
        present = store.get(CONNECTOR_AS_STORED, hub, name)
        if present is None or present.document.state is ConnectorState.DELETING:
            return present or stored
        is_any_state = verdict is None or stored.document.state is ConnectorState.CREATING
        if not is_same_but_for_claim(_in_state_of(stored, present) if is_any_state else present, stored):
            return present
        state, detail = verdict or (present.document.state, present.document.state_detail)
        facts = with_claim(internal, present.internal, exports_to)
        document = present.document.model_copy(update={"state": state, "state_detail": detail})
        if document == present.document and facts == present.internal:
            return present
        if (exports := exports_from(facts)) and exports != exports_from(present.internal):
            note_named(store, hub, {exports[1]})
        return change.put(CONNECTOR_AS_STORED, (name,), document, present.instance_id, facts)

    return store.change(hub, make, is_begun=True)


def without_blocked(facts: Mapping[str, str]) -> dict[str, str]:
    """Internal facts of a connector without what lay in the way of its entities when they were exported last."""
    return {name: fact for name, fact in facts.items() if name != BLOCKED}


def _blocked(facts: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = json.loads(facts.get(BLOCKED, "{}"))
    return found


def _with_blocked(facts: Mapping[str, str], blocked: Mapping[str, str]) -> dict[str, str]:
    return without_blocked(facts) | ({BLOCKED: json.dumps(blocked)} if blocked else {})


def _verdict(blocked: Mapping[str, str]) -> Verdict:
    """How a connector is by what lies in the way of its entities."""
    return (ConnectorState.FAILED, told([*blocked.values()])) if blocked else (ConnectorState.READY, None)


def _in_state_of(earlier: Stored[Connector], present: Stored[Connector]) -> Stored[Connector]:
    state = {"state": earlier.document.state, "state_detail": earlier.document.state_detail}
    return replace(present, document=present.document.model_copy(update=state))
