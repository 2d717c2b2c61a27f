"""Commands in forks of one interpreter that has imported the command line, and has done nothing else.

Half of what a small run costs is the start of its engine's interpreter. A test that is not about that start saves it:
the flow file is executed from its top as ``__main__`` in a process of its own, with the words, the environment, the
directory and the streams that ``python flow.py`` would have: the way a task is made of the zygote. Start at `command`;
below the line is what the interpreter that is forked from does. It runs as long as this process.
"""

from __future__ import annotations

import gc
import importlib.util
import io
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, cast

from metaflow.compute.local.shelf import Shelf

_MOST_BYTES = 1 << 20
_ROOMS = ("metaflow.app", "metaflow.cli", "metaflow.runtime")
"""What a command line is made of; its modules are imported, wherever they are now."""


def command(
    words: list[str], environment: dict[str, str], directory: Path, stdout: Path, stderr: Path, within: float
) -> int | None:
    """Run a flow file to its end; return its exit status (negative: a signal), None if it was killed as too slow.

    Its streams are appended to `stdout` and `stderr`, which may be one file.
    """
    server = _server().socket
    request = {"words": words, "environment": environment, "directory": str(directory)}
    with open(os.devnull, "rb") as stdin, stdout.open("ab") as out, stderr.open("ab") as err:
        socket.send_fds(server, [json.dumps(request).encode()], [stdin.fileno(), out.fileno(), err.fileno()])
    pid = int(server.recv(_MOST_BYTES))
    server.settimeout(within)
    try:
        return int(server.recv(_MOST_BYTES))
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        server.settimeout(None)
        server.recv(_MOST_BYTES)
        return None
    finally:
        server.settimeout(None)


class _Server(NamedTuple):
    process: subprocess.Popen[bytes]
    socket: socket.socket


def stop() -> None:
    """End the interpreter, if there is one."""
    if _server.cache_info().currsize:
        _server().socket.close()
        _server().process.wait()


@cache
def _server() -> _Server:
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    arguments = [sys.executable, __file__, str(other.fileno())]
    with other:
        process = subprocess.Popen(arguments, pass_fds=[other.fileno()], env=environment, start_new_session=True)
    return _Server(process, own)


# ---------------------------------------------------------------------------------------------------------------------


def _serve(connection: socket.socket) -> None:
    importlib.import_module("metaflow.cli.main")
    known = set(sys.modules)
    for room in _ROOMS:
        if importlib.util.find_spec(room) is not None:
            for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
                importlib.import_module(module.name)
    # What these bring along is not what a flow file has imported.
    Shelf().put([name for name in sys.modules if name not in known and not name.startswith("metaflow")])
    gc.collect()
    gc.freeze()
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, _MOST_BYTES, 3)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(json.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    from metaflow.compute.interpreter import compile_file, open_streams, run_main

    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    open_streams()
    if os.path.sameopenfile(1, 2):  # as on a terminal: what is printed to both keeps its order
        cast(io.TextIOWrapper, sys.stdout).reconfigure(line_buffering=True)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["words"]
    sys.excepthook = _tell
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    path = os.path.abspath(sys.argv[0])
    code = compile_file(path)
    if code is None:
        os.execv(sys.executable, [sys.executable, *sys.argv])
    run_main(code, path)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that nobody caught, and note it, as the interpreter does for those who ask at exit."""
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
