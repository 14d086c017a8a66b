"""What `host.json` and the app settings say to the host."""

import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OVERRIDE = "AzureFunctionsJobHost__"
_SETTING = re.compile(r"%([^%\s]+)%")
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
_MOST_WORKERS = 10
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL,
}


class ConfigurationError(Exception):
    """The app's configuration cannot be served; the message says which part, and what to do."""


@dataclass(frozen=True)
class QueueOptions:
    """`extensions.queues`; times in seconds. Defaults and limits are the extension's own.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
    """

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    base64: bool = True


@dataclass(frozen=True)
class HostOptions:
    """The part of `host.json` that the stand-in serves."""

    route_prefix: str
    queues: QueueOptions
    log_level: int


def read_host_options(app_dir: Path, environment: Mapping[str, str] = os.environ) -> HostOptions:
    """Read `host.json`, with `AzureFunctionsJobHost__a__b` of the environment laid over it.

    Raises:
        ConfigurationError: The file is missing, is not JSON, or a value has the wrong form.
    """
    path = app_dir / "host.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path} is missing. A Functions app has one beside function_app.py.") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, dict) or content.get("version") != "2.0":
        raise ConfigurationError(f'{path} must be an object with "version": "2.0".')
    for name, value in environment.items():
        if name.lower().startswith(_OVERRIDE.lower()):
            _lay_over(content, name[len(_OVERRIDE) :].split("__"), value)
    try:
        return HostOptions(
            route_prefix=str(_at(content, "extensions", "http", "routePrefix", default="api")).strip("/"),
            queues=_queue_options(_at(content, "extensions", "queues", default={})),
            log_level=_LEVELS[str(_at(content, "logging", "logLevel", "default", default="Information")).lower()],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}.") from error


def worker_count(environment: Mapping[str, str] = os.environ) -> int:
    """`FUNCTIONS_WORKER_PROCESS_COUNT`: how many processes run the app's functions; 1 where it is not set.

    https://learn.microsoft.com/azure/azure-functions/functions-app-settings#functions_worker_process_count

    Raises:
        ConfigurationError: It is not a number from 1 to 10.
    """
    text = environment.get("FUNCTIONS_WORKER_PROCESS_COUNT", "").strip() or "1"
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_WORKERS):
        raise ConfigurationError(
            f"FUNCTIONS_WORKER_PROCESS_COUNT={text!r} is not a number of processes. "
            f"Give a number from 1 to {_MOST_WORKERS}."
        )
    return int(text)


def resolve_settings(value: Any, where: str, environment: Mapping[str, str] = os.environ) -> Any:
    """Replace `%NAME%` in every text of a binding by the app setting.

    Raises:
        ConfigurationError: The setting does not exist.
    """

    def replace(found: re.Match[str]) -> str:
        name = found[1].replace(":", "__")
        if name not in environment:
            raise ConfigurationError(f"{where}: %{found[1]}% is not set. Set it in local.settings.json.")
        return environment[name]

    if isinstance(value, str):
        return _SETTING.sub(replace, value)
    if isinstance(value, dict):
        return {k: resolve_settings(v, where, environment) for k, v in value.items()}
    if isinstance(value, list):
        return [resolve_settings(v, where, environment) for v in value]
    return value


def seconds(text: str) -> float:
    """A .NET TimeSpan (`hh:mm:ss`, `d.hh:mm:ss`) in seconds."""
    if (found := _TIME_SPAN.fullmatch(text.strip())) is None:
        raise ValueError(f"{text!r} is not a time span like 00:00:30")
    days, hours, minutes, rest = found.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)


def _queue_options(section: dict[str, Any]) -> QueueOptions:
    get = {k.lower(): v for k, v in section.items()}.get
    batch_size = int(get("batchsize", 16))
    encoding = str(get("messageencoding", "base64")).lower()
    if not 1 <= batch_size <= 32:
        raise ValueError(f"extensions.queues.batchSize is {batch_size}; it must be from 1 to 32")
    if encoding not in {"base64", "none"}:
        raise ValueError(f"extensions.queues.messageEncoding is {encoding!r}; it must be base64 or none")
    return QueueOptions(
        batch_size,
        int(get("newbatchthreshold", max(1, batch_size // 2))),
        int(get("maxdequeuecount", 5)),
        seconds(str(get("visibilitytimeout", "00:00:00"))),
        encoding == "base64",
    )


def _at(content: dict[str, Any], *names: str, default: Any) -> Any:
    here: Any = content
    for name in names:
        here = {k.lower(): v for k, v in here.items()}.get(name.lower()) if isinstance(here, dict) else None
        if here is None:
            return default
    return here


def _lay_over(content: dict[str, Any], names: list[str], value: str) -> None:
    for name in names[:-1]:
        key = next((k for k in content if k.lower() == name.lower()), name)
        if not isinstance(content.get(key), dict):
            content[key] = {}
        content = content[key]
    content[next((k for k in content if k.lower() == names[-1].lower()), names[-1])] = value
