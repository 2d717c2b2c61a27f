"""Tasks as processes of this machine: the engine's side of the zygote.

For each task the launcher makes two pipes, hands their write ends to the zygote, and splits what comes out of the read
ends into lines. A task has ended when the zygote says so; what is in the pipes by then still counts, what a descendant
that slipped away might write later does not.

Start reading at `LocalLauncher.submit`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from metaflow.compute.local.processes import become_subreaper, children, kill_children, kill_group
from metaflow.compute.local.zygote_process import MESSAGE_BYTES, ZygoteProcess
from metaflow.compute.protocol import Ended, Output, Report, Started, TaskRequest
from metaflow.exception import MetaflowException

_READ = 1 << 16
_LINE_LIMIT = 1 << 20
_GRACE = 1.0
"""Seconds between the polite and the forced end of a cancelled task."""


class LocalLauncher:
    """Runs tasks as processes of this machine (`metaflow.compute.protocol.Launcher`).

    Parameters
    ----------
    zygote : ZygoteProcess
        Where the processes come from.
    """

    kind = "local"

    def __init__(self, zygote: ZygoteProcess) -> None:
        self._zygote = zygote
        self._processes: dict[int, _Process] = {}
        self._report: Callable[[Report], None] = lambda report: None
        self._exec = not zygote.fork

    async def open(self, report: Callable[[Report], None]) -> None:
        self._report = report
        become_subreaper()  # if the zygote is killed, what its tasks had started comes to this process
        self._children_before = children()
        self._loop = asyncio.get_running_loop()
        self._zygote.socket.setblocking(False)
        self._loop.add_reader(self._zygote.socket, self._hear)

    async def preflight(self, requests: Sequence[TaskRequest]) -> list[str]:
        return []

    def submit(self, request: TaskRequest) -> None:
        process = _Process(request)
        self._processes[request.task] = process
        message = {
            "spawn": request.task,
            "argv": request.command.arguments,
            "env": request.command.environment,
            "exec": self._exec or request.command.fresh,
        }
        pipes = [_pipe() for _ in range(2)]
        for (read_end, _), stream in zip(pipes, ("stdout", "stderr"), strict=True):
            process.streams[stream] = _Stream(read_end)
        write_ends = [write_end for _, write_end in pipes]
        try:
            self._send(message, write_ends)
        finally:
            for fd in write_ends:
                os.close(fd)

    def cancel(self, task: int) -> None:
        if task in self._processes:
            self._send({"kill": task, "signal": signal.SIGTERM})
            self._loop.call_later(_GRACE, self._kill, task, self._processes[task])

    async def close(self) -> None:
        self._loop.remove_reader(self._zygote.socket)
        for process in self._processes.values():
            process.close()
        self._zygote.stop()

    def _kill(self, task: int, process: _Process) -> None:
        if self._processes.get(task) is process:
            self._send({"kill": task, "signal": signal.SIGKILL})

    def _send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        data = json.dumps(message).encode()
        self._zygote.socket.setblocking(True)  # the zygote always reads on; a full queue is a matter of microseconds
        try:
            socket.send_fds(self._zygote.socket, [data], list(descriptors))
        except OSError as error:
            if error.errno == 90:  # EMSGSIZE
                raise MetaflowException(f"The command line of a task is too long: {len(data)} bytes.") from error
            self._lost()
        finally:
            self._zygote.socket.setblocking(False)

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        while True:
            try:
                data = self._zygote.socket.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            message = json.loads(data)
            if "started" in message:
                self._on_started(message["started"], message["pid"])
            elif "ended" in message:
                self._on_ended(message["ended"], message["status"], message.get("reason", ""))
            elif "outcome" in message:
                process = self._processes.get(message["outcome"])
                if process is not None:
                    process.outcome = message
            else:
                self._zygote.ready = True
                # A preloaded module may have started a thread, which no forked child would have.
                self._exec = self._exec or message["threads"] > 1

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

    def _on_ended(self, task: int, status: int | None, reason: str) -> None:
        process = self._processes.pop(task)
        for name, stream in process.streams.items():
            self._loop.remove_reader(stream.fd)
            while stream.read() and not stream.blocked:
                self._emit(process, name, stream.take())
            self._emit(process, name, stream.take(rest=True))
        process.close()
        code = number = None
        if status is not None:
            if os.WIFSIGNALED(status):
                number = os.WTERMSIG(status)
            else:
                code = os.waitstatus_to_exitcode(status)
        self._report(Ended(task, process.request.attempt, code, number, process.outcome, reason))

    def _lost(self) -> None:
        """The zygote is gone: so are its children; what they started may not be."""
        self._loop.remove_reader(self._zygote.socket)
        for process in self._processes.values():
            if process.pid:
                kill_group(process.pid)
        kill_children(except_for=self._children_before)
        while self._processes:
            task = next(iter(self._processes))
            self._on_ended(task, None, "the process that starts local tasks was killed, and the task with it")


class _Process:
    __slots__ = ("outcome", "pid", "request", "streams")

    def __init__(self, request: TaskRequest) -> None:
        self.request = request
        self.pid = 0
        self.streams: dict[str, _Stream] = {}
        self.outcome: dict[str, object] | None = None

    def close(self) -> None:
        for stream in self.streams.values():
            stream.close()


class _Stream:
    """The read end of a pipe, split into lines. A line longer than a mebibyte comes in pieces."""

    __slots__ = ("_lines", "_partial", "blocked", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.blocked = False
        self._partial = b""
        self._lines: list[bytes] = []

    def read(self) -> bool:
        """Read once; False at the end of the stream. Sets `blocked` if nothing was there."""
        self.blocked = False
        try:
            data = os.read(self.fd, _READ)
        except BlockingIOError:
            self.blocked = True
            return True
        except OSError:
            return False
        if b"\n" in data:
            first, *rest = data.split(b"\n")
            self._lines.append(self._partial + first)
            self._partial = rest.pop()
            self._lines += rest
        else:
            self._partial += data
        if len(self._partial) >= _LINE_LIMIT:
            self._lines.append(self._partial)
            self._partial = b""
        return bool(data)

    def take(self, rest: bool = False) -> list[bytes]:
        """Return the lines that are complete, with `rest` also what follows the last line end."""
        lines, self._lines = self._lines, []
        if rest and self._partial:
            lines.append(self._partial)
            self._partial = b""
        return lines

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _pipe() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    return read_end, write_end
