"""The Azure templates are sound, and name what the code names."""

import json
import re
import string
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from azure.eventgrid import SystemEventNames

from shared.domain import own_names
from shared.domain.function_names import BLOB_CREATED, FUNCTIONS
from shared.settings import Settings
from shared.storage.event_grid import is_committing
from tests.infra.bicep import Declared, Expression, Template, read_template

ROOT = Path(__file__).parents[2]
AZURE = ROOT / "infra" / "azure"
PATHS = sorted(AZURE.rglob("*.bicep"))
TEMPLATES = {str(path.relative_to(AZURE)): read_template(path) for path in PATHS}
MAIN = TEMPLATES["main.bicep"]
HUB_STORAGE = TEMPLATES["modules/hub-storage.bicep"]
SUBSCRIPTION = TEMPLATES["modules/event-subscription.bicep"].resources["blobCreated"].body["properties"]
ALERTS = TEMPLATES["modules/alerts.bicep"].variables["rules"]
TOPIC_ALERTS = TEMPLATES["modules/event-topic.bicep"].variables["alerts"]
APP_SETTINGS: dict[str, Any] = MAIN.modules["functionApp"].body["params"]["appSettings"]

# https://learn.microsoft.com/azure/templates, in the versions used
BUILT_IN = {
    "empty",
    "environment",
    "guid",
    "join",
    "resourceGroup",
    "string",
    "subscriptionResourceId",
    "tenant",
    "uniqueString",
}
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
}
# https://learn.microsoft.com/azure/azure-functions/functions-app-settings, "Flex Consumption plan deprecations"
REFUSED_BY_FLEX = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_TIME_ZONE",
    "WEBSITE_VNET_ROUTE_ALL",
}
# Settings of the platform that the code itself does not read.
OF_THE_HOST = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "HUB_STORAGE__credential",
    "PYTHON_THREADPOOL_THREAD_COUNT",
}
# Only for a developer's machine, or set by the host itself.
NOT_IN_AZURE = {"AZURE_FUNCTIONS_ENVIRONMENT", "HUB_STORAGE", "DEVELOPMENT_ENDPOINTS", "CLOCK_FILE"}


def created(kind: str) -> Iterator[tuple[Template, Declared]]:
    """Every resource of a type that the templates create."""
    for template in TEMPLATES.values():
        for resource in template.resources.values():
            if resource.source.split("@")[0] == kind and not resource.is_existing:
                yield template, resource


def only(kind: str) -> dict[str, Any]:
    [(_, resource)] = created(kind)
    return resource.body


def each_of(kind: str) -> Any:
    """What a repeated resource is repeated for, variables put in."""
    [resource] = [each for each in HUB_STORAGE.resources.values() if each.source.startswith(f"{kind}@") and each.each]
    assert resource.each is not None
    item, values = resource.each
    assert resource.body["name"] == Expression(item, frozenset({item}))
    return HUB_STORAGE.resolve(values)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_name_is_declared_and_used(name: str) -> None:
    template = TEMPLATES[name]
    assert not template.unresolved
    assert not template.unused
    assert template.functions <= BUILT_IN


@pytest.mark.parametrize("name", TEMPLATES)
def test_modules_get_what_they_ask_for(name: str) -> None:
    template = TEMPLATES[name]
    for module in template.modules.values():
        wanted = read_template(template.path.parent / module.source).parameters
        given = set(module.body["params"])
        assert given <= set(wanted), f"{module.source} has no parameter {given - set(wanted)}"
        missing = {key for key, parameter in wanted.items() if parameter.is_required} - given
        assert not missing, f"{module.source} is not given {missing}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_outputs_that_are_read_exist(name: str) -> None:
    template = TEMPLATES[name]
    for use in template.member_uses:
        match = re.fullmatch(r"(\w+)\.outputs\.(\w+)", use)
        if match:
            module = template.modules[match[1]]
            assert match[2] in read_template(template.path.parent / module.source).outputs


def test_every_module_is_used() -> None:
    used = {
        (template.path.parent / module.source).resolve()
        for template in TEMPLATES.values()
        for module in template.modules.values()
    }
    assert used == {path.resolve() for path in (AZURE / "modules").glob("*.bicep")}


def test_each_resource_type_has_one_api_version() -> None:
    versions: dict[str, set[str]] = {}
    for resource in chain.from_iterable(template.resources.values() for template in TEMPLATES.values()):
        kind, version = resource.source.split("@")
        assert re.fullmatch(r"20\d\d-\d\d-\d\d(-preview)?", version)
        versions.setdefault("/".join(kind.split("/")[:2]), set()).add(version)
    assert {kind for kind, found in versions.items() if len(found) > 1} == set()


def test_sample_parameters_fit() -> None:
    sample = json.loads((AZURE / "main.parameters.sample.json").read_text(encoding="utf-8"))["parameters"]
    kinds = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}
    for name, entry in sample.items():
        assert type(entry["value"]) is kinds[MAIN.parameters[name].kind], name
    assert {name for name, parameter in MAIN.parameters.items() if parameter.is_required} <= set(sample)


def test_names_fit_the_limits_of_azure() -> None:
    """Storage accounts and vaults take 24 characters; the longest prefix and hash must fit."""
    prefix = re.search(r"@maxLength\((\d+)\)\s+param name ", MAIN.path.read_text(encoding="utf-8"))
    assert prefix
    filled = {"name": "n" * int(prefix[1]), "suffix": "s" * 13}
    names = [
        MAIN.variables["hubAccountName"],
        MAIN.modules["vault"].body["params"]["vaultName"],
        *re.findall(r"'(\$\{name\}in\$\{suffix\})'", MAIN.variables["landingName"].text),
    ]
    assert len(names) == 3
    for name in names:
        full = string.Template(name).substitute(filled)
        assert 3 <= len(full) <= 24
        assert full.isalnum()


def test_containers_queues_and_tables_are_those_of_the_code() -> None:
    containers = set(each_of("Microsoft.Storage/storageAccounts/blobServices/containers"))
    queues = each_of("Microsoft.Storage/storageAccounts/queueServices/queues")
    tables = each_of("Microsoft.Storage/storageAccounts/tableServices/tables")
    # Whatever the template makes in the hub's account is refused to mappings; `inbox`, for files, is made in another.
    assert containers == own_names.OWN_CONTAINERS
    assert all(own_names.is_own_container(container, is_own_account=True) for container in containers)
    assert TEMPLATES["modules/landing-storage.bicep"].resources["inbox"].body["name"] == "inbox"
    assert not own_names.is_own_container("inbox", is_own_account=True)
    work = [value for name, value in vars(own_names).items() if name.startswith("QUEUE_")]
    assert sorted(queues) == sorted([*work, *(queue + own_names.POISON for queue in work)])
    assert sorted(tables) == sorted(value for name, value in vars(own_names).items() if name.startswith("TABLE_"))


def test_events_go_to_the_function_that_takes_them() -> None:
    destination = SUBSCRIPTION["destination"]
    assert destination["endpointType"] == "AzureFunction"
    assert destination["properties"]["resourceId"] == "${functionAppId}/functions/" + BLOB_CREATED
    assert SUBSCRIPTION["eventDeliverySchema"] == "EventGridSchema"


def test_only_events_that_the_code_takes_are_sent() -> None:
    filters = {
        each["key"]: (each["operatorType"], each["values"]) for each in SUBSCRIPTION["filter"]["advancedFilters"]
    }
    # https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
    documented = {"CopyBlob", "CreateFile", "FlushWithClose", "PutBlob", "PutBlockList", "SftpCommit", "SftpCreate"}
    operator, apis = filters["data.api"]
    assert operator == "StringIn"
    assert set(apis) == {api for api in documented if is_committing(api)}
    operator, suffixes = filters["subject"]
    assert operator == "StringEndsWith"
    assert isinstance(suffixes, Expression)
    assert suffixes.text == "blobSuffixes"
    assert TEMPLATES["subscription.bicep"].parameters["blobSuffixes"].default == [".csv", ".csv.gz"]
    assert SUBSCRIPTION["filter"]["includedEventTypes"] == [SystemEventNames.StorageBlobCreatedEventName.value]


def test_events_that_cannot_be_delivered_are_kept() -> None:
    assert SUBSCRIPTION["retryPolicy"] == {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
    dead = SUBSCRIPTION["deadLetterWithResourceIdentity"]
    container = dead["deadLetterDestination"]["properties"]["blobContainerName"]
    assert container in each_of("Microsoft.Storage/storageAccounts/blobServices/containers")
    access = TEMPLATES["modules/dead-letter-access.bicep"].resources
    assert access["deadLetters"].body["name"] == container
    assert access["topicAccess"].body["scope"].text == "deadLetters"
    assert dead["identity"] == only("Microsoft.EventGrid/systemTopics")["identity"]


def environment_names() -> dict[str, str]:
    """Setting of the environment -> field."""
    return {field.alias or name.upper(): name for name, field in Settings.model_fields.items()}


def test_every_setting_of_the_code_is_set() -> None:
    assert set(APP_SETTINGS) == set(environment_names()) - NOT_IN_AZURE | OF_THE_HOST
    assert all(not Settings.model_fields[environment_names()[name]].is_required() for name in NOT_IN_AZURE)


def test_defaults_are_those_of_the_code() -> None:
    compared = 0
    for name, field in environment_names().items():
        value = APP_SETTINGS.get(name)
        if not isinstance(value, Expression) or not value.names <= set(MAIN.parameters):
            continue
        [parameter] = value.names
        default = Settings.model_fields[field].default
        given = {None: "", (): []}.get(default, default)
        assert MAIN.parameters[parameter].default == given
        compared += 1
    assert compared >= 12


def test_settings_are_none_that_flex_consumption_refuses() -> None:
    assert not REFUSED_BY_FLEX & set(APP_SETTINGS)


def test_triggers_find_their_connection_and_schedules() -> None:
    triggers = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "shared" / "triggers").glob("*.py"))
    schedules = set(re.findall(r"%([A-Z_]+)%", triggers))
    assert len(schedules) == 5
    assert schedules <= set(APP_SETTINGS)
    assert f"{own_names.HUB_STORAGE}__queueServiceUri" in APP_SETTINGS
    for connection in ("AzureWebJobsStorage", own_names.HUB_STORAGE):
        assert APP_SETTINGS[f"{connection}__credential"] == "managedidentity"
        assert APP_SETTINGS[f"{connection}__clientId"].text == "identity.properties.clientId"


def test_the_messages_of_both_queues_leave_threads_for_events_and_timers() -> None:
    queues = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
    timers, events = sum(name.endswith("_SCHEDULE") for name in APP_SETTINGS), 2
    needed = 2 * (queues["batchSize"] + queues["newBatchThreshold"]) + timers + events
    assert MAIN.parameters["functionThreads"].default >= needed
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))
    assert int(sample["Values"]["PYTHON_THREADPOOL_THREAD_COUNT"]) >= needed


def test_the_app_runs_where_it_is_tested() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    app = only("Microsoft.Web/sites")
    runtime = app["properties"]["functionAppConfig"]["runtime"]
    assert runtime["name"] == "python"
    assert f'requires-python = ">={runtime["version"]},' in pyproject
    assert app["properties"]["httpsOnly"] is True
    plan = only("Microsoft.Web/serverfarms")
    assert plan["sku"] == {"name": "FC1", "tier": "FlexConsumption"}
    policies = [resource.body for _, resource in created("Microsoft.Web/sites/basicPublishingCredentialsPolicies")]
    assert {body["name"]: body["properties"]["allow"] for body in policies} == {"scm": False, "ftp": False}
    storage = app["properties"]["functionAppConfig"]["deployment"]["storage"]
    assert storage["authentication"]["type"] == "UserAssignedIdentity"


def test_no_key_and_no_public_access() -> None:
    accounts = [resource.body["properties"] for _, resource in created("Microsoft.Storage/storageAccounts")]
    assert len(accounts) == 2
    for properties in accounts:
        assert properties["allowSharedKeyAccess"] is False
        assert properties["allowBlobPublicAccess"] is False
        assert properties["supportsHttpsTrafficOnly"] is True
        assert properties["minimumTlsVersion"] == "TLS1_2"
    for _, container in created("Microsoft.Storage/storageAccounts/blobServices/containers"):
        assert container.body["properties"]["publicAccess"] == "None"
    assert only("Microsoft.Insights/components")["properties"]["DisableLocalAuth"] is True
    vault = only("Microsoft.KeyVault/vaults")["properties"]
    assert vault["enableRbacAuthorization"] is True
    assert vault["enablePurgeProtection"] is True
    assert vault["enableSoftDelete"] is True
    for path in AZURE.rglob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"AccountKey|listKeys|listAccountSas|sig=[\w%]", text, re.IGNORECASE), path.name


def role_assignments() -> set[tuple[str, str, str]]:
    """(who, role, module) of every role that the templates grant."""
    granted = set()
    for template, resource in created("Microsoft.Authorization/roleAssignments"):
        properties = resource.body["properties"]
        who = template.resolve(properties["principalId"])
        definition = re.fullmatch(
            r"subscriptionResourceId\('Microsoft\.Authorization/roleDefinitions', (\w+)\)",
            properties["roleDefinitionId"].text,
        )
        assert definition
        for role in role_ids(template, resource, definition[1]):
            granted.add((who.text, ROLES[role], template.path.stem))
    return granted


def role_ids(template: Template, resource: Declared, name: str) -> Any:
    if resource.each is not None and resource.each[0] == name:
        return template.resolve(resource.each[1])
    value = template.resolve(Expression(name, frozenset({name})))
    return (
        [value]
        if isinstance(value, str)
        else [template.variables[each] for each in value.names & set(template.variables)]
    )


def test_the_roles_are_those_that_the_page_lists() -> None:
    page = (AZURE / "README.md").read_text(encoding="utf-8")
    who = {"app": "appPrincipalId", "operator": "operatorPrincipalId", "system topic": "topicPrincipalId"}
    listed = {
        (who[match[1]], match[2], match[3])
        for match in re.finditer(
            r"^\| (app|operator|system topic) \| ([A-Z][\w ]+) \| .* \| `modules/([\w-]+)\.bicep` \|$", page, re.M
        )
    }
    assert listed == role_assignments()


def test_no_role_reaches_further_than_a_resource() -> None:
    for template, resource in created("Microsoft.Authorization/roleAssignments"):
        assert resource.body["scope"].text in template.resources
    assert not {"Owner", "Contributor"} & set(ROLES.values())


def test_alerts_ask_for_functions_that_exist() -> None:
    named = set()
    for rule in ALERTS:
        for condition in re.findall(r"\b(?:operation_Name|name) (?:==|!?in) (\(.*?\)|\".*?\")", rule["query"]):
            named |= set(re.findall(r'"(\w+)"', condition))
    assert named
    assert named <= FUNCTIONS


def test_alerts_ask_for_lines_that_the_app_logs() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "shared").rglob("*.py"))
    asked = [text for rule in ALERTS for text in re.findall(r'message startswith "(.*?)"', rule["query"])]
    assert asked
    alone = {f"{what} failed: " for what in re.findall(r'failing_alone\("(.*?)"', code)}
    for text in asked:
        assert text in alone or f'"{text}' in code, f"no log line of the app begins with {text!r}"


def test_alerts_read_facts_that_the_line_of_a_run_has() -> None:
    telemetry = (ROOT / "shared" / "telemetry" / "finished.py").read_text(encoding="utf-8")
    pages = [(ROOT / "docs" / "runbook.md").read_text(encoding="utf-8"), *(rule["query"] for rule in ALERTS)]
    facts = set(re.findall(r"\brun\.(\w+)", "\n".join(pages)))
    assert "state" in facts
    for fact in facts:
        assert f'"{fact}":' in telemetry


def test_every_alert_tells_somebody_and_has_its_page() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    names = [rule["name"] for rule in [*ALERTS, *TOPIC_ALERTS]]
    assert sorted(re.findall(r"^### ([\w-]+)$", runbook, re.M)) == sorted(names)
    for rule in ALERTS:
        assert f"```kusto\n{rule['query']}```" in runbook, f"the page shows another query for {rule['name']}"
    log_alert = only("Microsoft.Insights/scheduledQueryRules")["properties"]
    assert [group.text for group in log_alert["actions"]["actionGroups"]] == ["actionGroupId"]
    metric_alert = only("Microsoft.Insights/metricAlerts")["properties"]
    assert [action["actionGroupId"].text for action in metric_alert["actions"]] == ["actionGroupId"]
