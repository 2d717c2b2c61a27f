"""A flow class of a notebook as a file that stands alone: the class, and what it uses of all cells.

Starting from the source of the class, each global name that a piece of source uses is looked up where the notebook has
it, now, and becomes a piece of its own: an import, the source of a function or class, or a value, as a literal or a
pickle. Nothing of a cell is executed that the flow does not use. Knows no kernel: cells are found by the files that
code objects name, and by the history that IPython keeps in the notebook's namespace. Start reading at `file_of`.
"""

from __future__ import annotations

import ast
import base64
import builtins
import inspect
import io
import linecache
import pickle
import symtable
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from metaflow.exception import NBRunnerInitializationError
from metaflow.flow.spec import FlowSpec

_LARGEST = 1_000_000
"""Characters of a value that goes along."""

_ABSENT = object()


def file_of(flow: object) -> str:
    """Return the source of a flow file that is the flow of a notebook.

    Parameters
    ----------
    flow : type of FlowSpec
        Its class.

    Raises
    ------
    NBRunnerInitializationError
        It is no flow, its source is not to be found, or it uses a value that cannot go along.
    """
    if not isinstance(flow, type) or not issubclass(flow, FlowSpec) or flow is FlowSpec:
        raise NBRunnerInitializationError(
            f"NBRunner takes the class of a flow, not {flow!r}.",
            hint="as in NBRunner(MyFlow), where `class MyFlow(FlowSpec)` is in a cell",
        )
    pieces = _Pieces(flow)
    pieces.add(flow.__name__)
    return pieces.text + f'\n\nif __name__ == "__main__":\n    {flow.__name__}()\n'


class _Pieces:
    """What the file is made of, each piece after those that it uses."""

    def __init__(self, flow: type[FlowSpec]) -> None:
        self._flow = flow.__name__
        self._module = flow.__module__
        self._names: dict[str, Any] = {**vars(sys.modules[flow.__module__]), flow.__name__: flow}
        self._history = [cell for cell in map(_parsed, reversed(self._names.get("In") or ())) if cell is not None]
        self._known: set[str] = set()
        self._pieces: dict[str, None] = {}

    @property
    def text(self) -> str:
        imports = (node for cell in self._history for node in cell.body if isinstance(node, ast.ImportFrom))
        future = dict.fromkeys(ast.unparse(node) for node in imports if node.module == "__future__")
        return "\n".join([*future, *self._pieces])

    def add(self, name: str) -> None:
        """Add what a global name stands for; nothing if it is Python's own, or is not there."""
        value = self._names.get(name, _ABSENT)
        if name in self._known or value is _ABSENT or getattr(builtins, name, _ABSENT) is value:
            return
        self._known.add(name)
        for piece in self._imports(name, value) or self._sources(name, value) or self._values(name, value):
            self._pieces[piece] = None

    def _imports(self, name: str, value: Any) -> list[str]:
        """Return the statements that import a value under a name: as a cell has done it, or as one could."""
        found = [
            ast.unparse(statement)
            for cell in self._history
            for node in ast.walk(cell)
            for statement in _single_imports(node)
            if _bound_name(statement.names[0]) == name and _imports(statement, value)
        ]
        if found:
            return list(dict.fromkeys(found))
        if isinstance(value, ModuleType):
            return [f"import {value.__name__} as {name}"]
        module, own_name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if (
            isinstance(module, str)
            and module != self._module
            and getattr(sys.modules.get(module), own_name, 0) is value
        ):
            return [f"from {module} import {own_name} as {name}"]
        return []

    def _sources(self, name: str, value: Any) -> list[str]:
        """Return the source of a function or class of the notebook; what it uses is added before."""
        if getattr(value, "__module__", None) != self._module:
            return []
        own_name = getattr(value, "__name__", name)
        for source in self._candidates(name, value):
            bound = _bound_names(source)
            if name in bound:
                self._add_used(source)
                return [source]
            if own_name in bound and self._names.get(own_name) is value:
                self.add(own_name)
                return [f"{name} = {own_name}"]
        return []

    def _candidates(self, name: str, value: Any) -> Iterator[str]:
        """Yield statements that may be the source of a value: where its code is; else, what a cell calls so."""
        for code in _codes(value):
            yield from _statement_of(code)
        for cell in self._history:  # a dataclass, and what a decorator has made anew, have no code there
            for node in cell.body:
                if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
                    yield ast.unparse(node)

    def _values(self, name: str, value: Any) -> list[str]:
        """Return an assignment of the value that a name has now."""
        text = _literal(value)
        if text is None:
            text = self._pickled(value)
        if text is None or len(text) > _LARGEST:
            what = f"a {type(value).__name__} of the notebook" + (" that is too large" if text is not None else "")
            raise NBRunnerInitializationError(
                f"The flow {self._flow} uses '{name}', {what}: it cannot go along into a process of its own.",
                hint="make it in a step, or give what it is made of as a parameter",
            )
        return [f"{name} = {text}"]

    def _pickled(self, value: Any) -> str | None:
        file = io.BytesIO()
        try:
            pickler = _Pickler(file, self._module)
            pickler.dump(value)
        except Exception:  # noqa: BLE001 - whatever a class of the user raises
            return None
        for name in pickler.used:
            self.add(name)
        return f'__import__("pickle").loads(__import__("base64").b64decode({base64.b64encode(file.getvalue())!r}))'

    def _add_used(self, source: str) -> None:
        for name in _globals(symtable.symtable(source, "<cell>", "exec")):
            self.add(name)


class _Pickler(pickle.Pickler):
    """Notes which functions and classes of a module a value needs."""

    def __init__(self, file: io.BytesIO, module: str) -> None:
        super().__init__(file, protocol=4)
        self._module = module
        self.used: list[str] = []

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, FunctionType)) and value.__module__ == self._module:
            self.used.append(value.__qualname__.partition(".")[0])
        return NotImplemented


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except SyntaxError:  # a magic, a command of the shell
        return None


def _single_imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the statements that import one thing each, of one that imports several."""
    if isinstance(node, ast.Import):
        yield from (ast.Import([alias]) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (ast.ImportFrom(node.module, [alias], node.level) for alias in node.names)


def _bound_name(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _imports(statement: ast.Import | ast.ImportFrom, value: Any) -> bool:
    """Tell whether a statement would import this very value."""
    alias = statement.names[0]
    if isinstance(statement, ast.Import):
        return sys.modules.get(alias.name if alias.asname else alias.name.partition(".")[0]) is value
    module = statement.module or ""
    found = getattr(sys.modules.get(module), alias.name, sys.modules.get(f"{module}.{alias.name}", _ABSENT))
    return statement.level == 0 and found is value


def _codes(value: Any) -> Iterator[CodeType]:
    """Yield the code of a function, or of the methods of a class."""
    members = vars(value).values() if isinstance(value, type) else [value]
    for member in members:
        function = inspect.unwrap(getattr(member, "__func__", getattr(member, "fget", None) or member))
        if isinstance(function, FunctionType):
            yield function.__code__


def _statement_of(code: CodeType) -> Iterator[str]:
    """Yield the source of the statement of a cell, or of a file, that code is of."""
    text = "".join(linecache.getlines(code.co_filename))
    cell = _parsed(text)
    for node in cell.body if cell is not None else ():
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        if first <= code.co_firstlineno <= (node.end_lineno or first):
            yield "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def _bound_names(source: str) -> set[str]:
    """Return the names that a statement defines or assigns."""
    return {each.get_name() for each in symtable.symtable(source, "<cell>", "exec").get_symbols() if each.is_assigned()}


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    """Yield the global names that a piece of source uses."""
    for symbol in table.get_symbols():
        if symbol.is_global() or (table.get_type() == "module" and symbol.is_referenced()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals(child)


def _literal(value: Any) -> str | None:
    """Return the literal of a value; None if it has none that gives it again."""
    text = repr(value)
    try:
        again = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return text if type(again) is type(value) and again == value else None
