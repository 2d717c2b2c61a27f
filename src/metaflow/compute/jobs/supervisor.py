"""The main process of a task's container: runs the task, keeps its log, and says in the end how it went.

It forks one child, which becomes ``python flow.py … step …``, before any thread or storage client exists. It reads the
child's streams, copies the lines to the container's own streams and hands them to the `SegmentWriter`. When the child
has ended it ends what is left of it, puts the logs, and last of all the *outcome object*
(`metaflow.compute.jobs.outcome`).

As process 1 of a container it adopts orphans. When it is asked to end, by SIGTERM or SIGINT, a task that handles
SIGTERM gets that, and any other a KeyboardInterrupt, so that what it has to clean up is done; after some seconds it
gets SIGTERM in any case, and then it is killed. Start reading at `Supervisor.run`.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Collection, MutableMapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from metaflow import registry, shadows
from metaflow.compute.command import ELSEWHERE, SPOT_NOTICE, TERMINATION
from metaflow.compute.interpreter import compile_file, open_streams, run_main
from metaflow.compute.jobs.cgroup import CONTROL_GROUPS, MemoryGroup
from metaflow.compute.jobs.entry import SPOT
from metaflow.compute.jobs.outcome import Outcome, ProcessEnd
from metaflow.compute.local import processes
from metaflow.compute.report import CHANNEL, CODE, TaskReport, report_unbegun, tell_uncaught
from metaflow.exception import MetaflowException
from metaflow.store import layout
from metaflow.store.layout import END, STOPPED
from metaflow.store.logs.pipe import LineReader
from metaflow.store.logs.segment_writer import SegmentWriter
from metaflow.store.objects import KINDS, PRELOADED
from metaflow.store.protocol import Storage

if TYPE_CHECKING:
    from metaflow.compute.jobs.spot import SpotWatch

_LOG_BYTES = 10_000_000

_BEFORE_KILL = 1.0
"""Seconds between the SIGTERM and the SIGKILL of a task that does not end by itself."""


def main(
    config: dict[str, Any], place: str, environ: MutableMapping[str, str], present: Collection[str] = ()
) -> NoReturn:
    """Run the task that `config` describes, and leave the process with the task's exit status.

    Parameters
    ----------
    config : dict
        As in `metaflow.compute.jobs.entry.boot_variable`. It may also have ``log_bytes``, most bytes of a stream,
        ``grace``, seconds between a request to end and the kill, and ``cgroup``, where control groups are mounted.
    place : str
        Directory of this task alone, with ``runtime`` and ``code`` in it.
    environ : mutable mapping
        The environment of this process.
    present : collection of str
        Modules that an interpreter has before it runs anything; what else is loaded was loaded on our behalf.
    """
    try:
        status = Supervisor(config, place, environ, present).run()
    finally:
        processes.kill_children()
        import shutil

        shutil.rmtree(place, ignore_errors=True)  # it may be on a disk that outlives the container
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)  # an interpreter's own end takes its time


class Supervisor:
    """One attempt of a task.

    Parameters
    ----------
    config, place, environ, present
        As for `main`.
    """

    def __init__(
        self, config: dict[str, Any], place: str, environ: MutableMapping[str, str], present: Collection[str] = ()
    ) -> None:
        self._config = config
        self._place = place
        self._environ = environ
        self._present = present
        self._memory = MemoryGroup(config.get("cgroup", CONTROL_GROUPS))
        self._log = SegmentWriter(self._storage, config["task"], config["attempt"], config.get("log_bytes", _LOG_BYTES))
        self._termination = os.path.join(place, "termination")
        self._prctl = processes.system_call()
        self._pid = 0
        self._status: int | None = None
        self._peak_mb = 0.0
        self._told = bytearray()
        self._terminated = False
        self._timed_out = False
        self._press_at: float | None = None
        self._presses: list[int] = []  # signals that are still to be sent
        self._limit_at: float | None = None
        self._spot: SpotWatch | None = None

    def run(self) -> int:
        """Run the task to its end; return the exit status."""
        kills = self._memory.kills()
        processes.become_subreaper(self._prctl)
        spot = self._environ.pop(SPOT, "")
        self._environ[SPOT_NOTICE] = os.path.join(self._place, "spot-termination-notice")
        self._environ[TERMINATION] = self._termination
        self._start()
        self._log.start()
        if spot:
            self._watch_for_notice(spot)
        while self._status is None:
            self._turn(self._next_deadline())
        strays = self._end_strays()
        end = time.monotonic() + processes.PATIENCE
        while self._streams and time.monotonic() < end:
            self._turn(end)
        for fd in list(self._streams):
            self._close(fd)
        if strays:
            self._keep("stderr", [processes.ended_strays(strays).encode()])
        end_of_process = self._process_end(self._memory.kills() > kills)
        try:
            key = layout.outcome(self._config["task"], self._config["attempt"])
            self._log.close((key, self._outcome(end_of_process)), STOPPED if self._terminated else END)
        except MetaflowException as error:
            _write(2, f"How the task ended could not be stored: {error.message}\n".encode())
        return end_of_process.code if end_of_process.code is not None else 128 + (end_of_process.signal or 0)

    def _end_strays(self) -> list[str]:
        """End what the task has left, also in sessions of their own: the container ends now. Return what it was."""
        end = time.monotonic() + processes.STRAY_GRACE
        while processes.children() and time.monotonic() < end:
            self._turn(end)
        strays = [processes.described(pid) for pid in sorted(processes.children())]
        processes.kill_group(self._pid)
        processes.kill_children()
        return [stray for stray in strays if stray]

    def _storage(self) -> Storage:
        storage: Storage = registry.load("datastore", self._config["storage"]["kind"])(self._config["storage"]["root"])
        return storage

    def _watch_for_notice(self, spot: str) -> None:
        from metaflow.compute.jobs.spot import SERVICE, SpotWatch

        self._spot = SpotWatch(self._environ[SPOT_NOTICE], SERVICE if spot == "aws" else spot)
        self._spot.start()

    # --- the child --------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Fork the task, and get ready to hear of it."""
        code = os.path.join(self._place, "code")
        os.makedirs(code, exist_ok=True)
        os.chdir(code)
        path = os.path.join(code, self._config["script"])
        if self._config["storage"]["kind"] in KINDS:
            for module in PRELOADED:
                import_module(module)
        pipes = [os.pipe() for _ in ("stdout", "stderr", "outcome")]
        parent = os.getpid()
        gc.freeze()
        self._pid = os.fork()
        if self._pid == 0:
            self._become_task(path, [write_end for _, write_end in pipes], parent)
        self._poll = select.poll()
        self._streams: dict[int, tuple[str, LineReader | None]] = {}
        for name, (read_end, write_end) in zip(("stdout", "stderr", ""), pipes, strict=True):
            os.close(write_end)
            os.set_blocking(read_end, False)
            self._streams[read_end] = (name, LineReader(read_end) if name else None)
            self._poll.register(read_end, select.POLLIN)
        self._wake, wake_write = os.pipe()
        for fd in (self._wake, wake_write):
            os.set_blocking(fd, False)
        self._poll.register(self._wake, select.POLLIN)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._reap()  # it may have ended before the handler was there
        limit = self._config.get("time_limit")
        self._limit_at = None if limit is None else time.monotonic() + limit

    def _find_the_flow(self, directory: str, code: str) -> None:
        """Let the task and what it starts find the flow's modules and ours, as ``python flow.py`` would."""
        added = [os.path.join(code, ELSEWHERE), os.path.join(self._place, "runtime")]
        given = self._environ.get("PYTHONPATH", "").split(os.pathsep)
        entries = [entry for entry in (*added, *given) if os.path.isdir(entry)]
        self._environ["PYTHONPATH"] = os.pathsep.join(entries)
        self._environ["PYTHONUNBUFFERED"] = "1"
        sys.path[:] = [directory, *entries, *(entry for entry in sys.path if entry not in entries)]
        shadows.look(loaded_for_us=set(sys.modules).difference(self._present))

    def _become_task(self, path: str, channels: list[int], parent: int) -> NoReturn:
        module = self._config.get("module", "")
        try:
            os.setpgid(0, 0)
            processes.die_with_parent(self._prctl, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            null = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((null, 0), (channels[0], 1), (channels[1], 2)):
                os.dup2(source, target)
                os.close(source)
            self._environ[CHANNEL] = f"{channels[2]}:1"
            for stream in (sys.stdout, sys.stderr):
                stream.reconfigure(write_through=True)  # type: ignore[union-attr]
            open_streams()
            words = self._config["command"]
            sys.argv = [path if module else self._config["script"], *words]
            code = os.path.join(self._place, "code")
            self._environ[CODE] = code
            sys.excepthook = partial(tell_uncaught, self._environ)
            self._find_the_flow(code if module else os.path.dirname(path), code)
            main = compile_file(path)
            if main is None:
                os.set_inheritable(channels[2], True)
                program = ["-m", module] if module else [self._config["script"]]  # it names what is wrong as we do
                os.execve(sys.executable, [sys.executable, *program, *words], dict(self._environ))
        except BaseException as error:  # noqa: BLE001 - whatever happens, this process must not go on as the supervisor
            _write(2, f"The task could not be started: {error!r}\n".encode())
            os._exit(1)
        run_main(main, path, lambda error: report_unbegun(error, self._environ), module=module)

    # --- while it runs ----------------------------------------------------------------------------------------------

    def _next_deadline(self) -> float | None:
        return min((at for at in (self._press_at, self._limit_at) if at is not None), default=None)

    def _turn(self, until: float | None) -> None:
        """Wait for news, no longer than `until`, and deal with it."""
        wait = None if until is None else max(0.0, until - time.monotonic()) * 1000 + 1
        for fd, _ in self._poll.poll(wait):
            if fd == self._wake:
                self._hear()
            else:
                self._read(fd)
        now = time.monotonic()
        if self._status is None and self._limit_at is not None and now > self._limit_at:
            self._timed_out = True
            self._limit_at = None
            processes.kill_group(self._pid)
        if self._status is None and self._press_at is not None and now > self._press_at:
            number = self._presses.pop(0)
            self._press_at = now + _BEFORE_KILL if self._presses else None
            processes.kill_group(self._pid, number)

    def _hear(self) -> None:
        """Deal with the signals that have come."""
        numbers = set(os.read(self._wake, 4096))
        if numbers & {signal.SIGTERM, signal.SIGINT} and self._status is None:
            polite = signal.SIGTERM if processes.handles(self._pid, signal.SIGTERM) else signal.SIGINT
            if not self._terminated:
                self._terminated = True
                self._note_termination()
                self._presses = [signal.SIGTERM, signal.SIGKILL]
                self._press_at = time.monotonic() + self._config["grace"]
            processes.kill_group(self._pid, polite)
        self._reap()

    def _note_termination(self) -> None:
        """Let the task know that whatever it does now, it was ended; it sees the file before it gets the signal."""
        try:
            os.close(os.open(self._termination, os.O_WRONLY | os.O_CREAT, 0o600))
        except OSError as error:  # a full disk
            _write(2, f"The task could not be told that it is to end: {error}\n".encode())

    def _reap(self) -> None:
        """Take what has died off the kernel's list."""
        for pid, status, peak_mb in processes.dead_children():
            if pid == self._pid:
                self._status = status
                self._peak_mb = peak_mb

    def _read(self, fd: int) -> None:
        name, reader = self._streams[fd]
        if reader is None:
            try:
                data = os.read(fd, 1 << 16)
            except BlockingIOError:
                return
            self._told += data
            if not data:
                self._close(fd)
        elif reader.read():
            self._keep(name, reader.take())
        else:
            self._close(fd)

    def _close(self, fd: int) -> None:
        name, reader = self._streams.pop(fd)
        self._poll.unregister(fd)
        if reader is not None:
            self._keep(name, reader.take(rest=True))
        os.close(fd)

    def _keep(self, name: str, lines: list[bytes]) -> None:
        if lines:
            self._log.append(name, lines, time.time())
            _write(1 if name == "stdout" else 2, b"\n".join(lines) + b"\n")

    # --- the end ----------------------------------------------------------------------------------------------------

    def _process_end(self, was_short_of_memory: bool) -> ProcessEnd:
        status = self._status or 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        oom = was_short_of_memory and number == signal.SIGKILL and not self._timed_out
        peak = self._memory.peak_mb() if oom else None
        return ProcessEnd(
            None if number is not None else os.waitstatus_to_exitcode(status),
            number,
            oom,
            peak or self._peak_mb,
            self._memory.limit_mb(),
            self._timed_out,
            self._terminated,
        )

    def _outcome(self, end: ProcessEnd) -> bytes:
        try:
            report = TaskReport.from_json(json.loads(bytes(self._told)))
        except (KeyError, TypeError, ValueError):  # nothing, or not all of it
            report = None
        return Outcome(report, self._spot.facts if self._spot is not None else {}, end).to_bytes()


def _write(fd: int, data: bytes) -> None:
    """Write to a stream of the container, if anybody takes it."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        pass
