"""What a process and its children spend while something is tried: processor time and memory, as Linux counts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_TICKS = os.sysconf("SC_CLK_TCK")
_MB = 1024**2


@dataclass
class Spent:
    """What was spent between the two ends of a `with`: seconds of processor, and MB above what was held before."""

    cpu_s: float = 0.0
    memory_mb: float = 0.0


class Spending:
    """The expenses of one process and of its children, or of it alone."""

    def __init__(self, pid: int, *, is_alone: bool = False) -> None:
        if not Path("/proc/self/clear_refs").exists():
            pytest.skip("memory and processor time are counted as Linux tells them")
        self._pid = pid
        self._is_alone = is_alone

    @contextmanager
    def watched(self) -> Iterator[Spent]:
        """Counts what is spent until the end of the `with`."""
        spent = Spent()
        before_s, before_mb = self._cpu_s(), self._memory_mb("VmRSS")
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        yield spent
        spent.cpu_s = self._cpu_s() - before_s
        spent.memory_mb = self._memory_mb("VmHWM") - before_mb

    def _pids(self) -> list[int]:
        found, waiting = [], [self._pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            if self._is_alone:
                break
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(FileNotFoundError):  # the thread has just ended
                    waiting += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
        return found

    def _cpu_s(self) -> float:
        total = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def _memory_mb(self, name: str) -> float:
        total = 0
        for pid in self._pids():
            lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
        return total * 1024 / _MB
