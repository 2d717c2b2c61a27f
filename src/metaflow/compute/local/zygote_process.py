"""The zygote as its starter sees it: a process and a socket. Light, since it is started before all else is loaded."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

CONTROL_FD = 3
"""The zygote's end of the socket, in the zygote and in its children."""

MESSAGE_BYTES = 1 << 20
"""Most bytes of one message."""

_BOOT = "import sys; sys.path[0] = {0!r}\nfrom metaflow.compute.local.zygote import main; main()"


class ZygoteProcess:
    """The running zygote: its process id and the engine's end of the socket.

    It is started as early as possible, before the engine exists, since its imports take as long as the engine's.

    Parameters
    ----------
    script : str
        The flow file as given to python.
    path : str
        Its absolute path.
    fork : bool
        Whether tasks are forked (and so modules preloaded); else they are exec'ed.
    """

    def __init__(self, script: str, path: str, *, fork: bool) -> None:
        self.fork = fork
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
        python = [sys.executable, *_interpreter_flags()]
        boot = _BOOT.format(os.path.dirname(path))
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        fd = theirs.fileno()
        self.pid = os.posix_spawn(
            sys.executable,
            [*python, "-c", boot],
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, CONTROL_FD)] if fd != CONTROL_FD else [],
            setpgroup=0,
        )
        theirs.close()
        self.ready = False
        self.socket = ours
        ours.send(json.dumps({"path": path, "script": script, "fork": fork, "python": python}).encode())

    def stop(self) -> None:
        """End the zygote and all that it has started, and wait for it."""
        self.socket.close()
        if not self.ready:  # it has started nothing and may be in the middle of a long import
            os.kill(self.pid, signal.SIGKILL)
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass


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
