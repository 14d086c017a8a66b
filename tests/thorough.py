"""How thorough a run is: `make test` tries some examples of each property, `make test-all` many and the long tests."""

import os

import pytest

THOROUGH = os.environ.get("TEST_ALL") == "1"

only_thorough = pytest.mark.skipif(not THOROUGH, reason="long: make test-all runs it")


def examples(many: int) -> int:
    """`many` examples of a property in a thorough run, a quarter of them otherwise."""
    return many if THOROUGH else max(3, many // 4)


def long_examples(many: int) -> int:
    """The same for examples that take a second or more each: two otherwise."""
    return many if THOROUGH else 2
