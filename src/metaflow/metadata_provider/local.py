"""Metadata in plain JSON files, beside the data of a local storage.

The layout is that of Metaflow 2.19, below one root::

    <flow>/latest_run                                        id of the newest run
    <flow>/_meta/_self.json                                  the document of a flow; likewise of a run, step and task
    <flow>/<run>/<step>/<task>/_meta/sysmeta_<field>_<ms>.json      one fact
    <flow>/<run>/<step>/<task>/_meta/<attempt>_artifact_<name>.json one artifact

Every task of a run writes some two dozen of these files, so writing is what this module is shaped by: one descriptor
per directory, the common part of the texts rendered once; no fsync. A task that is known whole gets its own document
last, so that nobody sees it before. Reading passes over files with other names, such as a run's lease
(`metaflow.metadata_provider.lease`); a document that is damaged is an error that names it. Start at
`LocalMetadata.record` for the writing, at `LocalMetadata.get` for the reading.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from json.encoder import encode_basestring_ascii as quote
from operator import itemgetter
from typing import Any, cast

from metaflow import files
from metaflow.exception import DataDamaged, MetaflowNotFound
from metaflow.metadata_provider import tags as tag_rules
from metaflow.metadata_provider.protocol import (
    ArtifactFact,
    Document,
    Fact,
    ListedRun,
    TaskPath,
    WholeAttempt,
    WritesAtOnce,
    missing,
    unclaimed,
)

_META = "_meta"
_SELF = "_self.json"
_OWN_NAME = ("flow_id", "run_number", "step_name", "task_id", "name")
"""What the document of an object has its own name under, by the depth of its path."""
_told: dict[Any, Any] = {}
"""Which directories that cannot be read were told about in this process."""
_SETTLED = 10.0
"""Seconds after a directory's last change from which on a listing of it holds until the next one."""
_WORTH_KEEPING = 1000
"""Runs of a flow from which on their listing is kept in memory."""
_DIGITS_OF_TIMES = 16
"""Of an id that is the time of its run in microseconds, from 2001 to 2286."""
_LATEST = 253_402_300_800_000
"""Milliseconds from the epoch to the year 10000."""


class LocalMetadata(WritesAtOnce):
    """Facts in files below a directory (`metaflow.metadata_provider.protocol.Metadata`).

    Parameters
    ----------
    root : str
        Absolute path of the directory; made when the first run is registered.
    user : str
        Who writes: `user_name` of new documents.
    """

    kind = "local"

    def __init__(self, root: str, user: str = "") -> None:
        self.root = root
        self.user = user
        self._listed: dict[str, tuple[float, list[ListedRun]]] = {}

    def new_run(
        self,
        flow: str,
        *,
        tags: Iterable[str],
        system_tags: Iterable[str],
        claim: Callable[[str], None] = unclaimed,
    ) -> str:
        """Register a run; its id is the time in microseconds.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            The directory cannot be written.
        """
        top = f"{self.root}/{flow}"
        try:
            os.makedirs(top, exist_ok=True)
            number = time.time_ns() // 1000
            while True:
                try:
                    os.mkdir(f"{top}/{number}")
                    break
                except FileExistsError:
                    number += 1
        except OSError as error:
            files.unavailable(error, top)
        run = str(number)
        claim(run)
        self._introduce(top, {"flow_id": flow})
        document = {"run_number": run, "flow_id": flow, "user_name": self.user}
        self._introduce(f"{top}/{run}", document | {"tags": list(tags), "system_tags": list(system_tags)})
        files.write(f"{top}/latest_run", run.encode())
        return run

    def latest_run(self, flow: str) -> str | None:
        path = f"{self.root}/{flow}/latest_run"
        data = files.read(path)
        if data is None:
            if os.path.isdir(path):
                raise DataDamaged(path, "it is a directory")
            return None
        run = data.decode(errors="replace").strip()
        if not run.isprintable() or not run or "/" in run:
            raise DataDamaged(path, "it does not name a run")
        if not os.path.isdir(f"{self.root}/{flow}/{run}"):
            if os.path.isdir(f"{os.path.dirname(self.root)}/.metaflow_spin/{flow}/{run}"):
                # Metaflow's spin has written its own id here.
                return max(filter(str.isdecimal, self.names((flow,))), key=int, default=None)
            raise DataDamaged(path, f"it names the run '{run}', which is not there")
        return run

    def register_task(
        self, task: TaskPath, *, tags: Iterable[str], system_tags: Iterable[str], whole: WholeAttempt | None = None
    ) -> None:
        flow, run, step, name = task
        marks = {"flow_id": flow, "user_name": self.user, "tags": list(tags), "system_tags": list(system_tags)}
        path = f"{self.root}/{flow}/{run}/{step}"
        self._introduce(path, {"run_number": run, "step_name": step} | marks)
        document = {"run_number": run, "step_name": step, "task_id": name} | marks
        if whole is None:
            self._introduce(f"{path}/{name}", document)
        elif not self._introduce_whole(task, document, whole):
            self._introduce(f"{path}/{name}", document)
            artifacts = [*whole.artifacts, *whole.shared]
            self.record_artifacts(
                task, 0, artifacts, storage=whole.storage, tags=marks["tags"], system_tags=marks["system_tags"]
            )
            self.record(task, 0, whole.facts)

    def _introduce_whole(self, task: TaskPath, document: Document, whole: WholeAttempt) -> bool:
        """Write all documents of a task into a new directory, its own last; False if there is one."""
        directory = self._task_directory(task)
        now = time.time_ns() // 1_000_000
        fact, artifact = self._fact_text(task, 0), self._artifact_text(task, 0, document, whole.storage)
        texts = {f"sysmeta_{each.name}_{now}.json": f"{fact(each)}{now}}}" for each in whole.facts}
        texts |= {f"0_artifact_{each.name}.json": artifact(each) for each in whole.artifacts}
        there = self._task_directory(whole.origin) if whole.origin is not None else directory
        try:
            files.make_directory(os.path.dirname(directory))
            try:
                os.mkdir(directory)
            except FileExistsError:
                return False
            _fill(directory, texts, whole.shared, artifact, there)
            files.create(f"{directory}/{_SELF}", json.dumps(document | {"ts_epoch": now}).encode())
        except OSError as error:
            _discard_directory(directory)
            files.unavailable(error, directory)
        return True

    def _fact_text(self, task: TaskPath, attempt: int | None) -> Callable[[Fact], str]:
        """Return what makes the text of a fact, all but the time and the last brace."""
        flow, run, step, name = task
        label = "" if attempt is None else f'"attempt_id:{attempt}"'
        head = (
            f'{{"flow_id": {quote(flow)}, "run_number": {quote(run)}, "step_name": {quote(step)}, '
            f'"task_id": {quote(name)}, "field_name": '
        )
        tail = f', "tags": [{label}], "user_name": {quote(self.user)}, "ts_epoch": '

        def text(fact: Fact) -> str:
            value = quote(fact.value) if isinstance(fact.value, str) else json.dumps(fact.value)
            return f'{head}{quote(fact.name)}, "type": {quote(fact.type)}, "value": {value}{tail}'

        return text

    def record(self, task: TaskPath, attempt: int | None, facts: Sequence[Fact]) -> None:
        stamp = time.time_ns() // 1_000_000
        text = self._fact_text(task, attempt)
        directory = self._task_directory(task)
        fd = _open_directory(directory)
        field = ""
        try:
            for fact in facts:
                field, body = fact.name, text(fact)
                at = stamp
                # Two facts of one field in one millisecond, here or in another process: the later moves on.
                while not files.create(
                    f"sysmeta_{field}_{at}.json", f"{body}{at}}}".encode(), overwrite=False, dir_fd=fd
                ):
                    at += 1
        except OSError as error:
            files.unavailable(error, f"{directory}/sysmeta_{field}")
        finally:
            os.close(fd)

    def record_artifacts(
        self,
        task: TaskPath,
        attempt: int,
        artifacts: Sequence[ArtifactFact],
        *,
        storage: tuple[str, str],
        tags: Iterable[str],
        system_tags: Iterable[str],
    ) -> None:
        text = self._artifact_text(task, attempt, {"tags": list(tags), "system_tags": list(system_tags)}, storage)
        directory = self._task_directory(task)
        fd = _open_directory(directory)
        artifact = ""
        try:
            for each in artifacts:
                artifact = each.name
                files.create(f"{attempt}_artifact_{artifact}.json", text(each).encode(), dir_fd=fd)
        except OSError as error:
            files.unavailable(error, f"{directory}/{attempt}_artifact_{artifact}.json")
        finally:
            os.close(fd)

    def _artifact_text(
        self, task: TaskPath, attempt: int, marks: Document, storage: tuple[str, str]
    ) -> Callable[[ArtifactFact], str]:
        """Return what makes the text of an artifact's document."""
        flow, run, step, name = task
        kind, root = storage
        head = (
            f'{{"run_number": {quote(run)}, "step_name": {quote(step)}, "task_id": {quote(name)}, '
            f'"attempt_id": {attempt}, "name": '
        )
        tail = (
            f'", "ds_type": {quote(kind)}, "location": {quote(f":root:{root}")}, "flow_id": {quote(flow)}, '
            f'"user_name": {quote(self.user)}, "tags": {_listed(tuple(marks["tags"]))}, '
            f'"system_tags": {_listed(tuple(marks["system_tags"]))}, "ts_epoch": {time.time_ns() // 1_000_000}}}'
        )

        def text(artifact: ArtifactFact) -> str:
            return (
                f'{head}{quote(artifact.name)}, "content_type": {quote(artifact.content_type)}, '
                f'"type": {quote(artifact.type)}, "sha": "{artifact.sha}{tail}'
            )

        return text

    def get(self, path: Sequence[str], attempt: int = 0) -> Document | None:
        name = _SELF if len(path) < 5 else f"{attempt}_artifact_{path[4]}.json"
        return _read("/".join((self.root, *path[:4], _META, name)), _OWN_NAME[len(path) - 1])

    def names(self, path: Sequence[str]) -> list[str]:
        directory = "/".join((self.root, *path))
        try:
            names = os.listdir(directory)
        except OSError as error:
            if files.is_absent(error):
                return []
            files.unavailable(error, directory, "read")
        return [name for name in names if _is_registered(f"{directory}/{name}")]

    def children(self, path: Sequence[str]) -> Iterator[Document]:
        for name in self.names(path):
            document = self.get((*path, name))
            if document is not None:
                yield document

    def facts(self, path: Sequence[str], field: str | None = None) -> list[Document]:
        found = list(self._facts(path, None if field is None else (field,)))
        found.sort(key=lambda document: (document["ts_epoch"], document["field_name"]))
        return found

    def _facts(self, path: Sequence[str], fields: Collection[str] | None) -> Iterator[Document]:
        directory = "/".join((self.root, *path, _META))
        try:
            names = os.listdir(directory)
        except OSError as error:
            if files.is_absent(error):
                _read(f"{directory}/{_SELF}")  # raises if the directory is a file
                return
            files.unavailable(error, directory, "read")
        for name in names:
            prefix, _, stamp = name.rpartition("_")
            if not prefix.startswith("sysmeta_") or not stamp.endswith(".json"):
                continue
            if fields is None or prefix.removeprefix("sysmeta_") in fields:
                document = _read(f"{directory}/{name}", "field_name", "value")
                if document is not None:
                    yield document

    def facts_below(self, path: Sequence[str], fields: Collection[str]) -> Iterator[Document]:
        if len(path) < 4:
            for name in self.names(path):
                yield from self.facts_below((*path, name), fields)
        else:
            for document in self._facts(path, fields):
                yield document | {"step_name": path[2], "task_id": path[3]}

    def newest(
        self,
        flow: str,
        before: int | None = None,
        filters: Mapping[str, str] | None = None,
        page_size: int | None = None,
    ) -> Iterator[ListedRun]:
        listed = self._newest(f"{self.root}/{flow}", flow)
        start = 0 if before is None else bisect_left(listed, 1 - before, key=lambda run: -run.began)
        return islice(listed, start, None)

    def _newest(self, directory: str, flow: str) -> list[ListedRun]:
        """Return the runs of a flow, newest first; as they were the last time, if nothing came or went since."""
        try:
            changed = os.stat(directory).st_mtime
            known = self._listed.get(flow)
            if known is not None and known[0] == changed:
                return known[1]
            names = os.listdir(directory)
        except OSError as error:
            if files.is_absent(error):
                return []
            files.unavailable(error, directory, "read")
        found = []
        for name in names:
            if len(name) == _DIGITS_OF_TIMES and name.isdecimal():
                found.append(ListedRun(int(name) // 1000, name))
            elif _is_registered(f"{directory}/{name}") and (document := self.get((flow, name))) is not None:
                found.append(ListedRun(int(document["ts_epoch"]), name))
        found.sort(key=itemgetter(0, 1), reverse=True)
        # A clock may stand still for some milliseconds, and a network's file system for some seconds.
        if len(found) > _WORTH_KEEPING and changed < time.time() - _SETTLED:
            self._listed[flow] = (changed, found)
        return found

    def change_tags(self, flow: str, run: str, *, add: Iterable[str], remove: Iterable[str]) -> list[str]:
        import fcntl

        directory = f"{self.root}/{flow}/{run}/{_META}"
        target = f"{directory}/{_SELF}"
        if not os.path.exists(target):
            raise MetaflowNotFound(f"There is no run {flow}/{run}.")
        try:
            lock = os.open(f"{directory}/.tags.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            files.unavailable(error, target)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            document = self.get((flow, run))
            if document is None:
                raise MetaflowNotFound(f"There is no run {flow}/{run}.")
            system = document.get("system_tags", [])
            user = tag_rules.changed(document.get("tags", []), system, add=add, remove=remove)
            files.write(target, json.dumps(document | {"tags": user}).encode())
        finally:
            os.close(lock)
        return user

    # --- copies of what is elsewhere ---------------------------------------------------------------------------------

    def artifacts(self, task: Sequence[str]) -> list[Document]:
        """Return the artifacts of all attempts of a task."""
        directory = "/".join((self.root, *task, _META))
        try:
            names = os.listdir(directory)
        except OSError as error:
            if files.is_absent(error):
                return []
            files.unavailable(error, directory, "read")
        documents = [_read(f"{directory}/{name}", "name") for name in names if "_artifact_" in name]
        return [document for document in documents if document is not None]

    def keep(self, path: Sequence[str], document: Document) -> None:
        """Register a flow, run, step or task as it is elsewhere, unless it is there."""
        directory = "/".join((self.root, *path))
        files.write(f"{directory}/{_META}/{_SELF}", json.dumps(document).encode(), overwrite=False)
        if len(path) == 2:
            latest = next(iter(self.newest(path[0])))
            files.write(f"{self.root}/{path[0]}/latest_run", latest.run.encode())

    def keep_facts(self, task: TaskPath, facts: Sequence[Document]) -> None:
        """Add those facts that a task does not have."""
        for fact in missing(facts, self.facts(task)):
            stamp, text = int(fact["ts_epoch"]), json.dumps(fact).encode()
            name = f"{self._task_directory(task)}/sysmeta_{fact['field_name']}"
            while not files.write(f"{name}_{stamp}.json", text, overwrite=False):
                stamp += 1

    def keep_artifacts(self, task: TaskPath, artifacts: Sequence[Document]) -> None:
        """Add artifacts."""
        for each in artifacts:
            name = f"{each['attempt_id']}_artifact_{each['name']}.json"
            files.write(f"{self._task_directory(task)}/{name}", json.dumps(each).encode())

    def _task_directory(self, task: TaskPath) -> str:
        return f"{self.root}/{task[0]}/{task[1]}/{task[2]}/{task[3]}/{_META}"

    def _introduce(self, path: str, document: Document) -> None:
        """Write the document of `path` unless there is one."""
        target = f"{path}/{_META}/{_SELF}"
        if not os.path.exists(target):
            text = json.dumps(document | {"ts_epoch": time.time_ns() // 1_000_000})
            files.write(target, text.encode(), overwrite=False)  # of siblings that come at once, the first wins


@lru_cache(maxsize=4)
def _listed(texts: tuple[str, ...]) -> str:
    return json.dumps(texts)


def _read(path: str, *needed: str) -> Document | None:
    """Return the JSON object in a file, which has `needed`, or None if there is no such file.

    Raises
    ------
    DataDamaged
        The file holds something else.
    """
    data = files.read(path)
    if data is None:
        for each, is_wrong in ((path, os.path.isdir), (os.path.dirname(path), os.path.isfile)):
            if is_wrong(each):
                raise DataDamaged(each, f"it is {'a' if each == path else 'no'} directory")
        return None
    if not data:
        raise DataDamaged(path, "it is empty")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataDamaged(path, f"it is not JSON ({error})") from error
    fault = _fault(document, needed)
    if fault is not None:
        raise DataDamaged(path, fault)
    return cast(Document, document)


def _is_registered(path: str) -> bool:
    """Tell whether a directory has the document of an object; one that cannot be looked into is told about."""
    try:
        os.stat(f"{path}/{_META}/{_SELF}")
    except NotADirectoryError:
        if os.path.isdir(path):
            raise DataDamaged(f"{path}/{_META}", "it is no directory") from None
        return False
    except OSError as error:
        if files.is_absent(error):
            return False
        reason = os.strerror(error.errno) if error.errno else str(error)
        warnings.warn_explicit(f"cannot be read, and is left out: {reason}", UserWarning, path, 1, registry=_told)
        return False
    return True


def _fault(document: Any, needed: Iterable[str]) -> str | None:
    """Return what is wrong with a document, None if nothing is."""
    if not isinstance(document, dict):
        return "it is not a JSON object"
    missing = [name for name in ("ts_epoch", *needed) if name not in document]
    if missing:
        return f"'{missing[0]}' is missing"
    when = document["ts_epoch"]
    if not isinstance(when, (int, float)) or not 0 <= when < _LATEST:
        return "'ts_epoch' is not a time"
    for name in ("tags", "system_tags"):
        tags = document.get(name, [])
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            return f"'{name}' is not a list of strings"
    return None


def _open_directory(path: str) -> int:
    try:
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            files.make_directory(path)
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        files.unavailable(error, path)


class SpinMetadata(LocalMetadata):
    """Facts about spun tasks, beside their results in ``.metaflow_spin``."""

    kind = "spin"


def _fill(
    directory: str,
    texts: dict[str, str],
    shared: Iterable[ArtifactFact],
    text_of: Callable[[ArtifactFact], str],
    there: str,
) -> None:
    """Write documents into a new directory; those of `shared` artifacts are links to those `there`, if they can be."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name, text in texts.items():
            files.create(name, text.encode(), dir_fd=fd)
        for artifact in shared:
            name = f"0_artifact_{artifact.name}.json"
            try:
                os.link(f"{there}/{name}", name, dst_dir_fd=fd)
            except OSError:  # not recorded there, or the file system has no links
                files.create(name, text_of(artifact).encode(), dir_fd=fd)
    finally:
        os.close(fd)


def _discard_directory(path: str) -> None:
    try:
        for name in os.listdir(path):
            os.unlink(f"{path}/{name}")
        os.rmdir(path)
    except OSError:
        pass
