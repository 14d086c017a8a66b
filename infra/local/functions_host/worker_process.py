"""`python -m infra.local.functions_host.worker_process`: a worker beside the host's own (`workers.py`)."""

import argparse
import asyncio
import threading
import traceback
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

from infra.local.children import end_with_parent


def main() -> None:
    """Load the app and carry out what the host asks for, side by side, until the host is gone."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.functions_host.worker_process", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="descriptor of a socket that leads to the host")
    parser.add_argument("--app", type=Path, required=True, help="folder with function_app.py and host.json")
    parser.add_argument("--log", type=Path, required=True, help="file of the log")
    arguments = parser.parse_args()
    end_with_parent()
    # After the guard, so that a host that dies meanwhile is noticed.
    from infra.local.functions_host import messages
    from infra.local.functions_host.current_run import enter_run, leave_run
    from infra.local.functions_host.host_json import ConfigurationError, read_host_options
    from infra.local.functions_host.logs import write_log
    from infra.local.functions_host.worker import InvocationFailedError, Worker
    from infra.local.functions_host.workers import LOADED

    host = Connection(arguments.fd)
    write_log(arguments.log, read_host_options(arguments.app).log_level)
    try:
        worker = Worker(arguments.app)
    except ConfigurationError as error:
        host.send(str(error))
        return
    host.send(LOADED)
    sending = threading.Lock()

    def answer(invocation_id: str, said: messages.InvocationResponse | tuple[str, str]) -> None:
        try:
            content = ForkingPickler.dumps((invocation_id, said))
        except Exception as error:
            failure = f"its answer cannot be handed on: {error}", traceback.format_exc()
            content = ForkingPickler.dumps((invocation_id, failure))
        with sending:
            host.send_bytes(content)

    async def carry_out(
        name: str, invocation_id: str, data: messages.TypedData, trigger_metadata: dict[str, messages.TypedData]
    ) -> None:
        said: messages.InvocationResponse | tuple[str, str]
        token = enter_run(invocation_id, name)
        try:
            said = await worker.invoke(worker.functions[name], invocation_id, data, trigger_metadata)
        except InvocationFailedError as error:
            said = str(error), error.stack_trace
        except Exception as error:  # whatever it is, the host waits for an answer
            said = f"{type(error).__name__}: {error}", traceback.format_exc()
        finally:
            leave_run(invocation_id, token)
        await asyncio.to_thread(answer, invocation_id, said)

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="invocations", daemon=True).start()
    while True:
        asyncio.run_coroutine_threadsafe(carry_out(*host.recv()), loop)


if __name__ == "__main__":
    main()
