"""`POST /admin/functions/NAME`: what the stand-in refuses, where the real host accepts it and the run then fails."""

import pytest

from tests.local.conftest import SampleApp

pytestmark = pytest.mark.lengthy


@pytest.mark.parametrize(
    ("function", "content"), [("hello", b'{"input": ""}'), ("blob_created", b'{"input": "no json"}')]
)
def test_what_would_fail_is_refused(sample: SampleApp, function: str, content: bytes) -> None:
    assert sample.root.post(f"/admin/functions/{function}", content=content).status_code == 400
