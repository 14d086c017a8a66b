"""Nothing that reads text from outside costs more than in proportion to it, and nothing fails over it."""

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.abuse.growth import Target, good_texts, growth_of, texts, worst_growth
from tests.abuse.readers import readers
from tests.growth import LINEAR
from tests.thorough import long_examples, only_thorough

NAMES = (
    "$filter",
    "$skiptoken of data",
    "$skiptoken of definitions",
    "JSON body",
    "path for fileFilter",
    "fileFilter",
    "customFormatSpecifier",
    "event",
)
# For how long `make test-all` tries each; FUZZ_S says otherwise.
SECONDS = float(os.environ.get("FUZZ_S", "20"))


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    with readers(tmp_path_factory.mktemp("readers")) as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.lengthy
def test_texts_that_are_taken(targets: dict[str, Target], name: str) -> None:
    target = targets[name]
    for text in good_texts(target):
        for length in (target.longest, target.longest // 2):
            assert target.takes(target.read(text.of(length))), f"{length} of {text}"
        assert growth_of(target, text, target.longest) <= LINEAR, text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.lengthy
def test_some_texts(targets: dict[str, Target], name: str) -> None:
    try_texts(targets[name], long_examples(12))


@only_thorough
@pytest.mark.timeout(SECONDS * 2 + 300)
@pytest.mark.parametrize("name", NAMES)
def test_texts_for_a_while(targets: dict[str, Target], name: str) -> None:
    until = time.monotonic() + SECONDS
    tried: list[bool] = []
    while time.monotonic() < until:
        tried += try_texts(targets[name], 20)
    print(f"{name}: {len(tried)} texts in {SECONDS} s, {sum(tried)} of them taken")
    assert sum(tried) >= len(tried) / 4


def try_texts(target: Target, examples: int) -> list[bool]:
    """Tries some; gives for each whether it was taken."""
    tried: list[bool] = []

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def grows(data: st.DataObject) -> None:
        text = data.draw(texts(target))
        tried.append(target.takes(target.read(text.of(target.longest // 2))))
        found = worst_growth(target, text)
        assert found <= LINEAR, f"{target.name}: twice the text takes {found:.1f} times as long, for {text}"

    grows()
    return tried
