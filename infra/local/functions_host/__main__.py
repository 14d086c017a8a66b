"""`python -m infra.local.functions_host`: the functions host as a process, started by the supervisor."""

import argparse
import socket
import sys
from pathlib import Path

from infra.local.children import end_with_parent


def main() -> None:
    """Serve the app on a socket that the caller listens on already."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.functions_host", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="descriptor of a listening socket")
    parser.add_argument("--app", type=Path, required=True, help="folder with function_app.py and host.json")
    parser.add_argument("--state", type=Path, required=True, help="folder for the log and the timers' status")
    arguments = parser.parse_args()
    end_with_parent()
    # After the guard, so that a caller who dies meanwhile is noticed.
    from infra.local.functions_host.host import Host
    from infra.local.functions_host.host_json import ConfigurationError

    listener = socket.socket(fileno=arguments.fd)
    try:
        host = Host(arguments.app, arguments.state)
    except ConfigurationError as error:
        sys.exit(f"error: {error}")
    host.serve(listener)


if __name__ == "__main__":
    main()
