"""A task's attempt in the storage: its index (artifact name → blob) and its done marker.

The index has ``objects`` (name → SHA-1) and ``info`` (name → type, size in bytes, encoding), as
Metaflow 2.19 writes it. The order of writing is blobs, index, marker: who sees a name can read its bytes. Attempts
without a marker are not read, unless asked for by number. `metaflow.store.layout` has the files' names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from metaflow.exception import DataDamaged, MetaflowException
from metaflow.store import layout, serializers
from metaflow.store.blobs import SPOOL_ABOVE, Blobs, Sha1
from metaflow.store.overlap import overlap
from metaflow.store.protocol import Storage

_DECODER = json.JSONDecoder()
_FETCHED_ALONG = 1 << 16


class TaskIndex:
    """What one attempt of a task has stored.

    Attributes
    ----------
    objects : dict of str to str
        Artifact name to blob key.
    info : dict of str to dict
        Artifact name to ``{"size": bytes, "type": text, "encoding": text, …}``.
    attempt : int
        The attempt's number, from 0.
    names : list of str
        Names of the task's files, if the index was read by `read_indexes`.
    """

    __slots__ = ("_info", "_place", "_text", "attempt", "names", "objects")

    def __init__(self, objects: dict[str, str], info: dict[str, dict[str, Any]] | None, attempt: int = 0) -> None:
        self.objects = objects
        self._info = info
        self._text = self._place = ""
        self.attempt = attempt
        self.names: list[str] = []

    @property
    def info(self) -> dict[str, dict[str, Any]]:
        if self._info is None:
            self._info = _parsed(self._text, self._place).info
        return self._info

    @property
    def text(self) -> str | None:
        """The file that it was read from, for an index that nobody changes; None of an index that was made."""
        return self._text or None

    @classmethod
    def parse(cls, data: bytes, attempt: int, place: str) -> TaskIndex:
        """Return the index in the content of the file at `place`.

        Of an index as both programs write it the names and keys are read, a fifth of the text; the rest when somebody
        asks for it.

        Raises
        ------
        DataDamaged
            It is no index; also by `info`, later.
        """
        if not data:
            raise DataDamaged(place, "it is empty")
        text = data.decode(errors="replace")
        start, end = text.find('"objects": {'), text.rfind(', "info": {')
        if 0 < start < end and text.endswith("}}}"):
            try:
                objects, stop = _DECODER.raw_decode(text, start + len('"objects": '))
            except ValueError:
                stop = -1
            if stop == end and _names_keys(objects):
                index = cls(objects, None, attempt)
                index._text, index._place = text, place
                return index
        parsed = _parsed(text, place)
        return cls(parsed.objects, parsed.info, attempt)


class _Parsed(NamedTuple):
    objects: dict[str, str]
    info: dict[str, dict[str, Any]]


def _parsed(text: str, place: str) -> _Parsed:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataDamaged(place, f"it is not JSON ({error})") from error
    objects = document.get("objects") if isinstance(document, dict) else None
    if objects is None or not _names_keys(objects):
        raise DataDamaged(place, "it is no index of artifacts: 'objects' does not name their hashes")
    info = document.get("info", {})
    if not isinstance(info, dict) or not all(map(_is_info, info.values())):
        raise DataDamaged(place, "it is no index of artifacts: 'info' does not say their sizes")
    return _Parsed(objects, info)


def _names_keys(objects: Any) -> bool:
    return isinstance(objects, dict) and all(isinstance(key, str) for key in objects.values())


def _is_info(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("size", 0), int)


class Artifacts(Mapping[str, Any]):
    """The artifacts of one attempt as a mapping that loads a value when it is asked for, and keeps none.

    Parameters
    ----------
    blobs : Blobs
        The flow's blobs.
    index : TaskIndex
        What the attempt has stored.
    siblings : Siblings, optional
        Tasks that will be asked the same.
    """

    __slots__ = ("_siblings", "blobs", "index")

    def __init__(self, blobs: Blobs, index: TaskIndex, siblings: Siblings | None = None) -> None:
        self.blobs = blobs
        self.index = index
        self._siblings = siblings

    def __getitem__(self, name: str) -> Any:
        key = self.index.objects[name]
        content = self._siblings.content(name, key) if self._siblings is not None else None
        if content is not None:
            return serializers.loads(content, name)
        return load_artifact(self.blobs, key, name, self.index.info.get(name, {}).get("size"))

    def fetch(self, *names: str) -> None:
        """Fetch small artifacts that are about to be asked for, where that spares round trips."""
        self._siblings = self._siblings or Siblings(self.blobs, [self.index])
        self._siblings.fetch(names)

    def __contains__(self, name: object) -> bool:
        return name in self.index.objects

    def __iter__(self) -> Iterator[str]:
        return iter(self.index.objects)

    def __len__(self) -> int:
        return len(self.index.objects)


class Siblings:
    """Tasks whose artifacts are read one after the other: a small one that is asked of one is fetched of all.

    Parameters
    ----------
    blobs : Blobs
        The flow's blobs.
    indexes : list of TaskIndex
        What the tasks have stored.
    """

    def __init__(self, blobs: Blobs, indexes: list[TaskIndex]) -> None:
        self._blobs = blobs
        self._indexes = indexes
        self._contents: dict[str, bytes] = {}
        self._names: set[str] = set()

    def content(self, name: str, key: str) -> bytes | None:
        """Return the pickle of the artifact `name` with the blob `key`; None if it is too big to be fetched along."""
        self.fetch([name])
        return self._contents.get(key)

    def fetch(self, names: Iterable[str]) -> None:
        """Fetch the small ones among the artifacts with these names, of all tasks at once."""
        new = set(names) - self._names
        self._names |= new
        places = [(index, name) for index in self._indexes for name in new if name in index.objects]
        keys = {index.objects[name] for index, name in places if _size(index, name) <= _FETCHED_ALONG}
        wanted = list(keys - self._contents.keys())
        self._contents.update(zip(wanted, self._blobs.load_many(wanted), strict=True))


def _size(index: TaskIndex, name: str) -> int:
    """Return the bytes of an artifact's pickle; if the index does not say, as many as may be many."""
    return int(index.info.get(name, {}).get("size", SPOOL_ABOVE + 1))


def load_artifact(blobs: Blobs, key: str, name: str, size: int | None = None) -> Any:
    """Load and unpickle one artifact.

    Parameters
    ----------
    blobs : Blobs
        The flow's blobs.
    key : str
        SHA-1 of the pickle.
    name : str
        The artifact's name, for errors.
    size : int, optional
        Bytes of the pickle, if known.

    Raises
    ------
    MetaflowDataMissing
        The blob is missing, or a class it needs cannot be imported.
    BlobCorrupt
        Its bytes are not those of its name.
    """
    if size is None or size > SPOOL_ABOVE:
        with blobs.open(key) as reader:
            return serializers.load(reader, name)
    return serializers.loads(blobs.load(key), name)


def save_artifacts(blobs: Blobs, values: Iterable[tuple[str, Any]], index: TaskIndex) -> None:
    """Pickle and store `values`, and add them to `index`.

    A big value under a name that the index has already, read from there and perhaps changed since, is first only
    hashed: mostly it is what is stored, and needs not be written again.

    Raises
    ------
    UnpicklableArtifact
        One of them refuses; names the member at fault.
    """
    small: list[tuple[str, Any, bytes]] = []
    for name, value in values:
        writer = blobs.writer()
        try:
            if _is_stored(index, name, value):
                continue
            serializers.dump(value, writer)
        except BaseException as error:
            writer.discard()
            if isinstance(error, Exception) and _is_refusal(error):
                raise serializers.explain(name, value, error) from error
            raise
        if writer.in_memory:
            small.append((name, value, writer.content()))
        else:
            _enter(index, name, value, writer.finish(), writer.size)
    for (name, value, content), key in zip(small, blobs.save(content for _, _, content in small), strict=True):
        _enter(index, name, value, key, len(content))


def _is_stored(index: TaskIndex, name: str, value: Any) -> bool:
    if name not in index.objects or index.info.get(name, {}).get("size", 0) <= SPOOL_ABOVE:
        return False
    sha = Sha1()
    serializers.dump(value, sha)
    return sha.hexdigest() == index.objects[name]


def _is_refusal(error: Exception) -> bool:

    return not isinstance(error, (MetaflowException, OSError, MemoryError))


def _enter(index: TaskIndex, name: str, value: Any, key: str, size: int) -> None:
    index.objects[name] = key
    index.info[name] = {
        "size": size,
        "type": str(type(value)),
        "encoding": serializers.ENCODING,
        "serializer_info": {"source": "metaflow"},
    }


class TaskStore:
    """One task's place in a storage.

    Parameters
    ----------
    storage : Storage
        Where.
    task : str
        ``flow/run/step/task``.
    """

    def __init__(self, storage: Storage, task: str) -> None:
        self._storage = storage
        self.prefix = task

    def begun(self, attempt: int, now: float) -> tuple[str, bytes]:
        """Return what marks the attempt as begun at `now` (seconds since the epoch)."""
        return layout.attempt_file(self.prefix, attempt, layout.BEGUN), json.dumps({"time": now}).encode()

    def index(self, index: TaskIndex) -> tuple[str, bytes]:
        """Return the index as it is stored; all blobs that it names must be there."""
        text = index.text
        if text is None:
            document = {
                "datastore": self._storage.kind,
                "version": "1.0",
                "attempt": index.attempt,
                "python_version": sys.version,
                "objects": index.objects,
                "info": index.info,
            }
            text = json.dumps(document)
        return layout.attempt_file(self.prefix, index.attempt, layout.INDEX), text.encode()

    def done(self, attempt: int) -> tuple[str, bytes]:
        """Return what marks the attempt as ended: last of all."""
        return layout.attempt_file(self.prefix, attempt, layout.DONE), b'""'

    def write(self, item: tuple[str, bytes]) -> None:
        """Write one of the above."""
        self._storage.put([item], overwrite=True)

    def names(self) -> list[str]:
        """Return the names of the task's files.

        Raises
        ------
        DataDamaged
            What should be a file is a directory.
        """
        names = []
        for key, is_object in self._storage.list(self.prefix):
            name = layout.file_name(key)
            if is_object:
                names.append(name)
            elif layout.is_attempt_file(name):
                raise DataDamaged(self._storage.describe(key), "it is a directory")
        return names

    def attempts(self) -> tuple[list[int], list[int]]:
        """Return the numbers of the attempts that have begun, and of those that are done; both sorted."""
        names = self.names()
        return layout.attempts_with(layout.BEGUN, names), layout.attempts_with(layout.DONE, names)

    def read_index(self, attempt: int | None = None) -> TaskIndex | None:
        """Read an attempt's index: the latest that is done, or that of `attempt`, done or not."""
        if attempt is None:
            return read_indexes(self._storage, [self.prefix])[0]
        return self.parse(attempt, self.index_content(attempt))

    def index_content(self, attempt: int) -> bytes | None:
        """Return an attempt's index as it is stored; None if there is none."""
        return next(iter(self._storage.get([layout.attempt_file(self.prefix, attempt, layout.INDEX)])))[1]

    def parse(self, attempt: int, content: bytes | None) -> TaskIndex | None:
        """Return what `index_content` returned as an index.

        Raises
        ------
        DataDamaged
            It is no index.
        """
        return None if content is None else TaskIndex.parse(content, attempt, self._index_place(attempt))

    def missing_index(self, attempt: int) -> DataDamaged:
        """Return the error for an attempt that is done, and so must have an index, and has none."""
        return DataDamaged(self._index_place(attempt), "it is not there, though the attempt is done")

    def _index_place(self, attempt: int) -> str:
        return self._storage.describe(layout.attempt_file(self.prefix, attempt, layout.INDEX))


def read_index(storage: Storage, task: str, attempt: int | None = None) -> TaskIndex | None:
    """Read the index of ``flow/run/step/task``: of the latest attempt that is done, or of `attempt`."""
    return TaskStore(storage, task).read_index(attempt)


def read_parameters(storage: Storage, flow: str, run: str) -> TaskIndex | None:
    """Read the index of a run's pseudo-task; a service may call it otherwise than 0."""
    step = f"{flow}/{run}/{layout.PARAMETERS}"
    index = read_index(storage, f"{step}/0")
    if index is None:
        names = [layout.file_name(entry.key) for entry in storage.list(step) if not entry.is_object]
        index = next((read_index(storage, f"{step}/{name}") for name in names if not name.startswith("_")), None)
    return index


def read_indexes(storage: Storage, tasks: Sequence[str]) -> list[TaskIndex | None]:
    """Read the indexes of the latest attempts that are done of several tasks; None for a task that has none.

    The first attempt's index is asked for beside the list of attempts, since mostly there is no other: behind a network
    that is one round trip, for all tasks together.
    """
    stores = [TaskStore(storage, task) for task in tasks]
    questions: list[Callable[[], Any]] = [store.names for store in stores]
    questions += [partial(store.index_content, 0) for store in stores]
    results = list(overlap(_call, questions, 2 * storage.concurrency if storage.concurrency > 1 else 1))
    return [
        _latest(store, names, content)
        for store, names, content in zip(stores, results[: len(stores)], results[len(stores) :], strict=True)
    ]


def _latest(store: TaskStore, names: list[str], first: bytes | None) -> TaskIndex | None:
    done = layout.attempts_with(layout.DONE, names)
    if not done:
        return None
    attempt = done[-1]
    index = store.parse(attempt, first if first is not None and attempt == 0 else store.index_content(attempt))
    if index is None:
        raise store.missing_index(attempt)
    index.names = names
    return index


def _call(question: Callable[[], Any]) -> Any:
    return question()
