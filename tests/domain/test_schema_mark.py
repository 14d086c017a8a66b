"""Whose a `metadata.json` is, by the metadata of its blob."""

import pytest

from shared.domain.schema_mark import Owner, Writer

HUB, DIGEST = "1" * 32, "0f" * 32
WRITER = Writer(HUB, "Partner", frozenset({"Second"}))


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        (WRITER.describes(DIGEST), Owner.OURS),
        ({"hubid": HUB, "connector": "PARTNER"}, Owner.OURS),
        ({"hubid": HUB, "connector": "Deleted"}, Owner.OURS),
        ({"hubid": HUB, "connector": "Partner", "note": "of the partner"}, Owner.OURS),
        ({"hubid": HUB, "connector": "second"}, Owner.OTHERS),
        ({"hubid": "2" * 32, "connector": "Partner"}, Owner.OTHERS),
        ({"hubid": "", "connector": "Partner"}, Owner.OTHERS),
        ({"connector": "Partner"}, Owner.OTHERS),
        ({"sha256": DIGEST}, Owner.EARLIER_RELEASE),
        ({"sha256": DIGEST[1:]}, Owner.OTHERS),
        ({"sha256": DIGEST.upper()}, Owner.OTHERS),
        ({"sha256": f"{DIGEST}\n"}, Owner.OTHERS),
        ({"sha256": DIGEST, "note": ""}, Owner.OTHERS),
        ({}, Owner.OTHERS),
    ],
)
def test_whose_metadata_it_is(metadata: dict[str, str], owner: Owner) -> None:
    assert WRITER.owner_of(metadata) is owner
    taken = WRITER.takes_over(metadata)
    assert WRITER.owner_of(taken) is Owner.OURS
    assert "sha256" not in taken, "its content is to be replaced"
    assert {name: value for name, value in metadata.items() if name == "note"}.items() <= taken.items()
