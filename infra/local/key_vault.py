"""A stand-in for Key Vault: the secrets REST API, as the real `SecretClient` speaks it.

Secrets are kept encrypted below the state folder. A deleted secret can be set again at once, as in a vault
whose deleted secrets are purged.
"""

import json
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.fernet import Fernet
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local.state_dir import write_private

# The client refuses a challenge whose resource is not the domain of the vault it was built for, so the app
# addresses a vault of this domain and its transport goes to loopback.
_VAULT = "https://local.vault.azure.net"
_CHALLENGE = (
    'Bearer authorization="https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000", '
    'resource="https://vault.azure.net"'
)
_RECOVERABLE_DAYS = 90

type Version = dict[str, Any]


class SecretStore:
    """Secrets with their versions, newest last, in one encrypted file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / "secrets"
        key_file = folder / "key"
        if not key_file.exists():
            write_private(key_file, Fernet.generate_key().decode())
        self._fernet = Fernet(key_file.read_bytes())
        self._lock = threading.Lock()
        self._live: dict[str, list[Version]] = {}
        self._deleted: dict[str, list[Version]] = {}
        if self._file.exists():
            content = json.loads(self._fernet.decrypt(self._file.read_bytes()))
            self._live, self._deleted = content["live"], content["deleted"]

    def set(self, name: str, body: dict[str, Any]) -> Version:
        """Add a version and return it."""
        now = int(time.time())
        attributes = {"enabled": True, **(body.get("attributes") or {}), "created": now, "updated": now}
        version: Version = {"id": f"{_VAULT}/secrets/{name}/{uuid.uuid4().hex}", "value": body["value"]}
        version["attributes"] = {**attributes, "recoveryLevel": "Recoverable+Purgeable"}
        version |= {k: body[k] for k in ("contentType", "tags") if body.get(k) is not None}
        with self._lock:
            self._deleted.pop(name.lower(), None)
            self._live.setdefault(name.lower(), []).append(version)
            self._save()
        return version

    def get(self, name: str, version: str = "") -> Version | None:
        """One version, the newest by default."""
        versions = self._live.get(name.lower(), [])
        return next((v for v in reversed(versions) if not version or v["id"].endswith(f"/{version}")), None)

    def names(self) -> list[str]:
        """The names of the live secrets."""
        return sorted(self._live)

    def versions(self, name: str) -> list[Version]:
        """Every version of a live secret, oldest first."""
        return list(self._live.get(name.lower(), []))

    def deleted(self, name: str) -> Version | None:
        """The newest version of a deleted secret."""
        versions = self._deleted.get(name.lower())
        return versions[-1] if versions else None

    def delete(self, name: str) -> Version | None:
        """Delete a secret so that it can be recovered."""
        return self._move(self._live, self._deleted, name)

    def recover(self, name: str) -> Version | None:
        """Undo a deletion."""
        return self._move(self._deleted, self._live, name)

    def purge(self, name: str) -> bool:
        """Remove a deleted secret for good."""
        with self._lock:
            found = self._deleted.pop(name.lower(), None) is not None
            self._save()
        return found

    def _move(self, source: dict[str, list[Version]], target: dict[str, list[Version]], name: str) -> Version | None:
        with self._lock:
            versions = source.pop(name.lower(), None)
            if versions is None:
                return None
            target[name.lower()] = versions
            self._save()
        return versions[-1]

    def _save(self) -> None:
        content = json.dumps({"live": self._live, "deleted": self._deleted})
        write_private(self._file, self._fernet.encrypt(content.encode()).decode())


class KeyVault:
    """The REST API on a loopback socket, served by a thread of this process."""

    def __init__(self, store: SecretStore, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            _application(store),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="Key Vault", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(timeout=5)


class _Challenge:
    """Answers 401 with a challenge to whoever brings no token, as a vault does to a client's first call."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not any(name == b"authorization" for name, _ in scope["headers"]):
            refusal = _error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
            refusal.headers["WWW-Authenticate"] = _CHALLENGE
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _application(store: SecretStore) -> Starlette:
    async def secret(request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params.get("version", "")
        if request.method == "PUT":
            try:
                body = await request.json()
            except ValueError:
                body = None
            if not isinstance(body, dict) or not isinstance(body.get("value"), str):
                return _error(400, "BadParameter", "Property value must be a string.")
            return JSONResponse(store.set(name, body))
        if request.method == "DELETE":
            return _deleted_answer(name, store.delete(name))
        found = store.get(name, version)
        return JSONResponse(found) if found else _not_found(name)

    async def deleted(request: Request) -> Response:
        name = request.path_params["name"]
        if request.method == "DELETE":
            return Response(status_code=204) if store.purge(name) else _not_found(name)
        return _deleted_answer(name, store.deleted(name))

    async def recover(request: Request) -> Response:
        name = request.path_params["name"]
        found = store.recover(name)
        return JSONResponse(_without_value(found)) if found else _not_found(name)

    async def names(_: Request) -> Response:
        newest = (store.get(name) for name in store.names())
        items = [{**_without_value(v), "id": v["id"].rpartition("/")[0]} for v in newest if v]
        return JSONResponse({"value": items, "nextLink": None})

    async def versions(request: Request) -> Response:
        items = [_without_value(v) for v in store.versions(request.path_params["name"])]
        return JSONResponse({"value": items, "nextLink": None})

    routes = [
        Route("/secrets", names),
        Route("/secrets/{name}/versions", versions),
        Route("/secrets/{name}", secret, methods=["GET", "PUT", "DELETE"]),
        Route("/secrets/{name}/", secret, methods=["GET"]),
        Route("/secrets/{name}/{version}", secret, methods=["GET"]),
        Route("/deletedsecrets/{name}", deleted, methods=["GET", "DELETE"]),
        Route("/deletedsecrets/{name}/recover", recover, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Challenge)])


def _without_value(version: Version) -> Version:
    return {k: v for k, v in version.items() if k != "value"}


def _deleted_answer(name: str, version: Version | None) -> Response:
    if version is None:
        return _not_found(name)
    now = int(time.time())
    return JSONResponse(
        {
            **_without_value(version),
            "recoveryId": f"{_VAULT}/deletedsecrets/{name}",
            "deletedDate": now,
            "scheduledPurgeDate": now + _RECOVERABLE_DAYS * 86400,
        }
    )


def _not_found(name: str) -> Response:
    return _error(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
