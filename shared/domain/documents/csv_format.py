"""The `format` of a mapping: how its CSV files are written."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field as Property
from pydantic import ValidationInfo, field_validator, model_validator

from shared.domain.csv_dialect import CsvDialect, check_encoding
from shared.domain.documents.document import AnyCaseEnum, Document
from shared.domain.shown import shown


class FormatType(AnyCaseEnum):
    """The one format of the 2017 API."""

    TEXT_FORMAT = "TextFormat"


class BareQuotes(AnyCaseEnum):
    """What a quote inside an unquoted cell means."""

    REJECT = "Reject"
    LITERAL = "Literal"


# Cultures whose numbers are written 1,234.50; all others that are known write 1.234,50.
_POINT = frozenset({"en", "ja", "zh", "ko", "th", "he", "hi", "ms"})
_COMMA = frozenset(
    {
        "de",
        "fr",
        "es",
        "it",
        "nl",
        "pt",
        "pl",
        "ru",
        "sv",
        "da",
        "nb",
        "no",
        "fi",
        "cs",
        "tr",
        "el",
        "hu",
        "ro",
        "uk",
        "bg",
        "sk",
        "sl",
        "hr",
        "et",
        "lv",
        "lt",
        "id",
        "vi",
        "ca",
    }
)
_APOSTROPHE_REGIONS = frozenset({"de-ch", "de-li", "it-ch", "en-ch"})
_POINT_REGIONS = _APOSTROPHE_REGIONS | {"es-mx"}


class MappingFormat(Document):
    """Dialect, culture and encoding of the files of a mapping."""

    format_type: FormatType = FormatType.TEXT_FORMAT
    column_delimiter: Annotated[str, Property(min_length=1, max_length=8)] = ","
    accept_language: str = ""
    quote_character: Annotated[str, Property(max_length=1)] = '"'
    quote_escape_character: Annotated[str, Property(max_length=1)] = '"'
    array_separator: Annotated[str, Property(min_length=1, max_length=1)] = ";"
    encoding: str = "utf-8"
    bare_quotes: BareQuotes = BareQuotes.REJECT
    skip_rows: Annotated[int, Property(ge=0, le=100_000)] = 0
    comment_character: Annotated[str, Property(max_length=1)] = ""

    @field_validator("quote_character", "quote_escape_character", mode="before")
    @classmethod
    def _unescape(cls, value: Any) -> Any:
        # The 2017 service's own examples write the quote as backslash and quote.
        return '"' if value == '\\"' else value

    @field_validator("column_delimiter", mode="before")
    @classmethod
    def _tab(cls, value: Any) -> Any:
        return "\t" if value == "\\t" else value

    @field_validator("column_delimiter")
    @classmethod
    def _is_no_line_end(cls, value: str) -> str:
        if re.search(r'[\r\n"\x00]', value):
            raise ValueError("a delimiter must not hold a line end, a quote or NUL")
        return value

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str, info: ValidationInfo) -> str:
        # What was stored before an encoding was refused is read on; its files are not.
        if info.context != "stored":
            check_encoding(value)
        return value

    @field_validator("accept_language")
    @classmethod
    def _is_known_culture(cls, value: str) -> str:
        if value and value.split("-", maxsplit=1)[0].casefold() not in _POINT | _COMMA:
            raise ValueError(
                f"how numbers are written in {shown(value)} is not known; use a culture such as en-US or de-DE"
            )
        return value

    @model_validator(mode="after")
    def _is_a_dialect(self) -> Self:
        self.dialect(has_header=True)
        return self

    def dialect(self, *, has_header: bool) -> CsvDialect:
        """The dialect that files of this format are written in; raises ValueError where none is possible."""
        # The API's default escape is the usual quote; with another quote it can only mean that quotes are doubled.
        escape = self.quote_escape_character if self.quote_escape_character != '"' else ""
        return CsvDialect(
            delimiter=self.column_delimiter,
            quote=self.quote_character,
            escape=escape,
            has_header=has_header,
            encoding=self.encoding,
            bare_quotes=self.bare_quotes.value,
            skip_rows=self.skip_rows,
            comment=self.comment_character,
        )

    @property
    def decimal_mark(self) -> Literal[".", ","]:
        """The character between whole and fraction in this culture."""
        culture = self.accept_language.casefold()
        return "," if culture not in _POINT_REGIONS and culture.split("-", maxsplit=1)[0] in _COMMA else "."

    @property
    def group_marks(self) -> str:
        """Characters that may stand between groups of three digits; none where no culture is declared."""
        if not self.accept_language:
            return ""
        if self.decimal_mark == ",":
            return ".\u00a0\u202f "
        return "'\u2019" if self.accept_language.casefold() in _APOSTROPHE_REGIONS else ","
