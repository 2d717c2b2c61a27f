"""The zygote as its starter sees it: a process and a socket. Light, since it is started before all else is loaded."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import zlib
from collections.abc import Sequence
from typing import Any

from metaflow.compute.local.proven import Candidate

CONTROL_FD = 3
"""The zygote's end of the socket, in the zygote and in its children."""

MESSAGE_BYTES = 1 << 20
"""Most bytes of one message."""

_BOOT = """
import sys
{directory}
path = sys.path[:]
sys.path[:] = {launchers_path!r}
from metaflow.compute.local.zygote import main
main(path)
"""
"""Modules are looked for where the flow file has had us look; tasks begin with the path of any program."""


class ZygoteProcess:
    """The running zygote: the process id of its keeper, which ends after it, and the engine's end of the socket.

    It is started as early as possible, before the engine exists, since its imports take as long as the engine's.

    Parameters
    ----------
    script : str
        The flow file as given to python.
    path : str
        Its absolute path.
    fork : bool
        Whether tasks are forked (and so modules preloaded); else they are exec'ed.
    modules : sequence of str
        Modules of ours that are preloaded beside what every task needs.
    libraries : sequence of Candidate
        What is imported once for all tasks.
    module : str, optional
        The flow file's dotted name, if ``python -m`` has started it.
    directory : str, optional
        Where tasks look for modules first; by default where the flow file is.

    Attributes
    ----------
    ready : bool
        Whether it can fork tasks.
    importing : str
        The library that it is importing, if it is not ready.
    """

    def __init__(
        self,
        script: str,
        path: str,
        *,
        fork: bool,
        modules: Sequence[str] = (),
        libraries: Sequence[Candidate] = (),
        module: str = "",
        directory: str | None = None,
    ) -> None:
        self.fork = fork
        self._config = {"path": path, "script": script, "module": module, "fork": fork, "modules": list(modules)}
        self._libraries = list(libraries)
        # A script's own directory comes first on its path, that of the file itself if the script is a link to it.
        self._directory = os.path.dirname(os.path.realpath(path)) if directory is None else directory
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
        python = [sys.executable, *_interpreter_flags()]
        own = "" if sys.flags.safe_path else f"sys.path[0] = {self._directory!r}"
        boot = _BOOT.format(directory=own, launchers_path=sys.path)
        self.pid = spawn([*python, "-c", boot], {**os.environ, "PYTHONUNBUFFERED": "1"}, theirs.fileno())
        theirs.close()
        self.ready = False
        self.importing = ""
        self.socket = ours
        config = {**self._config, "python": python, "libraries": self._libraries, "starter": os.getpid()}
        try:
            ours.send(zlib.compress(json.dumps(config).encode()))
        except BrokenPipeError:
            pass  # it is dead already, which is found out when it is asked for something

    def start_without(self, library: str) -> None:
        """Start another process in the place of this one, which has failed to import a library.

        Parameters
        ----------
        library : str
            It is left to the tasks.
        """
        self.stop()
        self._libraries = [each for each in self._libraries if each.name != library]
        self._start()

    def stop(self) -> None:
        """End the zygote and all that it has started, and wait for it."""
        if not self.ready:
            os.kill(self.pid, signal.SIGKILL)  # it has started nothing, and may be in the middle of a long import
        self.socket.close()
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass


def spawn(command: list[str], environment: dict[str, str], control: int) -> int:
    """Start an interpreter that leads a process group and has our socket; return its process id.

    Parameters
    ----------
    command : list of str
        Its command line.
    environment : dict of str to str
        Its environment.
    control : int
        What it gets as `CONTROL_FD`.
    """
    return os.posix_spawn(sys.executable, command, environment, file_actions=_descriptors(control), setpgroup=0)


def _descriptors(control: int) -> list[tuple[Any, ...]]:
    """Say which descriptors the zygote starts with: its end of the socket, and standard streams in any case."""
    actions: list[tuple[Any, ...]] = []
    if control == CONTROL_FD:
        os.set_inheritable(control, True)
    else:
        actions.append((os.POSIX_SPAWN_DUP2, control, CONTROL_FD))
    for fd in range(3):
        try:
            is_stream = os.get_inheritable(fd)
        except OSError:
            is_stream = False
        if not is_stream:  # closed, as in a daemon, and perhaps taken by a file of ours since
            actions.append((os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0))
    return actions


def _interpreter_flags() -> list[str]:
    """Return the flags that this interpreter was started with, so that tasks get the same."""
    flags: list[str] = []
    words = iter(sys.orig_argv[1:])
    for word in words:
        if not word.startswith("-") or word in ("-c", "-m", "-"):
            break
        flags.append(word)
        if word in ("-X", "-W"):
            flags.append(next(words))
    return flags
