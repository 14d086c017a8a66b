"""Folders of customers' rows: gone at the end, of a killed process too, never of a living one."""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

from shared import work_folder


def hold(sender: Connection) -> None:
    with work_folder.work_folder() as folder:
        (folder / "rows").write_text("x")
        sender.send(folder)
        signal.pause()


def test_a_folder_goes_with_its_work() -> None:
    with work_folder.work_folder() as folder:
        (folder / "rows").write_text("x")
    assert not folder.exists()


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
        assert [folder.exists() for folder in folders] == [True, True]  # both could just be starting
        for folder in folders:
            os.utime(folder, (time.time() - 3600,) * 2)
        clean()
        assert [folder.exists() for folder in folders] == [False, True]
    finally:
        living.terminate()
        living.join()
        os.utime(folders[1], (time.time() - 3600,) * 2)
        clean()
        assert not folders[1].exists()


def clean() -> None:
    """What the first use in a process does."""
    work_folder._remove_left_behind.cache_clear()
    with work_folder.work_folder():
        pass
