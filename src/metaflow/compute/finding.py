"""Where a dotted name would be imported from, and whether that is the user's own; nothing is imported to find out.

An import finds ``a.b`` through ``a``, which it has imported by then; here ``a`` is only looked for, in all ways in
which an import would: directories without ``__init__.py``, zip files, the finders of editable installs. What lies below
a ``site-packages`` or ``dist-packages`` directory, or with the standard library, is not the user's own; everything else
on the path is, also a file that hides a standard module.

Start reading at `way_to`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def way_to(name: str) -> Iterator[ModuleSpec]:
    """Yield the specs of the modules that importing `name` would run, packages first, as far as they can be found."""
    path: list[str] | None = None
    prefix = ""
    for part in name.split("."):
        prefix = f"{prefix}.{part}" if prefix else part
        spec = _find(prefix, path)
        if spec is None:
            return
        yield spec
        if spec.submodule_search_locations is None:
            return
        path = list(spec.submodule_search_locations)


def is_own(spec: ModuleSpec) -> bool:
    """Tell whether a module is the user's own."""
    place = place_of(spec)
    return os.path.isabs(place) and is_own_file(place)


def is_own_file(path: str) -> bool:
    """Tell whether a file, by its absolute path, is the user's own."""
    return not path.startswith(_STANDARD_LIBRARY) and _INSTALLED.isdisjoint(path.split(os.sep))


def place_of(spec: ModuleSpec) -> str:
    """Return the file of a module, or the first directory of a package that has none; empty if it is built in."""
    return spec.origin or next(iter(spec.submodule_search_locations or ()), "")


def import_root(path: str, module: str) -> str:
    """Return the directory on the path from which a file is the module of that dotted name."""
    for _ in module.split("."):
        path = os.path.dirname(path)
    return path


def read(path: str) -> bytes:
    """Return what a module's file has, also one in a zip file.

    Raises
    ------
    OSError
        It cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except NotADirectoryError:
        for entry, finder in list(sys.path_importer_cache.items()):
            get_data: Callable[[str], bytes] | None = getattr(finder, "get_data", None)
            if get_data is not None and path.startswith(entry + os.sep):
                return get_data(path)
        raise


def _find(name: str, path: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        try:
            if finder is PathFinder:
                spec = _find_on_path(name, sys.path if path is None else path)
            else:
                spec = finder.find_spec(name, path)
        except Exception:  # noqa: BLE001 - finders are anybody's code
            continue
        if spec is not None:
            return spec
    return None


def _find_on_path(name: str, path: Sequence[str]) -> ModuleSpec | None:
    """Look through `path` as `PathFinder` does, which asks `sys.modules` for the package around one without a file."""
    portions: list[str] = []
    for entry in path:
        finder = _finder_of(entry or os.getcwd())
        spec: ModuleSpec | None = finder.find_spec(name) if finder is not None else None
        if spec is None:
            continue
        if spec.loader is not None:
            return spec
        portions += spec.submodule_search_locations or ()
    if not portions:
        return None
    package = ModuleSpec(name, None, is_package=True)
    package.submodule_search_locations = portions
    return package


def _finder_of(entry: str) -> Any:
    if entry not in sys.path_importer_cache:
        for hook in sys.path_hooks:
            try:
                sys.path_importer_cache[entry] = hook(entry)
                break
            except ImportError:
                continue
        else:
            sys.path_importer_cache[entry] = None
    return sys.path_importer_cache[entry]
