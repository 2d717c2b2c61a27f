"""A name of ours that a flow file uses and does not import: which line to write.

Python's own traceback says that the name is not defined; what is told here comes after it.
"""

from __future__ import annotations

import ast
import linecache
import sys
from types import TracebackType

import metaflow
from metaflow import absent


def hint_for(error: NameError) -> str | None:
    """Return what to do about a NameError, if the name is one of ours and the file uses us.

    Parameters
    ----------
    error : NameError
        As it was raised, with its traceback.
    """
    name, file = error.name, _file(error.__traceback__)
    if file is None or not (name in metaflow.__all__ or name in absent.NAMES):
        return None
    imported = _import_of_ours("".join(linecache.getlines(file)))
    if imported is None:
        return None
    if name in absent.NAMES:
        return f"'{name}' is a name of Metaflow that is not available in this version of Millrace"
    statement, line = imported
    if any(alias.name == "*" for alias in statement.names) or statement.end_lineno != statement.lineno:
        return f"write `from metaflow import {name}`"
    statement.names.append(ast.alias(name))
    return f"{file}:{line} should read: {ast.unparse(statement)}"


def tell_at_exit() -> None:
    """Print the hint for the error that ends this process, if there is one: after its traceback."""
    error, trace = sys.last_value, sys.last_traceback
    if isinstance(error, NameError) and trace is not None and _is_of_the_script(trace):
        hint = hint_for(error)
        if hint:
            sys.stderr.write(f"    hint: {hint}\n")


def _is_of_the_script(trace: TracebackType) -> bool:
    """Tell whether the error came out of ``python file.py``, not out of a shell, a notebook or a test."""
    frame = trace.tb_frame
    return frame.f_globals.get("__name__") == "__main__" and not frame.f_code.co_filename.startswith("<")


def _file(trace: TracebackType | None) -> str | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else trace.tb_frame.f_code.co_filename


def _import_of_ours(source: str) -> tuple[ast.ImportFrom, int] | None:
    """Return the first ``from metaflow import …`` of a file, and its line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom) and statement.module == "metaflow" and not statement.level:
            return statement, statement.lineno
    return None
