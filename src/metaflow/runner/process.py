"""The process of a flow, seen from the program that drives it.

A thread starts it, takes what it prints, hears whether its run has begun, and waits for its end; everybody else looks
at the attributes here, and waits for the bell. It needs neither the main thread nor signals nor an event loop. How the
process itself does its part is in `metaflow.runner.child`.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from metaflow.app.driver import StartedRun
from metaflow.runner.bell import Bell
from metaflow.runner.child import PATIENCE, boot, encode
from metaflow.runner.output import Output

_CHUNK = 1 << 16
_LAST_LOOK = 0.02
"""Seconds without a sound after which an ended process has said all, though others hold its streams open."""


class FlowProcess:
    """A command of a flow, in a process of its own, from its start to its end.

    Parameters
    ----------
    path : str
        The flow file.
    words : sequence of str
        What would follow it on a command line.
    parameters : dict of str to object
        Values for parameters, by keyword.
    environment : mapping of str to str
        Its variables.
    directory : str
        Its working directory.
    resume_call : str
        What its `metaflow.app.driver.Driver` has.

    Attributes
    ----------
    path : str
        As given.
    pid : int or None
        Its process id, when it has one.
    stdout, stderr : Output
        What it has printed.
    started : StartedRun or None
        Its run, when that has begun.
    failure : dict or None
        What has ended it, in its words (`metaflow.app.driver`).
    trouble : Exception or None
        Why it could not be started, or not be heard to its end.
    returncode : int or None
        Its exit status when it has ended; negative, the signal that ended it.
    changed : Bell
        Rings whenever one of these changes.
    """

    def __init__(
        self,
        path: str,
        words: Sequence[str],
        parameters: dict[str, Any],
        environment: Mapping[str, str],
        directory: str,
        resume_call: str = "",
    ) -> None:
        self.path = path
        self.pid: int | None = None
        self.stdout = Output()
        self.stderr = Output()
        self.started: StartedRun | None = None
        self.failure: dict[str, Any] | None = None
        self.trouble: Exception | None = None
        self.returncode: int | None = None
        self.changed = Bell()
        self._request = encode(path, words, parameters, resume_call)
        self._environment = environment
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._is_unwanted = False
        self._status = 0  # what it says itself; a program that ignores SIGCHLD hears 0 of the system, whatever it was
        self._lock = threading.Lock()
        self._kill = threading.Timer(PATIENCE, self._send, [signal.SIGKILL])
        self._kill.daemon = True
        threading.Thread(target=self._carry_out, name=f"run of {os.path.basename(path)}", daemon=True).start()

    @property
    def has_ended(self) -> bool:
        """Whether it is over, or there was trouble."""
        return self.returncode is not None or self.trouble is not None

    @property
    def has_begun(self) -> bool:
        """Whether its run has begun, or never will."""
        return self.started is not None or self.has_ended

    def end(self) -> None:
        """Have it end its tasks, and then itself; if that takes too long, it is killed. Returns at once."""
        with self._lock:
            is_first, self._is_unwanted = not self._is_unwanted, True
            has_started = self._process is not None
        if is_first and has_started:
            self._end()

    def _end(self) -> None:
        self._send(signal.SIGTERM)
        self._kill.start()

    def _send(self, number: int) -> None:
        """Send a signal; the last one to all of its group."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        try:
            (os.killpg if number == signal.SIGKILL else os.kill)(process.pid, number)
        except ProcessLookupError:
            pass

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _carry_out(self) -> None:
        try:
            ours, theirs = map(_above_streams, socket.socketpair())
            with ours:
                with theirs:
                    process = self._start(theirs.fileno())
                self._send_request(ours)
                self._listen(process, ours)
            returncode = process.wait() or self._status
        except Exception as error:  # noqa: BLE001 - such as a null byte in a variable, or a full disk: whoever waits is told
            self.trouble = error
            self._send(signal.SIGKILL)
        else:
            self.returncode = returncode
        self._kill.cancel()
        self.changed.ring()

    def _start(self, channel: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            boot(channel),
            env=self._environment,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[channel],
            start_new_session=True,  # Ctrl-C is for the program, which passes it on
        )
        with self._lock:
            self._process, self.pid = process, process.pid
            is_unwanted = self._is_unwanted
        if is_unwanted:
            self._end()
        return process

    def _send_request(self, channel: socket.socket) -> None:
        try:
            channel.sendall(self._request)
        except (BrokenPipeError, ConnectionResetError):  # it has ended already, which is heard of next
            pass
        self._request = b""

    def _listen(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        """Take what it says until it has ended and all is said."""
        message = bytearray()

        def hear() -> bool:
            try:
                data = channel.recv(_CHUNK)
            except ConnectionResetError:
                data = b""
            message.extend(data)
            while b"\n" in message:
                line, _, rest = message.partition(b"\n")
                message[:] = rest
                self._hear(json.loads(line))
            return bool(data)

        assert process.stdout is not None
        assert process.stderr is not None
        with process.stdout, process.stderr, selectors.DefaultSelector() as selector, _end_of(process) as end:
            selector.register(process.stdout, selectors.EVENT_READ, _taker(process.stdout, self.stdout))
            selector.register(process.stderr, selectors.EVENT_READ, _taker(process.stderr, self.stderr))
            selector.register(channel, selectors.EVENT_READ, hear)
            if end is not None:
                selector.register(end, selectors.EVENT_READ, lambda: False)
            patience = None
            while selector.get_map():
                ready = selector.select(patience)
                if not ready and process.poll() is not None:
                    return
                for key, _ in ready:
                    if not key.data():
                        selector.unregister(key.fileobj)
                        if key.fileobj is (end or channel):
                            patience = _LAST_LOOK
                self.changed.ring()

    def _hear(self, message: Mapping[str, Any]) -> None:
        if "started" in message:
            self.started, self._status = StartedRun(**message["started"]), 1
        elif "ended" in message:
            self._status = message["ended"]
        else:
            self.failure = message["failed"]


def _taker(stream: IO[bytes], output: Output) -> Callable[[], bool]:
    """Return what takes the next bytes of a stream, and tells whether there were any."""

    def take() -> bool:
        data = os.read(stream.fileno(), _CHUNK)
        output.append(data)
        return bool(data)

    return take


def _above_streams(end: socket.socket) -> socket.socket:
    """Return a socket whose number is none of a standard stream, which a program without these may have given it."""
    if end.fileno() > 2:
        return end
    with end:
        return socket.socket(fileno=fcntl.fcntl(end.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))


@contextmanager
def _end_of(process: subprocess.Popen[bytes]) -> Iterator[int | None]:
    """Give what can be read when a process has ended, where the system has that."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (OSError, AttributeError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
