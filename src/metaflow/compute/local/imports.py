"""Which modules a file imports, read from source: nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import cast

from metaflow.compute.finding import read

UNSAFE = frozenset({"__main__", "this", "antigravity", "idlelib", "turtle", "tkinter", "metaflow"})
"""Names that lead to no file of a user."""


def imported_names(path: str, package: str, *, at_once: bool = False) -> Iterator[str]:
    """Yield the dotted names that a file may import, whether they are modules or members of one.

    Parameters
    ----------
    path : str
        The file; one that cannot be read imports nothing.
    package : str
        The package it is in, for relative imports; empty if in none.
    at_once : bool
        Only what is imported with the file, and not when one of its functions is called.
    """
    tree = _parse(path)
    return _imported(_without_functions(tree) if at_once else tree, package)


def _without_functions(tree: ast.Module) -> ast.Module:
    class Emptied(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_FunctionDef

    return cast(ast.Module, Emptied().visit(tree))


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
