"""The process that local tasks are forked from. It imports; it never runs the flow file or first-party code.

An interpreter start and its imports cost a hundred times what a small task does, so they are paid once: the zygote is
a fresh, single-threaded interpreter, started by exec beside the engine with the environment as the flow file left it.
It preloads our own package and those libraries that the flow file has imported and that are proven to bear it
(`preloading`), then forks one child per task. The child becomes what ``python flow.py … step …`` would be: flow file
executed from its top as ``__main__``, own process group, own streams, exit as an interpreter exits. Why imports only:
libraries that have computed something in the parent hang in a forked child (polars and torch do), and no count of
threads warns of it. A request may ask for exec instead; then the child execs the same command line, and the zygote
only watches it. So does a child that finds the libraries other than it would have imported them.

Messages go over one SOCK_SEQPACKET pair, one JSON document each, so children may write to it too: a task's own account
of its outcome is queued before its end is reported.

==========  ============================================================================================
to zygote   ``{"spawn": id, "argv": […], "env": {…}, "exec": bool}`` with two descriptors: stdout, stderr
            ``{"kill": id, "signal": number}``
to engine   ``{"importing": library}``, ``{"unfit": why}`` (and it exits), ``{"ready": true}``,
            ``{"started": id, "pid": n}``, ``{"unlike": id}`` and ``{"outcome": id, …}`` (from the child),
            ``{"ended": id, "status": wait status, "peak_mb": most memory of the task or one of its processes,
            "strays": […], "kept": {pid: …}}``, the commands of what was ended with it and of what lives on,
            ``{"failed": sentence}``, the last message after a fault of ours
==========  ============================================================================================

Nothing outlives its purpose: children die with the zygote (``PR_SET_PDEATHSIG``); when the engine's end of the socket
closes, the zygote kills all groups and exits; when a task ends, its group is killed, and what left the group but
descends from the task is found because the zygote is the subreaper (``PR_SET_CHILD_SUBREAPER``). What has left the
session of a task that ended well, as a service does that later tasks use, is kept until the run ends. A killed zygote
cannot do that, so it has a *keeper*, the process that the engine has started: it forks the zygote first of all, waits
for it, and then ends what it has left. Two of the three may be killed at once, and nothing is left.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import posix
import select
import signal
import socket
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import CodeType
from typing import Any, NoReturn

from metaflow import shadows
from metaflow.compute.interpreter import open_streams, run_main
from metaflow.compute.local import processes
from metaflow.compute.local.own_sources import take
from metaflow.compute.local.preloading import Preloading, Unfit
from metaflow.compute.local.proven import Candidate
from metaflow.compute.local.zygote_process import CONTROL_FD, MESSAGE_BYTES
from metaflow.compute.report import CHANNEL, report_unbegun

_CHANNEL_FD = 200
"""Least number of the descriptor on which a task reports."""

_LOOK_AGAIN = 20
"""Milliseconds until the zygote looks again whether what an ended task had started is gone."""


def main(path: list[str]) -> NoReturn:
    """Run the zygote; the first message is its configuration.

    Parameters
    ----------
    path : list of str
        Where a task looks for modules until it is told otherwise.
    """
    control = socket.socket(fileno=CONTROL_FD)
    data = control.recv(MESSAGE_BYTES)
    if not data:
        os._exit(0)
    config = json.loads(zlib.decompress(data))
    prctl = processes.system_call()
    processes.become_subreaper(prctl)
    keeper = os.getpid()
    child = os.fork()
    if child:
        _keep(child, config["starter"], control, prctl)
    processes.die_with_parent(prctl, signal.SIGTERM)  # ends it in the middle of an import; later `serve` looks
    processes.become_subreaper(prctl)
    zygote = Zygote(control, config, prctl, path)
    status = 0
    try:
        zygote.prepare()
        zygote.serve(keeper)
    except Unfit as reason:
        zygote.send({"unfit": str(reason)})
    except (OSError, KeyboardInterrupt):
        status = 1
    except Exception as error:  # noqa: BLE001 - a fault of ours: the engine tells it, since our stderr may be elsewhere
        status = 1
        zygote.tell_fault(error)
    zygote.kill_all()
    os._exit(status)


def _keep(zygote: int, starter: int, control: socket.socket, prctl: Any) -> NoReturn:
    """Wait for the end of the zygote, which that of its starter brings about, and end what it has left."""
    control.close()
    for number in (signal.SIGINT, signal.SIGTERM):  # a service manager sends them to all processes of a run
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, lambda *_: processes.kill_group(zygote))
    processes.die_with_parent(prctl, signal.SIGUSR2)
    if os.getppid() != starter:
        processes.kill_group(zygote)
    while os.wait()[0] != zygote:
        pass
    processes.kill_children()
    os._exit(0)


class _Over:
    """A task that has ended, while something of it may be left."""

    def __init__(self, since: float, message: dict[str, Any]) -> None:
        self.since = since
        self.message = message
        self.ended: dict[int, str] = {}  # strays
        self.kept: dict[int, str] = {}


class Zygote:
    """Forks tasks and watches them.

    Parameters
    ----------
    control : socket.socket
        To the engine.
    config : dict
        ``path`` and ``script`` of the flow file, ``module`` (its dotted name, if ``python -m`` has started it),
        ``fork`` (whether children will be forked at all), ``python`` (the command line of the interpreter),
        ``modules`` of ours and ``libraries`` (`Candidate`) to preload.
    prctl : callable
        The system call.
    path : list of str
        ``sys.path`` of a task.
    """

    def __init__(self, control: socket.socket, config: dict[str, Any], prctl: Any, path: list[str]) -> None:
        self._control = control
        self._path: str = config["path"]
        # A flow file that changes directory is found by its path; else a task sees the name that the user gave.
        self._script: str = config["script"] if os.path.abspath(config["script"]) == self._path else self._path
        self._module: str = config["module"]
        self._fork: bool = config["fork"]
        self._python: list[str] = config["python"]
        self._modules: list[str] = config["modules"]
        self._candidates = [Candidate(*each) for each in config["libraries"]]
        self._libraries: Preloading | None = None
        self._prctl = prctl
        self._sys_path = path
        self._code: CodeType | None = None
        self._pids: dict[int, int] = {}  # pid → id
        self._session = os.getsid(0)
        self._kept: set[int] = set()  # what has left the session of its task, until the run ends
        self._over: dict[int, _Over] = {}  # by process id
        self._pid = os.getpid()

    def prepare(self) -> None:
        """Keep the flow's source as it is now, and preload what tasks will import."""
        self._snapshot = take(self._path, self._module)
        if self._fork:
            for module in (*_OWN, *self._modules):
                with shadows.AsMeant(module.partition(".")[0]):
                    import_module(module)
            with tempfile.TemporaryFile() as output, _output_to(output.fileno()):
                self._libraries = Preloading(output.fileno())
                self._libraries.load(self._fitting(), lambda name: self.send({"importing": name}))
            self._snapshot.install()
            self._code = self._snapshot.code(self._path)
            gc.collect()
            gc.freeze()
        self.send({"ready": True, "threads": _python_threads()})

    def _fitting(self) -> list[Candidate]:
        # Where files of the user hide modules, libraries that ask for these would run the user's code here.
        return [] if shadows.is_hiding() else self._candidates

    def serve(self, keeper: int) -> None:
        """Answer requests until the engine or the keeper is gone."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        handlers: dict[signal.Signals, Any] = {
            signal.SIGCHLD: lambda *_: None,
            signal.SIGTERM: lambda *_: None,  # that the keeper or the engine is gone is seen below
        }
        # Ctrl-C is the engine's; it says what is to be done. Blocked, not ignored: a child that is to be interrupted
        # before it has its handler hears of it then.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        # What was ignored when the run was started, as `nohup` has it, stays ignored in its tasks.
        self._handlers = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        self._close_in_child = (wake_read, wake_write)
        while os.getppid() == keeper:
            ready = dict(poll.poll(_LOOK_AGAIN if self._over else None))
            if wake_read in ready:
                try:
                    os.read(wake_read, 4096)
                except BlockingIOError:
                    pass
            if wake_read in ready or self._over:
                self._reap()
            if ready.get(self._control.fileno(), 0):
                data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 2)
                if not data:
                    return
                self._obey(json.loads(data), descriptors)

    def tell_fault(self, error: Exception) -> None:
        """Tell the engine why there is an end to all this."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace is not None else ""
        try:
            self.send({"failed": f"{type(error).__name__}: {error}{where}"})
        except OSError:
            pass  # it is gone as well

    def kill_all(self) -> None:
        """Kill every task and every descendant, and wait until they are gone; what was kept may end by itself."""
        for pid in self._pids:
            processes.kill_group(pid)
        for pid in self._kept:
            processes.kill_group(pid, signal.SIGTERM)
        end = time.monotonic() + processes.PATIENCE
        while self._kept and time.monotonic() < end:
            self._kept -= {pid for pid, _, _ in processes.dead_children()}
            time.sleep(0.01)
        processes.kill_children()

    def _obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "kill" in message:
            for pid, id in self._pids.items():
                if id == message["kill"]:
                    processes.kill_group(pid, message["signal"])
            return
        id = message["spawn"]
        try:
            # A debugger puts its own in the place of `os.fork` and `os.execve`, and can follow a process only once.
            pid = posix.fork() if message["exec"] else os.fork()
        except OSError as error:
            self.send({"ended": id, "status": None, "reason": f"no process for it: {error.strerror}"})
            for fd in descriptors:
                os.close(fd)
            return
        if pid == 0:
            _Child(self, message, descriptors).run()
        for fd in descriptors:
            os.close(fd)
        self._pids[pid] = id
        self.send({"started": id, "pid": pid})

    def _reap(self) -> None:
        """Report what has ended, once nothing is left of it but what has left its session."""
        now = time.monotonic()
        for pid, status, peak_mb in processes.dead_children():
            self._kept.discard(pid)
            id = self._pids.pop(pid, None)
            if id is not None:
                self._over[pid] = _Over(now, {"ended": id, "status": status, "peak_mb": peak_mb})
        strays = self._strays()
        for pid, over in list(self._over.items()):
            mine = strays.get(pid, [])
            if not mine and not processes.is_group(pid):
                self._report(pid, over)
            elif now > over.since + processes.STRAY_GRACE:
                over.ended |= {stray: processes.described(stray) for stray in mine if stray not in over.ended}
                for each in (pid, *mine):
                    processes.kill_group(each)  # their deaths wake us again
                if now > over.since + processes.STRAY_GRACE + processes.PATIENCE:
                    self._report(pid, over)

    def _strays(self) -> dict[int, list[int]]:
        """Return the adopted children that are to end with the tasks that have ended, by process id of those.

        One that has left the session of a task that ended well has done so on purpose, and is kept.
        """
        found: dict[int, list[int]] = {}
        for stray in processes.children():
            if stray in self._pids or stray in self._kept:
                continue
            try:
                group, session = os.getpgid(stray), os.getsid(stray)
            except ProcessLookupError:
                continue
            owner = group if group in self._over else next(iter(self._over), 0)
            over = self._over.get(owner)
            if session != self._session and (over is None or over.message["status"] == 0):
                self._kept.add(stray)
                if over is not None:
                    over.kept[stray] = processes.described(stray)
            elif over is None:
                processes.kill_group(stray)
            else:
                found.setdefault(owner, []).append(stray)
        return found

    def _report(self, pid: int, over: _Over) -> None:
        del self._over[pid]
        self.send({**over.message, "strays": [each for each in over.ended.values() if each], "kept": over.kept})

    def send(self, message: dict[str, Any]) -> None:
        """Tell the engine."""
        self._control.send(json.dumps(message).encode())


class _Child:
    """A forked child on its way to being a task."""

    def __init__(self, zygote: Zygote, message: dict[str, Any], descriptors: list[int]) -> None:
        self._zygote = zygote
        self._message = message
        self._descriptors = descriptors

    def run(self) -> NoReturn:
        try:
            self._detach()
            argv = self._message["argv"]
            if self._message["exec"] or self._zygote._code is None:
                self._execute(dict(os.environ))
            self._become_fresh(argv)
        except KeyboardInterrupt:
            os._exit(130)
        except BaseException as error:  # noqa: BLE001 - whatever happens, this process must not go back to serve()
            os.write(2, f"The task could not be started: {error!r}\n".encode())
            os._exit(1)
        zygote = self._zygote
        loader = zygote._snapshot.loader(zygote._module or "__main__", zygote._path)
        run_main(zygote._code, zygote._path, lambda error: report_unbegun(error, os.environ), loader, zygote._module)

    def _detach(self) -> None:
        zygote = self._zygote
        os.setpgid(0, 0)
        processes.die_with_parent(zygote._prctl, signal.SIGKILL)
        processes.become_subreaper(zygote._prctl)
        if os.getppid() != zygote._pid:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number, handler in zygote._handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # in a session of its own only the run sends it
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        for fd in zygote._close_in_child:
            os.close(fd)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (self._descriptors[0], 1), (self._descriptors[1], 2)):
            os.dup2(source, target)
            os.close(source)
        os.environ.update(self._message["env"])
        zygote._control = _moved(zygote._control)
        os.environ[CHANNEL] = f"{zygote._control.fileno()}:{self._message['spawn']}"

    def _become_fresh(self, argv: list[str]) -> None:
        """Give the child what a new interpreter would have."""
        sys.argv = [self._zygote._script, *argv]
        sys.path[:] = self._zygote._sys_path
        open_streams()
        if self._zygote._libraries is not None:
            environment = dict(os.environ)
            self._zygote._libraries.begin(lambda: self._begin_anew(environment))

    def _begin_anew(self, environment: dict[str, str]) -> NoReturn:
        """Be an interpreter of its own after all, and tell the engine that the other tasks should."""
        self._zygote.send({"unlike": self._message["spawn"]})
        self._execute(environment)

    def _execute(self, environment: dict[str, str]) -> NoReturn:
        zygote, argv = self._zygote, self._message["argv"]
        command = [*zygote._python, *(("-m", zygote._module) if zygote._module else (zygote._script,)), *argv]
        # A debugger that has put its own in the place of `os.execve` enters scripts; Python tells what is no program.
        if os.execve is posix.execve and zygote._snapshot.code(zygote._path) is not None:
            source = zygote._snapshot.to_descriptor()
            program = _EXECUTED.format(
                directory=zygote._sys_path[:1], source=source, path=zygote._path, module=zygote._module
            )
            command = [*zygote._python, "-c", program, zygote._script, *argv]
        os.execve(command[0], command, environment)


@contextmanager
def _output_to(file: int) -> Iterator[None]:
    """Have standard output and standard error go elsewhere."""
    kept = [(fd, os.dup(fd)) for fd in (1, 2)]
    for fd, _ in kept:
        os.dup2(file, fd)
    try:
        yield
    finally:
        for fd, copy in kept:
            os.dup2(copy, fd)
            os.close(copy)


def _moved(control: socket.socket) -> socket.socket:
    """Move the socket out of the way: some programs write to low numbers, where they have nothing, or close them."""
    for least in (_CHANNEL_FD, CONTROL_FD + 1):
        try:
            number = fcntl.fcntl(control, fcntl.F_DUPFD, least)
        except OSError:  # above what `ulimit -n` allows
            continue
        control.close()
        return socket.socket(fileno=number)
    return control


_EXECUTED = """
import sys
if not sys.flags.safe_path:
    sys.path[:1] = {directory!r}
from metaflow.compute.local.snapshot import main
main({source}, {path!r}, {module!r}, sys.argv[1:])
"""


_OWN = (
    "difflib", "hashlib", "json", "linecache", "pickle", "random", "threading", "traceback", "zlib",
    "metaflow.app.task", "metaflow.cli.main", "metaflow.decorators.resources", "metaflow.flow.graph",
    "metaflow.flow.includefile", "metaflow.metadata_provider.local", "metaflow.settings", "metaflow.store.local",
)  # fmt: skip
"""What every task needs of ours and of the standard library."""


def _python_threads() -> int:
    from threading import active_count

    return active_count()
