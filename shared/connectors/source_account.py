"""The storage account that a connector reads: how it is opened, and which of its containers a check has listed."""

from collections.abc import Callable, Iterable

from shared.connectors.check import Check
from shared.domain.errors import HubError
from shared.settings import Settings
from shared.storage.accounts import StorageAccount, account_from_secret
from shared.storage.key_vault import Vaults

CONTAINER_CHECK = "container "
"""The name of the check of a container begins so, and goes on with that of the container."""


def open_account(secret_url: str, vaults: Vaults, settings: Settings) -> StorageAccount:
    """The account that the secret behind a `connectionKeyVaultUrl` names.

    Raises:
        InvalidRequestError: the URL is off the allow-list, or the secret is no usable connection.
        RefusedError, UnavailableError: the vault refuses, or does not answer.
    """
    return account_from_secret(vaults.get(secret_url), settings)


def listed(checks: Iterable[Check]) -> set[str]:
    """The containers that could be listed, of those that were tried."""
    return {
        check.name.removeprefix(CONTAINER_CHECK)
        for check in checks
        if check.ok and check.name.startswith(CONTAINER_CHECK)
    }


def as_of_now(checks: Iterable[Check], check_use: Callable[[str], None]) -> list[Check]:
    """The checks, where a container that could be listed is found to be none for the connector after all."""

    def again(check: Check) -> Check:
        if not listed([check]):
            return check
        try:
            check_use(check.name.removeprefix(CONTAINER_CHECK))
        except HubError as error:
            return Check(check.name, False, error.message)
        return check

    return [again(check) for check in checks]
