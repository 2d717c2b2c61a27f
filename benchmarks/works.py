"""What is measured: the works, their sizes, and what they should reach."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks.measure import Measure, Side, run


class Sizes(NamedTuple):
    """How large the works are."""

    narrow: int
    middle: int
    wide: int
    array_mb: int
    quick: bool


FULL = Sizes(narrow=200, middle=1000, wide=10_000, array_mb=512, quick=False)
QUICK = Sizes(narrow=20, middle=50, wide=200, array_mb=64, quick=True)


class Work(NamedTuple):
    """One row of the table."""

    name: str
    title: str
    turns: dict[str, int]
    """Repetitions for each side; a side that is not named does not take part."""
    run: Callable[[Side, str], Measure]
    """Does the work in a directory."""
    reach: str
    aim: str
    memory: str = ""
    """Whose peak memory the table shows: ``engine``, ``task`` or nobody's."""
    prepare: Callable[[str], object] | None = None
    """Makes what all repetitions then find in their directory."""
    disk_gb: float = 0.5


def works(sizes: Sizes, ours: Side) -> list[Work]:
    """Return all works; `ours` makes the run that both clients read."""

    def turns(ours: int, original: int) -> dict[str, int]:
        most = 2 if sizes.quick else 99
        return {"ours": min(ours, most), "original": min(original, most)}

    return [
        Work("import", "`import metaflow`", turns(15, 15), partial(_import, "package"), "4x", "5x"),
        Work(
            "import-names",
            "`from metaflow import FlowSpec, Parameter, current, step`",
            turns(15, 15),
            partial(_import, "names"),
            "",
            "",
        ),
        Work("hello", "hello (2 tasks)", turns(9, 9), _hello, "4x", "5x", memory="engine"),
        Work(
            "narrow",
            f"foreach {sizes.narrow:,}",
            turns(5, 3),
            partial(_foreach, sizes.narrow),
            "20x",
            "40x",
            memory="engine",
        ),
        Work(
            "middle",
            f"foreach {sizes.middle:,}",
            turns(3, 1),
            partial(_foreach, sizes.middle),
            "30x",
            "50x",
            memory="engine",
        ),
        Work(
            "wide",
            f"foreach {sizes.wide:,}, a join that reads one small artifact of each",
            {"ours": 1},
            partial(_foreach, sizes.wide),
            "90 s, 300 MB",
            "45 s",
            memory="engine",
            disk_gb=sizes.wide * 250e-6,
        ),
        Work(
            "array",
            f"{sizes.array_mb} MB random float64 array, saved by one step, summed by the next",
            turns(3, 1),
            partial(_array, sizes.array_mb),
            f"10x, {1.3 * sizes.array_mb + 100:.0f} MB",
            "15x",
            memory="task",
            disk_gb=3 * sizes.array_mb / 1000,
        ),
        Work(
            "client",
            f"client: the artifact of each of {sizes.wide:,} tasks of one run",
            turns(3, 1),
            partial(_client, sizes.wide),
            "3x",
            "10x",
            memory="engine",
            prepare=lambda directory: _foreach(sizes.wide, ours, directory),
            disk_gb=sizes.wide * 250e-6,
        ),
    ]


def _import(what: str, side: Side, directory: str) -> Measure:
    """Time inside the interpreter, without its start."""
    measure, output = run(side, "import_time.py", what, directory=directory, expect="seconds ")
    return measure._replace(seconds=float(output.split("seconds ")[1]))


def _hello(side: Side, directory: str) -> Measure:
    return run(side, "hello.py", "run", directory=directory, expect="Hello, world")[0]


def _foreach(width: int, side: Side, directory: str) -> Measure:
    arguments = ("run", "--max-num-splits", str(width), "--width", str(width))
    return run(side, "wide.py", *arguments, directory=directory, expect=f"total {_total(width)}")[0]


def _array(mb: int, side: Side, directory: str) -> Measure:
    return run(side, "big_array.py", "run", "--mb", str(mb), directory=directory, expect="sums agree", below=True)[0]


def _client(width: int, side: Side, directory: str) -> Measure:
    return run(side, "read_all.py", directory=directory, expect=f"total {_total(width)}")[0]


def _total(width: int) -> int:
    return sum(number * number for number in range(width))
