"""What the stack is told: ports and folders by the environment, the app's settings by its settings file."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# Not in the contract's list of ports: a stand-in that `func start` can find where it is written in the sample
# settings. Taken by somebody else, any free port does.
_KEY_VAULT_PORT = 10010


class SettingError(Exception):
    """A setting cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Ports:
    """The ports asked for; 0 = any free one."""

    functions: int
    blob: int
    queue: int
    table: int
    key_vault: int | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Ports":
        """Read `FUNCTIONS_PORT`, `BLOB_PORT`, `QUEUE_PORT`, `TABLE_PORT` and `KEY_VAULT_PORT`."""

        def port(name: str, default: int) -> int:
            text = environment.get(name, "").strip() or str(default)
            if not (text.isascii() and text.isdigit() and int(text) <= 65535):
                raise SettingError(f"{name}={text!r} is not a port. Give a number from 0 (any free port) to 65535.")
            return int(text)

        return cls(
            port("FUNCTIONS_PORT", 7071),
            port("BLOB_PORT", 10000),
            port("QUEUE_PORT", 10001),
            port("TABLE_PORT", 10002),
            port("KEY_VAULT_PORT", 0) if environment.get("KEY_VAULT_PORT", "").strip() else None,
        )

    def keeping(self, earlier: "Ports") -> "Ports":
        """The same, where any port would do the one that the stack had on this folder before, if it is free.

        Connectors hold URLs with these ports, and a restart must not make them point nowhere.
        """

        def kept(asked: int | None, before: int | None, name: str) -> int | None:
            if asked or not before:
                return asked
            try:
                listen(before, name).close()
            except SettingError:
                return asked
            return before

        return Ports(
            kept(self.functions, earlier.functions, "FUNCTIONS_PORT") or 0,
            kept(self.blob, earlier.blob, "BLOB_PORT") or 0,
            kept(self.queue, earlier.queue, "QUEUE_PORT") or 0,
            kept(self.table, earlier.table, "TABLE_PORT") or 0,
            kept(self.key_vault, earlier.key_vault, "KEY_VAULT_PORT"),
        )

    def check_free(self) -> None:
        """Refuse a port that somebody listens on, before anything is started.

        Raises:
            SettingError: Names the port and its variable.
        """
        asked = {
            "FUNCTIONS_PORT": self.functions,
            "BLOB_PORT": self.blob,
            "QUEUE_PORT": self.queue,
            "TABLE_PORT": self.table,
            "KEY_VAULT_PORT": self.key_vault,
        }
        seen: dict[int, str] = {}
        for name, port in asked.items():
            if not port:
                continue
            if port in seen:
                raise SettingError(f"{name} and {seen[port]} are both {port}. Give each a port of its own.")
            seen[port] = name
            listen(port, name).close()

    def listen_key_vault(self) -> socket.socket:
        """A listening socket for Key Vault: on the port asked for, else on the usual one, else on any."""
        if self.key_vault is not None:
            return listen(self.key_vault, "KEY_VAULT_PORT")
        try:
            return listen(_KEY_VAULT_PORT, "KEY_VAULT_PORT")
        except SettingError:
            return listen(0, "KEY_VAULT_PORT")


def listen(port: int, variable: str) -> socket.socket:
    """Listen on a loopback port; a port in use is an error that names the variable to change."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Without this, connections of a stack that was just stopped would keep its port for a minute.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise SettingError(
            f"Port {port} ({variable}) cannot be used: {error.strerror}. "
            f"Stop what listens there, or choose another: {variable}=0 takes any free port."
        ) from error
    return listener


def app_settings(app_dir: Path, settings_file: Path | None) -> dict[str, str]:
    """The `Values` of the app's settings file: `local.settings.json`, else `local.settings.sample.json`.

    Raises:
        SettingError: The file is not what the Functions tools would read.
    """
    candidates = [settings_file] if settings_file else [app_dir / f"local.settings{x}.json" for x in ("", ".sample")]
    path = next((c for c in candidates if c.is_file()), None)
    if path is None:
        if settings_file:
            raise SettingError(f"The settings file {settings_file} does not exist.")
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise SettingError(f"{path} is not JSON: {error}.") from error
    values = content.get("Values", {}) if isinstance(content, dict) else None
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise SettingError(f"{path}: 'Values' must be an object of texts, as the Functions tools read it.")
    return values


def bypass_proxy() -> None:
    """Exempt loopback from the proxy that this environment may name, here and in child processes."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))


def state_dir_path(environment: Mapping[str, str]) -> Path:
    """The folder that `STATE_DIR` names, by default `.local` in the repository."""
    return Path(environment.get("STATE_DIR", "").strip() or REPOSITORY / ".local")


def host_environment(
    values: Mapping[str, str], computed: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The functions host's environment: settings file < environment < what only the stack can know."""
    merged = {**values, **environment, **computed}
    merged["ALLOWED_KEY_VAULTS"] = merged.get("ALLOWED_KEY_VAULTS") or computed["KEY_VAULT_URL"]
    # Where two have one port, the later counts.
    asked = environment.get("DEVELOPMENT_ENDPOINTS") or values.get("DEVELOPMENT_ENDPOINTS")
    merged["DEVELOPMENT_ENDPOINTS"] = ",".join(filter(None, (asked, computed.get("DEVELOPMENT_ENDPOINTS"))))
    return merged
