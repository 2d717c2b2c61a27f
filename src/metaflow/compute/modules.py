"""The user's own modules that a flow imports and that do not lie beside it: editable installs, a ``src`` directory, a
sibling in a monorepo, PYTHONPATH.

They are found by reading imports from source and asking the import system where a name would come from; nothing of the
user is run. What lies in ``site-packages`` or the standard library is not the user's own. A package is taken whole,
from its topmost directory with an ``__init__.py``; of a package without one only the parts that are imported.

Start reading at `modules_elsewhere`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from typing import NamedTuple

from metaflow.compute.local.imports import UNSAFE, imported_names

_MAX_FILES = 2000
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep


class Module(NamedTuple):
    """A module or package of the user.

    Attributes
    ----------
    name : str
        Dotted.
    path : str
        Its file, or its directory.
    """

    name: str
    path: str


def modules_elsewhere(path: str) -> list[Module]:
    """Return the user's modules that a flow imports from outside its directory, by name.

    Parameters
    ----------
    path : str
        The flow file.
    """
    directory = os.path.dirname(os.path.realpath(path))
    found: dict[str, Module] = {}
    files, seen = [(path, "")], {path}
    known: set[str] = set()
    while files and len(seen) < _MAX_FILES:
        for name in imported_names(*files.pop()):
            if name in known or name.partition(".")[0] in UNSAFE:
                continue
            known.add(name)
            for at, spec in enumerate(_own(name)):
                origin = spec.origin or ""
                package = spec.submodule_search_locations is not None
                if at == 0 and not _is_beside(spec, package, directory):
                    found.setdefault(spec.name, Module(spec.name, os.path.dirname(origin) if package else origin))
                if origin not in seen:
                    seen.add(origin)
                    files.append((origin, spec.name if package else spec.name.rpartition(".")[0]))
    return [found[name] for name in sorted(found)]


def _is_beside(spec: ModuleSpec, package: bool, directory: str) -> bool:
    """Tell whether the module would be found in the flow's directory as well."""
    there = os.path.join(directory, *spec.name.split("."), *(("__init__",) if package else ())) + ".py"
    return os.path.realpath(there) == os.path.realpath(spec.origin or "")


def _own(name: str) -> Iterator[ModuleSpec]:
    """Yield the specs of the user's source files that importing `name` would run, packages first."""
    path, prefix = None, ""
    for part in name.split("."):
        prefix = f"{prefix}.{part}" if prefix else part
        spec = _find(prefix, path)
        if spec is None:
            return
        path = list(spec.submodule_search_locations or ()) or None
        origin = spec.origin or next(iter(path or ()), "")
        if not os.path.isabs(origin) or origin.startswith(_STANDARD_LIBRARY) or _is_installed(origin):
            return
        if (spec.origin or "").endswith(".py"):
            yield spec
        if path is None:
            return


def _is_installed(path: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.split(os.sep))


def _find(name: str, path: list[str] | None) -> ModuleSpec | None:
    """Ask every finder, those of editable installs too, as an import would, but without importing the parents."""
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, path)
        except Exception:  # noqa: BLE001 - finders are anybody's code
            continue
        if spec is not None:
            return spec
    return None
