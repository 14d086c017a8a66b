"""What is noted of claims of containers, among the internal facts of connectors and mappings.

A connector claims an account that has let it in. Of the containers that its mappings name those are claimed that it has
listed there, since it first did. What an earlier release stored counts as listed, in the account claimed by then.
"""

import json
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Facts
from datetime import UTC, datetime
from typing import NamedTuple

from shared.connectors.kinds import kind_of
from shared.definitions.places.claims import Use
from shared.definitions.rules.mapping_rules import DESTINATION, FOLDER
from shared.definitions.store.definition_store import Kept, Stored
from shared.domain.documents.connectors import Connector, ConnectorState
from shared.domain.documents.mappings import Mapping
from shared.domain.names import name_key, same_name

# Of a connector: the account that its secret names, and its address, while it is known; and the account that its
# mappings claim containers of, since when, which stays until another one lets it in; empty while none ever has. It
# hears of blobs where both are the same.
ACCOUNT = "account"
BLOB_ENDPOINT = "blob_endpoint"
CLAIMED_ACCOUNT = "claimed_account"
CLAIMED_SINCE = "claimed_since"
# That this release found the claimed account, so that mappings of an earlier one count as listed in it no more.
CLAIMS_BY_LISTING = "claims_by_listing"
# Of one that exports: account and container that it exports to, and since when; empty while none ever let it in.
EXPORTS_TO = "exports_to"
# And what of others lies in the way of its entities, by the folders that these are exported to.
BLOCKED = "blocked"
# Of a mapping: account and container that were listed for it, and since when, by the property that names the container.
_LISTED = "listed"
# Of a mapping: the containers that it names, and since when, likewise; an earlier release did not note that.
_NAMED = "named"
# And as another one noted what was listed: its containers and since when it names them.
_CONTAINERS = "containers"

EVER = datetime.min.replace(tzinfo=UTC)
USES = {FOLDER: Use.READ, DESTINATION: Use.MOVE}

# An account, its name in lower case, and a container of it.
type Location = tuple[str, str]
# A container that a mapping names, and the property that does.
type Named = tuple[str, str]


class _Listed(NamedTuple):
    """A container that was listed for a mapping, and when first."""

    account: str
    container: str
    since: str


def named(mapping: Mapping) -> list[Named]:
    """The containers that a mapping names, and where it does."""
    found = [(mapping.container, FOLDER)]
    if mapping.destination not in {None, mapping.container}:
        found.append((mapping.destination or "", DESTINATION))
    return found


def claims_of(
    connector: Kept[Connector], mappings: Sequence[Kept[Mapping]]
) -> Iterator[tuple[Location, Use, datetime]]:
    """What a connector and its mappings claim, for what, and since when."""
    if exports := exports_from(connector.internal):
        yield exports[:2], Use.EXPORT, exports[2]
    claim = _claim_in(connector.internal, connector.stored.document if connector.stored else None)
    if CLAIMED_ACCOUNT not in claim:
        return
    account, since = name_key(claim[CLAIMED_ACCOUNT]), datetime.fromisoformat(claim[CLAIMED_SINCE])
    for mapping in mappings:
        document = mapping.stored.document if mapping.stored else None
        for target, one in _listed(connector.internal, claim, mapping.internal, document).items():
            if one.account == account:
                yield (account, one.container), USES[target], max(since, datetime.fromisoformat(one.since))


def exports_from(facts: Facts[str, str]) -> tuple[str, str, datetime] | None:
    """Account and container that a connector exports to, and since when; None where none ever let it in."""
    if not (exports_to := facts.get(EXPORTS_TO)):
        return None
    account, container, since = json.loads(exports_to)
    return account, container, datetime.fromisoformat(since)


def containers_noted(facts: Facts[str, str]) -> set[str]:
    """The containers that the internal facts of a mapping tell of."""
    earlier: dict[str, tuple[str, str]] = json.loads(facts.get(_CONTAINERS, "{}"))
    naming: dict[str, tuple[str, str]] = json.loads(facts.get(_NAMED, "{}"))
    listed = {one.container for one in _noted(facts).values()}
    return listed | {container for container, _ in (*earlier.values(), *naming.values())}


def unlisted(connector: Stored[Connector], mapping: Stored[Mapping], account: str) -> list[Named]:
    """The containers of a mapping that are not listed yet in an account, and where it names them.

    None where its connector does not claim that account: nothing could come of it.
    """
    claim = facts_of_claim(connector)
    if not same_name(claim.get(CLAIMED_ACCOUNT, ""), account):
        return []
    known = _listed(connector.internal, claim, mapping.internal, mapping.document)
    there = {(one.container, target) for target, one in known.items() if one.account == name_key(account)}
    return [one for one in named(mapping.document) if one not in there]


def is_listed(mapping: Stored[Mapping]) -> bool:
    """Whether all containers of a mapping that this release has stored were listed, in whatever account."""
    return {target for _, target in named(mapping.document)} <= _noted(mapping.internal).keys()


def named_since(connector: Stored[Connector], mapping: Stored[Mapping], one: Named) -> datetime:
    """Since when a mapping names a container of the account that its connector claims; that came no earlier."""
    claimed = facts_of_claim(connector)[CLAIMED_SINCE]
    return max(datetime.fromisoformat(claimed), datetime.fromisoformat(_naming(mapping)[one[1]][1]))


def facts_of_mapping(
    connector: Stored[Connector], mapping: Mapping, old: Stored[Mapping] | None, moment: datetime
) -> dict[str, str]:
    """The internal facts of a mapping: since when it names what it does, and what of that was listed for it before.

    Args:
        connector: of the mapping.
        mapping: as it is to be.
        old: as it was.
        moment: now.
    """
    known: dict[str, _Listed] = {}
    if old is not None:
        known = _listed(connector.internal, facts_of_claim(connector), old.internal, old.document)
    still, before = named(mapping), _naming(old) if old is not None else {}
    naming = {target: (container, moment.isoformat()) for container, target in still}
    naming |= {target: one for target, one in before.items() if (one[0], target) in still}
    listed = {target: one for target, one in known.items() if (one.container, target) in still}
    return {_LISTED: json.dumps(listed), _NAMED: json.dumps(naming)}


def with_listed(facts: Facts[str, str], account: str, listed: Sequence[Named], moment: datetime) -> dict[str, str]:
    """The internal facts of a mapping with containers that were listed for it now; what was before, counts from then.

    Args:
        facts: of the mapping.
        account: that has the containers.
        listed: the containers, and where the mapping names them.
        moment: now.
    """
    known = _noted(facts)
    for container, target in listed:
        one = _Listed(name_key(account), container, moment.isoformat())
        if target not in known or known[target][:2] != one[:2]:
            known[target] = one
    return {**facts, _LISTED: json.dumps(known)}


def facts_of_claim(connector: Stored[Connector]) -> dict[str, str]:
    """Which account a connector claims, and since when, among its internal facts; empty where none ever let it in."""
    return _claim_in(connector.internal, connector.document)


def _claim_in(facts: Facts[str, str], document: Connector | None) -> dict[str, str]:
    if facts.get(CLAIMED_ACCOUNT):
        return {name: facts[name] for name in (CLAIMED_ACCOUNT, CLAIMED_SINCE)}
    if ACCOUNT not in facts or CLAIMED_ACCOUNT in facts or document is None:
        return {}
    # Stored by an earlier release.
    return {CLAIMED_ACCOUNT: facts[ACCOUNT], CLAIMED_SINCE: (document.created or EVER).isoformat()}


def is_let_in(connector: Stored[Connector], account: str) -> bool:
    """Whether a connector names an account, as far as is known, that has let it in; not whether it does so now."""
    named, claimed = connector.internal.get(ACCOUNT, ""), facts_of_claim(connector).get(CLAIMED_ACCOUNT, "")
    return same_name(named, account) and same_name(claimed, account)


def may_claim_its_past(connector: Stored[Connector]) -> bool:
    """Whether an earlier release exported with a connector, and found its container well, but did not note which."""
    document = connector.document
    return (
        kind_of(document).destination != ""
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


def _listed(
    connector: Facts[str, str], claim: Facts[str, str], facts: Facts[str, str], mapping: Mapping | None
) -> dict[str, _Listed]:
    """What was listed for a mapping, by the property that names it.

    Args:
        connector: internal facts of its connector.
        claim: those of the account that this claims.
        facts: its own internal ones.
        mapping: None where it cannot be read.
    """
    if _LISTED in facts:
        return _noted(facts)
    if CLAIMED_ACCOUNT not in claim or CLAIMS_BY_LISTING in connector:
        return {}
    account = name_key(claim[CLAIMED_ACCOUNT])
    known: dict[str, tuple[str, str]] = json.loads(facts.get(_CONTAINERS, "{}"))
    if not known and mapping is not None:
        created = (mapping.created or EVER).isoformat()
        known = {target: (container, created) for container, target in named(mapping)}
    return {target: _Listed(account, *one) for target, one in known.items()}


def _naming(mapping: Stored[Mapping]) -> dict[str, tuple[str, str]]:
    """The containers that a mapping names, and since when, by the property that does."""
    if _NAMED in mapping.internal:
        known: dict[str, tuple[str, str]] = json.loads(mapping.internal[_NAMED])
        return known
    created = (mapping.document.created or EVER).isoformat()
    return {target: (container, created) for container, target in named(mapping.document)}


def _noted(facts: Facts[str, str]) -> dict[str, _Listed]:
    return {target: _Listed(*one) for target, one in json.loads(facts.get(_LISTED, "{}")).items()}
