"""Importing libraries once, before the processes that use them are forked.

Each library is imported, watched, and laid on a shelf (`shelf`), where no task sees it until it imports it: then its
exit handlers are registered, its state is made fresh (`proven`), and it is there. Whatever an import does beyond making
modules could reach a task that does not want it, or miss one that does: a library that prints, starts a thread, changes
the environment or the like is *unfit*, and left to the tasks. Start reading at `Preloading.load`.
"""

from __future__ import annotations

import atexit
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, NamedTuple

from metaflow.compute.local.proven import PROVEN, STANDARD, Candidate, is_standard, owner
from metaflow.compute.local.shelf import Shelf

_OURS = ("METAFLOW_", "MILLRACE_")
"""Beginnings of variables that no library reads."""

_MOST_DRAWS = 1000


class Unfit(Exception):
    """A library that cannot be imported for others; the message says why, after "…"."""


class _Layer(NamedTuple):
    exit_handlers: list[tuple[Any, ...]]
    draws: bool
    """Whether the import takes numbers from `random`, which matters to a program that has seeded it before."""


class Preloading:
    """The libraries of a zygote, and in its children what they do with them.

    Parameters
    ----------
    output : int
        Descriptor of the regular file that standard output and standard error go to meanwhile.
    """

    def __init__(self, output: int) -> None:
        self._output = output
        self._shelf = Shelf()
        self._layers: list[_Layer] = []

    # --- in the zygote ----------------------------------------------------------------------------------------------

    def load(self, candidates: Sequence[Candidate], tell: Callable[[str], None]) -> None:
        """Import the candidates.

        Parameters
        ----------
        candidates : sequence of Candidate
            In order.
        tell : callable
            Told the name of each library before it is imported.

        Raises
        ------
        Unfit
            The library told last had better not been imported. What it did cannot be undone: begin anew without it.
        """
        layers: list[list[str]] = []
        for candidate in candidates:
            if not candidate.name:
                _import(candidate.modules)
            elif not candidate.path or _path(candidate.name) == candidate.path:
                tell(candidate.name)
                layers.append(self._load(candidate))
        for layer in layers:
            self._shelf.put(layer)

    def _load(self, candidate: Candidate) -> list[str]:
        """Import one of them; return what is to be laid on the shelf."""
        known, process = set(sys.modules), _Process(self._output)
        with self._exit_handlers() as handlers:
            try:
                import_module(candidate.name)
            except BaseException as error:  # noqa: BLE001 - such as SystemExit
                raise Unfit(f"failed with {type(error).__name__}: {error}") from None
            _import(candidate.modules)
        new = [name for name in sys.modules if name not in known]
        owners = {name: _owner(name) for name in new}
        draws = process.compare({each for each in owners.values() if each}, is_asked_for=not candidate.path)
        if candidate.path:
            for name in new:
                if owners[name] not in PROVEN and not is_standard(name, sys.modules[name]):
                    raise Unfit(f"imports {owners[name] or name}, which is not known to be safe")
        self._layers.append(_Layer(handlers, draws))
        # What our own code may import, too, stays where it is.
        return [name for name in new if owners[name] or not is_standard(name, sys.modules[name])]

    @contextmanager
    def _exit_handlers(self) -> Iterator[list[tuple[Any, ...]]]:
        """Keep what libraries register for the end of the process; what Python's own modules do is registered."""
        kept: list[tuple[Any, ...]] = []
        register = atexit.register

        def keep(function: Callable[..., object], *args: Any, **kwargs: Any) -> Callable[..., object]:
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller.partition(".")[0] in sys.stdlib_module_names:
                register(function, *args, **kwargs)
            else:
                kept.append((function, args, kwargs))
            return function

        vars(atexit)["register"] = keep
        try:
            yield kept
        finally:
            vars(atexit)["register"] = register

    # --- in a child -------------------------------------------------------------------------------------------------

    def begin(self, otherwise: Callable[[], object]) -> None:
        """Make this process ready for imports.

        Parameters
        ----------
        otherwise : callable
            Called when a library cannot be had as this process would have it, had it imported it itself: because the
            process has changed what the import depends on. It does not return.
        """
        for name, redo in STANDARD.items():
            if name in sys.modules:
                redo(sys.modules[name])
        environment, path, state = _variables(), list(sys.path), random.getstate()

        def before(name: str) -> None:
            top = name.partition(".")[0]
            if _variables() != environment:
                otherwise()
            if sys.path != path and _path(top) != (getattr(sys.modules.get(top), "__file__", None) or ""):
                otherwise()

        def after(layer: int, modules: Mapping[str, ModuleType]) -> None:
            if self._layers[layer].draws and random.getstate() != state:
                otherwise()
            for function, args, kwargs in self._layers[layer].exit_handlers:
                atexit.register(function, *args, **kwargs)
            try:
                for top in {name.partition(".")[0] for name in modules}:
                    for name, redo in PROVEN[top].redo.items() if top in PROVEN else ():
                        if name in modules:
                            redo(modules[name])
            except Exception:  # noqa: BLE001 - a version of the library that keeps its state in another way
                otherwise()

        self._shelf.before, self._shelf.after = before, after


def _import(names: Sequence[str]) -> None:
    """Import what there is of `names`; the task says itself what is wrong with the rest."""
    for name in names:
        if name not in sys.modules:
            try:
                import_module(name)
            except Exception:  # noqa: BLE001
                pass


def _owner(name: str) -> str | None:
    """Return the library that a module belongs to, by its place, or by its name, as a library may make it up."""
    top = name.partition(".")[0]
    return owner(sys.modules[name]) or (top if top in PROVEN else None)


def _path(name: str) -> str:
    """Return where an import would find a package or module."""
    try:
        spec = PathFinder.find_spec(name)
    except (ImportError, ValueError, OSError):
        return ""
    return (spec and spec.origin) or ""


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


class _Process:
    """What an import may not change."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._before = self._state()
        self._random = random.getstate()
        self._threads = _threads()
        self._printed = os.fstat(output).st_size

    def _state(self) -> dict[str, Any]:
        return {
            "the environment": _variables(),
            "sys.path": list(sys.path),
            "the working directory": _directory(),
            "how signals are handled": [signal.getsignal(number) for number in signal.valid_signals()],
            "sys.excepthook": sys.excepthook,
        }

    def compare(self, owners: set[str], *, is_asked_for: bool) -> bool:
        """Raise `Unfit` if an import has changed something; return whether it has drawn random numbers.

        Parameters
        ----------
        owners : set of str
            The libraries that were loaded.
        is_asked_for : bool
            Whether the user answers for their threads.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fstat(self._output).st_size > self._printed:
            raise Unfit("prints something")
        for what, value in self._state().items():
            if value != self._before[what]:
                raise Unfit(f"changes {what}")
        python, native = _threads()
        tame = is_asked_for or any(PROVEN[each].has_threads for each in owners if each in PROVEN)
        if python > self._threads[0] or (native > self._threads[1] and not tame):
            raise Unfit("starts a thread")
        state = random.getstate()
        if not _leads_to(self._random, state):
            raise Unfit("seeds the random numbers")
        return state != self._random


def _leads_to(before: Any, after: Any) -> bool:
    """Tell whether one state of `random` is reached from another by drawing."""
    generator = random.Random()
    generator.setstate(before)
    for _ in range(_MOST_DRAWS):
        if generator.getstate()[:2] == after[:2]:
            return True
        generator.getrandbits(32)
    return False


def _threads() -> tuple[int, int]:
    """Return how many threads Python knows of, and how many there are."""
    threading = sys.modules.get("threading")
    try:
        native = len(os.listdir("/proc/self/task"))
    except OSError:
        native = 1
    return (threading.active_count() if threading is not None else 1), native
