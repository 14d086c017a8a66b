"""No file, however it is made, costs much more than its bytes, and its neighbours come in beside it."""

import gzip
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.local.state_dir import Stack
from tests.abuse.spending import Spending
from tests.acceptance.hub import Hub

HEADER = b"id,city,points\n"
MB = 1024**2
# A plain file of a megabyte costs about 0.3 s with all that belongs to a run; the rest is the machine's other work.
CPU_S_PER_MB = 3.0
CPU_S = 3.0
MEMORY_MB = 250.0
# A small file beside one of these takes somewhat longer than alone, on a machine that may do more; it is not behind it.
WAIT_S = 3.0
WAIT_TIMES = 4.0
PAGES_MB = 600.0


def rows(count: int) -> bytes:
    return b"".join(b"I%d,Utrecht,%d\n" % (number, number) for number in range(count))


def packable(size: int) -> bytes:
    """Rows that gzip makes some 400 times smaller."""
    block = b"a,b,1\n" * 750
    return b"".join(block + b"I%d,b,1\n" % number for number in range(size // len(block)))


PACKED = gzip.compress(HEADER + rows(3))
EMPTY = gzip.compress(b"")
EMPTY_BLOCK = b"\0\0\0\xff\xff"
NAMED = EMPTY[:3] + b"\x08" + EMPTY[4:10]

FILES: dict[str, tuple[str, Callable[[], bytes], str, str | None]] = {
    "a hundred thousand columns": ("a.csv", lambda: b"c," * 100_000 + b"\n1\n", "Failed", "TooManyColumns"),
    "a header of a megabyte": ("a.csv", lambda: b"id,city,points," + b"x" * MB + b"\nA,Lima,1,\n", "Succeeded", None),
    "empty lines": ("a.csv", lambda: HEADER + b"\n" * MB + rows(3), "Succeeded", None),
    "lone quotes": ("a.csv", lambda: HEADER + b'"\n' * (MB // 4) + rows(3), "PartiallySucceeded", None),
    "short rows": ("a.csv", lambda: HEADER + b"x\n" * (MB // 4) + rows(3), "PartiallySucceeded", None),
    "long rows": ("a.csv", lambda: HEADER + b",,,,\n" * (MB // 8) + rows(3), "PartiallySucceeded", None),
    "numbers that are none": ("a.csv", lambda: HEADER + b"a,b,c\n" * (MB // 8) + rows(3), "PartiallySucceeded", None),
    "an open quote": ("a.csv", lambda: HEADER + rows(3) + b'"' + b"x" * (2 * MB), "PartiallySucceeded", None),
    "an open quote before lines": ("a.csv", lambda: HEADER + b'"x\n' + rows(50_000), "PartiallySucceeded", None),
    "no line end": ("a.csv", lambda: b"x" * (2 * MB), "Failed", None),
    "NULs": ("a.csv", lambda: HEADER + b"\0" * MB, "PartiallySucceeded", None),
    "a packed nothing": ("a.csv.gz", lambda: gzip.compress(HEADER + b"\n" * (20 * MB)), "Failed", "TooLarge"),
    "packed, and NULs behind it": ("a.csv.gz", lambda: PACKED + b"\0" * (4 * MB), "Succeeded", None),
    "packed, and empty members": ("a.csv.gz", lambda: PACKED + EMPTY * (2 * MB // len(EMPTY)), "Succeeded", None),
    "packed, of empty blocks": ("a.csv.gz", lambda: PACKED[:10] + EMPTY_BLOCK * (2 * MB // 5), "Failed", "BadGzip"),
    "packed, with a name without end": ("a.csv.gz", lambda: PACKED + NAMED + b"x" * (4 * MB), "Failed", "BadGzip"),
    "packed at the permitted ratio": ("a.csv.gz", lambda: gzip.compress(HEADER + packable(8 * MB)), "Succeeded", None),
}  # fmt: skip


@pytest.fixture(scope="module")
def neighbour(stack: Stack) -> Iterator[Hub]:
    with Hub.created(stack, "Neighbour") as neighbour:
        neighbour.profile_type()
        neighbour.mapping("Customers", {"Id": "id", "City": "city", "Points": "points"})
        yield neighbour


@pytest.mark.parametrize("kind", FILES)
def test_a_file(hub: Hub, neighbour: Hub, spending: Spending, kind: str) -> None:
    name, make, state, code = FILES[kind]
    path = f"{kind.replace(' ', '-')}/{name}"
    content = make()
    if name.endswith(".gz"):
        hub.mapping("Customers", {"Id": "id", "City": "city", "Points": "points"}, fileFilter="**/*")
    alone_s = seconds_of_a_run(neighbour, f"{path}-alone.csv")
    with spending.watched() as spent:
        etag = hub.upload(path, content)
        beside_s = seconds_of_a_run(neighbour, f"{path}-beside.csv")
        run = hub.run_of(path, etag)
    assert beside_s < WAIT_S + WAIT_TIMES * alone_s
    assert run["state"] == state, run
    if code is not None:
        assert run["error"]["code"] == code
    else:
        assert run["rowsRead"] == run["rowsIngested"] + run["rowsRejected"]
    megabytes = len(content) / MB
    assert spent.cpu_s < CPU_S + CPU_S_PER_MB * megabytes
    assert spent.memory_mb < MEMORY_MB


def seconds_of_a_run(hub: Hub, path: str) -> float:
    """From the upload of a file of one row until its run has ended."""
    began = time.monotonic()
    etag = hub.upload(path, HEADER + b"N,Oslo,1\n")
    assert hub.run_of(path, etag)["state"] == "Succeeded"
    return time.monotonic() - began


def test_pages_of_large_rows_at_once(stack: Stack, spending: Spending) -> None:
    ids = [f"L{number:02}" for number in range(12)]
    with Hub.created(stack, "Large") as hub:
        hub.profile_type()
        hub.mapping("Customers", {"Id": "id", "City": "city"})
        etag = hub.upload("large.csv", HEADER.decode() + "".join(f"{each},{'x' * (4 * MB - 16)},1\n" for each in ids))
        assert hub.run_of("large.csv", etag)["rowsIngested"] == len(ids)
        with spending.watched() as spent, ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: [row["Id"] for row in hub.data("Customer")], range(4)))
    assert found == [ids] * 4
    assert spent.memory_mb < PAGES_MB
