"""The functions log: one line per record, without secrets, bounded in size."""

import logging
import logging.handlers
from datetime import UTC, datetime
from pathlib import Path

from infra.local.functions_host.current_run import describe_current_run
from shared.redact import without_secrets

_BYTES_PER_FILE = 10_000_000
_OLD_FILES = 2


class _OneLine(logging.Formatter):
    """Time, level, function and invocation, logger, message; line breaks escaped."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        line = f"{time} {record.levelname} [{describe_current_run()}] {record.name}: {text}"
        return without_secrets(line).replace("\r", "\\r").replace("\n", "\\n")


def write_log(path: Path, level: int) -> None:
    """Send everything that the host and the app log to a file; the app's own loggers at `level`."""
    sink = logging.handlers.RotatingFileHandler(
        path, maxBytes=_BYTES_PER_FILE, backupCount=_OLD_FILES, encoding="utf-8", errors="backslashreplace"
    )
    sink.setFormatter(_OneLine())
    root = logging.getLogger()
    root.addHandler(sink)
    root.setLevel(level)
    # Their INFO is a line per request, with headers.
    for name in ("azure", "urllib3", "httpx", "httpcore", "uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
