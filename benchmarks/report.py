"""The table, and the machine it was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.measure import Measure, Side
from benchmarks.works import Work

HEAD = ("work", "ours", "original", "ratio", "reach", "aim", "peak memory, ours / original", "runs")


def machine(sides: Sequence[Side]) -> str:
    """Return one sentence on this machine and on what is compared."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    products = " and ".join(filter(None, (_version(side) for side in sides)))
    return (
        f"{cores} cores ({_processor()}), {memory:.0f} GB of memory, {platform.system()} {platform.release()}, "
        f"load {os.getloadavg()[0]:.1f} at the start; {products}."
    )


def row(work: Work, results: Mapping[str, Sequence[Measure]]) -> tuple[str, ...]:
    """Return the cells of one work, from the measures of each side; a side without measures did not take part."""
    if work.lack:
        return (work.title, f"not measured: {work.lack}", *[""] * (len(HEAD) - 2))
    if not results:
        return (work.title, "failed", *[""] * (len(HEAD) - 2))
    medians = {side: Measure(*map(median, zip(*measures, strict=True))) for side, measures in results.items()}
    ours, original = medians.get("ours"), medians.get("original")
    return (
        work.title,
        _amount(work, ours),
        _amount(work, original),
        f"**{original.seconds / ours.seconds:.1f}x**" if ours and original and work.unit != "x" else "",
        work.reach,
        work.aim,
        _memory(work, ours, original),
        " / ".join(str(len(measures)) for measures in results.values()),
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _amount(work: Work, measure: Measure | None) -> str:
    if measure is None:
        return "not measured"
    if work.unit != "s":
        return f"{measure.seconds:.3g}{'' if work.unit == 'x' else ' '}{work.unit}"
    if measure.seconds < 1:
        return f"{measure.seconds * 1000:.3g} ms"
    return f"{measure.seconds:.3g} s" if measure.seconds < 100 else f"{measure.seconds:.0f} s"


def _memory(work: Work, *measures: Measure | None) -> str:
    if not work.memory:
        return ""
    values = [getattr(measure, f"{work.memory}_mb") for measure in measures if measure]
    return f"{work.memory} {' / '.join(f'{value:.0f}' for value in values)} MB"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _version(side: Side) -> str:
    distribution = "millrace" if side.name == "ours" else "metaflow"
    code = (
        "import importlib.metadata as m, platform as p; "
        f"print('{distribution}', m.version('{distribution}'), 'on Python', p.python_version())"
    )
    done = subprocess.run([side.python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"{side.name} ({side.python})"
