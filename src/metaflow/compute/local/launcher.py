"""Tasks as processes of this machine: the engine's side of the zygote.

For each task the launcher makes two pipes, hands their write ends to the zygote, and splits what comes out of the read
ends into lines. A task has ended when the zygote says so; what is in the pipes by then still counts, what a process
that lives on in a session of its own writes later does not.

Start reading at `LocalLauncher.submit`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from metaflow.compute.endings import PEAK_FACT, out_of_memory
from metaflow.compute.local.memory import MemoryWatch
from metaflow.compute.local.processes import (
    become_subreaper,
    children,
    described,
    ended_strays,
    kill_children,
    kill_group,
)
from metaflow.compute.local.zygote_process import MESSAGE_BYTES, ZygoteProcess
from metaflow.compute.protocol import Ended, Output, Problem, Report, Started, TaskRequest, Waiting
from metaflow.compute.report import TaskReport
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import TaskFailed, TaskLost, TaskNotPlaced
from metaflow.store.logs.pipe import LineReader

GRACE = 5.0
"""Seconds between the KeyboardInterrupt of a cancelled task and its SIGTERM, if nothing else is said."""

_BEFORE_KILL = 1.0
"""Seconds between its SIGTERM and its SIGKILL."""

_IMPORT_SECONDS = 60.0
"""How long the zygote may take to import one library."""

_DIED = "ended the process or did not come to an end"

_READS_LEFT = 64
"""Most reads of what is in a pipe when a task has ended: something that lives on may write without end."""

_NOTHING: Mapping[str, str] = MappingProxyType({})

_NO_ROOM = {
    "pipes": "raise the limit of open files (ulimit -n), or run fewer tasks at a time (--max-workers)",
    "process": "raise the limit of processes (ulimit -u), or run fewer tasks at a time (--max-workers)",
}


def _not_started(reason: str, hint: str | None = None) -> TaskFailed:
    return TaskNotPlaced(f"the task could not be started: {reason}", hint=hint)


def _too_long(size: int) -> TaskFailed:
    return _not_started(f"its command line is too long: {size} bytes")


def _lost(fault: str | None) -> TaskFailed:
    if fault is None:
        return TaskLost("the process that starts local tasks was killed, and the task with it")
    return TaskLost(
        f"the process that starts local tasks failed: {fault}",
        hint="this is a fault in Millrace, please report it; METAFLOW_LOCAL_ISOLATION=exec may get around it",
    )


class LocalLauncher:
    """Runs tasks as processes of this machine (`metaflow.compute.protocol.Launcher`).

    Parameters
    ----------
    zygote : ZygoteProcess
        Where the processes come from.
    say : callable, optional
        Tells the user something.
    grace : float
        Seconds between the KeyboardInterrupt of a cancelled task and its SIGTERM.
    """

    kind = "local"
    stores_logs = False

    def __init__(
        self, zygote: ZygoteProcess, say: Callable[[str], None] = lambda text: None, grace: float = GRACE
    ) -> None:
        self._zygote = zygote
        self._say = say
        self._steps_to_end = ((signal.SIGINT, grace), (signal.SIGTERM, _BEFORE_KILL), (signal.SIGKILL, None))
        self._processes: dict[int, _Process] = {}
        self._report: Callable[[Report], None] = lambda report: None
        self._exec = not zygote.fork
        self._unfit = _DIED
        self._is_lost = False
        self._fault: str | None = None
        self._pidfd = -1
        self._deadline: asyncio.TimerHandle | None = None
        self._kept: dict[int, str] = {}  # process id → what is said of it in the end
        self._services: list[_Process] = []  # tasks that have ended, and left something
        self._waiting: deque[_Process] = deque()  # for descriptors
        self._outbox: deque[tuple[int, bytes, list[int]]] = deque()  # task, message, descriptors

    async def open(self, report: Callable[[Report], None]) -> None:
        self._report = report
        become_subreaper()  # if the zygote is killed, what its tasks had started comes to this process
        self._children_before = children()
        self._memory = MemoryWatch()
        self._descriptors = _free_descriptors()
        self._loop = asyncio.get_running_loop()
        self._connect()

    def _connect(self) -> None:
        self._is_lost = False
        self._zygote.socket.setblocking(False)
        self._loop.add_reader(self._zygote.socket, self._hear)
        try:
            # The end of the socket would not tell: whatever descends from a task may hold a copy of the other side.
            self._pidfd = os.pidfd_open(self._zygote.pid)
            self._loop.add_reader(self._pidfd, self._on_zygote_dead)
        except (AttributeError, OSError):
            pass

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        return []

    def submit(self, request: TaskRequest) -> None:
        process = self._processes[request.task] = _Process(request)
        if self._has_room():
            self._start(process)
        else:
            self._postpone(process, "no file descriptors are left for one more (ulimit -n)")

    def _has_room(self) -> bool:
        """Tell whether there are descriptors for one more task; for the first there must be."""
        started = len(self._processes) - len(self._waiting)
        taken = 2 * (started + len(self._services) + len(self._outbox))
        return started <= 1 or taken <= self._descriptors

    def _postpone(self, process: _Process, reason: str) -> None:
        """Start a task when another one has ended."""
        self._waiting.append(process)
        self._report(Waiting(process.request.task, process.request.attempt, reason))

    def _start(self, process: _Process) -> None:
        request = process.request
        message = {
            "spawn": request.task,
            "argv": request.command.arguments,
            "env": request.command.environment,
            "exec": self._exec or request.command.fresh,
        }
        data = json.dumps(message).encode()
        write_ends: list[int] = []
        try:
            for stream in ("stdout", "stderr"):
                read_end, write_end = _pipe()
                process.streams[stream] = LineReader(read_end)
                write_ends.append(write_end)
        except OSError as error:
            failure: TaskFailed | None = _not_started(f"no pipes for it: {error.strerror}", _NO_ROOM["pipes"])
        else:
            failure = _lost(self._fault) if self._is_lost else None
            if len(data) > MESSAGE_BYTES:
                failure = _too_long(len(data))
        if failure is not None:
            _close_all(write_ends)
            self._loop.call_soon(self._on_ended, request.task, None, failure)
        else:
            self._send(request.task, data, write_ends)

    def cancel(self, task: int) -> None:
        process = self._processes.get(task)
        if process is None:
            return
        if process in self._waiting:
            self._waiting.remove(process)
            self._loop.call_soon(self._on_ended, task, None, None)
        else:
            self._press(task, process)

    async def close(self) -> list[str]:
        self._disconnect()
        self._clear_outbox()
        living = [what for pid, what in self._kept.items() if described(pid)]
        for process in (*self._processes.values(), *self._services):
            for stream in process.streams.values():
                self._loop.remove_reader(stream.fd)
            process.close()
        self._processes.clear()
        self._waiting.clear()
        self._memory.close()
        self._zygote.stop()
        return [f"Ended with the run: {what} running in a session of its own." for what in living]

    def _disconnect(self) -> None:
        self._is_lost = True
        self._loop.remove_reader(self._zygote.socket)
        self._loop.remove_writer(self._zygote.socket)
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self._await_import(None)

    def _clear_outbox(self) -> None:
        while self._outbox:
            _close_all(self._outbox.popleft()[2])

    def _await_import(self, seconds: float | None) -> None:
        """Give the zygote some time for what it imports; then it is killed."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = self._loop.call_later(seconds, os.kill, self._zygote.pid, signal.SIGKILL)

    def _press(self, task: int, process: _Process) -> None:
        """Send the next stronger signal, and the one after it when its time has come."""
        if self._is_lost or self._processes.get(task) is not process or process.pressed == len(self._steps_to_end):
            return
        if process.next_press is not None:
            process.next_press.cancel()
        number, pause = self._steps_to_end[process.pressed]
        process.pressed += 1
        self._send(task, json.dumps({"kill": task, "signal": number}).encode(), [])
        if pause is not None:
            process.next_press = self._loop.call_later(pause, self._press, task, process)

    def _send(self, task: int, data: bytes, descriptors: list[int]) -> None:
        self._outbox.append((task, data, descriptors))
        if len(self._outbox) == 1 and self._zygote.ready:
            self._send_on()

    def _send_on(self) -> None:
        """Send what waits, as far as the socket takes it: while the zygote is busy, its queue may be full."""
        while self._outbox:
            task, data, descriptors = self._outbox[0]
            try:
                socket.send_fds(self._zygote.socket, [data], descriptors)
            except BlockingIOError:
                self._loop.add_writer(self._zygote.socket, self._send_on)
                return
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    self._loop.call_soon(self._lost)
                    return
                self._loop.call_soon(self._on_ended, task, None, _too_long(len(data)))
            _close_all(descriptors)
            self._outbox.popleft()
        self._loop.remove_writer(self._zygote.socket)

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        while not self._is_lost:
            try:
                data = self._zygote.socket.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            message = _message(data)
            if "started" in message:
                self._on_started(message["started"], message["pid"])
            elif "ended" in message:
                reason = message.get("reason")
                failure = _not_started(reason, _NO_ROOM["process"]) if reason else None
                self._on_ended(
                    message["ended"],
                    message["status"],
                    failure,
                    message.get("peak_mb"),
                    message.get("strays", ()),
                    message.get("kept", {}),
                )
            elif "outcome" in message:
                process = self._processes.get(message["outcome"])
                if process is not None:
                    process.report = TaskReport.from_json(message)
            elif "failed" in message:
                self._fault = message["failed"]
            elif "unlike" in message:
                self._exec = True
            elif "ready" in message:
                self._zygote.ready = True
                self._await_import(None)
                # A preloaded module may have started a thread, which no forked child would have.
                self._exec = self._exec or message["threads"] > 1
                self._send_on()
            elif "importing" in message:
                self._zygote.importing = message["importing"]
                self._await_import(_IMPORT_SECONDS)
            elif "unfit" in message:
                self._unfit = message["unfit"]

    def _on_started(self, task: int, pid: int) -> None:
        process = self._processes[task]
        process.pid = pid
        self._report(Started(task, process.request.attempt, f"pid {pid}"))
        for name, stream in process.streams.items():
            self._loop.add_reader(stream.fd, self._on_output, process, name)

    def _on_output(self, process: _Process, name: str) -> None:
        stream = process.streams[name]
        if not stream.read():
            self._loop.remove_reader(stream.fd)
        self._emit(process, name, stream.take())

    def _emit(self, process: _Process, name: str, lines: list[bytes]) -> None:
        if lines:
            self._report(Output(process.request.task, process.request.attempt, name, lines, time.time()))

    def _on_ended(
        self,
        task: int,
        status: int | None,
        failure: TaskFailed | None,
        peak_mb: float | None = None,
        strays: Sequence[str] = (),
        kept: Mapping[str, str] = _NOTHING,
    ) -> None:
        process = self._processes.pop(task, None)
        if process is None:
            return
        for name, stream in process.streams.items():
            self._loop.remove_reader(stream.fd)
            for _ in range(_READS_LEFT):
                if not stream.read() or stream.blocked:
                    break
                self._emit(process, name, stream.take())
            self._emit(process, name, stream.take(rest=True))
        if strays:
            self._emit(process, "stderr", [ended_strays(strays).encode()])
        if kept:
            self._keep(process, kept)
        else:
            process.close()
        code = number = None
        if status is not None:
            if os.WIFSIGNALED(status):
                number = os.WTERMSIG(status)
            else:
                code = os.waitstatus_to_exitcode(status)
        facts = {}
        if peak_mb is not None and process.report is None:
            facts[PEAK_FACT] = f"{peak_mb:.0f}"
            if number == signal.SIGKILL and self._memory.has_killed(process.pid, peak_mb):
                failure = out_of_memory(process.request.step, peak_mb=peak_mb, limit_mb=self._memory.limit_mb)
        self._report(Ended(task, process.request.attempt, code, number, process.report, failure, facts))
        while self._waiting and not self._is_lost and self._has_room():
            self._start(self._waiting.popleft())

    def _keep(self, process: _Process, kept: Mapping[str, str]) -> None:
        """Note what lives on after its task. Its output is read, lest it die of writing, and belongs to nobody."""
        for pid, command in kept.items():
            self._kept[int(pid)] = f"the step '{process.request.step}' had left {command or 'a process'}"
        for stream in process.streams.values():
            self._loop.add_reader(stream.fd, self._discard, stream)
        self._services.append(process)

    def _discard(self, stream: LineReader) -> None:
        if not stream.read():
            self._loop.remove_reader(stream.fd)
        stream.take(rest=True)

    def _on_zygote_dead(self) -> None:
        self._hear()  # its last words
        self._lost()

    def _lost(self) -> None:
        """The zygote is gone: so are its children; what they started may not be."""
        if self._is_lost:
            return
        self._disconnect()
        library = self._zygote.importing
        if library and not self._zygote.ready and self._fault is None:
            self._say(f"{library} is left for each task to import: imported once for all of them, it {self._unfit}.")
            self._unfit = _DIED
            self._zygote.start_without(library)
            self._connect()
            return
        self._clear_outbox()
        for process in self._processes.values():
            if process.pid:
                kill_group(process.pid)
        kill_children(except_for=self._children_before)
        self._waiting.clear()
        for task in list(self._processes):
            self._on_ended(task, None, _lost(self._fault))


class _Process:
    __slots__ = ("next_press", "pid", "pressed", "report", "request", "streams")

    def __init__(self, request: TaskRequest) -> None:
        self.request = request
        self.pid = 0
        self.streams: dict[str, LineReader] = {}
        self.report: TaskReport | None = None
        self.pressed = 0  # how many of the signals that end it were sent
        self.next_press: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self.next_press is not None:
            self.next_press.cancel()
        for stream in self.streams.values():
            stream.close()


def _message(data: bytes) -> dict[str, Any]:
    """Read a message; what a task has written into the socket by mistake is an empty one."""
    try:
        message = json.loads(data)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _free_descriptors() -> int:
    """Return how many descriptors tasks may take, so that some are left for logs, metadata and connections."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        used = limit // 8
    return limit - used - min(64, limit // 4)


def _close_all(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _pipe() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    return read_end, write_end
