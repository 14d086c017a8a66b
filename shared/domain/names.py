"""Names of hubs and definitions: what is allowed, and how they compare."""

import re
from typing import Annotated

from pydantic import StringConstraints

from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.shown import shown

HUB_PATTERN = r"^[a-zA-Z][a-zA-Z0-9]{1,63}$"
NAME_PATTERN = r"^[a-zA-Z][a-zA-Z0-9_]{1,127}$"
# The same in words.
RULES = {
    HUB_PATTERN: "2 to 64 letters and digits, starting with a letter",
    NAME_PATTERN: "2 to 128 letters, digits and underscores, starting with a letter",
}

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
CONTAINER_PATTERN = r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]"

# Names of the machine itself, as `urlsplit` gives them.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

# Clouds that hand out the names of accounts for themselves, apart from the public one:
# https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-endpoints
_SOVEREIGN_CLOUDS = ("chinacloudapi.cn", "usgovcloudapi.net")

DefinitionName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]

# Columns that the exports and KPI values add themselves; a field of that name would stand there twice.
RESERVED_FIELDS = frozenset({"system_processingtime", "calculationtime", "refresh", "kind"})


def same_name(left: str, right: str) -> bool:
    """Names compare without regard to case."""
    return left.casefold() == right.casefold()


def name_key(name: str) -> str:
    """The form of a name that keys and paths use: lower case."""
    return name.lower()


def account_at(host: str) -> str:
    """The storage account that a host serves: `contoso`, or `contoso.chinacloudapi.cn` outside the public cloud.

    Each cloud may have a `contoso` of its own, which belongs to somebody else.
    """
    return in_cloud_of(host, host.partition(".")[0])


def account_and_path(host: str, path: str) -> tuple[str, str]:
    """Returns the storage account that a URL is of, and the path below the account.

    On loopback, where no host is named after an account, the path begins with it.

    Args:
        host: as `urlsplit` gives it.
        path: without a slash at its start.
    """
    if host not in LOOPBACK:
        return account_at(host), path
    account, _, below = path.partition("/")
    return account, below


def in_cloud_of(host: str, name: str) -> str:
    """The name of an account with its cloud, where a host of it is outside the public one."""
    cloud = next((cloud for cloud in _SOVEREIGN_CLOUDS if host.endswith(f".{cloud}")), None)
    return name if cloud is None else f"{name}.{cloud}"


def check_hub_name(name: str) -> str:
    """Returns `name`, or raises InvalidRequestError."""
    return _check(name, HUB_PATTERN, "hub")


def check_name(name: str, target: str) -> str:
    """Returns `name`, or raises InvalidRequestError for `target` (the kind of thing that is named)."""
    return _check(name, NAME_PATTERN, target)


def _check(name: str, pattern: str, target: str) -> str:
    if not re.fullmatch(pattern.strip("^$"), name):
        message = f"the name {shown(name)} is not allowed: use {RULES[pattern]}"
        raise InvalidRequestError([Fault("InvalidName", target, message)])
    return name
