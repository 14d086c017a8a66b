"""Every regular expression of the app meets the ugliest texts that we know for it, in time that grows with them alone.

Those in SQL are not here: the engine's own (RE2) knows no backtracking. Neither are those that pydantic compiles.
"""

import ast
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from shared.app import Services
from shared.domain.date_format import to_strptime
from shared.domain.errors import InvalidRequestError
from shared.domain.names import check_name
from shared.http.app import create_http_app
from shared.settings import Settings
from tests.growth import LINEAR, growth

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Text:
    """A text of any size: `unit` again and again between `head` and `tail`."""

    unit: str
    head: str = ""
    tail: str = ""

    def of(self, size: int) -> str:
        return self.head + self.unit * (size // len(self.unit)) + self.tail


# For what takes single characters, or a run of one class of them, wherever it stands.
PLAIN = (Text("a"), Text("-"), Text("a-"), Text("\udc80é"))
CONTAINER = (Text("a"), Text("a-"), Text("-", "a"), Text("a", tail="-"))
HOST = (Text("a"), Text("a-"), Text("a", tail=".blob.core.windows.net"), Text("a.vault."), Text("aaaa.z1.blob."))
DATE_FORMAT = (
    Text("%"),
    Text("%%"),
    Text("%%", tail="%F"),
    Text("''"),
    Text("'"),
    Text("a", "'"),
    Text('"a'),
    Text("\\"),
    Text("y"),
    Text("%%a"),
    Text("%-"),
    Text("\n"),
    Text(" ", "yyyy-MM-dd", "x"),
)

SECRETS = (
    Text("sig"),
    Text("sig "),
    Text(" ", "sig"),
    Text("sig="),
    Text(" ", "sig="),
    Text("sig = "),
    Text("a", "sig="),
    Text("=", "password"),
    Text(" \n", "accountkey = "),
    Text("pass "),
    Text(" ", "pass"),
    Text("%25", "sig"),
    Text("25", "sig%"),
    Text("bearer "),
    Text(" ", "bearer"),
    Text("a", "bearer "),
    Text("authorization: "),
    Text("sharedkey "),
    Text("a", "sharedkey "),
)

USER_INFO = (
    Text("://"),
    Text("://a:"),
    Text("a", "://"),
    Text("a", "://a:"),
    Text(":", "://"),
    Text("://a:b@"),
    Text("%3a%2f%2f"),
    Text("%3a", "%3a%2f%2fa%3a"),
    Text("a%", ":%2f%2fa:"),
    Text(":%2f%2fa:"),
)

# By file, then by expression (a literal's value, else the name that it has, else its source): texts that make it work
# hard.
EXPRESSIONS: dict[str, dict[str, tuple[Text, ...]]] = {
    "shared/definitions/rules/mapping_rules.py": {
        "CONTAINER_PATTERN": CONTAINER,
        "[a-z]+://": (Text("a"), Text("a:/")),
    },
    "shared/definitions/secrets/secrets.py": {
        r"[0-9a-f]{32}": (Text("a"),),
    },
    "shared/domain/documents/connectors.py": {
        (
            r"secret|password|passphrase|pwd|token|apikey|sas|connectionstring"
            r"|(?:key|signature|credentials?|authorization)\Z"
        ): (
            Text("pass"),
            Text("key"),
            Text("credentials"),
            Text("authorization"),
            Text("sa"),
            Text("p"),
        ),
        r"\s*bearer\s+\S+\s*": (Text(" "), Text(" ", "bearer"), Text("a", "bearer ", " a"), Text("a ", "bearer ")),
    },
    "shared/domain/documents/csv_format.py": {r'[\r\n"\x00]': PLAIN},
    "shared/domain/date_format.py": {
        r"%[-A-Za-z%]": DATE_FORMAT,
        r"%.|.": DATE_FORMAT,
        r"%-?.?|.": DATE_FORMAT,
        r"'([^']*)'|\"([^\"]*)\"|\\(.)|(([A-Za-z])\5*+)|([^A-Za-z'\"\\])": DATE_FORMAT,
        r"f'(?<!%)((?:%%)*){short}'": DATE_FORMAT,
    },
    "shared/domain/documents/hubs.py": {"CONTAINER_PATTERN": CONTAINER},
    "shared/domain/documents/kpis.py": {r"\*|[a-zA-Z][a-zA-Z0-9_]*": (Text("a", tail="-"), Text("*"))},
    "shared/domain/documents/mappings.py": {
        r"f'\\$?{CONTAINER_PATTERN}|\\$root|\\$web'": (*CONTAINER, Text("$")),
    },
    "shared/domain/names.py": {"pattern.strip('^$')": (Text("a"), Text("a", tail="-"), Text("_", "a"))},
    "shared/domain/own_names.py": {
        "[a-z][a-z0-9]{1,63}-[0-9a-f]{32}-[0-9a-f]{10}(?:-[0-9a-z-]*)?": (
            Text("a"),
            Text("a-"),
            Text("-", f"aa-{'0' * 32}-{'0' * 10}-", "_"),
        ),
        "[^0-9A-Za-z]+": PLAIN,
    },
    "shared/domain/documents/run.py": {"[0-9a-f]{32}": (Text("a"),)},
    "shared/domain/schema_mark.py": {"[0-9a-f]{64}": (Text("a"),)},
    "shared/domain/slot.py": {
        r"(?P<folder>Profile|KPI)/(?P<name>[^/]+)/year=(?P<year>\d{4})/month=(?P<month>\d{2})/day=(?P<day>\d{2})"
        r"/hour=(?P<hour>\d{2})/min=(?P<minute>00|15|30|45)/data\.csv": (
            Text("a", "Profile/"),
            Text("/year=", "KPI/a"),
            Text("0", "KPI/a/year="),
        ),
    },
    "shared/http/routes/data.py": {"%2F": (Text("%2"), Text("%2F"))},
    "shared/http/protocol/routing.py": {
        "self.path_regex": (
            Text("('", "/hubs/a/data/"),
            Text("('')", "/hubs/a/data/a"),
            Text("')", "/hubs/a/data/a('", "x"),
            Text("a/", "/hubs/a/data/"),
            Text("/", "/hubs/a/data/a/", "\n"),
            Text("a", "/hubs/", "/connectors/x"),
            Text("/a", "/hubs"),
        ),
    },
    "shared/csv/decode.py": {"[\udc00-\udcff]": PLAIN},
    "shared/csv/explain_row.py": {
        r"\r\n|\r|\n": (Text("\r"), Text("\r\n"), Text("a")),
        "self._marks": (Text('"'), Text("\\"), Text('\\"'), Text("a")),
        "self._escaped": (
            Text('"'),
            Text("\\"),
            Text('\\"'),
            Text("\\a"),
        ),
    },
    "shared/suggest/guess_format.py": {
        "[^\x00-\x7f]+": PLAIN,
        "[\udc80-\udcff]": PLAIN,
        r"[\r\n]": (Text("\n"), Text("\r\n"), Text("a")),
    },
    "shared/casts/match_columns.py": {r"[\s_\ufeff-]": (*PLAIN, Text(" _"))},
    "shared/suggest/name_fields.py": {
        r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+": (
            Text("A", tail="a"),
            Text("Aa"),
            Text("AAa"),
            Text("A"),
            Text("0a"),
        ),
    },
    "shared/ingest/reject_text.py": {'[",\r\n]': PLAIN},
    "shared/suggest/suggest.py": {
        r"[0-9]+(?:[-_.T][0-9]+)*": (Text("0"), Text("0-"), Text("0T0-")),
        r"(?:\.[A-Za-z][A-Za-z0-9]{0,7}){1,2}$": (Text("."), Text(".a"), Text(".abcdefgh"), Text("a", ".")),
        r"[*?\[]": (Text("["), Text("a")),
        r"[-+]?[0-9][0-9.,]*|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{4}.*": (
            Text("0", tail="x"),
            Text("0.", tail="x"),
            Text(" ", "2026-01-01", "\nx"),
            Text("a", "1.1.2026", "\n"),
        ),
    },
    "shared/csv/text_cursor.py": {r"[\r\n]+": (Text("\n"), Text("\r\n"), Text("a"))},
    "shared/lake/container/faults.py": {
        r"\x1b\[[0-9;]*m": (Text("\x1b["), Text("0;", "\x1b["), Text("\x1b[0")),
        r"Error performing [A-Z]+ ": (Text("A", "Error performing "), Text("Error performing "), Text("Error ")),
    },
    "shared/expressions/odata_filter.py": {
        r"'[^']*+(?:''[^']*+)*'|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[a-zA-Z_]\w*\b": (
            Text("'"),
            Text("''", tail="'"),
            Text("a", "'"),
            Text("'a"),
            Text("a"),
            Text("a "),
            Text("é"),
            Text("01234567-"),
            Text("01234567-0123-"),
            Text("0"),
            Text("_é"),
        ),
    },
    "shared/redact.py": {
        "_MARK": SECRETS,
        "_MARKED": SECRETS,
        r"(://[^\s/?#@:]*:)[^\s/?#@]+(?=@)": USER_INFO,
        r"(?i)((?::|%3a)%2f%2f(?:(?!%3a|%40|%2f)[^\s/?#@:])*(?::|%3a))(?:(?!%40|%2f)[^\s/?#@])+(?=@|%40)": USER_INFO,
        "[\u00ad\u200b-\u200f\u2060\ufeff]": PLAIN,
    },
    "shared/storage/accounts.py": {
        "_BLOB_HOST": HOST,
        "_ACCOUNT": (Text("a"), Text("a", tail="-")),
        r"https?://[!-~]+": (Text("/", "http:"), Text("a", "https://", " "), Text("http://")),
    },
    "shared/storage/clients.py": {
        r"(sig=)[^&\s\"']+": (Text("sig="), Text("sig"), Text("a", "sig="), Text("&", "sig="))
    },
    "shared/storage/event_grid.py": {"_ETAG": (Text("a"), Text("a", tail=" "))},
    "shared/storage/key_vault.py": {
        r"(?P<vault>[a-z0-9][a-z0-9-]{1,22}[a-z0-9])\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)": HOST,
        r"(?P<vault>https?://[a-z0-9.:\[\]-]+)/secrets/(?P<name>[a-z0-9-]{1,127})(?:/(?P<version>[a-z0-9]{1,64}))?/?": (
            Text("a", "https://"),
            Text("/secrets/a", "https://a"),
            Text("a", "https://a/secrets/"),
            Text("a", "https://a/secrets/a/"),
            Text("/", "https://a/secrets/a"),
        ),
        r"[a-zA-Z0-9-]+": (Text("a", tail="_"), Text("-")),
    },
    "shared/storage/blob/object_store.py": {
        r"[\w=.-]++(?:/[\w=.-]++)*+": (Text("a"), Text("a/"), Text("a/", tail="/"), Text("a=."))
    },
    "shared/storage/blob/sas.py": {"CONTAINER_PATTERN": CONTAINER},
    "shared/storage/tables.py": {r"[/\\#?\x00-\x1f\x7f-\x9f]": PLAIN},
}

ROUTES = create_http_app(Services(Settings())).routes


def _name(text: str) -> None:
    with suppress(InvalidRequestError):
        check_name(text, "type")


def _format(text: str) -> None:
    with suppress(ValueError):
        to_strptime(text)


# Expressions that are put together where they are used are tried through what uses them.
USES: dict[str, Callable[[str], object]] = {
    "pattern.strip('^$')": _name,
    "self.path_regex": lambda path: [route.path_regex.match(path) for route in ROUTES if hasattr(route, "path_regex")],
    r"f'(?<!%)((?:%%)*){short}'": _format,
    "self._marks": lambda text: re.findall(rb'"|\\', text.encode()),
    "self._escaped": (lambda text: re.findall(rb'\\("|\\)', text.encode())),
}


@dataclass(frozen=True)
class Used:
    """An expression of the app and how it is applied."""

    path: str
    source: str
    pattern: str | bytes | None
    flags: int
    method: str

    def work(self) -> Callable[[str], object]:
        if self.pattern is None:
            return USES[self.source]
        compiled: re.Pattern[Any] = re.compile(self.pattern, self.flags)
        # The others, such as sub, go on behind each match as findall does.
        found = getattr(compiled, self.method if self.method in {"match", "search", "fullmatch"} else "findall")
        return (lambda text: found(text.encode())) if isinstance(self.pattern, bytes) else found


def _used(path: Path) -> Iterable[Used]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    methods = {
        ast.unparse(node.func.value): node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    names = {
        id(node.value): ast.unparse(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=method), args=[first, *others]):
                if method == "escape":
                    continue
                pattern = _value(path, first)
                flags = [getattr(re, part.attr) for other in others for part in ast.walk(other) if _is_flag(part)]
                named = names.get(id(node)) if method == "compile" else None
                literal = pattern if isinstance(first, ast.Constant) else named or ast.unparse(first)
                source = literal.decode() if isinstance(literal, bytes) else str(literal)
                applied = methods.get(names.get(id(node), ""), "search") if method == "compile" else method
                yield Used(str(path.relative_to(ROOT)), source, pattern, sum(flags), applied)


def _value(path: Path, expression: ast.expr) -> str | bytes | None:
    """What an expression of a module is, where it is made of the module's own names; else None."""
    if isinstance(expression, ast.Constant):
        assert isinstance(expression.value, str | bytes)
        return expression.value
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    try:
        return eval(ast.unparse(expression), vars(module))
    except NameError:
        return None


def _is_flag(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "re"


FOUND = [used for path in sorted(ROOT.glob("shared/**/*.py")) for used in _used(path)]
TRIED = [(used, text) for used in FOUND for text in EXPRESSIONS.get(used.path, {}).get(used.source, ())]


def test_every_expression_is_listed() -> None:
    """Whoever writes one names the texts that are worst for it."""
    found = {(used.path, used.source) for used in FOUND}
    assert found == {(path, source) for path, sources in EXPRESSIONS.items() for source in sources}
    assert all(EXPRESSIONS[used.path][used.source] for used in FOUND)


@pytest.mark.lengthy
def test_no_other_way_leads_to_an_expression() -> None:
    """Names of `re` that are imported singly, and the expressions of fnmatch, would not be found."""
    for path in sorted(ROOT.glob("shared/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in {"re", "fnmatch", "glob"}, path
            elif isinstance(node, ast.Import):
                for name in node.names:
                    assert name.name not in {"fnmatch", "glob"}, path
                    assert name.name != "re" or not name.asname, path


@pytest.mark.lengthy
@pytest.mark.parametrize(
    ("used", "text"),
    TRIED,
    ids=lambda value: f"{value.path}:{value.source[:20]}" if isinstance(value, Used) else repr(value),
)
def test_the_time_grows_with_the_text(used: Used, text: Text) -> None:
    assert growth(used.work(), text.of) < LINEAR
