"""The libraries that may be imported once for all tasks of a run, and what a task's process must then redo.

A row is a promise, held by `tests/live/test_proven.py` in tasks that are forked and in tasks that are executed: the
import leaves nothing behind that a process of its own would not have, save what the row redoes. What is not in the
table is imported by each task, as ever. Known not to qualify: polars, which starts a thread of its own; TensorFlow,
JAX and grpc, which are not safe to fork around.

Beside the table stands what decides of a program's modules which could be imported early (`candidates`), and whose a
module is (`owner`). To add a library, write its row and name it in the test. Start reading at `PROVEN`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

Redo = Callable[[Any], object]
"""Given a module, makes its state that of a process which has just imported it."""


class Library(NamedTuple):
    """A proven library.

    Attributes
    ----------
    redo : mapping of str to callable
        What a forked process redoes, by the module that holds the state; done when a task imports the library.
    has_threads : bool
        Whether the import starts native threads, which the library itself replaces after a fork.
    """

    redo: Mapping[str, Redo] = {}
    has_threads: bool = False


class Candidate(NamedTuple):
    """A library that a program has imported, as the zygote is to import it.

    Attributes
    ----------
    name : str
        The package or module.
    path : str
        Where it lies; what is found elsewhere is another one. Empty if nobody knows.
    modules : tuple of str
        What of it has been imported, in order.
    """

    name: str
    path: str
    modules: tuple[str, ...]


def _numpy(random: Any) -> None:
    random.seed()


def _torch(torch: Any) -> None:
    torch.default_generator.seed()


def _faker(generator: Any) -> None:
    generator.random.seed()


def _sympy_random(random: Any) -> None:
    random.rng.seed()
    random._assumptions_rng.seed()


def _sympy_symbol(symbol: Any) -> None:
    dummy = symbol.Dummy
    dummy._prng.seed()
    dummy._base_dummy_index = dummy._prng.randint(10**6, 9 * 10**6)


def _psutil(psutil: Any) -> None:
    """Measure from now on, as `psutil.cpu_percent` does from its import on."""
    for name, measure in (("_last_cpu_times", psutil.cpu_times()), ("_last_per_cpu_times", psutil.cpu_times(True))):
        for thread in list(getattr(psutil, name)):
            getattr(psutil, name)[thread] = measure
    for name in ("_last_cpu_times_2", "_last_per_cpu_times_2"):
        setattr(psutil, name, getattr(psutil, name.removesuffix("_2")).copy())


def _logging(logging: Any) -> None:
    logging._startTime = time.time_ns() if isinstance(logging._startTime, int) else time.time()


def _multiprocessing(process: Any) -> None:
    process._current_process._config["authkey"] = process.AuthenticationString(os.urandom(32))


BROUGHT_ALONG = (
    "_plotly_utils", "annotated_types", "attr", "attrs", "botocore", "certifi", "charset_normalizer", "cloudpickle",
    "contourpy", "cuda", "cycler", "dill", "filelock", "fontTools", "fsspec", "functorch", "idna", "jmespath",
    "kiwisolver", "markdown_it", "markupsafe", "mdurl", "mpl_toolkits", "mpmath", "narwhals", "opt_einsum", "packaging",
    "pydantic_core", "pygments", "pyparsing", "pytz", "rich", "s3transfer", "simplejson", "six", "soupsieve",
    "threadpoolctl", "torchgen", "typing_extensions", "typing_inspection", "tzdata", "urllib3",
)  # fmt: skip
"""What those libraries import in turn."""

_NOTHING = Library()

PROVEN: Mapping[str, Library] = {
    # What a flow computes with.
    "numpy": Library({"numpy.random": _numpy}, has_threads=True),  # OpenBLAS
    "scipy": Library(has_threads=True),  # an OpenBLAS of its own
    "pandas": _NOTHING,
    "pyarrow": Library(has_threads=True),  # jemalloc
    "sklearn": _NOTHING,
    "xgboost": _NOTHING,
    "lightgbm": _NOTHING,
    "torch": Library({"torch": _torch}),
    "matplotlib": _NOTHING,
    "seaborn": _NOTHING,
    "plotly": _NOTHING,
    "sympy": Library({"sympy.core.random": _sympy_random, "sympy.core.symbol": _sympy_symbol}),
    "networkx": _NOTHING,
    "faker": Library({"faker.generator": _faker}),
    # What it reads and writes with.
    "boto3": _NOTHING,
    "requests": _NOTHING,
    "pydantic": _NOTHING,
    "yaml": _NOTHING,
    "bs4": _NOTHING,
    "lxml": _NOTHING,
    "jinja2": _NOTHING,
    "PIL": _NOTHING,
    "tqdm": _NOTHING,
    "tabulate": _NOTHING,
    "dateutil": _NOTHING,
    "orjson": _NOTHING,
    "joblib": _NOTHING,
    "psutil": Library({"psutil": _psutil}),
    # What those bring along.
    **dict.fromkeys(BROUGHT_ALONG, _NOTHING),
}
"""The table, by the name of the package."""

STANDARD: Mapping[str, Redo] = {"logging": _logging, "multiprocessing.process": _multiprocessing}
"""What is redone for the standard library; its generators and locks take care of themselves."""

NEVER = frozenset({"__main__", "this", "antigravity", "idlelib", "turtle", "tkinter", "readline", "rlcompleter"})
"""Modules of the standard library whose import does something."""

_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_REAL_STANDARD_LIBRARY = os.path.realpath(_STANDARD_LIBRARY) + os.sep
_INSTALLED = ("site-packages", "dist-packages")


def owner(module: object) -> str | None:
    """Return the name below ``site-packages`` that a module belongs to; None if it lies elsewhere."""
    parts = (getattr(module, "__file__", None) or "").split(os.sep)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] in _INSTALLED:
            return parts[at + 1].partition(".")[0]
    return None


def is_standard(name: str, module: object) -> bool:
    """Tell whether a module is part of Python, or made by no file at all."""
    path: str | None = getattr(module, "__file__", None)
    if path is None:
        return True
    if owner(module) is not None:
        return False
    return path.startswith(_STANDARD_LIBRARY) or os.path.realpath(path).startswith(_REAL_STANDARD_LIBRARY)


def candidates(modules: Mapping[str, object], asked_for: Iterable[str] = ()) -> list[Candidate]:
    """Return what may be imported once for all tasks of a program.

    Parameters
    ----------
    modules : mapping of str to module
        What the program has imported (`sys.modules`): its tasks will import it too.
    asked_for : iterable of str
        Modules that the user answers for.

    Returns
    -------
    list of Candidate
        The standard library first, as one without a name.
    """
    standard: list[str] = []
    found: dict[str, list[str]] = {}
    for name, module in modules.items():
        if not isinstance(module, ModuleType) or getattr(module.__spec__, "name", None) != name:
            continue
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            if top not in NEVER and is_standard(name, module):
                standard.append(name)
        elif top in PROVEN and owner(module) == top:
            found.setdefault(top, []).append(name)
    libraries = [Candidate(top, _path(modules[top]), tuple(names)) for top, names in found.items() if top in modules]
    return [Candidate("", "", tuple(standard)), *libraries, *(Candidate(name, "", (name,)) for name in asked_for)]


def _path(module: object) -> str:
    return getattr(module, "__file__", None) or ""
