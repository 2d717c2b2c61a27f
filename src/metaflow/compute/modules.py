"""The user's own modules that a flow imports and that do not lie beside it: editable installs, a ``src`` directory, a
sibling in a monorepo, PYTHONPATH.

They are found by reading imports from source and asking the import system where a name would come from; nothing of the
user is run. What lies in ``site-packages`` or the standard library is not the user's own. A package is taken whole,
from its topmost directory with an ``__init__.py``; of a package without one only the parts that are imported.

Start reading at `modules_elsewhere`.
"""

from __future__ import annotations

import os
from importlib.machinery import ModuleSpec
from typing import NamedTuple

from metaflow.compute.local.imports import UNSAFE, imported_names, own_sources_of, package_of

_MAX_FILES = 2000


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


def modules_elsewhere(path: str, module: str = "") -> list[Module]:
    """Return the user's modules that a flow imports from outside its directory, by name.

    Parameters
    ----------
    path : str
        The flow file.
    module : str, optional
        Its dotted name, if it was started by that; then the modules from outside its topmost package.
    """
    around = module.rpartition(".")[0]
    directory = os.path.dirname(os.path.realpath(path))
    found: dict[str, Module] = {}
    files, seen = [(path, around)], {path}
    known: set[str] = set()
    while files and len(seen) < _MAX_FILES:
        file, package = files.pop()
        for name in (*([package] if package else ()), *imported_names(file, package)):
            if name in known or name.partition(".")[0] in UNSAFE:
                continue
            known.add(name)
            for at, spec in enumerate(own_sources_of(name)):
                origin = spec.origin or ""
                is_package = spec.submodule_search_locations is not None
                beside = _is_around(spec, around) if around else _is_beside(spec, is_package, directory)
                if at == 0 and not beside:
                    found.setdefault(spec.name, Module(spec.name, os.path.dirname(origin) if is_package else origin))
                if origin not in seen:
                    seen.add(origin)
                    files.append((origin, package_of(spec)))
    return [found[name] for name in sorted(found)]


def _is_around(spec: ModuleSpec, around: str) -> bool:
    """Tell whether the module is in the topmost package that the flow is in."""
    return spec.name.partition(".")[0] == around.partition(".")[0]


def _is_beside(spec: ModuleSpec, package: bool, directory: str) -> bool:
    """Tell whether the module would be found in the flow's directory as well."""
    there = os.path.join(directory, *spec.name.split("."), *(("__init__",) if package else ())) + ".py"
    return os.path.realpath(there) == os.path.realpath(spec.origin or "")
