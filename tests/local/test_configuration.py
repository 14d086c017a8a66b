"""What `host.json`, the settings file and the environment say to the host."""

import json
import logging
from pathlib import Path

import pytest

from infra.local.functions_host.host_json import (
    ConfigurationError,
    HostOptions,
    QueueOptions,
    read_host_options,
    resolve_settings,
    seconds,
    worker_count,
)
from infra.local.settings import REPOSITORY, SettingError, app_settings, host_environment


def write(folder: Path, name: str, content: object) -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def test_defaults_of_the_real_host(tmp_path: Path) -> None:
    options = read_host_options(write(tmp_path, "host.json", {"version": "2.0"}), {})
    assert options == HostOptions("api", QueueOptions(16, 8, 5, 0.0, base64=True), logging.INFO)


def test_the_environment_is_laid_over_host_json_in_any_case(tmp_path: Path) -> None:
    write(tmp_path, "host.json", {"version": "2.0", "extensions": {"queues": {"visibilityTimeout": "00:00:30"}}})
    environment = {
        "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:05",
        "AZUREFUNCTIONSJOBHOST__EXTENSIONS__QUEUES__BATCHSIZE": "3",
        "AzureFunctionsJobHost__logging__logLevel__default": "Warning",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
    }
    options = read_host_options(tmp_path, environment)
    assert options == HostOptions("", QueueOptions(3, 1, 5, 5.0, base64=True), logging.WARNING)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ({}, '"version": "2.0"'),
        ({"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}, "batchSize is 33"),
        ({"version": "2.0", "extensions": {"queues": {"messageEncoding": "utf-7"}}}, "messageEncoding is 'utf-7'"),
        ({"version": "2.0", "extensions": {"queues": {"visibilityTimeout": "30"}}}, "'30' is not a time span"),
    ],
)
def test_a_wrong_host_json_says_what_is_wrong(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_host_options(write(tmp_path, "host.json", content), {})


@pytest.mark.parametrize("text", ["0", "11", "-1", "two", "1.5", "²"])
def test_unusable_numbers_of_worker_processes(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"FUNCTIONS_WORKER_PROCESS_COUNT='.*' is not a number of processes"):
        worker_count({"FUNCTIONS_WORKER_PROCESS_COUNT": text})


@pytest.mark.parametrize("variables", [{}, {"FUNCTIONS_WORKER_PROCESS_COUNT": " "}])
def test_one_process_runs_the_functions_where_nothing_is_said(variables: dict[str, str]) -> None:
    assert worker_count(variables) == 1


@pytest.mark.parametrize(
    ("text", "expected"), [("00:00:30", 30), ("1.02:03:04", 93784), ("00:30:00", 1800), ("0:0:0.5", 0.5)]
)
def test_time_spans(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_settings_are_resolved_everywhere_in_a_binding() -> None:
    binding = {"queueName": "%Q%-x", "methods": ["%Q%"], "flag": True, "odd": "100 % of %"}
    assert resolve_settings(binding, "f", {"Q": "in"}) == {**binding, "queueName": "in-x", "methods": ["in"]}
    with pytest.raises(ConfigurationError, match="f: %Q% is not set"):
        resolve_settings(binding, "f", {})


def test_the_local_settings_file_goes_before_the_sample(tmp_path: Path) -> None:
    assert app_settings(tmp_path, None) == {}
    write(tmp_path, "local.settings.sample.json", {"Values": {"A": "sample"}})
    assert app_settings(tmp_path, None) == {"A": "sample"}
    write(tmp_path, "local.settings.json", {"Values": {"A": "local"}})
    assert app_settings(tmp_path, None) == {"A": "local"}
    assert app_settings(tmp_path, tmp_path / "local.settings.sample.json") == {"A": "sample"}


@pytest.mark.parametrize(
    ("values", "environment", "expected"),
    [
        ({}, {}, "http://127.0.0.1:1"),
        ({"DEVELOPMENT_ENDPOINTS": "http://127.0.0.1:2"}, {}, "http://127.0.0.1:2,http://127.0.0.1:1"),
        (
            {"DEVELOPMENT_ENDPOINTS": "http://127.0.0.1:2"},
            {"DEVELOPMENT_ENDPOINTS": "http://127.0.0.1:3"},
            "http://127.0.0.1:3,http://127.0.0.1:1",
        ),
    ],
)
def test_the_stack_lists_its_endpoints_beside_those_that_are_asked_for(
    values: dict[str, str], environment: dict[str, str], expected: str
) -> None:
    computed = {"KEY_VAULT_URL": "http://127.0.0.1:1", "DEVELOPMENT_ENDPOINTS": "http://127.0.0.1:1"}
    assert host_environment(values, computed, environment)["DEVELOPMENT_ENDPOINTS"] == expected


@pytest.mark.parametrize("content", ["{", "[]", {"Values": []}, {"Values": {"A": 1}}])
def test_a_wrong_settings_file_is_named(tmp_path: Path, content: object) -> None:
    write(tmp_path, "local.settings.json", content)
    with pytest.raises(SettingError, match=r"local\.settings\.json"):
        app_settings(tmp_path, None)


def test_the_apps_own_files_are_readable() -> None:
    values = app_settings(REPOSITORY, REPOSITORY / "local.settings.sample.json")
    assert values["FUNCTIONS_WORKER_RUNTIME"] == "python"
    options = read_host_options(REPOSITORY, values)
    assert options.route_prefix == ""
    assert options.queues == QueueOptions(8, 4, 5, 5.0, base64=True)
