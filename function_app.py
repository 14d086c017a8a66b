"""Table of contents of the app: every blueprint by name."""

import os

import azure.functions as func

from shared.triggers.blobs import blobs
from shared.triggers.exports import exports
from shared.triggers.http import http
from shared.triggers.upkeep import upkeep

# Arrow's other allocators keep much of what is free: a tenth more at the peak. pyarrow reads this at its first import.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")

# Until callers are authenticated in the app itself, nobody gets in without a key.
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(blobs)
app.register_functions(exports)
app.register_functions(upkeep)
app.register_functions(http)
