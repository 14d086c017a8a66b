"""The whole measurement, in several processes: jobs are few facts, and each process makes its files itself."""

import os
import re
import resource
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from honesty import corpora, generate
from honesty.draft import DirtyFile
from honesty.file_kinds import FILE_KINDS
from honesty.measure import Score, score
from honesty.reading import ingest
from honesty.row_kinds import LARGE, ROW_KINDS
from shared.settings import Settings

KINDS = [*ROW_KINDS, *LARGE]
PAIR_LOTS, PAIRS_OF_LOT = 8, 40
CORPUS_LOTS = 8
# Pieces that a blob comes in: whole ranges as in production, and some that cut rows, characters and line ends.
_PIECES = (4 << 20, 4 << 20, 1 << 16, 997)


@dataclass(frozen=True, slots=True)
class Job:
    """Files that one process reads: a kind by its number, a lot of pairs, or a lot of the corpora."""

    group: str
    number: int
    seed: int = 0
    folder: Path | None = None

    def files(self) -> Iterator[DirtyFile]:
        """The files."""
        match self.group:
            case "rows":
                yield from generate.row_files(KINDS[self.number], self.seed)
            case "files":
                yield from generate.file_files(FILE_KINDS[self.number], self.seed)
            case "pairs":
                yield from generate.pair_files(self.seed, self.number, PAIRS_OF_LOT)
            case "legal":
                yield from corpora.legal_files(self.folder or Path())
            case _:
                others = list(corpora.other_files(self.folder or Path()))
                yield from others[self.number :: CORPUS_LOTS]


@dataclass(frozen=True, slots=True)
class Done:
    """Attributes: scores of the job's files, seconds of the slowest file, peak_mb of the process so far."""

    job: Job
    scores: list[Score]
    slowest: float
    peak_mb: float


def jobs(seed: int, folder: Path | None) -> list[Job]:
    """Everything; the corpora only where there is a folder."""
    made = [Job("rows", number, seed) for number in range(len(KINDS))]
    made += [Job("files", number, seed) for number in range(len(FILE_KINDS))]
    made += [Job("pairs", number, seed) for number in range(PAIR_LOTS)]
    if folder is not None:
        made.append(Job("legal", 0, folder=folder))
        made += [Job("others", number, folder=folder) for number in range(CORPUS_LOTS)]
    return made


def run_all(todo: list[Job], processes: int | None = None) -> Iterator[Done]:
    """Runs jobs side by side; results come in the order of the jobs."""
    # A fresh process has nothing of this one's memory, so its peak is that of reading.
    with ProcessPoolExecutor(processes or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(run_job, todo)


def run_job(job: Job) -> Done:
    """Reads the files of a job, and scores what came out."""
    settings = Settings()
    scores, slowest = [], 0.0
    for number, file in enumerate(job.files()):
        outcome = ingest(file, settings, _PIECES[number % len(_PIECES)])
        scores.append(score(file, outcome))
        slowest = max(slowest, outcome.seconds)
    return Done(job, scores, slowest, _peak_mb())


def _peak_mb() -> float:
    """Peak resident memory of this process."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))):
        return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
