"""What the installed distributions declare: entry points, and the tables of packages made for Metaflow.

A distribution declares an entry point in the group of a kind (`GROUPS`); its name is the name that a user writes, its
object is what `metaflow.registry` has for built-in names. Packages made for Metaflow, below ``metaflow_extensions``,
declare theirs in tables in their source, which are read and not run. Nothing here imports an extension.

Start reading at `every`.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from metaflow.exception import InvalidExtension

if TYPE_CHECKING:
    from importlib.metadata import Distribution


class Kind(NamedTuple):
    """What can be added.

    Attributes
    ----------
    group : str
        Of its entry points.
    bases : tuple of str
        ``module:class``: an extension derives from one of them.
    protocol : str
        ``module:class`` instead of bases: an extension has all of its methods.
    word : str
        The attribute that has the entry point's name, of classes of the protocol or of the first base.
    """

    group: str
    bases: tuple[str, ...] = ()
    protocol: str = ""
    word: str = "name"


_USERS = "metaflow.flow.user_decorators"
GROUPS = {
    "card": Kind("millrace.cards", ("metaflow.cards.card:MetaflowCard",), word="type"),
    "datastore": Kind("millrace.datastores", protocol="metaflow.store.protocol:Storage", word="kind"),
    "flow decorator": Kind(
        "millrace.flow_decorators", ("metaflow.flow.flow_decorator:FlowDecorator", f"{_USERS}:FlowMutator")
    ),
    "job backend": Kind("millrace.job_backends", protocol="metaflow.compute.jobs.protocol:JobBackend", word="kind"),
    "metadata": Kind("millrace.metadata", protocol="metaflow.metadata_provider.protocol:Metadata", word="kind"),
    "step decorator": Kind(
        "millrace.step_decorators",
        ("metaflow.flow.decorator:StepDecorator", f"{_USERS}:UserStepDecorator", f"{_USERS}:StepMutator"),
    ),
}
"""By kind of `metaflow.registry`."""

NAMESPACE = "metaflow_extensions"
"""Where packages are that are made for Metaflow."""

PROMOTED = "name"
"""The kind of what such a package puts into `metaflow` itself."""

_TABLES = {"FLOW_DECORATORS_DESC": "flow decorator", "STEP_DECORATORS_DESC": "step decorator"}
"""Tables of packages below ``metaflow_extensions``, of name and class, whose kinds work here."""


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
    def identifier(self) -> str:
        """What Python code calls it, where names have no hyphens."""
        return self.name.replace("-", "_")

    @property
    def shown(self) -> str:
        """How an error names it."""
        return f"The {self.kind} '{self.name}' of {self.distribution}"

    def error(self, what: str) -> InvalidExtension:
        """Return an error about it."""
        return InvalidExtension(
            f"{self.shown} {what}.",
            hint=f"update or uninstall {self.distribution.partition(' ')[0]}, which declares it as "
            f"`{self.name} = {self.target}`",
        )


class Unreadable(NamedTuple):
    """A distribution whose entry points cannot be read.

    Attributes
    ----------
    distribution : str
        Its name and version, as far as they are known.
    reason : str
        What reading them raised.
    """

    distribution: str
    reason: str


def every() -> tuple[Extension, ...]:
    """Return all extensions that are installed, those of a distribution that is on the path twice once."""
    return scan()[0]


def unreadable() -> tuple[Unreadable, ...]:
    """Return the distributions whose entry points cannot be read; they add nothing."""
    return scan()[1]


@cache
def scan() -> tuple[tuple[Extension, ...], tuple[Unreadable, ...]]:
    """Return `every` and `unreadable`, looked for once in a process."""
    from importlib.metadata import distributions  # costs more than all else that a task does at its start

    kinds = {kind.group: name for name, kind in GROUPS.items()}
    found: dict[tuple[str, str, str], Extension] = {}
    troubles: dict[str, Unreadable] = {}
    for of in distributions():
        name = "an unknown distribution"
        try:
            points = [point for point in of.entry_points if point.group in kinds]
            if points:
                name = f"{of.metadata['Name']} {of.version}"
        except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the standard library raise
            name = _name_of(of)
            troubles[name] = Unreadable(name, f"{type(error).__name__}: {error}")
            continue
        for point in points:
            kind = kinds[point.group]
            found.setdefault((kind, point.name, name), Extension(kind, point.name, point.value, name))
    found |= {(each.kind, each.name, each.distribution): each for each in _in_namespace()}
    return tuple(found[key] for key in sorted(found)), tuple(troubles[name] for name in sorted(troubles))


def _name_of(distribution: Distribution) -> str:
    try:
        return f"{distribution.metadata['Name']} {distribution.version}"
    except Exception:  # noqa: BLE001 - its metadata is damaged, too
        return "an unknown distribution"


def toplevel(name: str) -> Extension | None:
    """Return what a package below ``metaflow_extensions`` promotes under a name, by an import in its ``toplevel``."""
    for package, directory in packages_for_metaflow():
        for statement in _statements_of(os.path.join(directory, "toplevel", "toplevel.py")):
            names = statement.names if isinstance(statement, ast.ImportFrom) else ()
            if name in (alias.asname or alias.name for alias in names):
                return Extension(PROMOTED, name, f"{package}.toplevel.toplevel:{name}", package)
    return None


def _in_namespace() -> Iterator[Extension]:
    """Yield what the tables of packages below ``metaflow_extensions`` name."""
    for package, directory in packages_for_metaflow():
        plugins = os.path.join(directory, "plugins")
        for file in names_in(plugins):
            if file != "__init__.py" and not (file.startswith("mfextinit_") and file.endswith(".py")):
                continue
            for statement in _statements_of(os.path.join(plugins, file)):
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                    for name, path in _pairs(statement) if statement.targets[0].id in _TABLES else ():
                        module, _, attribute = (f"{package}.plugins" * path.startswith(".") + path).rpartition(".")
                        yield Extension(_TABLES[statement.targets[0].id], name, f"{module}:{attribute}", package)


def packages_for_metaflow() -> Iterator[tuple[str, str]]:
    """Yield name and directory of each package below ``metaflow_extensions``."""
    for place in sys.path:
        namespace = os.path.join(place, NAMESPACE)
        for name in names_in(namespace):
            yield f"{NAMESPACE}.{name}", os.path.join(namespace, name)


def names_in(directory: str) -> list[str]:
    """Return what a directory has, sorted; nothing if it cannot be read."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _statements_of(file: str) -> list[ast.stmt]:
    try:
        with open(file, "rb") as opened:
            return ast.parse(opened.read()).body
    except (OSError, SyntaxError):
        return []


def _pairs(table: ast.Assign) -> list[tuple[str, str]]:
    try:
        return [(str(name), str(path)) for name, path in ast.literal_eval(table.value)]
    except (TypeError, ValueError):  # it is computed
        return []
