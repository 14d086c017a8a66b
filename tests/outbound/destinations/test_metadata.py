"""`metadata.json` beside others: what is not ours is never replaced, unless somebody said so."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from infra.local.azurite import Endpoints
from shared.connectors.check import Check
from shared.domain.documents.connectors import ConnectorState
from tests.fault_proxy import LoseAnswer, Request, running_proxy
from tests.outbound.conftest import CUSTOMER, PROFILE, HubUnderTest, Partner
from tests.outbound.slots import FIRST, at, contents, path_of
from tests.thorough import THOROUGH

PATH = "Metadata/Profile/Customer/metadata.json"
REFUSED = "Failed DestinationMetadataExists"
DIGEST = "0f" * 32
NARROW = {**PROFILE, "fieldNames": ["Id"]}

FOREIGN: dict[str, dict[str, str]] = {
    "without metadata": {},
    "with metadata of its own": {"owner": "the partner", "sha256": DIGEST},
    "with a sum that is none": {"sha256": "none"},
    "of another hub": {"sha256": DIGEST, "hubid": "0" * 32, "connector": "Partner"},
    "as an earlier release of some app left it": {"sha256": DIGEST},
}


def put(partner: Partner, metadata: dict[str, str], content: bytes = b"theirs") -> str:
    answer = partner.client.upload_blob(PATH, content, overwrite=True, metadata=metadata)
    return str(answer.get_blob_properties().etag)


def etag(partner: Partner) -> str:
    return str(partner.client.get_blob_client(PATH).get_blob_properties().etag)


def columns(partner: Partner) -> list[str]:
    return [column["name"] for column in json.loads(partner.blobs()[PATH])["columns"]]


def fields(hub: HubUnderTest) -> list[str]:
    """The columns of an export with all fields."""
    stored = hub.services.definitions.connector(hub.name, "Partner")
    assert stored.document.state is ConnectorState.READY
    return [field["fieldName"] for field in CUSTOMER["fields"]] + ["System_ProcessingTime"]


def tried(hub: HubUnderTest, *, take_over: bool = False, name: str = "Partner") -> dict[str, Check]:
    checks = hub.services.definitions.connectors.test(hub.name, name, take_over=take_over)
    return {check.name: check for check in checks}


def state_of(hub: HubUnderTest, name: str = "Partner") -> tuple[str, str]:
    document = hub.services.definitions.connector(hub.name, name).document
    return document.state.value, document.state_detail or ""


@pytest.mark.parametrize("metadata", FOREIGN.values(), ids=FOREIGN)
def test_what_others_wrote_stays_and_the_export_waits(hub: HubUnderTest, metadata: dict[str, str]) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    put(hub.partner, metadata)
    for number in range(2):
        hub.ingest(customer, [{"Id": f"{number}"}])
        hub.tick(at(number))
    assert hub.partner.blobs() == {PATH: b"theirs"}
    assert hub.partner.metadata(PATH) == metadata
    assert hub.codes() == [REFUSED] * 2
    hub.partner.client.delete_blob(PATH)
    hub.tick(at(2))
    assert contents(hub) == {path_of(0): ["0"], path_of(1): ["1"]}
    assert hub.codes() == ["Succeeded"] * 2


@pytest.mark.parametrize("kind", FOREIGN if THOROUGH else [*FOREIGN][::4])
def test_what_is_taken_over_is_replaced_by_the_next_export(hub: HubUnderTest, kind: str) -> None:
    customer = hub.profile_type()
    put(hub.partner, FOREIGN[kind])
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    assert hub.codes() == [REFUSED]
    taken = tried(hub, take_over=True)["metadata Profile/Customer"]
    assert taken.ok
    assert "taken over" in taken.message
    assert hub.partner.blobs() == {PATH: b"theirs"}
    assert state_of(hub) == ("Ready", "")
    assert "metadata Profile/Customer" not in tried(hub, take_over=True)
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"]}
    assert columns(hub.partner) == fields(hub)


def test_a_connector_whose_metadata_is_somebody_elses_says_so(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    other = hub.profile_type("Other")
    put(hub.partner, {})
    hub.outbound(PROFILE, {"entityType": "Profile", "entityName": "Other"})
    state, detail = state_of(hub)
    assert state == "Failed"
    assert PATH in detail
    assert "takeOver" in detail
    checks = tried(hub)
    assert [name for name, check in checks.items() if not check.ok] == ["metadata Profile/Customer"]
    hub.ingest(customer, [{"Id": "A"}])
    hub.ingest(other, [{"Id": "B"}])
    hub.tick(at(0))
    assert sorted(hub.codes()) == [REFUSED, "Succeeded"]
    assert hub.partner.paths("Profile/") == [FIRST.replace("Customer", "Other")]


def test_what_is_replaced_while_it_is_taken_over_stays(hub: HubUnderTest, azurite: Endpoints) -> None:
    hub.profile_type()
    put(hub.partner, {})
    with running_proxy(azurite.blob) as proxy:
        hub.outbound(PROFILE, sas=hub.partner.sas().replace(azurite.blob, proxy.endpoint))

        def replace_first(request: Request) -> None:
            if request.method == "PUT" and "comp=metadata" in request.target:
                put(hub.partner, {"their": "own"}, b"newer")

        proxy.plan = replace_first
        assert not tried(hub, take_over=True)["metadata Profile/Customer"].ok
    assert hub.partner.blobs() == {PATH: b"newer"}
    assert hub.partner.metadata(PATH) == {"their": "own"}


@pytest.mark.parametrize("was_there", [False, True])
def test_what_is_written_between_the_look_and_the_write_stays(
    hub: HubUnderTest, azurite: Endpoints, was_there: bool
) -> None:
    customer = hub.profile_type()
    with running_proxy(azurite.blob) as proxy:
        sas = hub.partner.sas().replace(azurite.blob, proxy.endpoint)
        hub.outbound(PROFILE, sas=sas)
        if was_there:
            hub.ingest(customer, [{"Id": "A"}])
            hub.tick(at(0))
            hub.outbound(NARROW, sas=sas)

        def write_first(request: Request) -> None:
            if request.method == "PUT" and "metadata.json" in request.target:
                put(hub.partner, {})

        proxy.plan = write_first
        hub.ingest(customer, [{"Id": "B"}])
        hub.tick(at(1))
    assert hub.partner.blobs("Metadata/") == {PATH: b"theirs"}
    assert hub.codes()[-1] == REFUSED


def test_a_write_whose_answer_is_lost_is_our_own(hub: HubUnderTest, azurite: Endpoints) -> None:
    customer = hub.profile_type()
    with running_proxy(azurite.blob) as proxy:
        hub.outbound(PROFILE, sas=hub.partner.sas().replace(azurite.blob, proxy.endpoint))
        hub.ingest(customer, [{"Id": "A"}])
        proxy.break_once(LoseAnswer(), lambda request: request.method == "PUT" and "metadata.json" in request.target)
        hub.tick(at(0))
    assert contents(hub) == {FIRST: ["A"]}
    assert columns(hub.partner) == fields(hub)


def test_a_note_that_the_partner_adds_is_no_change(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    blob = hub.partner.client.get_blob_client(PATH)
    blob.set_blob_metadata({**hub.partner.metadata(PATH), "read": "true"})
    noted = etag(hub.partner)
    hub.ingest(customer, [{"Id": "B"}])
    hub.tick(at(1))
    assert etag(hub.partner) == noted
    assert hub.codes() == ["Succeeded", "Succeeded"]


def test_content_that_the_partner_changed_under_our_mark_is_mended(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    put(hub.partner, hub.partner.metadata(PATH), b"cut")
    hub.ingest(customer, [{"Id": "B"}])
    hub.tick(at(1))
    assert columns(hub.partner) == fields(hub)


def as_earlier_release(hub: HubUnderTest) -> None:
    digest = hub.partner.metadata(PATH)["sha256"]
    hub.partner.client.get_blob_client(PATH).set_blob_metadata({"sha256": digest})


@pytest.mark.parametrize("is_made_anew", [False, True])
@pytest.mark.parametrize("entity", [PROFILE, NARROW], ids=["same columns", "other columns"])
def test_what_an_earlier_release_wrote_is_marked_and_goes_on(
    hub: HubUnderTest, entity: dict[str, Any], is_made_anew: bool
) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    marked = hub.partner.metadata(PATH)
    as_earlier_release(hub)
    if is_made_anew:
        hub.services.definitions.connectors.delete(hub.name, "Partner")
    hub.outbound(entity)
    assert state_of(hub) == ("Ready", "")
    assert all(check.ok for check in tried(hub).values())
    hub.ingest(customer, [{"Id": "B"}])
    hub.tick(at(1))
    assert hub.codes() == ["Succeeded", "Succeeded"]
    assert hub.partner.metadata(PATH).keys() == marked.keys()
    assert (hub.partner.metadata(PATH) == marked) is (entity is PROFILE)


def test_a_connector_that_is_made_anew_goes_on_with_its_metadata(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE, name="Before")
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    hub.services.definitions.connectors.delete(hub.name, "Before")
    hub.outbound(NARROW)
    hub.tick(at(1))
    assert columns(hub.partner) == ["Id", "System_ProcessingTime"]
    assert hub.partner.metadata(PATH)["connector"] == "Partner"


def test_of_two_connectors_on_one_container_the_first_keeps_its_metadata(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    first = etag(hub.partner)
    hub.outbound(NARROW, name="Second")
    assert state_of(hub, "Second")[0] == "Failed"
    hub.tick(at(1))
    assert etag(hub.partner) == first
    assert hub.codes() == ["Succeeded", REFUSED]
    assert contents(hub) == {FIRST: ["A"]}
    assert tried(hub, take_over=True, name="Second")["metadata Profile/Customer"].ok
    hub.tick(at(2))
    assert columns(hub.partner) == ["Id", "System_ProcessingTime"]
    assert hub.codes() == ["Succeeded", "Succeeded"]
    assert not tried(hub)["metadata Profile/Customer"].ok


def test_of_two_hubs_on_one_container_the_first_keeps_its_metadata(
    hub: HubUnderTest, make_hub: Callable[[], AbstractContextManager[HubUnderTest]]
) -> None:
    """Both are called the same, as those of two deployments are."""
    mine = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(mine, [{"Id": "A"}])
    hub.tick(at(0))
    first = etag(hub.partner)
    with make_hub() as other:
        customer = other.profile_type()
        other.outbound(NARROW, sas=hub.partner.sas())
        other.ingest(customer, [{"Id": "B"}])
        other.tick(at(1))
        assert other.codes() == [REFUSED]
    assert etag(hub.partner) == first
    assert contents(hub) == {FIRST: ["A"]}
