"""Names: of fields, made from columns; of definitions, made from a file's name; and what a column's name gives away."""

import re
import unicodedata
from collections.abc import Collection

from shared.domain.names import RESERVED_FIELDS

LONGEST = 60
"""Characters of a name made here; the rules allow twice as many, and definitions have to be stored."""
_LOOKED_AT = 1_000  # characters of a column's name, which may be a cell of megabytes
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
# Letters that no decomposition turns into Latin ones without a mark.
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"})

_NO_IDS = frozenset(
    {"paid", "unpaid", "prepaid", "said", "valid", "invalid", "void", "avoid", "grid", "covid", "android", "liquid"}
)
_OTHER_KEYS = frozenset({"email", "mail", "code", "number", "nr", "no", "nummer", "sku", "iban"})


def words(text: str) -> list[str]:
    """The words of a name in plain Latin letters: `Kunden_Nr.2` and `kundenNr2` alike."""
    # By the character: to normalise a text as a whole puts marks in order, which takes the square of their number.
    plain = "".join(unicodedata.normalize("NFKD", sign) for sign in text[:_LOOKED_AT].translate(_LETTERS))
    return _WORD.findall("".join(sign for sign in plain if not unicodedata.combining(sign)))


def field_names(columns: list[str], positions: list[int]) -> list[str]:
    """A name of a field for each column: allowed, not reserved, and in any case unlike the others.

    Args:
        columns: names of columns.
        positions: their numbers in the file, from 0; they name what has no Latin letter.
    """
    taken = set(RESERVED_FIELDS)
    found = []
    for column, position in zip(columns, positions, strict=True):
        name = _pascal(words(column)) or f"Column{position + 1}"
        if not name[0].isalpha() or len(name) < 2:
            name = f"Field{name}"
        found.append(free_name(name, taken))
        taken.add(found[-1].casefold())
    return found


def definition_name(stem: str, otherwise: str, taken: Collection[str]) -> str:
    """A name for a type or a mapping: the words of a file's name without its numbers.

    Args:
        stem: the file's name without folder and endings.
        otherwise: the name where the file's has no word of Latin letters.
        taken: names that are in use, case-folded.
    """
    name = _pascal([word for word in words(stem) if not word.isdigit()])
    return free_name(name if len(name) > 1 else otherwise, taken)


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with the first number behind it that makes it unlike those that are taken (case-folded)."""
    name = name[:LONGEST]
    number = 2
    found = name
    while found.casefold() in taken:
        found = f"{name}{number}"
        number += 1
    return found


def id_rank(column: str) -> int | None:
    """0 for a column that is called an id, more for weaker signs, None for a name that says nothing of the kind."""
    parts = [word.casefold() for word in words(column)]
    if not parts:
        return None
    last = parts[-1]
    if last in {"id", "guid", "uuid"} or parts == ["key"]:
        return 0
    if last == "key" or (last.endswith("id") and len(last) > 4 and last not in _NO_IDS):
        return 1
    return 2 if last in _OTHER_KEYS else None


def _pascal(parts: list[str]) -> str:
    return "".join(part[0].upper() + part[1:] for part in parts)
