"""Which blobs belong to a mapping."""

from typing import Any

import pytest

from shared.csv.read_csv import read_csv
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import DataError, InvalidRequestError


def document(**properties: Any) -> dict[str, Any]:
    return {
        "entityType": "Profile",
        "entityTypeName": "Person",
        "mappingProperties": {
            "folderPath": "inbox/people",
            "errorManagement": {"errorManagementType": "RejectAndContinue"},
            "structure": [{"propertyName": "Id", "columnName": "id"}],
            **properties,
        },
    }


@pytest.mark.parametrize(
    ("file_filter", "path", "is_taken"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "A.CSV", False),
        ("*.csv", "b/a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "b/c/a.csv", True),
        ("a?.csv", "a1.csv", True),
        ("a?c", "a/c", False),
        ("a[12].csv", "a2.csv", True),
        ("a[!12].csv", "a2.csv", False),
        ("a[!12]c", "a/c", False),
        # A bracket that no other closes is no set.
        ("a[1.csv", "a[1.csv", True),
        ("a[1.csv", "a1.csv", False),
        ("a[*.csv", "a[2026.csv", True),
        ("a[]", "a[]", True),
    ],
)
def test_the_file_filter(file_filter: str, path: str, is_taken: bool) -> None:
    mapping = Mapping.from_request(document(fileFilter=file_filter))
    assert mapping.matches("inbox", f"people/{path}") is is_taken
    assert not mapping.matches("outbox", f"people/{path}")


def test_a_format_is_short_unless_it_is_stored_already() -> None:
    def with_format(specifier: str) -> dict[str, Any]:
        column = {"propertyName": "Born", "columnName": "born", "customFormatSpecifier": specifier}
        return document(structure=[column])

    longest = f"yyyy-MM-dd'{'x' * 116}'"
    assert len(longest) == 128
    Mapping.from_request(with_format(longest))
    with pytest.raises(InvalidRequestError) as caught:
        Mapping.from_request(with_format(f"{longest} "))
    assert caught.value.target == "mappingProperties.structure[0].customFormatSpecifier"
    stored = Mapping.from_stored(with_format(longest * 9))
    assert stored.mapping_properties.structure[0].custom_format_specifier == longest * 9


@pytest.mark.parametrize("folder", ["http://[x/done", "https://a]/done"])
def test_a_destination_that_cannot_be_read_is_kept_where_nothing_is_moved(folder: str) -> None:
    body = document(completeOperation={"completionOperationType": "DoNothing", "destinationFolder": folder})
    with pytest.raises(InvalidRequestError):
        Mapping.from_request(body)
    stored = Mapping.from_stored(body)
    assert stored.destination is None
    assert stored.matches("inbox", "people/a.csv")


def test_an_encoding_that_is_refused_now_may_have_been_stored() -> None:
    spoilt = document(format={"encoding": "utf-7"})
    with pytest.raises(InvalidRequestError) as caught:
        Mapping.from_request(spoilt)
    assert caught.value.target == "mappingProperties.format.encoding"
    form = Mapping.from_stored(spoilt).mapping_properties.format
    with pytest.raises(DataError) as refused:
        read_csv([b"id\n1\n"], form.dialect(has_header=True))
    assert refused.value.code == "BadEncoding"
