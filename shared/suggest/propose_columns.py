"""From the columns of a file to fields: names, types by a full scan of the sample, and the culture of its numbers."""

import json
from collections import Counter
from dataclasses import dataclass

from shared.definitions.secrets.secrets import faults_of_secrets
from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.fields import FieldType
from shared.domain.shown import listed
from shared.suggest.name_fields import LONGEST, field_names, id_rank, words
from shared.suggest.scan_columns import Counted, Scan
from shared.suggest.type_candidates import CULTURES, Candidate, candidates, digits, numbers

_LONGEST_COLUMN_NAME = 512
# What the columns of one type may take in the properties of a stored definition, which hold 32 Ki characters each, and
# of a request of 256 KiB; see `definitions/store/definition_store.py` and `http/protocol/body.py`.
_STORED_CHARACTERS = 30_000
_SENT_BYTES = 200_000
_SENT_PER_COLUMN = 100
_FRACTIONS = frozenset({FieldType.DECIMAL, FieldType.DOUBLE})


@dataclass(frozen=True, slots=True)
class Column:
    """A column and the field that is proposed for it.

    Attributes:
        position: number in the file, from 0.
        type: how its cells are read; None for text.
    """

    position: int
    name: str
    field_name: str
    type: Candidate | None
    counted: Counted

    @property
    def kind(self) -> FieldType:
        """The field's type."""
        return self.type.kind if self.type else FieldType.STRING

    @property
    def specifier(self) -> str | None:
        """The format of its dates or times."""
        return self.type.specifier if self.type else None


def usable_columns(header: list[str]) -> tuple[dict[int, str], list[str]]:
    """The columns that a mapping can name, by their position, and notes about the others."""
    standing = Counter(header)
    left_out: dict[str, list[str]] = {}
    usable: dict[int, str] = {}
    stored = sent = 0
    for at, name in enumerate(header):
        reason = _unusable(name, standing)
        if reason is None:
            letters = min(len("".join(words(name))), LONGEST) + len("Column0000")
            stored += 2 * letters + len(r"\"\": [\"\", \"Edm.DateTimeOffset\", false], ")
            sent += letters + len(json.dumps(name)) + _SENT_PER_COLUMN
            if stored > _STORED_CHARACTERS or sent > _SENT_BYTES:
                reason = "no room: a definition does not hold more columns; map these to a type of their own"
        if reason is None:
            usable[at] = name
        else:
            left_out.setdefault(reason, []).append(f"column {at + 1}" if "name" in reason else name)
    return usable, [f"left out: {listed(names)}: {reason}" for reason, names in left_out.items()]


def propose_columns(
    scan: Scan, usable: dict[int, str], form: MappingFormat
) -> tuple[list[Column], MappingFormat, list[str]]:
    """The columns with their types, the format with the culture of their numbers, and why."""
    as_text = scan.counted(dict.fromkeys(usable))
    filled = {at: name for at, name in usable.items() if as_text[at].distinct}
    order = candidates(form)
    tried = [*_with_twins(order), digits(form)]
    read = scan.reading(dict.fromkeys(filled, tried))
    types: dict[int, Candidate | None] = dict.fromkeys(usable)
    types |= {at: _first(order, read[at], name) for at, name in filled.items()}
    notes = []
    if not form.accept_language and "accept_language" not in form.model_fields_set:
        form, culture_notes = _adopt_culture(scan, filled, types, form)
        notes += culture_notes
    notes += _notes_on_text(filled, types, read)
    if empty := [name for at, name in usable.items() if at not in filled]:
        notes.append(f"text for want of any value: {listed(empty)}")
    names = field_names(list(usable.values()), list(usable))
    counted = scan.counted(types)
    columns = [
        Column(at, name, field, types[at], counted[at]) for (at, name), field in zip(usable.items(), names, strict=True)
    ]
    return columns, form, notes


def _unusable(name: str, standing: Counter[str]) -> str | None:
    if not name:
        return "it has no name"
    if standing[name] > 1:
        return "the file has more than one column so called; give each its own"
    if len(name) > _LONGEST_COLUMN_NAME:
        return f"its name has more than {_LONGEST_COLUMN_NAME} characters"
    if faults_of_secrets(name):
        return "its name carries a signature, key or password"
    return None


def _with_twins(wanted: list[Candidate]) -> list[Candidate]:
    found: list[Candidate] = []
    for candidate in wanted:
        found += [tried for tried in candidate.with_twin if (tried.kind, tried.specifier) not in _known(found)]
    return found


def _known(found: list[Candidate]) -> set[tuple[FieldType, str | None]]:
    return {(candidate.kind, candidate.specifier) for candidate in found}


def _first(order: list[Candidate], read: list[Candidate], name: str) -> Candidate | None:
    known = _known(read)
    for candidate in order:
        if (candidate.kind, candidate.specifier) not in known or (candidate.kind, candidate.twin or "") in known:
            continue
        if candidate.specifier == "yyyyMMdd" and id_rank(name) is not None:
            continue
        return candidate
    return None


def _adopt_culture(
    scan: Scan, filled: dict[int, str], types: dict[int, Candidate | None], form: MappingFormat
) -> tuple[MappingFormat, list[str]]:
    """Looks for the culture in which more columns are numbers, and changes `types` to it."""
    text = [at for at in filled if types[at] is None]
    plain = [at for at in filled if (chosen := types[at]) and chosen.kind in _FRACTIONS]
    gains: dict[str, int] = {}
    found: dict[str, dict[int, list[Candidate]]] = {}
    for culture in CULTURES if text else ():
        written = form.model_copy(update={"accept_language": culture})
        found[culture] = scan.reading({at: numbers(written) for at in (*text, *plain)})
        read = {at for at, kinds in found[culture].items() if kinds}
        gains[culture] = len(read & set(text)) - len(set(plain) - read)
    most = max(gains.values(), default=0)
    best = [culture for culture, gain in gains.items() if gain == most]
    if most <= 0:
        other = [filled[at] for at in text if any(kinds[at] for kinds in found.values())]
        return form, [f"text: {listed(other)}: numbers as another culture than the rest writes them"] if other else []
    if len(best) > 1:
        either = [filled[at] for at in text if found[best[0]][at]]
        return form, [f"text: {listed(either)}: numbers as {' or as '.join(best)} writes them; declare acceptLanguage"]
    (culture,) = best
    changed = [at for at in (*text, *plain) if found[culture][at]]
    lost = [filled[at] for at in plain if not found[culture][at]]
    types |= {at: next(iter(found[culture][at]), None) for at in (*text, *plain)}
    notes = [f"acceptLanguage: {culture}, since only so are these numbers: {listed(filled[at] for at in changed)}"]
    if lost:
        notes.append(f"text: {listed(lost)}: numbers as another culture than {culture} writes them")
    return form.model_copy(update={"accept_language": culture}), notes


def _notes_on_text(
    filled: dict[int, str], types: dict[int, Candidate | None], read: dict[int, list[Candidate]]
) -> list[str]:
    notes = []
    text = [at for at in filled if types[at] is None]
    if kept := [filled[at] for at in text if (FieldType.STRING, None) in _known(read[at])]:
        notes.append(f"text: {listed(kept)}: digits, but with leading zeros, plus signs or too many for a whole number")
    if either := [filled[at] for at in text if any(candidate.specifier for candidate in read[at])]:
        notes.append(
            f"text: {listed(either)}: dates in which day and month cannot be told apart, as no day above 12 occurs; "
            "declare customFormatSpecifier and the type if you know"
        )
    declared: dict[str, list[str]] = {}
    for at, chosen in types.items():
        if chosen is not None and chosen.specifier:
            declared.setdefault(chosen.specifier, []).append(filled[at])
    notes += [f"customFormatSpecifier: {specifier} for {listed(names)}" for specifier, names in declared.items()]
    return notes
