"""The two ways in which an object is not to be had: it does not exist, or it is outside the namespace.

The texts say which of them it is, at which level of the path, and what there is instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaflow.exception import MetaflowNamespaceMismatch, MetaflowNotFound

if TYPE_CHECKING:
    from metaflow.client.objects import MetaflowObject

_KINDS = ("flow", "run", "step", "task", "artifact")
_SHOWN = 6


class MissingKey(MetaflowNotFound, KeyError):
    """What ``object[id]`` raises: also a `KeyError`, as for any mapping."""


def missing(wanted: MetaflowObject, error_class: type[MetaflowNotFound] = MetaflowNotFound) -> MetaflowNotFound:
    """Return the error for an object that does not exist."""
    components, catalog = wanted._components, wanted._site.catalog
    depth = 1
    while depth < len(components) and catalog.get(components[:depth]) is not None:
        depth += 1
    kind, name, above = _KINDS[depth - 1], components[depth - 1], "/".join(components[: depth - 1])
    if depth == 1:
        message = f"There is no flow '{name}' in {wanted._site.address}."
    else:
        message = f"The {_KINDS[depth - 2]} {above} has no {kind} '{name}'."
    if depth == 5 and wanted._attempt is not None:
        message = message[:-1] + f" in attempt {wanted._attempt}."
    return error_class(message, hint=_hint(kind, name, _siblings(wanted, depth)))


def _siblings(wanted: MetaflowObject, depth: int) -> list[str]:
    if depth < 5:
        names = wanted._site.catalog.names(wanted._components[: depth - 1])
    else:
        stored = wanted._site.index(wanted._components[:4], wanted._attempt)
        names = list(stored[0].objects) if stored else []
    return sorted(name for name in names if not name.startswith("_"))


def _hint(kind: str, name: str, names: list[str]) -> str:
    if not names:
        return f"there is no {kind} at all"
    if names[0].isdecimal() and names[-1].isdecimal():
        shown = sorted(names, key=lambda id: (len(id), id), reverse=True)[:_SHOWN]
        return f"{'newest' if len(names) > _SHOWN else 'existing'} {kind}s: {', '.join(shown)}"
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"existing {kind}s: {', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}"


def outside(found: MetaflowObject) -> MetaflowNamespaceMismatch:
    """Return the error for an object that exists and is not in the namespace it was looked for in."""
    kind, namespace = _KINDS[len(found._components) - 1], found._namespace
    if len(found._components) == 1:
        return MetaflowNamespaceMismatch(
            f"The flow {found.pathspec} exists, but none of its runs is in the namespace '{namespace}'.",
            hint="namespace(None) shows the runs of everybody",
        )
    tags = ", ".join(sorted(found.tags)) or "none"
    owner = next((tag for tag in sorted(found.system_tags) if tag.startswith("user:")), None)
    shown = f"namespace('{owner}') or namespace(None) shows it" if owner else "namespace(None) shows it"
    return MetaflowNamespaceMismatch(
        f"The {kind} {found.pathspec} exists, but not in the namespace '{namespace}'; its tags are: {tags}.",
        hint=shown,
    )
