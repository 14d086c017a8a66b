"""`$expand=origin`: an instance with the blob, line and run that each of its values comes from."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query

from shared.app import Services
from shared.domain.documents.entity_types import EntityType
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.shown import listed

ORIGIN = "origin"

Expand = Annotated[
    str | None,
    Query(alias="$expand", description="`origin`: for each value the blob, its ETag, the line and the run it is from"),
]


def wants_origin(expand: str | None) -> bool:
    """Whether `$expand` asks for origins; raises InvalidRequestError where it asks for anything else."""
    if expand is None:
        return False
    names = [name.strip() for name in expand.split(",")]
    unknown = [name for name in names if name.casefold() != ORIGIN]
    if unknown:
        message = f"{listed(unknown)} cannot be expanded; the only thing that can is {ORIGIN!r}"
        raise InvalidRequestError([Fault("UnknownExpansion", "$expand", message)])
    return True


def with_origin(services: Services, hub: str, entity_type: EntityType, key: str) -> dict[str, Any] | None:
    """The instance of a key with its origins, or None."""
    from shared.lake.read.origin import traced_instance

    traced = traced_instance(services.lake, entity_type, key)
    if traced is None:
        return None
    blobs = {run_id: _blob(services, hub, run_id) for run_id in {origin.run_id for origin in traced.origins.values()}}
    origins = {
        name: {**blobs[origin.run_id], "line": origin.line, "runId": origin.run_id}
        for name, origin in traced.origins.items()
    }
    # A field of the type may have the name; what the data say comes first.
    name = ORIGIN if ORIGIN not in traced.values else f"@{ORIGIN}"
    return {**traced.values, name: origins}


def _blob(services: Services, hub: str, run_id: str) -> Mapping[str, str | None]:
    stored = services.runs.get(hub, run_id)
    blob = stored.run.blob if stored else None
    if blob is None:
        return {"container": None, "path": None, "etag": None}
    return {"container": blob.container, "path": blob.path, "etag": blob.etag}
