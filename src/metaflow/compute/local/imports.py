"""Which modules a file imports, read from source: nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from typing import NamedTuple

from metaflow.compute.finding import is_own, read, way_to

UNSAFE = frozenset({"__main__", "this", "antigravity", "idlelib", "turtle", "tkinter", "metaflow"})
"""Names that lead to no file of a user."""


class Import(NamedTuple):
    """A name that a file may import.

    Attributes
    ----------
    name : str
        Dotted, of a module or of a member of one.
    is_late : bool
        Whether it is imported when a function is called, and not with the file.
    """

    name: str
    is_late: bool


def imports_of(path: str, package: str) -> Iterator[Import]:
    """Yield what a file may import.

    Parameters
    ----------
    path : str
        The file; one that cannot be read imports nothing.
    package : str
        The package it is in, for relative imports; empty if in none.
    """
    return _imported(_parse(path), package)


def imported_names(path: str, package: str) -> Iterator[str]:
    """Yield the dotted names that a file may import; see `imports_of`."""
    return (each.name for each in imports_of(path, package))


def own_sources_of(name: str) -> Iterator[ModuleSpec]:
    """Yield the specs of the user's source files that importing `name` would run, packages first."""
    for spec in way_to(name):
        if not is_own(spec):
            return
        if spec.origin and spec.origin.endswith(".py"):
            yield spec


def package_of(spec: ModuleSpec) -> str:
    """Return the package that the statements of a module are in, for relative imports."""
    return spec.name if spec.submodule_search_locations is not None else spec.name.rpartition(".")[0]


def _parse(path: str) -> ast.Module:
    try:
        return ast.parse(read(path), path)
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _imported(tree: ast.Module, package: str) -> Iterator[Import]:
    typing_only, late = _within(tree, _is_for_typing), _within(tree, _is_function)
    for node in ast.walk(tree):
        if id(node) not in typing_only:
            yield from (Import(name, id(node) in late) for name in _names(node, package))


def _names(node: ast.AST, package: str) -> Iterator[str]:
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


def _within(tree: ast.Module, is_meant: Callable[[ast.AST], bool]) -> set[int]:
    """Return the identities of all nodes in the bodies of those that are meant."""
    return {
        id(node)
        for outer in ast.walk(tree)
        if is_meant(outer)
        for part in getattr(outer, "body", ())
        for node in ast.walk(part)
    }


def _is_for_typing(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    return getattr(node.test, "id", getattr(node.test, "attr", "")) == "TYPE_CHECKING"


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
