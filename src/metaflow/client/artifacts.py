"""`DataArtifact`, one stored value, and `MetaflowData`, those of a task as attributes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from metaflow.client import errors
from metaflow.client.objects import MetaflowObject, moment
from metaflow.store.artifacts import TaskIndex, load_artifact

if TYPE_CHECKING:
    from metaflow.client.tasks import Task
    from metaflow.metadata_provider.protocol import Document
    from metaflow.store.blobs import Blobs


class DataArtifact(MetaflowObject, depth=5):
    """A value that a task stored.

    Parameters
    ----------
    pathspec : str
        ``Flow/run/step/task/name``.
    attempt : int, optional
        Which attempt of the task, from 0; by default the latest that has ended.
    """

    __slots__ = ("_stored",)

    _stored: tuple[TaskIndex, Blobs] | None

    def _place(self, *place: Any) -> None:
        super()._place(*place)
        self._stored = None

    def _with(self, stored: tuple[TaskIndex, Blobs] | None) -> DataArtifact:
        self._stored = stored
        return self

    @property
    def _found(self) -> tuple[TaskIndex, Blobs] | None:
        """The index that names it; once there, always the same, whatever attempts may follow."""
        if self._stored is None:
            stored = self._site.index(self._components[:4], self._attempt)
            if stored is not None and self.id in stored[0].objects:
                self._stored = stored
        return self._stored

    def _exists(self) -> bool:
        return self._found is not None

    def _index(self) -> tuple[TaskIndex, Blobs]:
        found = self._found
        if found is None:
            raise errors.missing(self)
        return found

    @property
    def data(self) -> Any:
        """The value, loaded anew each time; of an included file its content.

        Raises
        ------
        MetaflowDataMissing
            Its bytes are not there, or a class that it needs cannot be imported.
        BlobCorrupt
            Its bytes are damaged.
        """
        index, blobs = self._index()
        value = load_artifact(blobs, index.objects[self.id], self.id)
        return _content(value, self._site.storage.root) if type(value).__name__ == "IncludedFile" else value

    @property
    def sha(self) -> str:
        """The SHA-1 of its pickle: equal for equal content within a flow."""
        return self._index()[0].objects[self.id]

    @property
    def size(self) -> int:
        """Bytes of its pickle; of an included file bytes of the file."""
        index, blobs = self._index()
        known = index.info.get(self.id, {})
        if "IncludedFile" in str(known.get("type")):
            file = load_artifact(blobs, index.objects[self.id], self.id)
            return int(file.size) if file.size is not None else len(self.data)
        return int(known.get("size", 0))

    @property
    def created_at(self) -> datetime:
        """When it was stored, in local time."""
        document = self._document
        if document is not None:
            return moment(document["ts_epoch"])
        ended = self.parent.finished_at
        created: datetime = self.parent.created_at if ended is None else ended
        return created

    @property
    def finished_at(self) -> datetime:
        """The same as `created_at`."""
        return self.created_at

    @property
    def origin_pathspec(self) -> str | None:
        """Path of the artifact in the task that `resume` copied; None if the task ran."""
        origin = self.parent.origin_pathspec
        return f"{origin}/{self.id}" if origin else None

    @property
    def _document(self) -> Document | None:
        if self._loaded is None:
            self._loaded = self._site.catalog.get(self._components, self._index()[0].attempt)
        return self._loaded


class MetaflowData:
    """The artifacts of a task as attributes; each is loaded when it is touched, and anew each time.

    Parameters
    ----------
    task : Task
        The task.
    stored : tuple of TaskIndex and Blobs, optional
        What it has stored, if anything.
    """

    def __init__(self, task: Task, stored: tuple[TaskIndex, Blobs] | None) -> None:
        self._task = task
        self._stored = stored

    @property
    def _artifacts(self) -> dict[str, DataArtifact]:
        return {name: self._task._child(name)._with(self._stored) for name in self._names()}

    def _names(self) -> list[str]:
        return public_names(self._stored)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            if name in self:
                return self._task._child(name)._with(self._stored).data
            raise AttributeError(_no_artifact(name, self._names()), name=name, obj=self)
        raise AttributeError(f"The task's data has no artifact '{name}'", name=name, obj=self)

    def __contains__(self, name: object) -> bool:
        stored = self._stored
        return isinstance(name, str) and name[:1] != "_" and stored is not None and name in stored[0].objects

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._names()]

    def __repr__(self) -> str:
        return f"<MetaflowData: {', '.join(self._names())}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return attrgetter("data"), (self._task,)


def public_names(stored: tuple[TaskIndex, Blobs] | None) -> list[str]:
    """Return the names that the user's code has given; those of the machinery begin with an underscore."""
    return [] if stored is None else [name for name in stored[0].objects if not name.startswith("_")]


def _content(value: Any, root: str) -> Any:
    from metaflow.flow.included import IncludedFile

    if not isinstance(value, IncludedFile):
        return value
    return value.decode(roots=(f"{root}/data", f"{root.rpartition('/')[0]}/data"))


def _no_artifact(name: str, names: list[str]) -> str:
    if not names:
        return f"There is no artifact '{name}': the task has stored none."
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    known = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(sorted(names))}"
    return f"The task has no artifact '{name}'; {known}"
