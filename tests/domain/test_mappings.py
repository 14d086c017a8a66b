"""Which blobs belong to a mapping."""

import pytest

from shared.domain.mappings import Mapping


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
    mapping = Mapping.from_request(
        {
            "entityType": "Profile",
            "entityTypeName": "Person",
            "mappingProperties": {
                "folderPath": "inbox/people",
                "fileFilter": file_filter,
                "errorManagement": {"errorManagementType": "RejectAndContinue"},
                "structure": [{"propertyName": "Id", "columnName": "id"}],
            },
        }
    )
    assert mapping.matches("inbox", f"people/{path}") is is_taken
    assert not mapping.matches("outbox", f"people/{path}")
