"""How the stack starts, ends and crashes, seen from outside."""

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from infra.local.azurite import ACCOUNT, ACCOUNT_KEY, Endpoints, StartError
from infra.local.settings import REPOSITORY
from infra.local.stack import RunningStack, running_azurite, running_stack, start_stack
from tests.host.host import SAMPLE_APP
from tests.local.conftest import SampleApp, up
from tests.local.waiting import eventually
from tests.thorough import only_thorough

pytestmark = pytest.mark.lengthy


def children(pid: int) -> list[int]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listing.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid and child != str(os.getpid())]


def gone(pids: list[int]) -> bool:
    states = subprocess.run(
        ["ps", "-o", "stat=", "-p", ",".join(map(str, pids))], capture_output=True, text=True, check=False
    ).stdout.split()
    # A zombie is a process that ended and that nobody has asked about yet.
    return all(state.startswith("Z") for state in states)


def texts(endpoints: Endpoints, queue_name: str) -> list[str]:
    decode = TextBase64DecodePolicy()
    with QueueClient.from_connection_string(
        endpoints.connection_string, queue_name, message_decode_policy=decode
    ) as queue:
        return [str(message.content) for message in queue.peek_messages(32)]


def all_pids(running: RunningStack) -> list[int]:
    pids = [running.process.pid, *children(running.process.pid)]
    assert len(pids) == 3, "the supervisor, Azurite and the functions host"
    return pids


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_order(tmp_path: Path, number: signal.Signals) -> None:
    running = start_stack(tmp_path, app_dir=SAMPLE_APP)
    pids = all_pids(running)
    assert (tmp_path / "up.out").read_text().splitlines().count(f"ready {running.stack.functions_url}") == 1
    running.process.send_signal(number)
    assert running.process.wait(15) == 0
    assert gone(pids)
    assert not (tmp_path / "stack.json").exists()


@only_thorough
def test_running_functions_end_before_the_stack(tmp_path: Path) -> None:
    with running_stack(tmp_path, app_dir=SAMPLE_APP) as running:
        app = SampleApp(running)
        app.queue("work").send_message("sleep 1.5")
        eventually(lambda: app.seen("work"))
        app.close()
    with running_azurite(tmp_path) as endpoints:
        assert texts(endpoints, "done") == ["done: sleep 1.5"]
        assert texts(endpoints, "work") == []


def test_a_killed_supervisor_takes_all_with_it_and_the_next_start_works(tmp_path: Path) -> None:
    first = start_stack(tmp_path, app_dir=SAMPLE_APP)
    BlobServiceClient.from_connection_string(first.stack.storage_connection_string).create_container("kept")
    pids = all_pids(first)
    ports = {"FUNCTIONS_PORT": first.stack.functions_url.rpartition(":")[2]}
    first.kill()
    with running_stack(tmp_path, ports, SAMPLE_APP) as second:
        assert gone(pids)
        assert second.stack.functions_url == first.stack.functions_url
        app = SampleApp(second)
        assert "kept" in {container.name for container in app.blobs.list_containers()}
        app.close()


@only_thorough
def test_a_crashed_run_is_taken_up_again(tmp_path: Path) -> None:
    impatient = {"LOCAL_QUEUE_INVISIBLE_S": "6"}
    with running_stack(tmp_path, impatient, app_dir=SAMPLE_APP) as first:
        app = SampleApp(first)
        app.queue("work").send_message("sleep 2")
        eventually(lambda: app.seen("work"))
        pids = all_pids(first)
        assert first.kill_functions_host() == 1
        assert gone(pids)
        assert not (tmp_path / "stack.json").exists()
        assert "The functions host was killed by signal 9" in (tmp_path / "up.out").read_text()
        app.close()
    with running_stack(tmp_path, impatient, app_dir=SAMPLE_APP) as second:
        app = SampleApp(second)
        eventually(lambda: app.seen("woke") == ["sleep 2"], within=30)
        assert [message["count"] for message in app.seen("work")] == [2]
        app.close()


@only_thorough
def test_a_message_whose_attempts_died_with_their_hosts_ends_as_poison(tmp_path: Path) -> None:
    with running_azurite(tmp_path) as endpoints:
        encode, decode = TextBase64EncodePolicy(), TextBase64DecodePolicy()
        with QueueClient.from_connection_string(
            endpoints.connection_string, "work", message_encode_policy=encode, message_decode_policy=decode
        ) as queue:
            queue.create_queue()
            queue.send_message("deadly")
            for _ in range(3):  # as many attempts as the app's host.json allows
                taken = queue.receive_message()
                assert taken is not None
                queue.update_message(taken, visibility_timeout=0)
    with running_stack(tmp_path, app_dir=SAMPLE_APP) as running:
        app = SampleApp(running)
        eventually(lambda: app.queue("work-poison").get_queue_properties().approximate_message_count == 1)
        assert app.seen("work") == []
        app.close()


@only_thorough
def test_the_end_of_azurite_is_the_end_of_the_stack(tmp_path: Path) -> None:
    running = start_stack(tmp_path, app_dir=SAMPLE_APP)
    pids = all_pids(running)
    [azurite] = set(pids) - {running.process.pid, running.functions_host_pid()}
    os.kill(azurite, signal.SIGKILL)
    assert running.process.wait(15) == 1
    assert gone(pids)
    assert "Azurite was killed by signal 9" in (tmp_path / "up.out").read_text()


@only_thorough
def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from infra.local.stack import start_stack;"
        "running = start_stack(Path(sys.argv[1]), app_dir=Path(sys.argv[2]));"
        "print(running.process.pid, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(SAMPLE_APP)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        supervisor = int(parent.stdout.readline())
        pids = [supervisor, *children(supervisor)]
        parent.kill()
    eventually(lambda: gone(pids), within=15)


@only_thorough
def test_what_was_committed_while_nobody_listened_is_announced_once(tmp_path: Path) -> None:
    with running_azurite(tmp_path) as endpoints:
        client = BlobServiceClient.from_connection_string(endpoints.connection_string)
        container = client.create_container("in-box")
        container.upload_blob("early.csv", b"12")
        container.upload_blob("early.txt", b"12")
        client.close()
    with running_stack(tmp_path, app_dir=SAMPLE_APP) as running:
        app = SampleApp(running)
        [event] = eventually(lambda: app.seen("blob_created"))
        assert event["subject"].endswith("/in-box/blobs/early.csv")
        assert event["data"]["contentLength"] == 2
        app.blobs.get_blob_client("in-box", "early.csv").set_blob_metadata({"a": "b"})
        app.blobs.get_blob_client("in-box", "late.csv").upload_blob(b"1")
        eventually(lambda: len(app.seen("blob_created")) == 2)
        app.close()
    with running_stack(tmp_path, app_dir=SAMPLE_APP) as running:
        app = SampleApp(running)
        app.blobs.get_blob_client("in-box", "last.csv").upload_blob(b"1")
        [event] = eventually(lambda: app.seen("blob_created"))
        assert event["subject"].endswith("/last.csv")
        app.close()


@pytest.mark.parametrize("variable", ["FUNCTIONS_PORT", "BLOB_PORT", "KEY_VAULT_PORT"])
def test_a_taken_port_is_a_clear_error(tmp_path: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = up(tmp_path, {variable: port})
    assert ended.returncode == 2
    assert re.fullmatch(rf"error: Port {port} \({variable}\) cannot be used: .*\n", ended.stderr)
    assert ended.stdout == ""
    assert not (tmp_path / "stack.json").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"BLOB_PORT": "many"}, "BLOB_PORT='many' is not a port"),
        ({"BLOB_PORT": "65536"}, "BLOB_PORT='65536' is not a port"),
        ({"BLOB_PORT": "18431", "QUEUE_PORT": "18431"}, "QUEUE_PORT and BLOB_PORT are both 18431"),
    ],
)
def test_unusable_ports(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    ended = up(tmp_path, variables)
    assert ended.returncode == 2
    assert message in ended.stderr


_APP = "import azure.functions as func\napp = func.FunctionApp()\n"
_TIMER = _APP + "@app.timer_trigger(arg_name='t', schedule='{}')\ndef f(t: func.TimerRequest) -> None: ...\n"
_QUEUE = (
    _APP + "@app.queue_trigger(arg_name='m', queue_name='q', connection='ABSENT')\ndef f(m: func.QueueMessage): ...\n"
)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import azure.functions\nimport no_such_module\n", "No module named 'no_such_module'"),
        pytest.param(_APP, "has no functions", marks=only_thorough),
        (_TIMER.format("%NOWHERE_SET%"), "%NOWHERE_SET% is not set"),
        pytest.param(_TIMER.format("often"), "the schedule 'often' is none", marks=only_thorough),
        pytest.param(_QUEUE, "the app setting ABSENT", marks=only_thorough),
    ],
    ids=["import", "empty", "setting", "schedule", "connection"],
)
def test_an_app_that_cannot_be_served_fails_the_start_with_its_reason(
    tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    (tmp_path / "function_app.py").write_text(source, encoding="utf-8")
    with pytest.raises(StartError, match=re.escape(message)):
        start_stack(tmp_path / "state", app_dir=tmp_path)
    assert not (tmp_path / "state" / "stack.json").exists()


def test_the_environment_wins_over_the_settings_file(tmp_path: Path, sample: SampleApp) -> None:
    assert sample.http.get("/setting/GREETING").json() == {"value": "from the file"}
    with running_stack(tmp_path, {"GREETING": "from outside"}, SAMPLE_APP) as running:
        app = SampleApp(running)
        assert app.http.get("/setting/GREETING").json() == {"value": "from outside"}
        assert app.http.get("/setting/HUB_STORAGE").json() == {"value": app.stack.storage_connection_string}
        assert app.http.get("/setting/ALLOWED_KEY_VAULTS").json() == {"value": app.stack.key_vault_url}
        app.close()


def test_nothing_written_carries_a_secret(tmp_path: Path) -> None:
    with running_stack(tmp_path, app_dir=SAMPLE_APP) as running:
        app = SampleApp(running)
        app.blobs.create_container("in-box")
        sas = generate_container_sas(
            ACCOUNT,
            "in-box",
            account_key=ACCOUNT_KEY,
            permission=ContainerSasPermissions(write=True),
            expiry="2100-01-01",
        )
        signature = sas.partition("sig=")[2].partition("&")[0]
        with BlobServiceClient(app.stack.blob_endpoint, credential=sas) as client:
            client.get_blob_client("in-box", "a.csv").upload_blob(b"1")
        app.http.get("/hello")
        app.http.get("/broken")
        app.queue("work").send_message(f"fail AccountKey={uuid.uuid4().hex}")
        eventually(lambda: app.seen("blob_created") and app.seen("work"))
        app.close()
    secrets = [ACCOUNT_KEY, signature, "verysecret"]
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"functions.log", "stack.log", "up.out"} <= {path.name for path in written}
    assert b"greeting, AccountKey=***;" in written[tmp_path / "functions.log"]
    for path, content in written.items():
        for secret in secrets:
            assert secret.encode() not in content, path
