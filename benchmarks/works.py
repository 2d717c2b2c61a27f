"""What is measured: the works, their sizes, and what they should reach."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

from benchmarks import cards
from benchmarks.measure import Measure, Side, run


class Sizes(NamedTuple):
    """How large the works are."""

    narrow: int
    middle: int
    wide: int
    array_mb: int
    quick: bool


LIBRARY = "library"
"""Works of this group show what a library costs that a flow imports at module level."""

LIBRARIES = (
    "numpy", "pandas", "sklearn.ensemble", "scipy.stats", "pyarrow.parquet", "polars", "matplotlib.pyplot", "xgboost",
    "lightgbm", "torch",
)  # fmt: skip

FULL = Sizes(narrow=200, middle=1000, wide=10_000, array_mb=512, quick=False)
QUICK = Sizes(narrow=20, middle=50, wide=60, array_mb=64, quick=True)


class Work(NamedTuple):
    """One row of the table."""

    name: str
    title: str
    reach: str
    aim: str
    turns: dict[str, int]
    """Repetitions for each side; a side that is not named does not take part."""
    run: Callable[[Side, str], Measure]
    """Does the work in a directory."""
    memory: str = ""
    """Whose peak memory the table shows: ``engine``, ``task``, ``all`` or nobody's."""
    prepare: Callable[[str], object] | None = None
    """Makes what all repetitions then find in their directory."""
    disk_gb: float = 0.5
    lack: str = ""
    """Why it cannot be measured here."""
    unit: str = "s"
    """What is measured: ``s``, ``kB``, or ``x`` for a share."""


def works(sizes: Sizes, ours: Side) -> list[Work]:
    """Return all works; `ours` makes the run that both clients read."""
    narrow, middle, wide, mb = sizes.narrow, sizes.middle, sizes.wide, sizes.array_mb
    names = "`from metaflow import FlowSpec, Parameter, current, step`"
    wide_title = f"foreach {wide:,}, a join that reads one small artifact of each"
    array_title = f"{mb} MB random float64 array, saved by one step, summed by the next"
    client_title = f"client: the artifact of each of {wide:,} tasks of one run"
    guarded_title = f"foreach {narrow:,}, each task with @retry, @catch and @timeout"
    resume_title = f"resume of {middle + 2:,} finished tasks, the last one runs again"
    wide_gb = wide * 250e-6  # each task leaves some forty small files

    def turns(ours: int, original: int) -> dict[str, int]:
        most = 2 if sizes.quick else 99
        return {"ours": min(ours, most), "original": min(original, most)}

    def foreach(width: int) -> Callable[[Side, str], Measure]:
        return partial(_foreach, width)

    def prepare(directory: str) -> None:
        _foreach(wide, ours, directory)

    return [
        Work("import", "`import metaflow`", "4x", "5x", turns(15, 15), partial(_import, "package")),
        Work("import-names", names, "", "", turns(15, 15), partial(_import, "names")),
        Work("hello", "hello (2 tasks)", "4x", "5x", turns(9, 9), _hello, "engine"),
        Work("narrow", f"foreach {narrow:,}", "20x", "40x", turns(5, 3), foreach(narrow), "engine"),
        Work("middle", f"foreach {middle:,}", "30x", "50x", turns(3, 1), foreach(middle), "engine"),
        Work("guarded", guarded_title, "", "", turns(5, 3), partial(_guarded, narrow), "engine"),
        Work(
            "resume",
            resume_title,
            "10x",
            "20x",
            turns(5, 3),
            partial(_resume, middle),
            "engine",
            partial(_foreach, middle, ours),
            middle * 1e-3,
        ),
        Work(
            "config",
            "a config of 1,000 keys, parsed and read",
            "5 ms",
            "",
            turns(5, 3),
            partial(_inside, "config_time.py"),
        ),
        Work("spin", "spin of the last step of hello", "", "", turns(9, 5), _spin, "engine", partial(_hello, ours)),
        Work("runner", "what Runner adds to hello", "50 ms", "", turns(3, 1), partial(_inside, "runner_overhead.py")),
        Work(
            "run_step",
            "200 tests of a step by `run_step`",
            "2 s",
            "",
            {"ours": 3},
            partial(_inside, "step_tests.py"),
            "engine",
        ),
        Work("wide", wide_title, "90 s, 300 MB", "45 s", {"ours": 1}, foreach(wide), "engine", disk_gb=wide_gb),
        Work(
            "array",
            array_title,
            f"10x, {1.3 * mb + 100:.0f} MB",
            "15x",
            turns(3, 1),
            partial(_array, mb),
            "task",
            disk_gb=3 * mb / 1000,
        ),
        Work("client", client_title, "3x", "10x", turns(3, 1), partial(_client, wide), "engine", prepare, wide_gb),
        *_cards(narrow, turns),
        *(
            Work(
                f"{LIBRARY}-{name.partition('.')[0]}",
                f"foreach {narrow // 10:,}, in a flow that imports {name}",
                "",
                "",
                turns(3, 1),
                partial(_library, name, narrow // 10),
                lack=_lack(name, ours),
            )
            for name in LIBRARIES
        ),
    ]


def _cards(narrow: int, turns: Callable[[int, int], dict[str, int]]) -> list[Work]:
    hello, wide = cards.hello, cards.foreach(narrow)
    paint = "first paint of a card with a table of 100,000 rows and 20 columns, in Chromium"
    beside = "with `--with card`, beside the one without"
    return [
        Work("cards-size", "a default card", "60 kB", "", turns(1, 1), cards.size, unit="kB"),
        Work("cards-drawing", "a default card, drawn again", "50 ms", "", {"ours": 3}, cards.drawing),
        Work("cards-hello", "hello (2 tasks) `--with card`", "", "", turns(9, 3), cards.alone(hello)),
        Work("cards-hello-share", f"hello {beside}", "1.1x", "", turns(9, 3), cards.share(hello), unit="x"),
        Work("cards-narrow", f"foreach {narrow:,} `--with card`", "", "", turns(3, 1), cards.alone(wide)),
        Work(
            "cards-narrow-share", f"foreach {narrow:,} {beside}", "", "1.1x", turns(5, 1), cards.share(wide), unit="x"
        ),
        Work("cards-paint", paint, "1 s", "", {"ours": 3}, cards.paint, lack=cards.lack_of_chromium()),
    ]


def _import(what: str, side: Side, directory: str) -> Measure:
    return _inside("import_time.py", side, directory, what)


def _inside(program: str, side: Side, directory: str, *arguments: str) -> Measure:
    """Take the time that a program prints, without the interpreter's start."""
    measure, output = run(side, program, *arguments, directory=directory, expect="seconds ")
    return measure._replace(seconds=float(output.split("seconds ")[1]))


def _spin(side: Side, directory: str) -> Measure:
    return run(side, "hello.py", "spin", "end", directory=directory, expect="Hello, world")[0]


def _hello(side: Side, directory: str) -> Measure:
    return run(side, "hello.py", "run", directory=directory, expect="Hello, world")[0]


def _foreach(width: int, side: Side, directory: str) -> Measure:
    arguments = ("run", "--max-num-splits", str(width), "--width", str(width))
    return run(side, "wide.py", *arguments, directory=directory, expect=f"total {_total(width)}")[0]


def _guarded(width: int, side: Side, directory: str) -> Measure:
    arguments = ("run", "--max-num-splits", str(width), "--width", str(width))
    return run(side, "guarded.py", *arguments, directory=directory, expect=f"total {_total(width)}")[0]


def _resume(width: int, side: Side, directory: str) -> Measure:
    arguments = ("resume", "end", "--max-num-splits", str(width))
    return run(side, "wide.py", *arguments, directory=directory, expect=f"total {_total(width)}")[0]


def _array(mb: int, side: Side, directory: str) -> Measure:
    return run(side, "big_array.py", "run", "--mb", str(mb), directory=directory, expect="sums agree", below=True)[0]


def _client(width: int, side: Side, directory: str) -> Measure:
    return run(side, "read_all.py", directory=directory, expect=f"total {_total(width)}")[0]


def _library(name: str, width: int, side: Side, directory: str) -> Measure:
    arguments = ("run", "--width", str(width))
    variables = {"BENCH_LIBRARY": name}
    return run(side, "library.py", *arguments, directory=directory, expect=f"total {width}", environment=variables)[0]


def _lack(name: str, ours: Side) -> str:
    top = name.partition(".")[0]
    return f"{top} is not installed" if ours.python == sys.executable and find_spec(top) is None else ""


def _total(width: int) -> int:
    return sum(number * number for number in range(width))
