import gc
import locale
import multiprocessing
import os
import resource
import signal
import sys
import threading

from metaflow import FlowSpec, step

AT_IMPORT = {"name": __name__, "file": __file__, "cwd": os.getcwd(), "argv": list(sys.argv)}


def fingerprint():
    """Return what a step can see of its process, as far as it is the same each time."""
    return {
        "at_import": AT_IMPORT,
        "argv": sys.argv,
        "path": sys.path,
        "flags": repr(sys.flags),
        "main": {
            name: str(getattr(sys.modules["__main__"], name, None))
            for name in ("__name__", "__file__", "__spec__", "__doc__", "__package__")
        },
        "class": FingerprintFlow.__module__,
        "environment": {name: value for name, value in os.environ.items() if name not in ("_", "SHLVL")},
        "cwd": os.getcwd(),
        "mask": os.umask(0o022),
        "signals": {s.name: str(signal.getsignal(s)) for s in signal.valid_signals() if isinstance(s, signal.Signals)},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) < 3),
        "stdin": os.readlink("/proc/self/fd/0"),
        "isatty": [stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "encoding": [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "buffering": [(stream.line_buffering, stream.write_through) for stream in (sys.stdout, sys.stderr)],
        "same streams": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
        "locale": locale.setlocale(locale.LC_ALL),
        "threads": [thread.name for thread in threading.enumerate()],
        "main thread": threading.current_thread() is threading.main_thread(),
        "process": multiprocessing.current_process().name,
        "start method": multiprocessing.get_start_method(allow_none=True),
        "group": os.getpgid(0) == os.getpid(),
        "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
        "nice": os.nice(0),
        "recursion": sys.getrecursionlimit(),
        "gc": [gc.isenabled(), gc.get_threshold()],
        "switch": sys.getswitchinterval(),
        "hooks": [
            sys.excepthook is sys.__excepthook__,
            sys.displayhook is sys.__displayhook__,
            sys.gettrace(),
            sys.getprofile(),
        ],
        "dont_write_bytecode": sys.dont_write_bytecode,
        "warnoptions": sys.warnoptions,
    }


class FingerprintFlow(FlowSpec):
    @step
    def start(self):
        self.print = fingerprint()
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    FingerprintFlow()
