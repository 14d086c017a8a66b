"""`make honesty`: a line for each kind of pollution, and the three figures over all files, next to their bars."""

import argparse
import resource
import sys
import time

from honesty import corpora
from honesty.measure import ATTRIBUTION, HONESTY, YIELD, Score, Total, total
from honesty.run import Done, jobs, run_all

MOST_SECONDS_OF_A_FILE = 10


def main(arguments: list[str] | None = None) -> int:
    """Runs the measurement; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="honesty", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the generated files")
    seed = parser.parse_args(arguments).seed
    folder = corpora.corpora_folder()
    if folder is None:
        print(f"no corpora in {corpora.BESIDE} nor in $CORPORA: generated files only\n")
    began = time.perf_counter()
    print(f"{'kind':<48} files  honest   yield  attribution")
    done = []
    for each in run_all(jobs(seed, folder)):
        done.append(each)
        if each.job.group in {"rows", "files", "legal"}:
            print_line(each.scores[0].kind, total(each.scores))
    pairs = [score for each in done if each.job.group == "pairs" for score in each.scores]
    print_line("pairs of kinds", total(pairs))
    met = summarize(done, time.perf_counter() - began)
    return 0 if met else 1


def print_line(name: str, figures: Total) -> None:
    """One kind."""
    honest = f"{figures.honesty:7.1%}"
    print(
        f"{name:<48} {figures.files:5} {honest} {percent(figures.yield_)} {percent(figures.attribution):>12}",
        flush=True,
    )


def percent(figure: float | None) -> str:
    """A figure, or a dash where there is nothing to measure."""
    return "      -" if figure is None else f"{figure:7.1%}"


def summarize(done: list[Done], seconds: float) -> bool:
    """Prints what went wrong file by file, then the figures; whether the bars are met."""
    measured = [score for each in done if each.job.group != "others" for score in each.scores]
    others = [score for each in done if each.job.group == "others" for score in each.scores]
    troubled = [score for score in others if score.trouble is not None]
    for score in [*(score for score in measured if not score.is_honest), *troubled]:
        print(describe(score))
    figures = total(measured)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    slowest = max(each.slowest for each in done)
    names = {score.kind for score in measured if score.kind[:2].isdigit() and score.kind != "00 clean"}
    clean, right = sum(score.clean for score in measured), sum(score.right for score in measured)
    print(
        f"\n{len({name[:2] for name in names})} kinds in {len(names)} forms; {figures.files} files, "
        f"{sum(score.expects_refusal for score in measured)} of them to be refused whole\n"
        f"{clean:,} clean rows, {sum(score.faulty for score in measured)} with a fault on their lines, "
        f"{clean - right} not ingested"
    )
    if others:
        print(f"{len(others)} readings of files without truth, {len(others) - len(troubled)} with closed accounts")
    ok = figures.meets_the_bars and not any(score.trouble for score in [*measured, *troubled])
    ok = ok and slowest <= MOST_SECONDS_OF_A_FILE
    print(
        f"honesty {figures.honesty:.2%} (bar {HONESTY:.1%}), yield {figures.yield_ or 0:.2%} (bar {YIELD:.1%}), "
        f"attribution {figures.attribution or 0:.2%} (bar {ATTRIBUTION:.0%}); {seconds:.0f} s, "
        f"processor {processor:.0f} s, "
        f"slowest file {slowest:.1f} s, peak {max(each.peak_mb for each in done):.0f} MB: {'met' if ok else 'MISSED'}"
    )
    return ok


def describe(score: Score) -> str:
    """What is wrong with a file that is not read honestly."""
    return (
        f"NOT HONEST {score.kind}, {score.place}: {score.wrong} wrong, {score.vanished} vanished, "
        f"{score.missed} faults not named{f'; {score.trouble}' if score.trouble else ''}"
    )


if __name__ == "__main__":
    sys.exit(main())
