"""Every step of the app that talks to storage, by the requests that it is known by on their way."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.fault_proxy import Request


@dataclass(frozen=True)
class Step:
    """One kind of request.

    Attributes:
        service: that it goes to.
        method, target, body: patterns of the request; rows of tables are told by their body.
        nth: which of those that match is meant, from 1; and all that come after it.
    """

    service: str
    method: str
    target: str
    body: bytes = b""
    nth: int = 1

    def matcher(self) -> Callable[[Request], bool]:
        """Whether a request is of this step; to be asked about each request once, in their order."""
        left = [self.nth]

        def matches(request: Request) -> bool:
            is_alike = re.fullmatch(self.method, request.method) and re.search(self.target, request.target)
            if not is_alike or not re.search(self.body, request.body):
                return False
            left[0] -= 1
            return left[0] < 1

        return matches


def _transaction(body: bytes, nth: int = 1) -> Step:
    return Step("table", "POST", r"\$batch", body, nth)


STEPS: dict[str, Step] = {
    # An event becomes a run and a message.
    "definitions are read": Step("table", "GET", r"definitions"),
    "the run is recorded": _transaction(rb'"state": ?"Queued"'),
    "the run is queued": Step("queue", "POST", r"-ingest/messages"),
    # The message becomes rows.
    "the run is looked up": Step("table", "GET", r"runs\("),
    "the run is claimed": _transaction(rb'"state": ?"Running"'),
    "the blob is downloaded": Step("blob", "GET", r"-inbox/"),
    "the log is read": Step("blob", "GET", r"changes/_delta_log/0+\.json"),
    "the log is listed": Step("blob", "GET", r"comp=list.*changes%2F_delta_log"),
    "the table is made": Step("blob", "PUT", r"changes/_delta_log/0+\.json"),
    "parts are uploaded": Step("blob", "PUT", r"changes/[^/]*\.parquet"),
    "rejects are uploaded": Step("blob", "PUT", r"/runs/.*rejects"),
    "counts are noted, the version is numbered": _transaction(rb'"RowKey": ?"blob\|'),
    "the ETag is compared": Step("blob", "HEAD", r"-inbox/"),
    "rows are committed": Step("blob", "PUT", r"changes/_delta_log/0+1\.json"),
    "the blob is copied": Step("blob", "PUT", r"-inbox/done"),
    "the blob is deleted": Step("blob", "DELETE", r"-inbox/points"),
    "the run is ended": _transaction(rb'"state": ?"(Partially)?Succeeded"'),
    # What no event announced is found.
    "the sweep is requested": Step("queue", "POST", r"-ingest/messages", nth=3),
    "the container is listed": Step("blob", "GET", r"-inbox\?.*comp=list"),
    "the sweep is recorded": Step("table", "PUT", r"sweep"),
    # What has changed is merged and exported.
    "the export is handed out": Step("queue", "POST", r"-export/messages"),
    "the slot is planned": _transaction(rb"slots", 2),
    "states are uploaded": Step("blob", "PUT", r"states/.*\.parquet"),
    "states are committed": Step("blob", "PUT", r"states/_delta_log/0+1\.json"),
    "the schema is published": Step("blob", "PUT", r"-partner/Metadata/Profile"),
    "blocks are staged": Step("blob", "PUT", r"-partner/Profile.*comp=block(&|$)"),
    "the slot is committed": Step("blob", "PUT", r"-partner/Profile.*comp=blocklist"),
    "the slot is found": Step("blob", "GET", r"-partner\?.*prefix=Profile", nth=2),
    "the slot's run is ended": _transaction(rb'"kind": ?"Export".*"state": ?"Succeeded"|"state": ?"Succeeded".*Export'),
    "the slot is recorded": _transaction(rb"slots", 3),
}
