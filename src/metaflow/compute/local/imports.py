"""Which modules a flow imports, read from source: what the zygote preloads.

First-party files are read and followed, never imported: running a user's code in the zygote would give every task what
one process computed. Third-party and standard modules are named; importing those once is the point of a zygote.

Where a name leads, and whether that is the user's own, `metaflow.compute.finding` tells.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec

from metaflow.compute.finding import is_own, read, way_to

UNSAFE = frozenset({"__main__", "this", "antigravity", "idlelib", "turtle", "tkinter", "metaflow"})
"""Not preloaded: importing them does something, or they are already here."""

_MAX_FILES = 200


def third_party_imports(path: str) -> list[str]:
    """Return the modules that a flow file and its first-party modules import, in order of first mention.

    Parameters
    ----------
    path : str
        The flow file.

    Returns
    -------
    list of str
        Dotted names; some may not exist.
    """
    found: dict[str, None] = {}
    files, seen = [(path, "")], {path}
    while files and len(seen) < _MAX_FILES:
        file, package = files.pop()
        for name in imported_names(file, package):
            top = name.partition(".")[0]
            if top in UNSAFE or name in found:
                continue
            for spec in _own_files(name):
                if spec is None:
                    found[name] = None
                elif spec.origin and spec.origin not in seen:
                    seen.add(spec.origin)
                    parent = spec.name if spec.submodule_search_locations else spec.name.rpartition(".")[0]
                    files.append((spec.origin, parent))
    return list(found)


def imported_names(path: str, package: str) -> Iterator[str]:
    """Yield the dotted names that a file may import, whether they are modules or members of one.

    Parameters
    ----------
    path : str
        The file; one that cannot be read imports nothing.
    package : str
        The package it is in, for relative imports; empty if in none.
    """
    return _imported(_parse(path), package)


def _parse(path: str) -> ast.Module:
    try:
        return ast.parse(read(path), path)
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and getattr(test.test, "id", getattr(test.test, "attr", "")) == "TYPE_CHECKING"
        for part in test.body
        for node in ast.walk(part)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join(part for part in (*parents, base) if part)
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _own_files(name: str) -> Iterator[ModuleSpec | None]:
    """Yield the specs of the first-party files that importing `name` would run; one None if it is third-party."""
    for spec in way_to(name):
        if not is_own(spec):
            yield None
            return
        if spec.origin and spec.origin.endswith(".py"):
            yield spec


def preload(names: list[str]) -> None:
    """Import each of `names`; what fails is left to the task, which then says so itself.

    A name such as ``package.thing`` whose package has just been imported may be a module or a member of it.
    """
    from importlib import import_module
    from importlib.util import find_spec

    for name in names:
        parent = name.rpartition(".")[0]
        try:
            if name not in sys.modules and (parent not in sys.modules or find_spec(name) is not None):
                import_module(name)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
