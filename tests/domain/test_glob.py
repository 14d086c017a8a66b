"""Globs: what they take, by a matcher that tries everything, and that their time grows with path and pattern alone."""

import fnmatch
import re
import time
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain.glob import Glob
from tests.growth import LINEAR, growth, seconds
from tests.thorough import examples

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def takes(pattern: str, path: str) -> bool:
    """The same by trying every length of every star."""
    parts = _PARTS.findall(pattern)

    @cache
    def fits(part: int, at: int) -> bool:
        if part == len(parts):
            return at == len(path)
        rest = [end for end in range(at, len(path) + 1) if fits(part + 1, end)]
        match parts[part]:
            case "**/":
                return any(end == at or path[end - 1] == "/" for end in rest)
            case "**":
                return bool(rest)
            case "*":
                return any("/" not in path[at:end] for end in rest)
            case "?":
                return at + 1 in rest and path[at] != "/"
            case one if len(one) > 1 and not fnmatch.translate(one).startswith(r"(?s:\["):
                return at + 1 in rest and path[at] != "/" and fnmatch.fnmatchcase(path[at], one)
            case literal:
                return at + len(literal) in rest and path.startswith(literal, at)

    return fits(0, 0)


PATTERNS = st.lists(
    st.sampled_from(
        ["*", "**", "**/", "?", "/", "a", "b", "[ab]", "[!a]", "[a-c]", "[]a]", "[!]a]", "[", "]", "-", "!"]
    ),
    max_size=9,
).map("".join) | st.text("*?[]!-/ab", max_size=10)
PATHS = st.text("ab/", max_size=10) | st.text("ab/c-[]!ä", max_size=8)


@settings(max_examples=examples(4000), deadline=None)
@given(PATTERNS, PATHS)
@example("**a*b", "a/ab")  # not the first of the letters, but the one in the right folder
@example("**/*a", "b/a")
@example("***/a", "b/a")
@example("*/**/a", "b/a")
@example("a*/b", "a/c/b")
@example("[b-a]", "a")
@example("[!b-a]", "a")
@example("[a-c-e]", "-")
@example("[--0]", "/")
@example("[a-]", "-")
@example("[^a]", "^")
@example("[!]", "[!]")
@example("[]", "[]")
@example("", "")
@pytest.mark.lengthy
def test_it_takes_what_trying_everything_takes(pattern: str, path: str) -> None:
    assert Glob(pattern).matches(path) is takes(pattern, path)


@given(st.text(max_size=6), st.text(max_size=6))
def test_letters_are_themselves(pattern: str, path: str) -> None:
    if not set(pattern) & set("*?["):
        assert Glob(pattern).matches(path) is (pattern == path)
        assert Glob(f"*{pattern}").matches(path) is (
            path.endswith(pattern) and "/" not in path[: -len(pattern) or None]
        )
        assert Glob(f"{pattern}**").matches(path) is path.startswith(pattern)


UGLY = {
    "twenty stars": ("*a" * 20 + "*b*", lambda size: "a" * size),
    "twenty double stars": ("**a" * 20 + "**b**", lambda size: "a" * size),
    "folders": ("**/a" * 40 + "*b*", lambda size: "a/" * (size // 2)),
    "stars within and across folders": ("**a*b" * 20 + "?", lambda size: "a" * (size - 1) + "/"),
    "a star before a long word": ("*" + "a" * 200 + "*b", lambda size: "a" * size + "b"),
    "question marks": ("*?" * 100 + "*b", lambda size: "a" * size),
    "sets": ("*[!b-z]" * 30 + "*", lambda size: "ä" * size),
    "characters that differ": (
        "*[a-z][!a]*" * 20,
        lambda size: "".join(map(chr, range(0x100, 0x100 + min(size, 9000)))),
    ),
}


@pytest.mark.parametrize(("pattern", "made"), UGLY.values(), ids=UGLY)
def test_the_time_grows_with_the_path(pattern: str, made: Callable[[int], str]) -> None:
    glob = Glob(pattern)
    assert growth(glob.matches, made) < LINEAR
    # The longest path that a blob can have.
    assert seconds(glob.matches, made(1024)) < 0.001


@pytest.mark.parametrize("unit", ["*a", "**/a", "?", "[", "[!a-z]", "[]", "*", "a"])
def test_the_time_grows_with_the_pattern(unit: str) -> None:
    def made(size: int) -> str:
        return unit * (size // len(unit))

    # A mapping takes patterns of up to 256 characters.
    assert growth(Glob, made, 64, 512) < LINEAR
    assert growth(lambda pattern: Glob(pattern).matches("ab/" * 340), made, 64, 512) < LINEAR
    began = time.thread_time()
    Glob(made(256))
    assert time.thread_time() - began < 0.01
