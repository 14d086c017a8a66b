"""Prints the URL of a container of the running local stack, or of a blob in it, with a SAS for curl.

python -m infra.local.container inbox                  the container, made if it is not there
python -m infra.local.container inbox/customers/a.csv  a blob in it
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from infra.local.settings import bypass_proxy
from infra.local.state_dir import StateDir

_VALID_FOR = timedelta(days=1)


def main(place: str) -> str:
    """The URL of `container[/blob path]`, valid for a day."""
    stack = StateDir(Path(os.environ.get("STATE_DIR", ".local"))).read()
    if stack is None:
        raise SystemExit("no local stack is running on this STATE_DIR; start it with `make up`")
    name, _, path = place.partition("/")
    bypass_proxy()
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as storage:
        container = storage.get_container_client(name)
        if not container.exists():
            container.create_container()
        sas = generate_container_sas(
            str(storage.account_name),
            name,
            account_key=storage.credential.account_key,
            permission=ContainerSasPermissions(read=True, create=True, write=True, list=True, delete=True),
            expiry=datetime.now(UTC) + _VALID_FOR,
        )
    blob = f"/{quote(path)}" if path else ""
    return f"{container.url}{blob}?{sas}"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit(f"usage: {__doc__}")
    print(main(sys.argv[1]))
