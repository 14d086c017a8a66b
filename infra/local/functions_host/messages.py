"""The messages of the FunctionRpc protocol that `azure_functions_runtime` builds and reads.

The library takes its message classes from its caller and imports no protobuf, and no package carries them.
Plain classes with the same attributes and the same `WhichOneof` do: this module is what the library calls
`protos`. Names are the protocol's own: https://github.com/Azure/azure-functions-language-worker-protobuf
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar


class _Message:
    """Keeps what it is given; what is not given has the protocol's default."""

    _defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, **fields: Any) -> None:
        for name, value in {**self._defaults, **fields}.items():
            setattr(self, name, value)


class _Empty(_Message):
    """A message of which only the given fields are read."""


WorkerInitResponse = FunctionMetadataResponse = FunctionLoadResponse = _Empty
FunctionEnvironmentReloadResponse = RpcFunctionMetadata = RpcRetryOptions = WorkerMetadata = _Empty
NullableBool = NullableDouble = NullableString = NullableTimestamp = Timestamp = _Empty


class InvocationResponse(_Message):
    """The answer to one invocation; a failure has neither value nor output."""

    _defaults: ClassVar[Mapping[str, Any]] = {"return_value": None, "output_data": (), "result": None}
    return_value: "TypedData | None"
    output_data: "Sequence[ParameterBinding]"
    result: "StatusResult"


class RpcException(_Message):
    """An exception of the app, as text."""

    _defaults: ClassVar[Mapping[str, Any]] = {"message": "", "stack_trace": ""}
    message: str
    stack_trace: str


class StatusResult(_Message):
    """Outcome of a request to the worker."""

    Failure, Success, Cancelled = 0, 1, 2
    _defaults: ClassVar[Mapping[str, Any]] = {"status": 0, "exception": None}
    status: int
    exception: RpcException


class BindingInfo(_Message):
    """Direction and type of one binding of a function."""

    in_, out, inout = 0, 1, 2
    undefined = 0


class TypedData(_Message):
    """A value on the wire: exactly one of its kinds is given."""

    kinds = ("string", "json", "bytes", "stream", "http", "int", "double")

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - the protocol's name
        """The kind that is given."""
        return next((kind for kind in self.kinds if getattr(self, kind, None) is not None), None)

    def value(self) -> Any:
        """The value, of whatever kind."""
        kind = self.WhichOneof("data")
        return None if kind is None else getattr(self, kind)


class ParameterBinding(_Message):
    """A value for, or from, a parameter of a function."""

    name: str
    data: TypedData

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - the protocol's name
        """Always inline data; shared memory is not offered to the worker."""
        return "data"


class RpcHttp(_Message):
    """An HTTP request or answer."""

    _defaults: ClassVar[Mapping[str, Any]] = {
        "headers": {},
        "query": {},
        "params": {},
        "cookies": None,
        "body": None,
        "status_code": "",
    }
    headers: dict[str, str]
    cookies: "list[RpcHttpCookie] | None"
    body: TypedData | None
    status_code: str


class RpcHttpCookie(_Message):
    """A cookie that an answer sets; absent attributes are None, present ones have `.value`."""

    # The protocol's enum has a member called "None", which only getattr can reach.
    SameSite = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})
    _defaults: ClassVar[Mapping[str, Any]] = dict.fromkeys(
        ("domain", "path", "expires", "secure", "http_only", "max_age")
    )
    name: str
    value: str
    same_site: int
