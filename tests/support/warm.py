"""Commands in forks of one interpreter that has imported the command line, and has done nothing else.

Half of what a small run costs is the start of its engine's interpreter. A test that is not about that start saves it:
the flow file is executed from its top as ``__main__`` in a process of its own, with the words, the environment, the
directory and the streams that ``python flow.py`` would have: the way a task is made of the zygote. The zygote of such a
command is a fork, too: of the interpreter as it was before the flow file ran, without the modules that a zygote does
not have (`tests/flows/test_warm.py` compares). Start at `command`; below the line is what the interpreter that is
forked from does. It runs as long as this process.
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
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, NoReturn, cast

from metaflow.compute.local import zygote_process
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
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "LANG": "C.UTF-8"}
    arguments = [sys.executable, __file__, str(other.fileno())]
    with other:
        process = subprocess.Popen(arguments, pass_fds=[other.fileno()], env=environment, start_new_session=True)
    return _Server(process, own)


# ---------------------------------------------------------------------------------------------------------------------


class _Bare(NamedTuple):
    """What an interpreter has that is about to fork tasks, as one of its own says it."""

    modules: frozenset[str]
    names: frozenset[str]
    """What `metaflow` itself has."""
    path: list[str]


_SAY_BARE = """
import json, sys
from importlib import import_module
from metaflow.compute.local.zygote import _OWN, main
for name in _OWN:
    import_module(name)
import metaflow
print(json.dumps([list(sys.modules), list(vars(metaflow)), sys.path]))
"""


def _bare() -> _Bare:
    said = subprocess.run([sys.executable, "-c", _SAY_BARE], check=True, capture_output=True)
    modules, names, path = json.loads(said.stdout)
    return _Bare(frozenset(modules), frozenset(names), path)


def _serve(connection: socket.socket) -> None:
    bare = _bare()
    importlib.import_module("metaflow.compute.local.zygote")
    for room in _ROOMS:
        if importlib.util.find_spec(room) is not None:
            for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
                importlib.import_module(module.name)
    # What these bring along, and we, is not what a flow file has imported.
    Shelf().put([name for name in sys.modules if name not in bare.modules and not name.startswith("metaflow")])
    gc.collect()
    gc.freeze()
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, _MOST_BYTES, 3)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(json.loads(data), descriptors, bare)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: dict[str, Any], descriptors: list[int], bare: _Bare) -> NoReturn:
    from metaflow.compute.interpreter import compile_file, open_streams, run_main

    os.setsid()
    # Its environment cannot be changed for others to see, so it is found by its name (`support.processes`).
    Path("/proc/self/comm").write_text(request["environment"].get("MILLRACE_TEST_MARK", "python"))
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    zygote_process.spawn = _Spare(bare).spawn
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


class _Spare:
    """A child of the command's process that waits for its word to be a zygote, and ends with it."""

    def __init__(self, bare: _Bare) -> None:
        self._spawn = zygote_process.spawn
        self._bare = bare
        self._inherited = _inherited()
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            self._socket.close()
            os.setpgid(0, 0)
            data, descriptors, _, _ = socket.recv_fds(other, _MOST_BYTES, 4)
            if not data:
                os._exit(0)
            _be_zygote(json.loads(data), descriptors, bare)
        other.close()

    def spawn(self, command: list[str], environment: dict[str, str], control: int) -> int:
        """Do what is to be done in place of `zygote_process.spawn`; what would differ is left to that."""
        zygote_process.spawn = self._spawn
        with self._socket:
            if self._is_alike(environment):
                request = {"command": command, "environment": environment, "directory": os.getcwd()}
                socket.send_fds(self._socket, [json.dumps(request).encode()], [0, 1, 2, control])
                return self._pid
        os.waitpid(self._pid, 0)
        return self._spawn(command, environment, control)

    def _is_alike(self, environment: dict[str, str]) -> bool:
        """Tell whether the fork has what an interpreter would come to that starts here."""
        read = {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
        try:
            beside = {name.partition(".")[0] for place in (os.getcwd(), sys.path[0]) for name in os.listdir(place)}
            streams = [os.get_inheritable(number) for number in range(3)]
        except OSError:
            return False
        hidden = beside & {*sys.stdlib_module_names, *(name.partition(".")[0] for name in self._bare.modules)}
        is_plain = read == {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
        return is_plain and not hidden and all(streams) and _inherited() == self._inherited


_READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC", "GLIBC", "TZ")
"""Beginnings of variables that an interpreter reads when it starts."""


def _inherited() -> list[object]:
    """Return what a process hands on to another one, beside its descriptors, its directory and its environment."""
    import resource

    mask = os.umask(0)
    os.umask(mask)
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN]
    return [mask, limits, ignored, signal.pthread_sigmask(signal.SIG_BLOCK, []), os.nice(0), os.getuid(), os.getsid(0)]


def _be_zygote(request: dict[str, Any], descriptors: list[int], bare: _Bare) -> NoReturn:
    from metaflow.compute.interpreter import open_streams

    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(len(descriptors), os.sysconf("SC_OPEN_MAX"))
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.orig_argv, sys.argv, sys.path[:] = request["command"], ["-c"], bare.path
    open_streams()
    if "PYTHONUNBUFFERED" in os.environ:
        for stream in sys.stdout, sys.stderr:
            cast(io.TextIOWrapper, stream).reconfigure(write_through=True, line_buffering=False)
    _strip(bare)
    main = sys.modules["__main__"] = ModuleType("__main__")
    exec(request["command"][-1], vars(main))
    os._exit(1)


def _strip(bare: _Bare) -> None:
    """Take away the modules that a zygote has not, and where they are bound."""
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, Shelf)]
    for name in [name for name in sys.modules if name not in bare.modules]:
        module, (around, _, last) = sys.modules.pop(name), name.rpartition(".")
        bound = vars(sys.modules[around]) if around in sys.modules else {}
        if bound.get(last) is module:
            del bound[last]
    metaflow = vars(sys.modules["metaflow"])
    for name in metaflow.keys() - bare.names:
        del metaflow[name]


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that nobody caught, and note it, as the interpreter does for those who ask at exit."""
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
