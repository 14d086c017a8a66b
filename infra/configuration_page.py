"""Writes `docs/configuration.md` from `shared/settings.py`: `python -m infra.configuration_page`."""

import json

from infra.local.settings import REPOSITORY
from shared.settings import Settings

PAGE = REPOSITORY / "docs" / "configuration.md"

_HEAD = """# Configuration

Every setting of the app is an app setting (an environment variable; locally a line of `local.settings.json`).
This page is written by `make docs` from `shared/settings.py`; a test holds both together.

| setting | default | meaning |
|---|---|---|
"""

_HOST = """
The Functions host reads `AzureWebJobsStorage` for its own leases and timer statuses, and the connection `HUB_STORAGE`
for the queue triggers: a connection string, or the forms `HUB_STORAGE__queueServiceUri`, `HUB_STORAGE__credential` and
`HUB_STORAGE__clientId` for an identity. What differs from the host's defaults in `host.json`:

| setting of host.json | value | why |
|---|---|---|
"""

_THREADS = """
The worker reads `PYTHON_THREADPOOL_THREAD_COUNT`, the functions that it runs at a time: 32, which is `batchSize` and
`newBatchThreshold` for each of the queues `ingest` and `export`, and eight for events and timers. Requests do not
count. Whoever raises `batchSize` raises it too, or adds a process, which takes its share.
"""

_REASONS = {
    "functionTimeout": "a blob of 10 GiB takes minutes; a claim on a run is as long (`shared/ledger/stored_run.py`)",
    "extensions.http.routePrefix": "the routes of the contract begin at `/hubs`",
    "extensions.queues.batchSize": "blob versions that one instance ingests at a time; memory grows with it",
    "extensions.queues.newBatchThreshold": "the next batch is fetched when this many are left",
    "extensions.queues.maxDequeueCount": "attempts before a message goes to the poison queue",
    "extensions.queues.visibilityTimeout": "the pause before a failed message is tried again",
    "extensions.queues.messageEncoding": "what the storage SDK and the host agree on",
}

_SMALL_BLOBS = """
**Many small blobs** are bound by the processor, and one Python process uses one core. On an instance of two cores these
app settings bring in half as many again per second (`make bench BENCH=blobs` measures with them), for a second process
of about 400 MB; files of many megabytes want the values above. They are for plans whose instances have several cores
(Premium, Dedicated, a container) and for the local stack, where the second process logs to `functions-2.log`; on Flex
Consumption, which `infra/azure` deploys, more instances do the same:

| app setting | value | what it does |
|---|---|---|
| `FUNCTIONS_WORKER_PROCESS_COUNT` | `2` | the host has two worker processes take turns; the local stack knows it too |
| `AzureFunctionsJobHost__extensions__queues__batchSize` | `24` | a dozen blobs each, which share commits |
"""


def render() -> str:
    """The page's text."""
    lines = [_HEAD]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "", ()) else f"`{field.default}`"
        lines.append(f"| `{field.alias or name.upper()}` | {default} | {field.description} |\n")
    host = json.loads((REPOSITORY / "host.json").read_text(encoding="utf-8"))
    lines.append(_HOST)
    for path, reason in _REASONS.items():
        value = host
        for part in path.split("."):
            value = value[part]
        lines.append(f"| `{path}` | `{value}` | {reason} |\n")
    lines.append(_THREADS)
    lines.append(_SMALL_BLOBS)
    return "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
