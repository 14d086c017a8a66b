"""`make kill-matrix`: the process is killed at every failpoint in every way, and one line says how each ended.

`python -m tests.crashes "rows committed"` tries the named failpoints only.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from infra.local.stack import running_azurite
from shared.failpoints import FailPoint
from tests.crashes.matrix import WAYS, differences, place_at
from tests.crashes.story import Kill
from tests.local_services import running_vault


def main() -> int:
    """Runs the matrix; 1 where a story ended otherwise than it has to."""
    wrong = 0
    parser = argparse.ArgumentParser(prog="python -m tests.crashes", description="Kill the process at failpoints.")
    parser.add_argument("points", nargs="*", type=FailPoint, metavar="failpoint", help="; ".join(FailPoint))
    points = parser.parse_args().points or list(FailPoint)
    with tempfile.TemporaryDirectory(prefix="connector-hub-kills-") as name:
        folder = Path(name)
        with running_azurite(folder / "azurite") as azurite, running_vault(folder, azurite) as vault:
            for point in points:
                for way in WAYS:
                    found = differences(place_at(azurite, vault.url, folder), Kill(point), way)
                    wrong += bool(found)
                    verdict = f"WRONG {found}" if found else "right"
                    print(f"killed after {point}, {way.name}: {verdict}", flush=True)
    total = len(points) * len(WAYS)
    print(f"{total - wrong} of {total} ended as if nothing had happened")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
