"""The local stack over the app that functions hosts are tried with."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient

from infra.local.settings import REPOSITORY
from infra.local.stack import RunningStack
from tests.host.host import SAMPLE_APP, Address, Host

_FREE = dict.fromkeys(("FUNCTIONS_PORT", "BLOB_PORT", "QUEUE_PORT", "TABLE_PORT", "KEY_VAULT_PORT"), "0")


def up(
    state_dir: Path, variables: Mapping[str, str], prepare: Callable[[], None] | None = None
) -> "subprocess.CompletedProcess[str]":
    """A start that is expected to fail at once; `prepare` is done in the new process first."""
    command = [sys.executable, "-m", "infra.local.up", "--app", str(SAMPLE_APP)]
    environment = {**os.environ, **_FREE, **variables, "STATE_DIR": str(state_dir)}
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment,
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=prepare,
    )


class SampleApp(Host):
    """The running sample app, with the stack that it runs on."""

    def __init__(self, running: RunningStack) -> None:
        self.running = running
        self.stack = running.stack
        super().__init__(Address(running.stack.functions_url, running.stack.storage_connection_string))
        self.blobs = BlobServiceClient.from_connection_string(running.stack.storage_connection_string)

    def close(self) -> None:
        """Closes the connections."""
        super().close()
        self.blobs.close()


@pytest.fixture(scope="session")
def sample(sample_stack: RunningStack) -> Iterator[SampleApp]:
    """The sample app on a stack that the tests of one process share."""
    app = SampleApp(sample_stack)
    yield app
    app.close()
