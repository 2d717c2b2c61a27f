"""The user's files that hide a module which we import: ``secrets.py``, ``click.py``, ``queue.py`` beside the flow.

A script's directory comes first on the path, so in plain Python everybody who imports ``secrets`` gets the user's file.
That is right for the user's code, and fatal for ours. So an import *statement* of this package, of the standard library
or of a library that we depend on gets the module that it means; everything else gets what plain Python gives. For that,
what was imported on our behalf under a hidden name is kept here and not in `sys.modules`, where the user's code looks.
Mostly there is no such file: then one directory was listed, and nothing is changed.

Requests of compiled code are no statements: `pickle` looks for the class of a user's value. They are left alone, but
for those of a compiled module that is being initialized because we import it. This file is loaded before all else of
ours, so it imports only what every interpreter has loaded. Start reading at `look`.
"""

from __future__ import annotations

import _imp
import builtins
import os
import sys
from _thread import RLock, _local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

LIBRARIES = frozenset(
    {
        "anyio", "boto3", "botocore", "click", "dateutil", "h11", "httpcore2", "httpx2", "idna", "jmespath",
        "markdown_it", "mdurl", "obstore", "packaging", "pygments", "rich", "s3transfer", "six", "truststore",
        "typing_extensions", "urllib3", "yaml",
    }
)  # fmt: skip
"""What we depend on, directly or not."""

_MEANT = (sys.stdlib_module_names - {"test", *sys.builtin_module_names}) | LIBRARIES
_STANDARD_LIBRARY = os.path.dirname(os.__file__)
_ZIPPED_LIBRARY = "python{}{}.zip".format(*sys.version_info)
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_hiding: dict[str, list[str]] = {}
"""Hidden name → the directories that hide it."""
_ours: dict[str, dict[str, ModuleType]] = {}
"""Hidden name → the modules of this name and below it that were imported on our behalf."""
_active: list[str] = []
"""Hidden names whose modules in `sys.modules` are ours at this moment."""
_locks: dict[str, RLock] = {}
"""Hidden name → who has our modules of it in `sys.modules`."""
_PATIENCE = 1.0
"""Seconds to wait for another thread, which may itself wait for a module that this one is importing."""
_plain_import: Any = None


class _Statements(_local):
    """What a thread is importing on our behalf."""

    depth = 0
    """How many statements are being carried out, one in the other."""

    def __init__(self) -> None:
        self.left: list[tuple[str, dict[str, ModuleType]]] = []
        """Names whose modules in `sys.modules` are ours until the outermost one is done, and what was there before."""


_statements = _Statements()


def look(loaded_for_us: Collection[str] = ()) -> None:
    """Look for files that hide a module, and from now on keep our imports apart from them.

    Parameters
    ----------
    loaded_for_us : collection of str
        Modules that were imported on our behalf before those files were on the path.
    """
    global _plain_import
    found = {name: entries for name, entries in _search().items() if name not in _hiding}
    if not found:
        return
    for name, entries in found.items():
        there = _take(name)
        _ours[name] = {each: module for each, module in there.items() if not _is_at(module.__dict__, name, entries)}
        sys.modules.update({each: module for each, module in there.items() if each not in loaded_for_us})
        _locks[name] = RLock()
    _hiding.update(found)
    if _plain_import is None:
        sys.meta_path.insert(0, _Finder())
        _plain_import = builtins.__import__
        builtins.__import__ = _import


def is_hiding() -> bool:
    """Tell whether there are such files."""
    return bool(_hiding)


def _search() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in sys.path:
        if entry == _STANDARD_LIBRARY or os.path.basename(entry) == _ZIPPED_LIBRARY:
            break
        if entry == _HERE:
            continue
        try:
            names = os.listdir(entry or ".")
        except OSError:
            continue
        directory = os.path.abspath(entry)
        for name in {name.partition(".")[0] for name in names} & _MEANT:
            is_package = name in names and os.path.isfile(f"{directory}/{name}/__init__.py")
            if (is_package or _has_file(names, name)) and not _imp.is_frozen(name):
                found.setdefault(name, []).append(directory)
    return found


def _has_file(names: Iterable[str], module: str) -> bool:
    return any(name.startswith(f"{module}.") and name.endswith((".py", ".pyc", ".so")) for name in names)


class AsMeant:
    """Have compiled code find the module that we mean while the body runs: it does not import by statements.

    Parameters
    ----------
    name : str
        The module, without a package.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._theirs: dict[str, ModuleType] | None = None
        self._has_lock = False

    def __enter__(self) -> None:
        if self._name in _hiding:
            self._has_lock = _locks[self._name].acquire(timeout=_PATIENCE)
            if self._name not in _active:
                self._theirs = _put(self._name)

    def __exit__(self, *_: object) -> None:
        if self._theirs is not None:
            _put_back(self._name, self._theirs)
        if self._has_lock:
            _locks[self._name].release()


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    arguments = name, globals, locals, fromlist, level
    top = (name if level == 0 else str((globals or {}).get("__package__"))).partition(".")[0]
    is_hidden = top in _hiding and top not in _active
    is_for_us = globals is not None and _is_ours(globals)
    if isinstance(fromlist, list):  # compiled code, which looks into `sys.modules` afterwards
        if is_hidden and is_for_us and _statements.depth:  # a module of ours that is being initialized
            _statements.left.append((top, _put(top)))
        return _plain_import(*arguments)
    if not is_for_us:
        # While another thread has our modules in `sys.modules`, nobody else looks there.
        if top in _hiding and _locks[top].acquire(timeout=_PATIENCE):
            _locks[top].release()
        return _plain_import(*arguments)
    _statements.depth += 1
    try:
        if not is_hidden:
            return _plain_import(*arguments)
        with AsMeant(top):
            return _plain_import(*arguments)
    finally:
        _statements.depth -= 1
        while _statements.left and not _statements.depth:
            _put_back(*_statements.left.pop())


def _put(top: str) -> dict[str, ModuleType]:
    """Put our modules of a name into `sys.modules`, and return what was there."""
    theirs = _take(top)
    sys.modules.update(_ours[top])
    _active.append(top)
    return theirs


def _put_back(top: str, theirs: dict[str, ModuleType]) -> None:
    _active.remove(top)
    _ours[top] = _take(top)
    sys.modules.update(theirs)


def _is_ours(importer: Mapping[str, Any]) -> bool:
    """Tell from its globals whether a module is of this package, the standard library or a library that we need."""
    top = str(importer.get("__name__")).partition(".")[0]
    if top == "metaflow" or top in sys.builtin_module_names:
        return True
    return top in _MEANT and not _is_at(importer, top, _hiding.get(top, ()))


def _is_at(module: Mapping[str, Any], name: str, directories: Iterable[str]) -> bool:
    """Tell whether a module is a file in, or a package below, one of these directories."""
    file = str(module.get("__file__"))
    return any(file.startswith((f"{directory}/{name}.", f"{directory}/{name}/")) for directory in directories)


def _take(top: str) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name == top or name.startswith(f"{top}.")]
    return {name: sys.modules.pop(name) for name in names}


class _Finder:
    """Finds hidden modules on our behalf."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is not None or name not in _active:
            return None
        entries = [entry for entry in sys.path if os.path.abspath(entry) not in _hiding[name]]
        for finder in sys.meta_path[1:]:
            is_path_finder = getattr(finder, "__name__", "") == "PathFinder"
            spec = finder.find_spec(name, entries if is_path_finder else None)
            if spec is not None:
                return spec
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)
