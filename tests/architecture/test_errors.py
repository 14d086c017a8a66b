"""Every class of the error tree says what to do about it, and is drawn in the tree's picture."""

from collections.abc import Iterator

import pytest

from shared.domain import errors
from shared.domain.errors import HubError, Recovery, TransientError, http_status, recovery


def classes(root: type[HubError] = HubError) -> Iterator[type[HubError]]:
    yield root
    for child in root.__subclasses__():
        yield from classes(child)


def made(kind: type[HubError]) -> HubError:
    if kind is errors.InvalidRequestError:
        return errors.InvalidRequestError([errors.Fault("Code", "target", "message")])
    return kind("Code", "message")


@pytest.mark.parametrize("kind", list(classes()), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_a_recovery(kind: type[HubError]) -> None:
    error = made(kind)
    assert 400 <= http_status(error) < 600
    assert recovery(error) in Recovery
    assert kind.__name__ in (errors.__doc__ or "")


def test_only_what_may_pass_is_retried() -> None:
    retried = {kind.__name__ for kind in classes() if recovery(made(kind)) is Recovery.RETRY}
    transient = {kind.__name__ for kind in classes(TransientError)}
    assert retried == transient | {"HubError", "FatalError", "AccountingError", "ExpiredError"}
