"""A site: one place where runs are kept, that is, the metadata and the storage beside it.

Client objects hold the site they were found in, so that `metaflow.metadata(…)` changes where later objects are looked
for and not what earlier ones are. Knows how a site is written as text (``local@/path``); not what a run is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metaflow import registry, settings
from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.metadata_provider.task_ids import NUMBERS
from metaflow.store.artifacts import TaskIndex, TaskStore
from metaflow.store.blobs import Blobs
from metaflow.store.layout import PARAMETERS
from metaflow.store.protocol import Storage

if TYPE_CHECKING:
    from metaflow.metadata_provider.protocol import Catalog
    from metaflow.settings import Settings

_ROOTS = {"local": ".metaflow", "spin": ".metaflow_spin"}
"""Kind of metadata to the name of its directory."""


class Site:
    """Where runs are kept.

    Parameters
    ----------
    catalog : Catalog
        What is known of them.
    storage : Storage
        Where their data is, unless a task's facts say otherwise.

    Attributes
    ----------
    address : str
        ``kind@place``, as `metaflow.metadata_provider` takes it.
    """

    __slots__ = ("_blobs", "_storages", "address", "catalog", "storage")

    def __init__(self, catalog: Catalog, storage: Storage) -> None:
        self.catalog = catalog
        self.storage = storage
        name = _ROOTS.get(catalog.kind, "")
        self.address = f"{catalog.kind}@{catalog.root.removesuffix(f'/{name}') or '/'}"
        self._storages: dict[tuple[str, str], Storage] = {(storage.kind, storage.root): storage}
        self._blobs: dict[tuple[str, str, str], Blobs] = {}

    def blobs(self, flow: str, storage: Storage) -> Blobs:
        """Return the blobs of a flow in one of the site's storages."""
        place = (flow, storage.kind, storage.root)
        blobs = self._blobs.get(place)
        if blobs is None:
            blobs = self._blobs[place] = Blobs(storage, flow)
        return blobs

    def index(self, task: Sequence[str], attempt: int | None) -> tuple[TaskIndex, Blobs] | None:
        """Return what an attempt of a task (4 names) has stored, and where; by default the latest that is done.

        The data is where the site's storage is. Only if the task is not there its facts are asked: it may have written
        to another storage, or the site was moved.
        """
        path = "/".join(task)
        storage = self.storage
        index = TaskStore(storage, path).read_index(attempt)
        if index is None:
            storage = self.storage_of(task)
            if storage is self.storage:
                return None
            index = TaskStore(storage, path).read_index(attempt)
            if index is None:
                return None
        return index, self.blobs(task[0], storage)

    def parameters(self, flow: str, run: str) -> tuple[TaskIndex, Blobs] | None:
        """Return what the pseudo-task of a run has stored."""
        usual = _parameters_usually(flow, run)
        found = self.index(usual, None)
        if found is None and (there := self._parameters_named(usual)) != usual:
            found = self.index(there, None)
        return found

    def parameters_task(self, flow: str, run: str) -> TaskPath:
        """Return the pseudo-task of a run, which a service may call as it likes."""
        usual = _parameters_usually(flow, run)
        is_there = TaskStore(self.storage, str(usual)).read_index() is not None
        return usual if is_there else self._parameters_named(usual)

    def _parameters_named(self, usual: TaskPath) -> TaskPath:
        return usual._replace(task=next(iter(self.catalog.names(usual[:3])), usual.task))

    def storage_of(self, task: Sequence[str]) -> Storage:
        """Return the storage that a task (4 names) says it writes to."""
        place = {}
        for field in ("ds-type", "ds-root"):
            for fact in self.catalog.facts(task, field):
                place[field] = str(fact["value"])
        if len(place) == 2:
            return self._storage(place["ds-type"], place["ds-root"])
        # Of the parameters of a run there are no such facts, but those of its artifacts.
        document = self.catalog.get((*task, "_task_ok"))
        if document is None or not {"ds_type", "location"} <= document.keys():
            return self.storage
        return self._storage(str(document["ds_type"]), str(document["location"]).removeprefix(":root:"))

    def _storage(self, kind: str, root: str) -> Storage:
        if (kind, root) not in self._storages:
            self._storages[kind, root] = registry.load("datastore", kind)(root)
        return self._storages[kind, root]


def _parameters_usually(flow: str, run: str) -> TaskPath:
    return TaskPath(flow, run, PARAMETERS, str(NUMBERS.parameters))


def of_settings(settings: Settings) -> Site:
    """Return the site that this installation works with."""
    if settings.default_metadata == "spin":
        return of_directory("spin", settings.spin_root)
    if settings.default_metadata == "service":
        return of_service(settings.service.required_url, settings)
    root = settings.local_root
    metadata = registry.load("metadata", settings.default_metadata)(root, settings.username or "")
    return Site(metadata, registry.load("datastore", "local")(root))


def of_service(url: str, settings: Settings) -> Site:
    """Return the site of a metadata service; data is where the settings say, or else the facts of each task."""
    kind = settings.default_datastore
    root = settings.local_root if kind == "local" else settings.datastores.root(kind)
    metadata = registry.load("metadata", "service")(url, settings.username or "")
    return Site(metadata, registry.load("datastore", kind)(root))


def of_directory(kind: str, root: str) -> Site:
    """Return the site of a ``.metaflow`` directory, or of a ``.metaflow_spin``; `kind` is ``local`` or ``spin``."""
    return Site(registry.load("metadata", kind)(root), registry.load("datastore", kind)(root))


def named(address: str) -> Site:
    """Return the site that a text names: ``local@DIRECTORY``, ``DIRECTORY``, ``spin@DIRECTORY``, or ``service@URL``.

    Raises
    ------
    metaflow.exception.MetaflowNotFound
        The directory has no ``.metaflow`` in it, or no ``.metaflow_spin``.
    metaflow.exception.CommandException
        There is no such kind of metadata.
    """
    kind, at, place = address.partition("@")
    if not at or "/" in kind:
        kind, place = ("service" if address.startswith(("http://", "https://")) else "local"), address
    registry.load("metadata", kind)
    if kind == "service":
        return of_service(place, settings.load())
    directory, name = os.path.abspath(place), _ROOTS.get(kind, "")
    root = directory if os.path.basename(directory) == name else os.path.join(directory, name)
    if not os.path.isdir(root):
        done = "steps were spun with --persist" if kind == "spin" else "flows were run"
        raise MetaflowNotFound(
            f"There is no directory {root}.",
            hint=f"name the directory in which {done}: the one that has '{name}' in it",
        )
    return of_directory(kind, root)
