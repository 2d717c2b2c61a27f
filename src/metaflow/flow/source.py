"""What a step says in its source: where it stands, its arguments, its doc, and the `self.next(…)` it ends with.

Reads text with `ast` and runs nothing. It knows one step at a time and nothing of graphs: names of successors are taken
as written, and what is wrong with a `self.next` is kept as a phrase for `metaflow.flow.lint` to say.

A function's place is `co_filename` and `co_firstlineno` of its code, which for a decorated function is the line of the
first decorator (`inspect` would say the same and costs more to import than all of this takes).

Start reading at `Sources.definition`, then `transition`.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from hashlib import sha1
from threading import Lock
from typing import Any, NamedTuple

from metaflow.exception import InvalidFlow
from metaflow.flow.node import Case, steps_of_case
from metaflow.flow.step import as_written

_ARGUMENTS = ("foreach", "condition", "num_parallel")
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200  # co_flags, as in `inspect`

Def = ast.FunctionDef | ast.AsyncFunctionDef

_parsing = Lock()
"""Two threads that parse at once confuse Python 3.11: "AST constructor recursion depth mismatch" (gh-106905)."""


class Transition(NamedTuple):
    """One `self.next(…)` as written.

    Attributes
    ----------
    line : int
        Its line in the file.
    kind : str
        "linear", "split", "foreach" or "switch".
    targets : tuple of str
        The names behind ``self.``, in order and without repetition for a switch.
    foreach, condition : str or None
        Name of the artifact; None also for a foreach whose name is known at run time only.
    cases : tuple of (object, str or tuple of str)
        Of a switch: each key and its step or its list of steps. A key that is no literal stands as text:
        ``config:cfg.key`` for ``self.cfg.key`` (as Metaflow writes it), else its source.
    num_parallel : bool
        Whether the successor is a gang.
    fault : str
        Why it has none of the known forms; empty if it has one.
    alone : bool
        Whether it stands in the step's own block, so that it is always reached.
    """

    line: int
    kind: str = "linear"
    targets: tuple[str, ...] = ()
    foreach: str | None = None
    condition: str | None = None
    cases: tuple[tuple[Any, Case], ...] = ()
    num_parallel: bool = False
    fault: str = ""
    alone: bool = True


class Assignment(NamedTuple):
    """An assignment to an attribute of self, in the step itself.

    Attributes
    ----------
    name : str
        The attribute.
    line : int
        Its line in the file.
    certain : bool
        Whether it happens each time the step runs to its end.
    """

    name: str
    line: int
    certain: bool


class Definition(NamedTuple):
    """What the source says of one step.

    Attributes
    ----------
    source_file : str
        Absolute path, or the name that a notebook gives its cell.
    line, class_line : int
        Line of the ``def``, and of the class around it; 0 if there is none.
    doc : str
        The docstring without its indentation; empty if there is none.
    fingerprint : str
        SHA-1 of its arguments and body as they are written, but for the docstring, empty lines and lines of comment.
    arguments : int
        Number of positional arguments, ``self`` included.
    fault : str
        Why the function cannot be a step, whatever the graph; empty if it can.
    last : Transition or None
        The `self.next` that is the last statement.
    others : tuple of Transition
        Those elsewhere in the step.
    assignments : tuple of Assignment
        What it assigns on self, but for what stands in a `try` that handles errors.
    """

    source_file: str
    line: int
    class_line: int
    doc: str
    fingerprint: str
    arguments: int
    fault: str
    last: Transition | None
    others: tuple[Transition, ...]
    assignments: tuple[Assignment, ...] = ()


class Sources:
    """The files of one flow, each read and parsed once."""

    __slots__ = ("_functions", "_lines")

    def __init__(self) -> None:
        self._functions: dict[str, dict[int, tuple[Def, int]]] = {}
        self._lines: dict[str, list[bytes]] = {}

    def definition(self, name: str, member: Any) -> Definition:
        """Return what the source of a step says.

        Parameters
        ----------
        name : str
            The step's name, for errors.
        member : callable
            What the class holds under this name; wrappers made by `functools.wraps` are looked through.

        Raises
        ------
        InvalidFlow
            The source is not to be found, or is not that of the function that is running.
        """
        function = as_written(member)
        code = function.__code__
        node, class_line = self._functions_of(name, function).get(code.co_firstlineno, (None, 0))
        if node is None or node.name != code.co_name:
            raise InvalidFlow(
                f"The step '{name}' is not the `def` that its file has in this line.",
                code.co_firstlineno,
                code.co_filename,
                hint="write the step as a method with `def`; if the file has changed meanwhile, start again",
            )
        return _definition(node, class_line, code, self._lines[code.co_filename])

    def _functions_of(self, name: str, function: Callable[..., Any]) -> dict[int, tuple[Def, int]]:
        filename = function.__code__.co_filename
        if filename not in self._functions:
            try:
                loader: Any = function.__globals__.get("__loader__")
                text: bytes | str = loader.get_data(filename)  # the source that runs, whatever its file is by now
            except (AttributeError, OSError):
                import linecache  # notebooks, doctests and zip files leave their source there

                text = "".join(linecache.getlines(filename, function.__globals__))
            try:
                if not text:
                    raise SyntaxError("no source")
                with _parsing:
                    tree = ast.parse(text, filename)
                self._functions[filename] = dict(_functions(tree.body))
                self._lines[filename] = (text if isinstance(text, bytes) else text.encode()).split(b"\n")
            except SyntaxError as error:
                raise InvalidFlow(
                    f"The source of the step '{name}' cannot be read from {filename}: {error.msg}.",
                    error.lineno,
                    filename,
                    hint="Millrace reads the graph from the flow's source; keep the flow in a file or a notebook cell",
                ) from None
        return self._functions[filename]


def transition(call: ast.Call, me: str, alone: bool = True) -> Transition:
    """Read the arguments of one `self.next(…)`.

    Parameters
    ----------
    call : ast.Call
        The call.
    me : str
        The name of ``self``.
    alone : bool
        Whether it stands in the step's own block.
    """
    made = Transition(call.lineno, alone=alone)
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    unknown = [name for name in options if name not in _ARGUMENTS]
    if unknown:
        return made._replace(fault=f"{unknown[0] or '**'} is no argument of self.next")
    if len(options) > 1:
        return made._replace(fault=f"{' and '.join(map(str, options))} exclude each other")
    if "condition" in options:
        return _switch(made, call.args, options["condition"], me)
    if not call.args:
        return made._replace(fault="it names no step")
    targets = []
    for argument in call.args:
        target = _target(argument, me)
        if target is None:
            fault = f"{_short(argument)} is not written as self.<step>"
            return made._replace(fault="a dictionary needs condition=" if isinstance(argument, ast.Dict) else fault)
        targets.append(target)
    made = made._replace(targets=tuple(targets), kind="split" if len(targets) > 1 else "linear")
    if not options:
        twice = [target for target in targets if targets.count(target) > 1]
        return made._replace(fault=f"self.{twice[0]} appears twice in it") if twice else made
    (option, value), *_ = options.items()
    if len(targets) > 1:
        return made._replace(fault=f"{option}= leads to one step, not to {len(targets)}")
    if option == "num_parallel":
        return made._replace(kind="foreach", num_parallel=True)
    literal = isinstance(value, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set)
    foreach = value.value if isinstance(value, ast.Constant) else None
    if literal and not (isinstance(foreach, str) and foreach):
        return made._replace(fault=f"foreach={_short(value)} is not the name of an artifact, such as foreach='items'")
    return made._replace(kind="foreach", foreach=foreach if isinstance(foreach, str) else None)


def _switch(made: Transition, args: list[ast.expr], condition: ast.expr, me: str) -> Transition:
    made = made._replace(kind="switch")
    if len(args) != 1 or not isinstance(args[0], ast.Dict):
        return made._replace(fault="condition= needs one dictionary, written out in the call")
    if not (isinstance(condition, ast.Constant) and isinstance(condition.value, str) and condition.value):
        return made._replace(fault=f"condition={_short(condition)} is not the name of an artifact in quotes")
    cases: dict[tuple[bool, Any], Case] = {}
    for key, value in zip(args[0].keys, args[0].values, strict=True):
        case = _case(value, me)
        if key is None or case is None:
            fault = f"{_short(value)} in the dictionary is not written as self.<step> or [self.<step>, self.<step>]"
            return made._replace(fault=fault)
        if len(set(case)) < len(case) and not isinstance(case, str):
            return made._replace(fault=f"{_short(value)} in the dictionary names a step twice")
        cases[_key(key, me)] = case
    if len(args[0].keys) < 2:
        count = "one case" if args[0].keys else "no case"
        return made._replace(fault=f"a switch with {count} decides nothing; give it two or more")
    pairs = tuple((key, target) for (_, key), target in cases.items())
    targets = tuple(dict.fromkeys(target for _, case in pairs for target in steps_of_case(case)))
    return made._replace(targets=targets, condition=condition.value, cases=pairs)


def _case(value: ast.expr, me: str) -> Case | None:
    """Return the step, or the list of steps, that a case leads to; None if it is neither."""
    if not isinstance(value, ast.List | ast.Tuple):
        return _target(value, me)
    names = tuple(name for element in value.elts if (name := _target(element, me)) is not None)
    return names if names and len(names) == len(value.elts) else None


def _key(key: ast.expr, me: str) -> tuple[bool, Any]:
    """Return (whether it is a literal, the literal or the text): so the text of a name never meets an equal literal."""
    try:
        value = ast.literal_eval(key)
        hash(value)
    except (ValueError, TypeError):
        text = ast.unparse(key)
        parts = text.split(".")
        in_config = len(parts) == 3 and parts[0] == me and all(part.isidentifier() for part in parts)
        return False, f"config:{parts[1]}.{parts[2]}" if in_config else text
    return True, value


def _target(argument: ast.AST, me: str) -> str | None:
    if isinstance(argument, ast.Attribute) and isinstance(argument.value, ast.Name) and argument.value.id == me:
        return argument.attr
    return None


def _short(expression: ast.expr) -> str:
    text = ast.unparse(expression)
    return text if len(text) <= 40 else text[:39] + "…"


def _definition(node: Def, class_line: int, code: Any, lines: list[bytes]) -> Definition:
    positional = [*node.args.posonlyargs, *node.args.args]
    me = positional[0].arg if positional else "self"
    others = []
    for statement, alone in _statements(node.body):
        call = _call_of_next(statement, me)
        if call is not None:
            others.append(transition(call, me, alone))
    tail = isinstance(node.body[-1], ast.Expr) and _call_of_next(node.body[-1], me) is not None
    last = others.pop() if tail else None
    filename = code.co_filename
    return Definition(
        filename if filename.startswith("<") else os.path.abspath(filename),
        node.lineno,
        class_line,
        _doc(node),
        _fingerprint(node, lines),
        len(positional),
        _fault(node, code),
        last,
        tuple(others),
        tuple(_assignments(node.body, me)),
    )


def _fingerprint(node: Def, lines: list[bytes]) -> str:
    first = node.body[1] if _doc(node) and len(node.body) > 1 else node.body[0]
    written = [*lines[node.lineno - 1 : node.body[0].lineno - 1], *lines[first.lineno - 1 : node.end_lineno]]
    code = [line.rstrip() for line in written if line.strip() and not line.lstrip().startswith(b"#")]
    return sha1(b"\n".join(code), usedforsecurity=False).hexdigest()


def _fault(node: Def, code: Any) -> str:
    if code.co_flags & (_COROUTINE | _ASYNC_GENERATOR):
        return "is async"
    if code.co_flags & _GENERATOR:
        return "contains yield"
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if default is None:
            return f"needs an argument '{argument.arg}', which it is not given"
    return ""


def _statements(body: list[ast.stmt], alone: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield each statement that runs with the function, in order, and whether it stands in the function's own block."""
    for statement in body:
        yield statement, alone
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for block in _blocks(statement):
                yield from _statements(block, alone=False)


def _assignments(body: list[ast.stmt], me: str, certain: bool = True) -> Iterator[Assignment]:
    for statement in body:
        for target in _targets(statement):
            for part in ast.walk(target):
                name = _target(part, me) if isinstance(getattr(part, "ctx", None), ast.Store) else None
                if name is not None:
                    yield Assignment(name, target.lineno, certain)
        if isinstance(statement, Def | ast.ClassDef):
            continue
        if getattr(statement, "handlers", None):
            certain = False  # a handler may leave the step
            continue
        for block in _blocks(statement):
            yield from _assignments(block, me, certain and isinstance(statement, ast.With))
        certain = certain and not any(isinstance(part, ast.Return | ast.Raise) for part in ast.walk(statement))


def _targets(statement: ast.stmt) -> list[ast.expr]:
    match statement:
        case ast.Assign(targets=targets):
            return targets
        case ast.AnnAssign(target=target, value=value):
            return [target] if value is not None else []
        case ast.AugAssign(target=target) | ast.For(target=target):
            return [target]
        case ast.With(items=items):
            return [item.optional_vars for item in items if item.optional_vars is not None]
    return []


def _functions(body: list[ast.stmt], class_line: int = 0) -> Iterator[tuple[int, tuple[Def, int]]]:
    """Yield each function by its first line, which is that of its first decorator, with the line of its class."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([statement.lineno, *(decorator.lineno for decorator in statement.decorator_list)])
            yield first, (statement, class_line)
        for block in _blocks(statement):
            yield from _functions(block, statement.lineno if isinstance(statement, ast.ClassDef) else class_line)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(statement, name, None)
        if block:
            yield block
    for clause in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield clause.body


def _call_of_next(statement: ast.stmt, me: str) -> ast.Call | None:
    call = statement.value if isinstance(statement, ast.Expr | ast.Return) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "next":
        owner = call.func.value
        return call if isinstance(owner, ast.Name) and owner.id == me else None
    return None


def _doc(node: Def) -> str:
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return without_indentation(first.value.value)
    return ""


def without_indentation(doc: str | None) -> str:
    """Return a docstring as a reader sees it (`inspect.cleandoc`, whose import would cost more than reading a flow)."""
    lines = (doc or "").expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    return "\n".join([lines[0].lstrip(), *(line[margin:] for line in lines[1:])]).strip("\n")
