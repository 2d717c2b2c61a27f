"""The process of a flow that a program drives, before the flow file runs in it, and the watch over the program.

It becomes what ``python flow.py …`` would be, with two differences: the words come over a socket, on which they may be
of any size, and a thread waits for the end of the program, which is the end of this process as well, in good order.
Start reading at `main`; whom the flow's command line hears of and tells is `metaflow.app.driver`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from metaflow import shadows
from metaflow.app.driver import Driver, adopt
from metaflow.compute.interpreter import compile_file, run_main

PATIENCE = 60.0
"""Seconds that a process, asked to end, may take: its tasks have their own time, in containers half a minute."""

_BOOT = """
import sys
present = set(sys.modules)
sys.path[:] = sys.path[not sys.flags.safe_path:]
if {home!r} not in sys.path:
    sys.path.append({home!r})
from metaflow.runner.child import main
main({channel}, present)
"""
_LENGTH = struct.Struct("!Q")


def boot(channel: int) -> list[str]:
    """Return what an interpreter is started with; `channel` is its end of the socket."""
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, "-c", _BOOT.format(home=home, channel=channel)]


def encode(path: str, words: Sequence[str], parameters: dict[str, Any], resume_call: str = "") -> bytes:
    """Return what the process reads first: the flow file, the words after it, and what its `Driver` has."""
    document = {"path": path, "words": list(words), "parameters": parameters, "resume_call": resume_call}
    data = json.dumps({**document, "starter": os.getpid()}).encode()
    return _LENGTH.pack(len(data)) + data


def main(descriptor: int, present: set[str]) -> NoReturn:
    """Run the flow file that the program names.

    Parameters
    ----------
    descriptor : int
        Our end of the socket.
    present : set of str
        The modules that any program would find imported.
    """
    channel = socket.socket(fileno=descriptor)
    channel.set_inheritable(False)
    document = json.loads(_received(channel, _LENGTH.unpack(_received(channel, _LENGTH.size))[0]))
    threading.Thread(target=_watch, args=(channel, document["starter"]), daemon=True).start()
    path, words = document["path"], document["words"]
    adopt(Driver(channel, document["parameters"], document["resume_call"]))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv = [path, *words]
    if not sys.flags.safe_path:
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    shadows.look(loaded_for_us=set(sys.modules) - present)
    code = compile_file(path)
    if code is None:
        os.execv(sys.executable, [sys.executable, path])
    run_main(code, path)


def _received(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = channel.recv(size - len(data))
        if not more:
            os._exit(1)  # the program is gone
        data += more
    return bytes(data)


def _watch(channel: socket.socket, starter: int) -> None:
    """Wait until the program is gone, and end this process.

    The socket says so, unless a child of the program has inherited its end; then the kernel does, where it can.
    """
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    try:
        poll.register(os.pidfd_open(starter), select.POLLIN)
    except (OSError, AttributeError):  # no such process any more, which the socket says too; or no such call
        pass
    poll.poll()
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # nobody reads it: a line should not end us before our tasks have ended
    os.dup2(silent, 2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.killpg(0, signal.SIGKILL)
