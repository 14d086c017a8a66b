"""Services on the developer's own machine in place of Azure's: which of them are called, and how.

Only Development calls any, and only those that `DEVELOPMENT_ENDPOINTS` lists: storage and vaults alike.
"""

import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.pipeline.transport import RequestsTransport

from shared.domain.names import LOOPBACK
from shared.settings import Settings

_SHORTHAND = "usedevelopmentstorage=true"
# The documented account and key of Azurite, the same on every machine:
# https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key
_AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


def loopback_endpoint(url: SplitResult, settings: Settings) -> str | None:
    """Returns the listed endpoint that a URL leads to; None for a URL that is not on loopback or not in Development.

    However the URL spells loopback, the endpoint is returned as it is listed: an account has one endpoint.

    Raises:
        ValueError: the endpoint is on loopback and not listed, or the port is not a number.
    """
    if not settings.is_development or url.hostname not in LOOPBACK or "@" in url.netloc:
        return None
    listed = {_port(urlsplit(text)): text.rstrip("/") for text in settings.development_endpoints}
    if (endpoint := listed.get(_port(url))) is None:
        raise ValueError("on loopback its port must be that of one of DEVELOPMENT_ENDPOINTS")
    return endpoint


def without_shorthand(connection_string: str) -> str:
    """Returns what `UseDevelopmentStorage=true` stands for; any other connection string as it is."""
    return _AZURITE if connection_string.strip().rstrip("; ").casefold() == _SHORTHAND else connection_string


class LoopbackCredential(TokenCredential):
    """A word that opens nothing in place of a token: no real one may travel to loopback."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Returns the word, valid for an hour."""
        return AccessToken("loopback", int(time.time()) + 3600)


class LoopbackTransport(RequestsTransport):  # type: ignore[misc] # the SDK loads it by a module `__getattr__`
    """Sends to a vault on loopback what a client addresses to a vault of Azure, the only kind that it knows."""

    def __init__(self, endpoint: str, **options: Any) -> None:
        super().__init__(**options)
        self._endpoint = endpoint

    def send(self, request: Any, **options: Any) -> Any:
        """Sends the request, and leaves its URL as it was for the policies of the client."""
        asked = request.url
        parts = urlsplit(asked)
        request.url = f"{self._endpoint}{parts.path}?{parts.query}"
        try:
            return super().send(request, **options)
        finally:
            request.url = asked


def _port(url: SplitResult) -> int:
    return (443 if url.scheme == "https" else 80) if url.port is None else url.port
