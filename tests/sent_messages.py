"""The messages that came by a proxy in front of the queue service."""

import base64
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fault_proxy import FaultProxy

_TEXT = re.compile(rb"<MessageText>([^<]*)</MessageText>")


def sent_messages(proxy: FaultProxy) -> list[tuple[int, dict[str, Any]]]:
    """Each message in order, with the seconds after which it shows itself."""
    found = []
    for request in proxy.requests:
        if request.method == "POST" and (text := _TEXT.search(request.body)):
            delay = parse_qs(urlsplit(request.target).query).get("visibilitytimeout", ["0"])
            found.append((int(delay[0]), json.loads(base64.b64decode(text[1]))))
    return found
