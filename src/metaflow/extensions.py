"""Extensions: decorators, storages and backends of other distributions, found by name and checked when they arrive.

Nothing is scanned before somebody asks for a name that nobody here has, or for the list of all; and nothing of an
extension is imported before its name is used. Then it is checked, and an error names the distribution, what it declares
and what is missing. What there is says `metaflow.installed`.

Tasks of a run do not scan: `for_tasks` says what the run has found, in a variable. In a container, where no
distribution is installed, they find it by that in the code package.

Start reading at `load`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from metaflow.exception import InvalidExtension, text_of
from metaflow.installed import GROUPS, NAMESPACE, PROMOTED, Extension, every, toplevel

VARIABLE = "MILLRACE_EXTENSIONS"
"""Set for tasks: what the run has found, as JSON."""

_used: dict[tuple[str, str], tuple[Extension, Any]] = {}
"""By kind and name: what has been loaded in this process."""


def load(kind: str, name: str) -> Any:
    """Import, check and return what an extension has for a name; None if none has it.

    Raises
    ------
    InvalidExtension
        It cannot be imported, is not what its kind asks for, or several distributions have the name.
    """
    if kind not in GROUPS:
        return None
    if (kind, name) not in _used:
        found = _find(kind, name)
        if found is None:
            return None
        _used[kind, name] = found, _loaded(found)
    return _used[kind, name][1]


def public(name: str) -> Any:
    """Return what ``from metaflow import name`` gives: a decorator, or what a package promotes; None if none does.

    Raises
    ------
    InvalidExtension
        As `load`.
    """
    given = {each.kind for each in _given() if name in (each.name, each.identifier)}
    for kind in ("step decorator", "flow decorator", PROMOTED):
        if not given or kind in given:
            found = _promoted(name) if kind == PROMOTED else load(kind, name)
            if found is not None:
                return found
    return None


def _promoted(name: str) -> Any:
    if (PROMOTED, name) not in _used:
        found = _of_the_run(PROMOTED, name) or toplevel(name)
        if found is None:
            return None
        _used[PROMOTED, name] = found, _imported(found)
    return _used[PROMOTED, name][1]


def used() -> list[Extension]:
    """Return what has been loaded in this process."""
    return [extension for extension, _ in _used.values()]


def modules() -> list[ModuleType]:
    """Return the modules of what has been loaded in this process, each as its topmost package.

    That is the first with an ``__init__``, and of Metaflow's namespace the package in it.
    """
    found = {}
    for extension in used():
        parts = extension.target.partition(":")[0].split(".")
        around = [sys.modules[".".join(parts[: length + 1])] for length in range(len(parts))]
        top = around[1] if parts[0] == NAMESPACE else next(module for module in around if module.__file__)
        found[top.__name__] = top
    return list(found.values())


def for_tasks() -> dict[str, str]:
    """Return the variable by which tasks find what has been loaded in this process; nothing if that is nothing."""
    import json

    return {VARIABLE: json.dumps(used())} if _used else {}


def fault(extension: Extension) -> str:
    """Return why an extension cannot be used; nothing if it can. Imports it."""
    try:
        _loaded(extension)
    except InvalidExtension as error:
        return error.message.removeprefix(f"{extension.shown} ").removesuffix(".")
    return ""


def _find(kind: str, name: str) -> Extension | None:
    of_the_run = _of_the_run(kind, name)
    if of_the_run is not None:
        return of_the_run
    found = _named(kind, name, every())
    if len(found) > 1:
        homes = ", ".join(each.distribution for each in found)
        raise InvalidExtension(
            f"The {kind} '{name}' is in several distributions: {homes}.", hint="uninstall all but one of them"
        )
    return found[0] if found else None


def _of_the_run(kind: str, name: str) -> Extension | None:
    return next(iter(_named(kind, name, list(_given()))), None)


def _named(kind: str, name: str, among: Sequence[Extension]) -> list[Extension]:
    """Return those of a kind that have a name; if there is none, those that Python code calls so."""
    alike = [each for each in among if each.kind == kind]
    return [each for each in alike if each.name == name] or [each for each in alike if each.identifier == name]


def _given() -> Iterator[Extension]:
    """Yield what the run has found that this process is a task of."""
    text = os.environ.get(VARIABLE)
    if text:
        import json

        yield from (Extension(*row) for row in json.loads(text))


def _imported(extension: Extension) -> Any:
    try:
        return _import(extension.target)
    except (Exception, SystemExit) as error:  # the extension's code
        raise extension.error(f"cannot be imported: {type(error).__name__}: {text_of(error)}") from error


def _loaded(extension: Extension) -> Any:
    target = _imported(extension)
    kind = GROUPS[extension.kind]
    for lack in _lacks_base(target, kind.bases) if kind.bases else _lacks(target, _import(kind.protocol)):
        raise extension.error(lack)
    if hasattr(target, "unusable"):
        raise extension.error(target.unusable)
    has_word = not kind.bases or issubclass(target, _import(kind.bases[0]))
    if has_word and getattr(target, kind.word, "") != extension.name:
        raise extension.error(f"has no `{kind.word} = '{extension.name}'`")
    return target


def _import(target: str) -> Any:
    module, _, attribute = target.partition(":")
    found: Any = import_module(module)
    for part in attribute.split(".") if attribute else ():
        found = getattr(found, part)
    return found


def _lacks_base(target: Any, bases: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(target, type) or not issubclass(target, tuple(map(_import, bases))):
        yield f"does not derive from {' or '.join(base.partition(':')[2] for base in bases)}"


def _lacks(target: Any, protocol: type) -> Iterator[str]:
    """Yield what a class lacks of a protocol: methods, and arguments of methods."""
    import inspect

    if not isinstance(target, type):
        yield f"is a {type(target).__name__}, not a class"
    for owner in protocol.__mro__:
        for name, method in vars(owner).items():
            if name.startswith("_") or not inspect.isfunction(method) or owner.__module__ == "typing":
                continue
            there = getattr(target, name, None)
            if not callable(there):
                yield f"has no method '{name}'"
            parameters = inspect.signature(there).parameters  # type: ignore[arg-type]  # callable: see above
            takes_any = any(each.kind == each.VAR_KEYWORD for each in parameters.values())
            for argument in inspect.signature(method).parameters:
                if argument not in parameters and not takes_any:
                    yield f"has a method '{name}' that does not take the argument '{argument}'"
