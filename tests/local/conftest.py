"""The local stack over the sample app beside this file."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from infra.local.settings import REPOSITORY
from infra.local.stack import RunningStack, running_stack

SAMPLE_APP = Path(__file__).parent / "sample_app"

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


class SampleApp:
    """The running sample app, seen from outside."""

    def __init__(self, running: RunningStack) -> None:
        self.running = running
        self.stack = running.stack
        self.http = httpx.Client(base_url=running.stack.functions_url, timeout=30)
        self.blobs = BlobServiceClient.from_connection_string(running.stack.storage_connection_string)

    def seen(self, function: str) -> list[Any]:
        """What a function of the app has noted so far."""
        found: list[Any] = self.http.get("/seen").json().get(function, [])
        return found

    def queue(self, name: str) -> QueueClient:
        return QueueClient.from_connection_string(
            self.stack.storage_connection_string,
            name,
            message_encode_policy=TextBase64EncodePolicy(),
            message_decode_policy=TextBase64DecodePolicy(),
        )

    def admin(self, function: str, text: str = "") -> httpx.Response:
        return self.http.post(f"/admin/functions/{function}", json={"input": text})

    def close(self) -> None:
        self.http.close()
        self.blobs.close()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleApp]:
    """The sample app on a stack that the tests of one process share."""
    with running_stack(tmp_path_factory.mktemp("sample"), app_dir=SAMPLE_APP) as running:
        app = SampleApp(running)
        yield app
        app.close()
