"""Run the works, the two sides in turn, and print one Markdown table of medians.

python -m benchmarks --original .venv-original/bin/python
python -m benchmarks --quick --only hello --only import
python -m benchmarks --only remote      # on Kubernetes and AWS Batch, where the environment names them
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import cards, remote, report
from benchmarks.measure import Failure, Measure, Side
from benchmarks.works import FULL, LIBRARY, QUICK, Sizes, Work, works

GROUPS = (*remote.GROUPS, cards.GROUP, LIBRARY)


def main() -> int:
    options = _options()
    ours = Side("ours", options.ours)
    sides = [ours, Side("original", options.original)] if options.original else [ours]
    chosen = [work for work in _works(QUICK if options.quick else FULL, ours) if _is_chosen(work.name, options.only)]
    print(report.machine(sides), end="\n\n", flush=True)
    if options.quick:
        print("Quick sizes: too small to compare with reach and aim.", end="\n\n", flush=True)

    rows, failed = [], False
    parent = options.directory and Path(options.directory).resolve()
    # All that was written is removed at the end: a file system that has just removed thousands of files is slow.
    with tempfile.TemporaryDirectory(prefix="millrace-bench-", dir=parent) as base:
        try:
            for work in chosen:
                try:
                    results = {} if work.lack else _measure(work, sides, options, base)
                except Failure as failure:
                    _say(f"{work.name}: {failure}")
                    failed, results = True, {}
                rows.append(report.row(work, results))
        finally:
            remote.leave()
        print(report.table(rows), flush=True)
    return int(failed)


def _works(sizes: Sizes, ours: Side) -> list[Work]:
    return [*works(sizes, ours), *remote.works(sizes)]


def _is_chosen(name: str, only: list[str] | None) -> bool:
    return not only or name in only or any(name.startswith(f"{group}-") for group in GROUPS if group in only)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Millrace and the original.")
    names = [work.name for work in _works(FULL, Side("ours", sys.executable))]
    parser.add_argument(
        "--only",
        action="append",
        choices=[*GROUPS, *names],
        help="measure this work only, or this group of works; may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and at most two repetitions")
    parser.add_argument("--repeat", type=int, help="repetitions of each work on each side")
    parser.add_argument("--directory", help="where to put the runs (default: a temporary directory)")
    parser.add_argument("--ours", default=sys.executable, help="Python that has millrace (default: this one)")
    parser.add_argument(
        "--original",
        default=os.environ.get("MILLRACE_ORIGINAL_PYTHON"),
        help="Python that has the original (default: $MILLRACE_ORIGINAL_PYTHON; without it only ours is measured)",
    )
    return parser.parse_args()


def _measure(work: Work, sides: list[Side], options: argparse.Namespace, base: str) -> dict[str, list[Measure]]:
    """Return the measures of each side; the sides take turns, so that a slow minute of the machine meets both."""
    measures: dict[str, list[Measure]] = {side.name: [] for side in sides if side.name in work.turns}
    shared = _directory(work, base)
    if work.prepare:
        _say(f"{work.name}: prepare")
        work.prepare(shared)
    for turn in range(options.repeat or max(work.turns.values())):
        for side in sides:
            if side.name not in measures or turn >= (options.repeat or work.turns[side.name]):
                continue
            _say(f"{work.name}: {side.name}, turn {turn + 1}", end=" … ")
            measure = work.run(side, shared if work.prepare else _directory(work, base))
            _say(f"{measure.seconds:.3f} {work.unit}")
            measures[side.name].append(measure)
    return measures


def _directory(work: Work, base: str) -> str:
    """Return a new directory with room for what `work` writes."""
    free = shutil.disk_usage(base).free / 1e9
    if free < work.disk_gb:
        raise Failure(f"needs {work.disk_gb:g} GB of disk, {free:.1f} GB are free (choose another with --directory)")
    return tempfile.mkdtemp(dir=base)


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
