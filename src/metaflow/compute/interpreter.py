"""A forked process that becomes what ``python flow.py`` would be: its streams, the main program, the end.

Knows neither tasks nor who forks. Start reading at `run_main`.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType
from typing import Any, NoReturn

_FEW_DESCRIPTORS = 5
"""The standard streams, the channel to whoever forked, and the listing of the descriptors itself."""


def compile_file(path: str) -> CodeType | None:
    """Compile the flow file; None leaves it to an exec of the interpreter to say what is wrong."""
    try:
        with open(path, "rb") as file:
            return compile(file.read(), path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return None


def open_streams() -> None:
    """Open the standard streams anew, on the descriptors that they have now."""
    sys.stdin = _stream(0, sys.stdin)
    sys.stdout = _stream(1, sys.stdout)
    sys.stderr = _stream(2, sys.stderr)
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)


def run_main(
    code: CodeType | None,
    path: str,
    on_error: Callable[[BaseException], None] | None = None,
    loader: SourceFileLoader | None = None,
    module: str = "",
) -> NoReturn:
    """Execute the flow file as the main program, and end as an interpreter ends.

    Parameters
    ----------
    code : CodeType
        The flow file, compiled.
    path : str
        Where it is.
    on_error : callable, optional
        Gets the exception that ends the program, if one does, after it has been printed.
    loader : SourceFileLoader, optional
        Who knows its source; by default the file.
    module : str, optional
        Its dotted name, if ``python -m`` has started it.
    """
    assert code is not None
    main = _main_module(path, loader or SourceFileLoader(module or "__main__", path), module)
    sys.modules["__main__"] = main
    if "__mp_main__" in sys.modules:  # set by multiprocessing, when it is imported
        sys.modules["__mp_main__"] = main
    status = 0
    try:
        if main.__package__:
            __import__(main.__package__)
        exec(code, main.__dict__)
    except SystemExit as leave:
        if leave.code is None or isinstance(leave.code, int):
            status = leave.code or 0
        else:
            print(leave.code, file=sys.stderr)
            status = 1
    except KeyboardInterrupt:
        status = 130
    except BaseException as error:  # noqa: BLE001 - reported as the interpreter would
        own_frame = error.__traceback__
        error = error.with_traceback(own_frame.tb_next if own_frame is not None else None)
        sys.excepthook(type(error), error, error.__traceback__)
        if on_error is not None:
            on_error(error)
        status = 1
    _finalize()
    os._exit(status & 0xFF)


def _main_module(path: str, loader: SourceFileLoader, module: str) -> ModuleType:
    main = ModuleType("__main__")
    main.__file__ = path
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    main.__dict__["__cached__"] = None
    main.__annotations__ = {}
    main.__loader__ = loader
    if module:
        spec = spec_from_file_location(module, path, loader=loader)
        assert spec is not None
        main.__spec__ = spec
        main.__package__ = spec.parent
        main.__dict__["__cached__"] = spec.cached
    return main


def _finalize() -> None:
    import atexit
    import threading

    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
    for stream in (*_left_open(), sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass


def _left_open() -> list[Any]:
    """Return the files that the task did not close: an interpreter that ends flushes them."""
    import io

    try:
        if len(os.listdir("/proc/self/fd")) <= _FEW_DESCRIPTORS:
            return []
    except OSError:
        pass
    # What was there before the fork is frozen, so these are the task's own. A proxy that is asked for its class may
    # load something, or warn.
    return [file for file in gc.get_objects() if issubclass(type(file), (io.TextIOWrapper, io.BufferedWriter))]


def _stream(fd: int, made: Any) -> Any:
    """Open a stream like `made`, the one that the interpreter made for this descriptor: what is printed is out."""
    import io

    raw: Any = io.FileIO(fd, made.mode, closefd=False)
    raw.name = made.name
    stream = io.TextIOWrapper(
        io.BufferedReader(raw) if made.mode == "r" else raw,
        encoding=made.encoding,
        errors=made.errors,
        write_through=made.write_through,
        line_buffering=made.line_buffering,
    )
    vars(stream)["mode"] = made.mode
    return stream
