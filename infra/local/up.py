"""`python -m infra.local.up`: the local stack in the foreground, until it is told to stop."""

import argparse
import os
import sys
from pathlib import Path

from infra.local.settings import REPOSITORY, SettingError, bypass_proxy
from infra.local.state_dir import StateDirError


def main() -> int:
    """Run the stack. 0 after an orderly stop, 1 when a part failed, 2 when told something unusable."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.up", description=__doc__)
    parser.add_argument("--app", type=Path, default=REPOSITORY, help="folder with function_app.py and host.json")
    parser.add_argument("--settings", type=Path, help="settings file (default: local.settings.json of the app)")
    parser.add_argument("--parent", type=int, metavar="PID", help="stop when this process, the caller, is gone")
    arguments = parser.parse_args()
    bypass_proxy()
    # After the arguments, so that --help and a wrong argument answer at once.
    from infra.local.supervisor import Supervisor

    try:
        return Supervisor(os.environ, arguments.app.resolve(), arguments.settings, arguments.parent).run()
    except (SettingError, StateDirError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
