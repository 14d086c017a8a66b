"""Requests that nobody sends by mistake, and what answers them; `{hub}` stands for the hub's path."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MARK = "CANARY5d20"


@dataclass(frozen=True)
class Try:
    """One request.

    Attributes:
        name: what is tried.
        status: any of these answers it.
        code: `error.code` of the answer, or of one of its details; None where there is no error, or any will do.
    """

    name: str
    method: str
    path: str
    status: frozenset[int]
    code: str | None = None
    body: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def get(name: str, path: str, *status: int, code: str | None = None, **more: Any) -> Try:
    return Try(name, "GET", path, frozenset(status), code, **more)


def put(name: str, path: str, body: Any, *status: int, code: str | None = None) -> Try:
    return Try(name, "PUT", path, frozenset(status), code, body)


def raw(name: str, content: bytes | str, *status: int, code: str | None = None, **headers: str) -> Try:
    sent = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Try(
        name, "PUT", "{hub}/profiles/Spoilt", frozenset(status), code, None, sent,
        {"Content-Type": "application/json", **named},
    )  # fmt: skip


def token(value: Any) -> str:
    """A skip token that holds a value."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def filtered(name: str, text: str, *status: int, code: str | None = None) -> Try:
    encoded = "".join(sign if sign.isalnum() else "".join(f"%{byte:02X}" for byte in sign.encode()) for sign in text)
    return get(f"filter: {name}", f"{{hub}}/data/Customer?$filter={encoded}", *status, code=code)


KIB = 1024
FULL = 256 * KIB

KEYED = {
    "fields": [{"fieldName": "Id", "fieldType": "Edm.String"}],
    "strongIds": [{"strongIdName": "Key", "keyPropertyNames": ["Id"]}],
}

BODIES = [
    raw("one byte too many", b'{"description":"' + b"x" * FULL, 413, code="BodyTooLarge"),
    raw("gzip", b"\x1f\x8b\x08\x00" + b"\x00" * 100, 415, code="UnsupportedMediaType", Content_Encoding="gzip"),
    raw("brotli", b"\x00" * 100, 415, code="UnsupportedMediaType", Content_Encoding="br"),
    raw("a form", b"a=b", 415, code="UnsupportedMediaType", Content_Type="application/x-www-form-urlencoded"),
    raw("a text that never closes", b'"' + b'\\"' * (FULL // 2 - 1), 400, code="InvalidJson"),
    raw("a text of backslashes that never closes", b'"' + b"\\" * (FULL - 2), 400, code="InvalidJson"),
    raw("arrays, deep", b"[" * FULL, 400, code="InvalidJson"),
    raw("objects, deep", b'{"a":' * (FULL // 5), 400, code="InvalidJson"),
    raw("deep, and closed again", b"[" * (FULL // 2) + b"]" * (FULL // 2), 400, code="InvalidJson"),
    raw("brackets inside a text", b'{"description":"' + b"[{" * 50_000 + b'"}', 400, code="MissingProperty"),
    raw("blanks", b" " * FULL, 400, code="InvalidJson"),
    raw("a number of many digits", b'{"a":' + b"9" * 200_000 + b"}", 400, code="InvalidJson"),
    raw("the same name again and again", b"{" + b'"a":1,' * 40_000 + b'"a":1}', 413, code="BodyTooLarge"),
    raw("the same name twice", b'{"a":1,"a":1}', 400, code="InvalidJson"),
    raw("a name in two cases", b'{"fields":[],"Fields":[]}', 400, code="InvalidJson"),
    raw("many names", b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}", 400, code="UnknownProperty"),
    raw("not a number", b'{"a":NaN}', 400, code="InvalidJson"),
    raw("infinity", b'{"a":-Infinity}', 400, code="InvalidJson"),
    raw("a number beyond all numbers", b'{"a":1e999}', 400, code="InvalidJson"),
    raw("half a character", b'{"a":"\\ud800"}', 400, code="InvalidJson"),
    raw("bytes that are no text", b'{"a":"\xff\xfe"}', 400, code="InvalidJson"),
    put("NUL in a text", "{hub}/profiles/Nul", {**KEYED, "description": "a\0b"}, 201),
    put("NUL in a name", "{hub}/profiles/Spoilt", {**KEYED, "apiEntitySetName": "a\0b"}, 400, code="InvalidValue"),
    raw("no object", b"[]", 400, code="InvalidJson"),
    raw("nothing", b"", 400, code="InvalidJson"),
    put("two thousand fields too many", "{hub}/profiles/Wide", {
        "fields": [{"fieldName": f"F{n}", "fieldType": "Edm.String"} for n in range(3_501)],
        "strongIds": [{"strongIdName": "Key", "keyPropertyNames": ["F0"]}],
    }, 413, code="DefinitionTooLarge"),
    put("a number too large to mean anything", "{hub}/profiles/Long", {
        "fields": [{"fieldName": "Id", "fieldType": "Edm.String", "maxLength": 10**30}],
        "strongIds": [{"strongIdName": "Key", "keyPropertyNames": ["Id"]}],
    }, 201, 400),
    put("read-only properties", "{hub}/connectors/Mine", {
        "connectorType": "None", "connectorProperties": {}, "connectorId": 99, "state": "Deleting",
        "tenantId": "Another", "created": "1999-01-01T00:00:00Z",
    }, 201),
    put("two spellings of one name", "{hub}/connectors/Twice", {
        "connectorType": "None", "connectorProperties": {"size": 1, "Size": 2},
    }, 400, code="InvalidJson"),
]  # fmt: skip

FILTERS = [
    filtered("3,000 parentheses", "(" * 3000 + "Points eq 1" + ")" * 3000, 200, 400, code="InvalidFilter"),
    filtered("200 times not", "not (" * 200 + "Points eq 1" + ")" * 200, 200, 400, code="InvalidFilter"),
    filtered("300 times tolower", "tolower(" * 300 + "City" + ")" * 300 + " eq 'x'", 200, 400, code="InvalidFilter"),
    filtered("500 terms", " or ".join(f"Points eq {n}" for n in range(500)), 200, 400, code="InvalidFilter"),
    filtered("a list of 800", f"Points in ({', '.join(map(str, range(800)))})", 200),
    filtered("too long", "Points eq " + "1" * 9_000, 400, code="InvalidFilter"),
    filtered("a number of many digits", "Points eq " + "9" * 8_000, 200, 400, code="InvalidFilter"),
    filtered("an exponent beyond all", "Points eq 1e99999999999999999999", 400, code="InvalidFilter"),
    filtered("an exponent below all", "Points gt 1e-99999999999999999999", 400, code="InvalidFilter"),
    filtered("a large exponent", "Points eq 1e400", 200, 400, code="InvalidFilter"),
    filtered("quotes", "City eq '" + "'" * 7_000 + "'", 200, 400, code="InvalidFilter"),
    filtered("a path", "/".join("a" * 1 for _ in range(3_000)), 400, code="InvalidFilter"),
    filtered("NUL", "City eq 'a\0b'", 200, 400, code="InvalidFilter"),
    filtered("a file", "read_csv('x') eq 1", 400, code="InvalidFilter"),
    filtered("another function of the engine", "matchesPattern(City, '(a+)+$')", 400, code="InvalidFilter"),
    filtered("a function of the place", "geo.distance(City, City) lt 1", 400, code="InvalidFilter"),
    filtered("an alias", "City eq @p1", 400, code="InvalidFilter"),
    filtered("a statement", "City eq 'x'; drop table x", 400, code="InvalidFilter"),
    filtered("SQL in a text", "City eq 'x'' or 1=1 --'", 200),
    filtered("a name that is SQL", '"City" eq 1', 400, code="InvalidFilter"),
    filtered("a day that is none", "Points eq 1 and 2026-02-31 eq 2026-02-31", 400, code="InvalidFilter"),
    filtered("far beyond the days", "9999-12-31T23:59:59-14:00 gt 0001-01-01T00:00:00Z", 200, 400,
             code="InvalidFilter"),
    filtered("long texts out of long texts", "length(" + "concat(" * 12 + "City, City" + ", City)" * 11 + ") gt 1",
             400, code="InvalidFilter"),
    filtered("another type's field", "Secret eq 1", 400, code="InvalidFilter"),
]  # fmt: skip

TOKENS = [
    get(f"token: {name}", f"{{hub}}{path}$skiptoken={text}", 400, code="InvalidSkipToken")
    for path in ("/connectors?", "/profiles?", "/runs?", "/data/Customer?")
    for name, text in {
        "a deep nest": token("[" * 5_000),
        "half a character": token('"\\ud800"'),
        "a number": token(7),
        "no number": token("NaN"),
        "no base64": "%C3%A9%C3%A9",
        "a long one": token("x" * 6_000),
        "an object": token({"a": MARK}),
    }.items()
] + [
    get("token: SQL", "{hub}/data/Customer?$skiptoken=" + token('"A\' or 1=1 --"'), 200),
    get("token: the last sign there is", "{hub}/data/Customer?$skiptoken=" + token('"\U0010ffff"'), 200),
]

PATHS = [
    get("another hub's run", "{hub}/runs/" + "0" * 64, 404, code="RunNotFound"),
    get("dots", "{hub}/profiles/..%2f..%2fhubs", 400, code="InvalidName"),
    get("dots, written out", "{hub}/data/%2e%2e/%2e%2e", 400, code="InvalidName"),
    get("NUL", "{hub}/data/Customer/%00", 404, code="InstanceNotFound"),
    get("a line end", "{hub}/connectors/a%0ab", 400, code="InvalidName"),
    get("a backslash", "{hub}/connectors/..%5C..%5C", 400, code="InvalidName"),
    get("full-width", "{hub}/connectors/%EF%BC%AE", 400, code="InvalidName"),
    get("no text", "{hub}/connectors/%ff%fe", 400, code="InvalidName"),
    get("slash after slash", "{hub}/data/Customer/" + "%2F" * 500, 404, code="InstanceNotFound"),
    get("a quote in an id", "{hub}/data/Customer('x%27%20or%20%271%27%3D%271')", 404, code="InstanceNotFound"),
    get("a name of many signs", "{hub}/connectors/" + "a" * 4_000, 400, code="InvalidName"),
    get("an order by nothing", "{hub}/connectors?$orderby=drop%20table", 400, code="InvalidValue"),
    get("too many", "{hub}/connectors?$top=100000", 400, code="InvalidValue"),
    get("fewer than none", "{hub}/connectors?$top=-1", 400, code="InvalidValue"),
    Try("a method of its own", "PROPFIND", "{hub}", frozenset({405}), "MethodNotAllowed"),
    Try("trace", "TRACE", "{hub}", frozenset({405}), "MethodNotAllowed"),
    Try("patch", "PATCH", "{hub}", frozenset({405}), "MethodNotAllowed"),
    Try("another method by a header", "POST", "{hub}/connectors/Landing", frozenset({405}), "MethodNotAllowed",
        headers={"X-HTTP-Method-Override": "DELETE"}),
    Try("a tag of 20 KB", "DELETE", "{hub}/connectors/Landing", frozenset({412}), "PreconditionFailed",
        headers={"If-Match": '"' + "x" * 20_000 + '"'}),
    Try("a foreign tag", "DELETE", "{hub}/connectors/Landing", frozenset({412}), "PreconditionFailed",
        headers={"If-Match": '"' + "0" * 32 + '"'}),
]  # fmt: skip

REQUESTS = [*BODIES, *FILTERS, *TOKENS, *PATHS]
