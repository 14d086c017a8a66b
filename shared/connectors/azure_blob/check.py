"""AzureBlob connectors: is the secret there, does the account let us in, can its containers be listed?"""

from collections.abc import Callable, Iterable, Sequence

from shared.connectors.check import Check, each_in_time
from shared.connectors.source_account import CONTAINER_CHECK
from shared.domain.errors import DeniedError, HubError, RefusedError
from shared.settings import Settings
from shared.storage.accounts import StorageAccount, account_from_secret
from shared.storage.blob.blobs import BlobContainer, container_names
from shared.storage.key_vault import Vaults

ACCOUNT_CHECK = "account"


def check(
    secret_url: str,
    containers: Iterable[str],
    vaults: Vaults,
    settings: Settings,
    check_use: Callable[[StorageAccount, str], None],
) -> tuple[list[Check], StorageAccount | None]:
    """Tries a connection.

    Args:
        secret_url: `connectionKeyVaultUrl`.
        containers: those that the connector's mappings name.
        vaults: the vaults of the allow-list.
        settings: of the process.
        check_use: raises HubError for a container of the account that is not for the connector.

    Returns:
        What was tried, and the account where the secret names one.
    """
    try:
        text = vaults.get(secret_url)
    except HubError as error:
        return [Check("secret", False, error.message)], None
    checks = [Check("secret", True, "the secret can be read")]
    try:
        account = account_from_secret(text, settings)
    except HubError as error:
        return [*checks, Check(ACCOUNT_CHECK, False, error.message)], None
    checks.append(_check_account(account.hurried()))
    if checks[-1].ok:
        checks += _check_containers(account.hurried(), sorted(set(containers)), check_use)
    return checks, account


def _check_account(account: StorageAccount) -> Check:
    name = ACCOUNT_CHECK
    try:
        next(container_names(account), None)
    except RefusedError as error:
        if not isinstance(error, DeniedError) or account.key is not None:
            return Check(name, False, error.message)
        # Whoever may read a container need not be allowed to list all of them.
        message = (
            f"the account {account.name!r} answers, but does not let us list its containers; "
            "those that mappings name are tried one by one"
        )
        return Check(name, True, message)
    except HubError as error:
        return Check(name, False, error.message)
    return Check(name, True, f"the account {account.name!r} lets us in")


def _check_containers(
    account: StorageAccount, containers: Sequence[str], check_use: Callable[[StorageAccount, str], None]
) -> Iterable[Check]:
    def name(container: str) -> str:
        return f"{CONTAINER_CHECK}{container}"

    def check(container: str) -> Check:
        check_use(account, container)
        next(BlobContainer(account, container).list(), None)
        return Check(name(container), True, f"the container {container!r} can be listed")

    return each_in_time(containers, name, check, "containers that mappings name")
