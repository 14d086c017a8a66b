"""The format of a mapping: defaults, what is refused, and how numbers are written in a culture."""

from typing import Any

import pytest

from shared.domain.documents.csv_format import BareQuotes, MappingFormat
from shared.domain.errors import InvalidRequestError


def test_the_defaults_are_those_of_the_2017_service() -> None:
    assert MappingFormat().to_json() == {
        "formatType": "TextFormat",
        "columnDelimiter": ",",
        "acceptLanguage": "",
        "quoteCharacter": '"',
        "quoteEscapeCharacter": '"',
        "arraySeparator": ";",
        "encoding": "utf-8",
        "bareQuotes": "Reject",
        "skipRows": 0,
        "commentCharacter": "",
    }


def test_a_format_is_read_in_the_forms_that_clients_send() -> None:
    form = MappingFormat.from_request(
        {
            "FORMATTYPE": "textformat",
            "columnDelimiter": "\\t",
            "quoteCharacter": '\\"',
            "quoteEscapeCharacter": "\\",
            "barequotes": "literal",
            "encoding": "Windows-1252",
        }
    )
    assert form.column_delimiter == "\t"
    assert form.quote_character == '"'
    assert form.quote_escape_character == "\\"
    assert form.bare_quotes is BareQuotes.LITERAL
    assert "a€".encode(form.encoding) == b"a\x80"
    assert MappingFormat.from_request(form.to_json()) == form


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({"columnDelimiter": ""}, "columnDelimiter"),
        ({"columnDelimiter": "\n"}, "columnDelimiter"),
        ({"columnDelimiter": '"'}, "columnDelimiter"),
        ({"columnDelimiter": "\0"}, "columnDelimiter"),
        ({"columnDelimiter": "123456789"}, "columnDelimiter"),
        ({"quoteCharacter": "''"}, "quoteCharacter"),
        ({"quoteEscapeCharacter": "\\\\"}, "quoteEscapeCharacter"),
        ({"arraySeparator": ""}, "arraySeparator"),
        ({"arraySeparator": ";;"}, "arraySeparator"),
        ({"skipRows": -1}, "skipRows"),
        ({"skipRows": 100_001}, "skipRows"),
        ({"commentCharacter": "//"}, "commentCharacter"),
        ({"encoding": "utf-9"}, "encoding"),
        ({"encoding": "base64"}, "encoding"),
        ({"encoding": "punycode"}, "encoding"),
        ({"acceptLanguage": "xx-XX"}, "acceptLanguage"),
        ({"formatType": "Parquet"}, "formatType"),
        ({"delimiter": ";"}, "delimiter"),
    ],
)
def test_a_fault_is_named_with_its_property(body: dict[str, Any], target: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        MappingFormat.from_request(body)
    assert [fault.target for fault in caught.value.details] == [target]


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        MappingFormat.from_request({"columnDelimiter": "", "encoding": "utf-9", "arraySeparator": ""})
    assert {fault.target for fault in caught.value.details} == {"columnDelimiter", "encoding", "arraySeparator"}


@pytest.mark.parametrize(
    ("culture", "decimal_mark", "group_marks"),
    [
        ("", ".", ""),
        ("en", ".", ","),
        ("en-US", ".", ","),
        ("EN-gb", ".", ","),
        ("ja-JP", ".", ","),
        ("es-MX", ".", ","),
        ("de-CH", ".", "'\u2019"),
        ("DE-LI", ".", "'\u2019"),
        ("de", ",", ".\u00a0\u202f "),
        ("de-DE", ",", ".\u00a0\u202f "),
        ("fr-CH", ",", ".\u00a0\u202f "),
        ("pt-BR", ",", ".\u00a0\u202f "),
    ],
)
def test_numbers_are_written_as_in_the_culture(culture: str, decimal_mark: str, group_marks: str) -> None:
    form = MappingFormat.from_request({"acceptLanguage": culture})
    assert (form.decimal_mark, form.group_marks) == (decimal_mark, group_marks)
