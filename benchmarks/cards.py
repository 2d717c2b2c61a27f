"""What cards cost: a flow with `--with card` beside the one without, in turn, so that a slow minute meets both."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from benchmarks.measure import Measure, Side, run

GROUP = "cards"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

Run = Callable[[Side, str, tuple[str, ...]], Measure]


def hello(side: Side, directory: str, arguments: tuple[str, ...]) -> Measure:
    """Run two steps."""
    return run(side, "hello.py", "run", *arguments, directory=directory, expect="Hello, world")[0]


def foreach(width: int) -> Run:
    """Return what runs a foreach of many small tasks."""
    total = sum(number * number for number in range(width))

    def wide(side: Side, directory: str, arguments: tuple[str, ...]) -> Measure:
        words = ("run", "--max-num-splits", str(width), "--width", str(width), *arguments)
        return run(side, "wide.py", *words, directory=directory, expect=f"total {total}")[0]

    return wide


def share(flow: Run) -> Callable[[Side, str], Measure]:
    """Return what measures how many times as long a flow takes with cards as without."""

    def measure(side: Side, directory: str) -> Measure:
        without, with_cards = flow(side, directory, ()), flow(side, directory, ("--with", "card"))
        return with_cards._replace(seconds=with_cards.seconds / without.seconds)

    return measure


def size(side: Side, directory: str) -> Measure:
    """Measure the kB of a default card."""
    hello(side, directory, ("--with", "card"))
    return _told(side, directory, "card_size.py", "kB ")


def drawing(side: Side, directory: str) -> Measure:
    """Measure how long a default card takes to be drawn and stored by a process that has drawn one before."""
    hello(side, directory, ())
    return _told(side, directory, "card_time.py", "seconds ")


def paint(side: Side, directory: str) -> Measure:
    """Measure how long Chromium takes to the first paint of a table of 100,000 rows and 20 columns."""
    return _told(side, directory, "card_paint.py", "seconds ", CHROMIUM)


def lack_of_chromium() -> str:
    """Return why the first paint cannot be measured here."""
    if not os.path.exists(CHROMIUM):
        return f"there is no Chromium at {CHROMIUM}"
    return "" if find_spec("playwright") else "playwright is not installed"


def _told(side: Side, directory: str, program: str, what: str, *arguments: str) -> Measure:
    measure, output = run(side, program, *arguments, directory=directory, expect=what)
    return measure._replace(seconds=float(output.rpartition(what)[2].split()[0]))


def alone(flow: Run) -> Callable[[Side, str], Measure]:
    """Return what measures a flow with cards."""
    return partial(_with_cards, flow)


def _with_cards(flow: Run, side: Side, directory: str) -> Measure:
    return flow(side, directory, ("--with", "card"))
