"""Folders of customers' rows: gone at the end, of a killed process too, never of a living one."""

import fcntl
import multiprocessing
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from shared import work_folder
from shared.disk_room import room_of_this_disk


def hold(sender: Connection) -> None:
    with work_folder.work_folder() as folder:
        (folder / "rows").write_text("x")
        sender.send(folder)
        signal.pause()


def test_a_folder_goes_with_its_work() -> None:
    with work_folder.work_folder() as folder:
        (folder / "rows").write_text("x")
    assert not folder.exists()


@pytest.mark.lengthy
def test_what_a_killed_process_left_is_removed_and_a_living_one_keeps_its_own() -> None:
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    processes = [spawn.Process(target=hold, args=(sender,)) for _ in range(2)]
    folders: list[Path] = []
    for process in processes:
        process.start()
        folders.append(receiver.recv())
    killed, living = processes
    killed.kill()
    killed.join()
    try:
        clean()
        assert [folder.exists() for folder in folders] == [False, True]
    finally:
        living.terminate()
        living.join()
        clean()
        assert not folders[1].exists()


def test_a_folder_that_is_being_made_is_not_left_behind() -> None:
    with ThreadPoolExecutor(1) as pool:
        with work_folder._making(fcntl.LOCK_SH):
            starting = Path(tempfile.mkdtemp(prefix=work_folder._PREFIX))
            cleaning = pool.submit(clean)
            assert not wait([cleaning], 0.1).done
            assert starting.exists()
        cleaning.result(10)
    assert not starting.exists()


def test_the_room_of_the_disk_is_what_is_there_without_what_a_killed_process_left() -> None:
    left = Path(tempfile.mkdtemp(prefix=work_folder._PREFIX))
    work_folder.remove_left_behind.cache_clear()
    room_of_this_disk.cache_clear()
    assert room_of_this_disk().pages > 0
    assert not left.exists()


def clean() -> None:
    """What the first use in a process does."""
    work_folder.remove_left_behind.cache_clear()
    with work_folder.work_folder():
        pass
