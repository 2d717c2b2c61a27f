"""What other distributions add to the table of names: their entry points, by kind and name.

A distribution declares an entry point in the group of a kind (`GROUPS`); its name is the name that a user writes, its
object is what `metaflow.registry` has for built-in names. Nothing is scanned before somebody asks for a name that
nobody here has, or for the list of all; and nothing of an extension is imported before its name is used. Then it is
checked, and an error names the distribution, the entry point and what is missing.

Tasks of a run do not scan: `for_tasks` says what the run has found, in a variable. In a container, where no
distribution is installed, they find it by that in the code package.

Start reading at `load`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from metaflow.exception import InvalidExtension, text_of

VARIABLE = "MILLRACE_EXTENSIONS"
"""Set for tasks: what the run has found, as JSON."""


class Kind(NamedTuple):
    """What can be added.

    Attributes
    ----------
    group : str
        Of its entry points.
    bases : tuple of str
        ``module:class``: an extension derives from one of them; the first one's has the entry point's name as `name`.
    protocol : str
        ``module:class`` instead of bases: an extension has all of its methods, and the entry point's name as `kind`.
    """

    group: str
    bases: tuple[str, ...] = ()
    protocol: str = ""


_USERS = "metaflow.flow.user_decorators"
GROUPS = {
    "datastore": Kind("millrace.datastores", protocol="metaflow.store.protocol:Storage"),
    "flow decorator": Kind(
        "millrace.flow_decorators", ("metaflow.flow.flow_decorator:FlowDecorator", f"{_USERS}:FlowMutator")
    ),
    "job backend": Kind("millrace.job_backends", protocol="metaflow.compute.jobs.protocol:JobBackend"),
    "metadata": Kind("millrace.metadata", protocol="metaflow.metadata_provider.protocol:Metadata"),
    "step decorator": Kind(
        "millrace.step_decorators",
        ("metaflow.flow.decorator:StepDecorator", f"{_USERS}:UserStepDecorator", f"{_USERS}:StepMutator"),
    ),
}
"""By kind of `metaflow.registry`."""


class Extension(NamedTuple):
    """One entry point.

    Attributes
    ----------
    kind, name : str
        What it adds.
    target : str
        ``module:attribute``.
    distribution : str
        Name and version of what is installed.
    """

    kind: str
    name: str
    target: str
    distribution: str

    @property
    def shown(self) -> str:
        """How an error names it."""
        return f"The {self.kind} '{self.name}' of {self.distribution}"

    def error(self, what: str) -> InvalidExtension:
        """Return an error about it."""
        return InvalidExtension(
            f"{self.shown} {what}.",
            hint=f"update or uninstall {self.distribution.partition(' ')[0]}: its entry point `{self.name} = "
            f"{self.target}` in the group {GROUPS[self.kind].group} says that it is one",
        )


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


def used() -> list[Extension]:
    """Return what has been loaded in this process."""
    return [extension for extension, _ in _used.values()]


def modules() -> list[ModuleType]:
    """Return the modules of what has been loaded in this process, each as its topmost package with an ``__init__``."""
    found = {}
    for extension in used():
        parts = extension.target.partition(":")[0].split(".")
        around = (sys.modules[".".join(parts[: length + 1])] for length in range(len(parts)))
        top = next(module for module in around if module.__file__)
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


@cache
def every() -> tuple[Extension, ...]:
    """Return all extensions that are installed, those of a distribution that is on the path twice once."""
    from importlib.metadata import entry_points  # costs more than all else that a task does at its start

    kinds = {kind.group: name for name, kind in GROUPS.items()}
    found = {}
    for group, kind in kinds.items():
        for point in entry_points(group=group):
            of = point.dist
            distribution = f"{of.metadata['Name']} {of.version}" if of is not None else "an unknown distribution"
            found[kind, point.name, distribution] = Extension(kind, point.name, point.value, distribution)
    return tuple(found[key] for key in sorted(found))


def _find(kind: str, name: str) -> Extension | None:
    found = next((each for each in _given() if (each.kind, each.name) == (kind, name)), None)
    if found is None:
        all_found = [each for each in every() if (each.kind, each.name) == (kind, name)]
        if len(all_found) > 1:
            homes = ", ".join(each.distribution for each in all_found)
            raise InvalidExtension(
                f"The {kind} '{name}' is in several distributions: {homes}.", hint="uninstall all but one of them"
            )
        found = all_found[0] if all_found else None
    return found


def _given() -> Iterator[Extension]:
    """Yield what the run has found that this process is a task of."""
    text = os.environ.get(VARIABLE)
    if text:
        import json

        yield from (Extension(*row) for row in json.loads(text))


def _loaded(extension: Extension) -> Any:
    try:
        target = _import(extension.target)
    except Exception as error:  # the extension's code
        raise extension.error(f"cannot be imported: {type(error).__name__}: {text_of(error)}") from error
    kind = GROUPS[extension.kind]
    for lack in _lacks_base(target, kind.bases) if kind.bases else _lacks(target, _import(kind.protocol)):
        raise extension.error(lack)
    word = "name" if kind.bases else "kind"
    if (not kind.bases or issubclass(target, _import(kind.bases[0]))) and getattr(target, word, "") != extension.name:
        raise extension.error(f"has no `{word} = '{extension.name}'`")
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
