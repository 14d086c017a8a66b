"""Files of one commit: sent off while the next is written, and no more of them on the temporary disk."""

import threading
import time
from pathlib import Path

import pyarrow as pa

from infra.local.azurite import Endpoints
from shared.engine.workspace import workspace
from shared.lake.container.store import Lake
from shared.lake.files.parts import Layout
from shared.lake.files.sorted_files import SortedFileWriter
from shared.lake.log.tables import ensure_table
from tests.fault_proxy import Request, running_proxy
from tests.local_services import account_of

PARTS = 4
A_PART_PER_ROW = Layout(part_bytes=1, group_rows=1)


def test_a_lake_that_is_slow_piles_no_files_up(azurite: Endpoints, lake: Lake) -> None:
    schema = pa.schema([pa.field("_key", pa.string())])
    most: list[int] = []

    def on_disk(folder: Path) -> int:
        return len(list(folder.rglob("*.parquet")))

    def wait_for_more(request: Request) -> None:
        """Takes a file once three lie on the disk, or when that does not come about."""
        patience = time.monotonic() + 0.1
        while request.method == "PUT" and ".parquet" in request.target:
            most.append(on_disk(work.folder))
            if most[-1] > 2 or time.monotonic() > patience:
                return
            threading.Event().wait(0.01)

    with running_proxy(azurite.blob) as proxy, workspace(lake.settings) as work:
        slow = Lake(account_of(azurite, blob=proxy.endpoint), lake.settings, lake._container)
        snapshot = ensure_table(slow, "table", schema)
        proxy.plan = wait_for_more
        with SortedFileWriter(slow, work, snapshot, list(schema), A_PART_PER_ROW) as writer:
            for number in range(PARTS):
                writer.write(f"SELECT '{number}' AS _key")
            written = writer.close()
        assert [(file.part.low, file.part.rows) for file in written] == [(f"{number}", 1) for number in range(PARTS)]
        assert on_disk(work.folder) == 0
    assert max(most) == 2, "one is written while another is on its way"
