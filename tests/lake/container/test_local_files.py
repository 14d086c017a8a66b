"""The shared folder of fetched files: whole files only, for as long as they are needed, within bounds."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pytest

from shared.domain.errors import FatalError
from shared.lake.container.local_files import LocalFiles, WantedFile
from shared.lake.container.store import Lake

SIZE = 200_000


def put(lake: Lake, size: int = SIZE) -> WantedFile:
    path = f"table/{uuid.uuid4().hex}.parquet"
    obstore.put(lake.store, path, path.encode() * (size // len(path)))
    return WantedFile(path, size // len(path) * len(path), f"{uuid.uuid4().hex}.parquet")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The shared folder."""
    return tmp_path / "kept"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where workspaces are."""
    return tmp_path


def test_a_file_is_fetched_once(lake: Lake, kept: Path, folder: Path) -> None:
    wanted = put(lake)
    files = LocalFiles(lake.store, "here", kept)
    first = files.link([wanted], folder / "one")[0]
    obstore.delete(lake.store, wanted.path)
    second = files.link([wanted], folder / "two")[0]

    assert first.read_bytes() == second.read_bytes()
    assert len(list(kept.iterdir())) == 1
    with pytest.raises(FatalError, match=wanted.path):
        LocalFiles(lake.store, "elsewhere", kept).link([wanted], folder / "three")


def test_a_file_of_another_size_is_damage_and_is_not_kept(lake: Lake, kept: Path, folder: Path) -> None:
    wanted = put(lake)
    with pytest.raises(FatalError, match="bytes"):
        LocalFiles(lake.store, "here", kept).link([WantedFile(wanted.path, wanted.size - 1, "a")], folder / "one")
    assert list(kept.iterdir()) == []


def test_making_room_takes_the_longest_unused_and_nothing_in_use(lake: Lake, kept: Path, folder: Path) -> None:
    files = LocalFiles(lake.store, "here", kept, max_bytes=SIZE * 3)
    wanted = [put(lake) for _ in range(10)]
    links = [files.link([one], folder / "in-use")[0] for one in wanted]

    assert sum(path.stat().st_size for path in kept.iterdir()) <= SIZE * 3
    assert all(link.stat().st_size == one.size for link, one in zip(links, wanted, strict=True))
    obstore.delete(lake.store, wanted[-1].path)
    assert files.link([wanted[-1]], folder / "again")[0].stat().st_size == wanted[-1].size


def test_many_threads_share_it(lake: Lake, kept: Path, folder: Path) -> None:
    wanted = [put(lake) for _ in range(4)]
    files = [LocalFiles(lake.store, "here", kept, max_bytes=SIZE * 2) for _ in range(4)]

    def work(index: int) -> list[int]:
        links = files[index % 4].link(wanted, folder / f"work-{index}")
        return [link.stat().st_size for link in links]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [[one.size for one in wanted]] * 40
    assert not [path for path in kept.iterdir() if path.name.startswith("fetch-")]
