"""What every client object is: a path, the site it was found in, the namespace it was found under.

Objects are lazy. Making one reads what is needed to know that it is there and may be seen; an object that comes out of
a listing, not even that. The tags of an object are those of its run, so that a run of ten thousand tasks is filtered
by reading one document. The levels (flow, run, step, task, artifact) are classes in the modules beside this one; each
finds the next by its depth, which keeps the modules from importing one another in a circle.

Start reading at `MetaflowObject`, then `Container`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

from metaflow.client import errors
from metaflow.client.scope import scope
from metaflow.exception import MetaflowInvalidPathspec, MetaflowNotFound
from metaflow.flow.parameter_types import quoted

if TYPE_CHECKING:
    from metaflow.client.site import Site
    from metaflow.metadata_provider.protocol import Document

_STATE_VERSION = "2.12.27"
_FORMS = ("FlowName", "RunID", "StepName", "TaskID", "ArtifactName")
_LONGEST_NAME = 255
"""Bytes that a file system allows."""
_ID_KEYS = ("flow_id", "run_number", "step_name", "task_id")

Child = TypeVar("Child", bound="MetaflowObject")


class MetaflowObject:
    """A flow, run, step, task or artifact that was stored.

    Parameters
    ----------
    pathspec : str
        The path, such as ``Flow/run/step``.
    attempt : int, optional
        Which attempt, from 0, for tasks and artifacts; by default the latest.

    Attributes
    ----------
    id : str
        The last part of the path.

    Raises
    ------
    MetaflowNotFound
        There is no such object.
    MetaflowNamespaceMismatch
        It is there, but outside the namespace.
    MetaflowInvalidPathspec
        The path has another depth.
    """

    __slots__ = ("__weakref__", "_attempt", "_components", "_loaded", "_namespace", "_parent", "_site", "id")

    _DEPTH: ClassVar[int]
    _NAME: ClassVar[str]
    _LEVELS: ClassVar[dict[int, type[MetaflowObject]]] = {}

    id: str
    _site: Site
    _namespace: str | None
    _attempt: int | None
    _parent: MetaflowObject | None
    _loaded: Document | None

    def __init_subclass__(cls, depth: int = 0) -> None:
        super().__init_subclass__()
        if depth:
            cls._DEPTH = depth
            cls._NAME = cls.__name__
            cls._LEVELS[depth] = cls
            cls.__module__ = "metaflow.client.core"  # so that each side unpickles the other's objects

    def __init__(
        self, pathspec: str | None = None, attempt: int | str | None = None, _namespace_check: bool = True
    ) -> None:
        components = self._split(pathspec)
        self._place(components, scope.site, scope.namespace if _namespace_check else None)
        self._attempt = self._attempt_number(attempt)
        if not self._exists():
            raise errors.missing(self)
        self._check_namespace()

    @classmethod
    def _at(
        cls, components: tuple[str, ...], site: Site, namespace: str | None = None, attempt: int | None = None
    ) -> Self:
        """Return an object of a site, without looking whether it is there."""
        found = object.__new__(cls)
        found._place(components, site, namespace)
        found._attempt = attempt
        return found

    def _place(self, components: tuple[str, ...], site: Site, namespace: str | None) -> None:
        self.id = components[-1]
        self._components = components
        self._site = site
        self._namespace = namespace
        self._attempt = None
        self._parent = None
        self._loaded = None

    @classmethod
    def _split(cls, pathspec: object) -> tuple[str, ...]:
        form = "/".join(_FORMS[: cls._DEPTH])
        if not isinstance(pathspec, str):
            raise MetaflowInvalidPathspec(f"{cls._NAME} takes a path, not {pathspec!r}.", hint=f"as in '{form}'")
        components = tuple(pathspec.split("/"))
        if len(components) != cls._DEPTH or not all(map(is_name, components)):
            raise MetaflowInvalidPathspec(
                f"{quoted(pathspec)} is not the path of a {cls._NAME.lower()}.", hint=f"it should look like '{form}'"
            )
        return components

    @classmethod
    def _attempt_number(cls, attempt: int | str | None) -> int | None:
        if attempt is None:
            return None
        if cls._DEPTH < 4:
            raise MetaflowNotFound(f"A {cls._NAME.lower()} has no attempts; tasks and artifacts have.")
        if not str(attempt).isdecimal():
            raise MetaflowNotFound(f"{attempt!r} is not the number of an attempt; the first is 0.")
        return int(attempt)

    @property
    def pathspec(self) -> str:
        """The path, such as ``Flow/run/step/task``."""
        return "/".join(self._components)

    @property
    def path_components(self) -> list[str]:
        """The parts of the path."""
        return list(self._components)

    @property
    def parent(self) -> Any:
        """The object one level above; None for a flow."""
        depth = len(self._components) - 1
        if self._parent is None and depth:
            place = (self._components[:-1], self._site, self._namespace, self._attempt)
            self._parent = self._LEVELS[depth]._at(*place)
        return self._parent

    def __repr__(self) -> str:
        attempt = "" if self._attempt is None else f", attempt={self._attempt}"
        return f"{type(self).__name__}('{self.pathspec}'{attempt})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._components == other._components and self._attempt == other._attempt

    def __hash__(self) -> int:
        return hash((self._components, self._attempt))

    @property
    def _document(self) -> Document | None:
        if self._loaded is None:
            self._loaded = self._site.catalog.get(self._components)
        return self._loaded

    def _exists(self) -> bool:
        return self._document is not None

    @property
    def created_at(self) -> datetime:
        """When it was registered, in local time."""
        document = self._document
        if document is None:
            raise errors.missing(self)
        return moment(document["ts_epoch"])

    @property
    def _run(self) -> MetaflowObject:
        found: MetaflowObject = self
        while len(found._components) > 2:
            found = found.parent
        return found

    @property
    def user_tags(self) -> frozenset[str]:
        """The tags of the run that people have set; they can change at any time. A flow has none."""
        return self._run._tags_of("tags")

    @property
    def system_tags(self) -> frozenset[str]:
        """The tags of the run that were set when it began, and stay. A flow has none."""
        return self._run._tags_of("system_tags")

    @property
    def tags(self) -> frozenset[str]:
        """All tags of the run."""
        return self.user_tags | self.system_tags

    def _tags_of(self, kind: str) -> frozenset[str]:
        if len(self._components) < 2 or self._document is None:
            return frozenset()
        return frozenset(self._document.get(kind, ()))

    @property
    def origin_pathspec(self) -> str | None:
        """Path of the object that `resume` took this one from; None if it is no such copy."""
        return None

    def is_in_namespace(self) -> bool:
        """Return whether the object is in the namespace that is set now."""
        return self._is_in(scope.namespace)

    def _is_in(self, namespace: str | None) -> bool:
        return namespace is None or namespace in self.tags

    def _check_namespace(self) -> None:
        if not self._is_in(self._namespace):
            raise errors.outside(self)

    def __getstate__(self) -> dict[str, Any]:
        # The form of Metaflow's own client objects: path, attempt, place, namespace, whether that was checked.
        checked = self._namespace is not None
        return {
            "version": _STATE_VERSION,
            "data": [self.pathspec, self._attempt, self._site.address, self._namespace, checked],
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        from metaflow.client.site import named

        pathspec, attempt, address, namespace, checked = state["data"]
        try:
            site = scope.site if address == scope.site.address else named(address)
        except MetaflowNotFound:
            site = scope.site  # unpickled on another machine
        self._place(tuple(pathspec.split("/")), site, namespace if checked else None)
        self._attempt = attempt


class Container(MetaflowObject, Generic[Child]):
    """An object with others below it: iterate, ``object[id]``, ``id in object``."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Child]:
        return self._children()

    def __getitem__(self, id: str | int) -> Child:
        child = self._child(str(id))
        if not (is_name(child.id) and child._exists()):
            raise errors.missing(child, errors.MissingKey)
        child._check_namespace()
        return child

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str | int) and is_name(str(id)) and self._child(str(id))._exists()

    def _child(self, name: str) -> Child:
        level = self._LEVELS[len(self._components) + 1]
        child = level._at((*self._components, name), self._site, self._namespace, self._attempt)
        child._parent = self
        return cast(Child, child)

    def _children(self, *tags: str) -> Iterator[Child]:
        """Yield the children that have all of `tags` and are in the namespace, newest first."""
        if len(self._components) > 1 and not self.tags.issuperset(tags):
            return
        for name in self._newest_first():
            if not name.startswith("_"):
                yield self._child(name)

    def _newest_first(self) -> list[str]:
        """Return the names below: ids count upwards, so that only where they are no numbers the dates are read."""
        names = self._site.catalog.names(self._components)
        if all(map(str.isdecimal, names)):
            return sorted(names, key=int, reverse=True)
        key = _ID_KEYS[len(self._components)]
        documents = self._site.catalog.children(self._components)
        ages = sorted(((document["ts_epoch"], document[key]) for document in documents), reverse=True)
        return [name for _, name in ages]

    def _ipython_key_completions_(self) -> list[str]:
        return [child.id for child in self]


def moment(milliseconds: float) -> datetime:
    """Return a document's time as people see it: local, without a time zone in the object."""
    return datetime.fromtimestamp(milliseconds / 1000)


def is_name(text: str) -> bool:
    """Tell whether an object may be called so: a directory or file is."""
    if text in ("", ".", "..") or "/" in text or "\0" in text:
        return False
    try:
        return len(text.encode()) <= _LONGEST_NAME
    except UnicodeEncodeError:
        return False
