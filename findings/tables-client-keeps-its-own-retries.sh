#!/bin/sh
# Guess: clients of Azure's storage services take `retry_policy=`, and so does that of Table Storage; a policy that never
# repeats makes one request of a call that is answered with 503.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    azure-data-tables==12.7.0 azure-storage-blob==12.31.1 azure-core==1.41.0
"$folder/venv/bin/python" - <<'PY'
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import RetryPolicy
from azure.data.tables import TableClient
from azure.storage.blob import ContainerClient, ExponentialRetry

asked = []


class Busy(BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
endpoint = f"http://127.0.0.1:{server.server_port}/account"
key = AzureNamedKeyCredential("account", "c2VjcmV0")


def requests_of(call):
    asked.clear()
    try:
        call()
    except AzureError as error:
        print("  ends with", type(error).__name__)
    return len(asked)


print("azure-data-tables", version("azure-data-tables"), "azure-storage-blob", version("azure-storage-blob"))
print("blobs, retry_policy=ExponentialRetry(retry_total=0):")
never = ExponentialRetry(retry_total=0)
blobs = requests_of(lambda: list(ContainerClient(endpoint, "box", credential=key, retry_policy=never).list_blobs()))
print(f"  {blobs} request")
print("tables, retry_policy=RetryPolicy(retry_total=0):")
policy = RetryPolicy(retry_total=0)
client = TableClient(endpoint, "rows", credential=key, retry_policy=policy, retry_backoff_factor=0.01)
tables = requests_of(lambda: client.get_entity("p", "r"))
print(f"  {tables} requests")
print("tables, retry_total=0 as an option of the client:")
option = requests_of(lambda: TableClient(endpoint, "rows", credential=key, retry_total=0).get_entity("p", "r"))
print(f"  {option} request")
server.shutdown()
if (blobs, tables, option) != (1, 4, 1):
    sys.exit("this has changed")
print("seen: the client of tables takes the policy without a word, and goes on with its own")
PY
