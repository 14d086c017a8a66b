"""What is asked of a service again, and when: the one retry policy of the blob, queue, table and vault clients.

The SDKs' own policies wait for as long as a service says, repeat whatever carries a `Retry-After`, and differ from each
other. Here a request is repeated where that is safe and may help, and nobody is waited for longer than whoever waits
for us does (`shared/deadline.py`).
"""

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import UnsupportedOperation
from time import sleep
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HTTPPolicy

from shared.deadline import seconds_left

RETRIES = 3
# Longer than this nobody is waited for in the middle of anything: what is asked rests in its queue instead.
LONGEST_PAUSE_S = 60.0
_LONGEST_ASKED_S = 7 * 86_400.0
# What is begun late still gets an answer, where the service is well.
_LEAST_TIMEOUT_S = 4.0

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
# A transaction whose answer was lost on the way may be in: whoever sent it looks for it, which is surer than to repeat.
_PASSING_FOR_POST = frozenset({429, 500, 503})
_POST = "POST"


class Retries(HTTPPolicy[Any, Any]):
    """Repeats what failed in passing: after at most 1, 2 and 4 seconds, or as long as the service asks for.

    What carries a `Retry-After` that goes beyond the deadline of this thread, or a minute, is answered at once as it
    is; the error made of it says how long was asked for.
    """

    def __init__(
        self,
        *,
        connect_s: float,
        read_s: float,
        most: int = RETRIES,
        most_unanswered: int = RETRIES,
        repeats_posts: bool = False,
    ) -> None:
        """
        Args:
            connect_s, read_s: how long the client waits for a connection, and for an answer.
            most: how often a request is repeated.
            most_unanswered: the same where no answer comes, each of which takes its time.
            repeats_posts: whether a POST may be carried out twice, so that it is repeated where no answer came.
        """
        super().__init__()
        self._timeouts = {"connection_timeout": connect_s, "read_timeout": read_s}
        self._longest_timeout_s = max(connect_s, read_s)
        self._most = most
        self._most_unanswered = most_unanswered
        self._repeats_posts = repeats_posts

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Sends a request, and again where it has to be."""
        # The storage clients tell their policy of a second host, and ask it which one has answered.
        options = request.context.options
        mode = options.pop("location_mode", None)
        options.pop("hosts", None)
        options.pop("retry_to_secondary", None)
        body = request.http_request.body
        start = _position(body)
        repeated = unanswered = 0
        while True:
            self._shorten_timeouts(request)
            asked = None
            try:
                response: PipelineResponse[Any, Any] = self.next.send(request)
            except ClientAuthenticationError:
                raise  # there is no token, or no signature
            except AzureError as error:
                unanswered += 1
                is_over = unanswered > self._most_unanswered or not self._is_repeatable(request, error)
                pause = None if is_over else _pause_s(repeated, None)
                if pause is None or repeated == self._most or not _is_rewound(body, start):
                    raise
            else:
                if _has_passed(response):
                    break
                asked = asked_s(response.http_response.headers)
                pause = _pause_s(repeated, asked)
                if pause is None or repeated == self._most or not _is_rewound(body, start):
                    break
                _close(response)
            repeated += 1
            sleep(pause)
        if mode is not None:
            response.http_response.location_mode = mode
        return response

    def _shorten_timeouts(self, request: PipelineRequest[Any]) -> None:
        left = seconds_left()
        if left < self._longest_timeout_s:
            for name, seconds in self._timeouts.items():
                request.context.options[name] = min(seconds, max(left, _LEAST_TIMEOUT_S))

    def _is_repeatable(self, request: PipelineRequest[Any], error: AzureError) -> bool:
        """Whether nothing was done, or what was done may be done once more."""
        is_sent = not isinstance(error, ServiceRequestError)
        return not is_sent or self._repeats_posts or request.http_request.method != _POST


def asked_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks us to stay away, a week at most; None where it does not say, or not clearly."""
    text = headers.get("Retry-After")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):  # the latter of a year, or a zone, beyond the integers of C
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_ASKED_S) if math.isfinite(seconds) else None


def asked_by(error: AzureError) -> float | None:
    """The same of the answer that became an SDK's error."""
    response = getattr(error, "response", None)
    return asked_s(response.headers) if response is not None else None


def _has_passed(response: PipelineResponse[Any, Any]) -> bool:
    status = response.http_response.status_code
    return status not in (_PASSING_FOR_POST if response.http_request.method == _POST else _PASSING)


def _pause_s(repeated: int, asked: float | None) -> float | None:
    """Seconds until the next try; None where there is no time for them."""
    own = random.uniform(0.5, 1.0) * 2**repeated  # noqa: S311 - jitter is no secret
    pause = max(own, asked or 0.0)
    return pause if pause <= LONGEST_PAUSE_S and pause < seconds_left() else None


def _position(body: Any) -> int | None:
    try:
        return int(body.tell()) if hasattr(body, "read") else None
    except (AttributeError, UnsupportedOperation):
        return None


def _is_rewound(body: Any, start: int | None) -> bool:
    """Whether the body can be sent once more."""
    if not hasattr(body, "read"):
        return True
    if start is None:
        return False
    try:
        body.seek(start)
    except (UnsupportedOperation, ValueError):
        return False
    return True


def _close(response: PipelineResponse[Any, Any]) -> None:
    """Gives up a refusal that nobody reads; that of a download would hold its connection until it is collected."""
    answer = response.http_response
    getattr(answer, "internal_response", answer).close()
