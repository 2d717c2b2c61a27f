"""Who carries out a run, and does that process still live? One small file per run, beside its metadata.

The process that carries out a run takes the run's lease when it begins: host, boot, process id and when that process
started, so that neither a reboot nor a reused process id makes a dead run look alive. It renews the lease every few
seconds by touching the file, which is for readers on other hosts and in other containers, who cannot look at the
process. When the run ends, well or not, the lease says so and why. A lease that was never ended and whose holder is
gone means: killed.

The ending must be told on a full disk too: then it is written over the old text, whose place the file keeps free.

Start reading at `LocalLease.status`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from metaflow import files, registry
from metaflow.exception import DataDamaged, RunFailed, StorageUnavailable, TaskFailed

if TYPE_CHECKING:
    from metaflow.metadata_provider.protocol import Catalog, Recorder, TaskPath

RENEWED_EVERY = 10.0
"""Seconds between two renewals."""
LOST_AFTER = 90.0
"""Seconds without a renewal after which a holder that cannot be looked at counts as gone."""

_STATES = ("running", "successful", "failed", "interrupted")
_ROOM = 2048
"""Bytes that the file takes from the beginning, enough for every ending."""


class RunStatus(NamedTuple):
    """How a run is doing, or how it ended.

    Attributes
    ----------
    state : str
        ``running``, ``successful``, ``failed``, ``interrupted``, or ``lost``: its process is gone.
    failure : TaskFailed or None
        Why it failed, was interrupted or is lost.
    ended : float or None
        When it ended, in seconds since the epoch; None if it did not, or nothing tells.
    """

    state: str
    failure: TaskFailed | None = None
    ended: float | None = None

    def record(self) -> dict[str, Any]:
        """Return it as plain values, to be stored."""
        return {**self._asdict(), "failure": self.failure.record() if self.failure is not None else None}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RunStatus:
        """Return what `record` has made plain values of."""
        failure = record.get("failure")
        return cls(record["state"], TaskFailed.from_record(failure) if failure else None, record.get("ended"))


class Lease(Protocol):
    """What is known of the process that carries out a run; `LocalLease` says what the methods do."""

    def take(self) -> None: ...

    def renew(self, tasks: Sequence[TaskPath] = ()) -> None: ...

    def check(self) -> None: ...

    def end(self, state: str, failure: TaskFailed | None = None) -> None: ...

    def keep(self, status: RunStatus) -> None: ...

    def status(self) -> RunStatus | None: ...


class LocalLease:
    """The lease of one run.

    Parameters
    ----------
    metadata : Recorder or Catalog
        Local metadata.
    flow, run : str
        Names.
    """

    kind = "local"

    def __init__(self, metadata: Recorder | Catalog, flow: str, run: str) -> None:
        self._path = f"{metadata.root}/{flow}/{run}/_meta/lease.json"
        self._holder: dict[str, Any] = {}

    def take(self) -> None:
        """Say that this process carries out the run.

        Raises
        ------
        StorageUnavailable
            It cannot be written.
        """
        pid = os.getpid()
        self._holder = {**_here(), "pid": pid, "started": _started(pid)}
        files.write(self._path, _text({"holder": self._holder, "state": "running"}))

    def renew(self, tasks: Sequence[TaskPath] = ()) -> None:
        """Say that it still does; its tasks can be seen to run."""
        try:
            os.utime(self._path)
        except OSError:
            pass  # a disk that is away: the next renewal may reach it

    def check(self) -> None:
        """Make sure that the run is still kept.

        Raises
        ------
        StorageUnavailable
            Its folder is gone.
        """
        if self._is_gone():
            folder = os.path.dirname(os.path.dirname(self._path))
            raise StorageUnavailable(
                f"The folder of the run is gone: {folder}. It was deleted or moved while the run was going on.",
                hint="start the run again; what its tasks stored there is lost, unless the folder was moved",
            )

    def _is_gone(self) -> bool:
        return bool(self._holder) and not os.path.exists(self._path)

    def end(self, state: str, failure: TaskFailed | None = None) -> None:
        """Say how the run ended, if it is still kept; `state` as in `RunStatus`."""
        if not self._is_gone():
            self.keep(RunStatus(state, failure, round(time.time(), 3)))

    def keep(self, status: RunStatus) -> None:
        """Say how the run ended, here or elsewhere."""
        document = {"holder": self._holder, **status.record()}
        try:
            files.write(self._path, _text(document))
        except StorageUnavailable:
            self._write_over(document)

    def _write_over(self, document: dict[str, Any]) -> None:
        """Write into the place that the file has, with as much of the reason as there is room for."""
        failure = document["failure"]
        if len(_text(document)) > _ROOM and failure is not None:
            document = {**document, "failure": {"kind": failure["kind"], "message": failure["message"][:200]}}
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(fd, _text(document), 0)
            finally:
                os.close(fd)
        except OSError:
            pass  # then the run counts as lost as soon as this process has ended

    def status(self) -> RunStatus | None:
        """Return how the run is doing; None if it has no lease, as runs of Metaflow have none.

        Raises
        ------
        DataDamaged
            The lease cannot be read.
        """
        data = files.read(self._path)
        if data is None:
            if os.path.isdir(self._path):
                raise DataDamaged(self._path, "it is a directory")
            return None
        try:
            document = json.loads(data)
            if document["state"] not in _STATES:
                raise ValueError(f"state {document['state']!r}")
            if document["state"] != "running":
                return RunStatus.from_record(document)
            reason = self._why_lost(document["holder"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataDamaged(self._path, f"it is no lease ({type(error).__name__}: {error})") from error
        if reason is None:
            return RunStatus("running")
        holder = document["holder"]
        message = f"the process that carried out the run (pid {holder['pid']} on {holder['host']}) is gone: {reason}"
        return RunStatus("lost", RunFailed(message, hint="`resume` goes on from what had finished", cause="lost"))

    def _why_lost(self, holder: dict[str, Any]) -> str | None:
        here = _here()
        if holder["host"] == here["host"] and holder["boot"] != here["boot"]:
            return "the machine was started anew since"
        if {name: holder[name] for name in here} == here:
            if _started(holder["pid"]) == holder["started"]:
                return None
            return "it was killed or crashed without a word"
        silent = time.time() - _modified(self._path)
        return f"it has given no sign for {silent:.0f} s" if silent > LOST_AFTER else None


class NoLease:
    """The lease of a run whose metadata keep none."""

    def take(self) -> None:
        pass

    def renew(self, tasks: Sequence[TaskPath] = ()) -> None:
        pass

    def check(self) -> None:
        pass

    def end(self, state: str, failure: TaskFailed | None = None) -> None:
        pass

    def keep(self, status: RunStatus) -> None:
        pass

    def status(self) -> RunStatus | None:
        return None


def lease_of(metadata: Recorder | Catalog, flow: str, run: str) -> Lease:
    """Return the lease of a run, of the kind that its metadata keep."""
    if metadata.kind not in registry.names("lease"):
        return NoLease()
    lease: Lease = registry.load("lease", metadata.kind)(metadata, flow, run)
    return lease


def _text(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode().ljust(_ROOM)


def _here() -> dict[str, str]:
    """Return what two processes have in common that can see each other's process id."""
    return {
        "host": os.uname().nodename,
        "boot": (files.read("/proc/sys/kernel/random/boot_id") or b"").decode().strip(),
        "processes": _link("/proc/self/ns/pid"),
    }


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Return when a process started, in the kernel's clock; None if there is none; "?" where nothing tells."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, *rest = file.read().rpartition(b")")[2].split()
        return None if state in (b"Z", b"X") else rest[18].decode()
    except (FileNotFoundError, ProcessLookupError):
        if os.path.isdir("/proc/self"):
            return None
    except OSError:
        return "?"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "?"


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return time.time()
