"""How a step's failure is told: the user's frames and the exception, or one sentence where no frame helps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from metaflow.exception import (
    MetaflowException,
    StepRaised,
    TaskExited,
    TaskFailed,
    TaskKilled,
    TaskOutOfMemory,
    TaskTimedOut,
    TimeoutException,
    repr_of,
    text_of,
)
from metaflow.flow.spec import FlowSpec, hint_for_missing

_container: tuple[str, str] | None = None
"""Backend and image of the container that this process runs in."""
_code: tuple[str, ...] = ()
"""Directories that the user's files were put into."""
_other_suffixes: frozenset[str] = frozenset()
"""Endings of files of the user that were not."""


def set_container(container: str | None, code: Sequence[str] = (), other_suffixes: Sequence[str] = ()) -> None:
    """Say where this process runs.

    Parameters
    ----------
    container : str or None
        A backend and an image with a space between them; None if on the user's machine.
    code : sequence of str
        Directories that the user's files were put into, those within others first.
    other_suffixes : sequence of str
        Endings of files of the user that were not.
    """
    global _container, _code, _other_suffixes
    backend, _, image = (container or "").partition(" ")
    _container = (backend, image) if image else None
    _code = tuple(code)
    _other_suffixes = frozenset(other_suffixes)


def as_packaged(text: str) -> str:
    """Return `text` with the user's files named as where they come from, not as in this container."""
    for directory in _code:
        text = text.replace(f"{directory}/", "")
    return text


def hint_of_import(error: BaseException) -> str | None:
    """Return what to do about an import that failed because of the image that this process runs in."""
    if not isinstance(error, ImportError) or _container is None:
        return None
    backend, image = _container
    if isinstance(error, ModuleNotFoundError) and error.name:
        lacks = f"neither the image '{image}' nor the code package has a module '{error.name.partition('.')[0]}'"
    else:
        lacks = f"this import does not work in the image '{image}'"
    return f"{lacks}: name an image where it does, @{backend}(image=…)"


def failure_of_error(error: BaseException, step: str) -> TaskFailed:
    """Return the failure that what a step raised stands for: its class, its sentence, what is known of it."""
    sentence = as_packaged(failure_sentence(error, step))
    where = as_packaged(_where(error, user_frames(error.__traceback__)) or "")
    values: dict[str, float | str] = {"where": where} if where else {}
    match error:
        case TaskFailed():
            return error
        case TimeoutException():
            limit = getattr(error, "seconds", None)
            if limit is not None:
                values["limit_seconds"] = limit
            return TaskTimedOut(sentence, hint=error.hint, **values)
        case MemoryError():
            return _out_of_memory(sentence, step, values)
        case SystemExit():
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            return TaskExited(sentence, hint=None, exit_code=code, **values)
        case KeyboardInterrupt():
            return TaskKilled(sentence, hint=None, signal=2, **values)
        case MetaflowException():
            return StepRaised(sentence, hint=error.hint, error=_name(error), **values)
        case _:
            return StepRaised(sentence, hint=hint_of_import(error) or _hint(error), error=_name(error), **values)


def _hint(error: BaseException) -> str | None:
    """Return what to do about an error that comes from where a step runs: without a terminal, or in a container."""
    if isinstance(error, FileNotFoundError):
        return _hint_of_file(error.filename)
    if _name(error) == "bdb.BdbQuit":
        return (
            "a step has no terminal for breakpoint(): put `-m debugpy --listen 5678 --wait-for-client` before the flow "
            "file and attach a debugger; PYTHONBREAKPOINT=0 passes over breakpoints"
        )
    if isinstance(error, EOFError) and str(error) == "EOF when reading a line":
        return "a step has no standard input: use a Parameter"
    return None


def _hint_of_file(name: object) -> str | None:
    """Return what to do about a file that is not there, if it may be one that was not packaged."""
    if not isinstance(name, (str, bytes)):
        return None
    path = os.fsdecode(name)
    suffix = os.path.splitext(path)[1]
    if suffix not in _other_suffixes or (os.path.isabs(path) and not path.startswith(_code)):
        return None
    return (
        f"the code package has no files that end in '{suffix}': give --package-suffixes={suffix} before the command "
        "`run`, or use an IncludeFile"
    )


def _out_of_memory(sentence: str, step: str, values: dict[str, float | str]) -> TaskOutOfMemory:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    values["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        values["limit_mb"] = round(limit / 1e6)
        sentence += f" (the address space is limited to {values['limit_mb']} MB: ulimit -v)"
    return TaskOutOfMemory(f"the step '{step}' got no more memory: {sentence}", hint=None, **values)


def failure_sentence(error: BaseException, step: str) -> str:
    """Say in one sentence why a step failed."""
    if isinstance(error, SystemExit):
        code = "" if error.code is None else repr_of(error.code)
        return f"the step '{step}' called sys.exit({code}) before it had finished"
    if isinstance(error, KeyboardInterrupt):
        return f"the step '{step}' was interrupted"
    if isinstance(error, MetaflowException):
        return error.message
    text = text_of(error).strip().partition("\n")[0]
    return f"{_name(error)}: {text}" if text else _name(error)


def _name(error: BaseException) -> str:
    name, module = type(error).__name__, type(error).__module__
    return name if module == "builtins" else f"{module}.{name}"


def describe_failure(error: BaseException, step: str) -> str:
    """Return what a failed step prints: the user's frames and the exception, or one sentence where no frame helps."""
    return as_packaged(_description(error, step))


def _description(error: BaseException, step: str) -> str:
    import traceback

    frames = user_frames(error.__traceback__)
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        where = "".join(traceback.format_tb(frames))
        return f"{where}{failure_sentence(error, step)[0].upper()}{failure_sentence(error, step)[1:]}.\n"
    if isinstance(error, MetaflowException):
        lines = [f"{error.headline}:", f"    {error.message}"]
        if isinstance(error, TimeoutException):
            # Nobody wrote the line that was too slow so that it raises: tell the way to it.
            lines += [f"  {line}" for part in traceback.format_tb(frames) for line in part.splitlines()]
        else:
            where_line = _where(error, frames)
            lines += [f"    {where_line}"] if where_line else []
        lines += [f"    hint: {error.hint}"] if error.hint else []
        return "\n".join(lines) + "\n"
    text = "".join(traceback.format_exception(type(error), error, frames))
    hint = _hint(error)
    text += f"    hint: {hint}\n" if hint else ""
    if isinstance(error, AttributeError) and isinstance(error.obj, FlowSpec) and error.name is not None:
        hint = hint_for_missing(error.obj, error.name)
        text += f"    hint: {hint}\n" if hint else ""
    if isinstance(error, ImportError):
        hint = hint_of_import(error)
        text += f"    hint: {hint}\n" if hint else ""
    if isinstance(error, NameError):
        from metaflow.flow.undefined import hint_for

        hint = hint_for(error)
        text += f"    hint: {hint}\n" if hint else ""
    return text


def place_of_assignment(
    flow_class: type[FlowSpec], step: Callable[..., Any], name: str
) -> tuple[str | None, int | None]:
    """Return file and line where a step sets an attribute for the last time, else where another method does.

    Of the compiled code, since the file may have changed; of an attribute that nobody sets by its name, the step's.
    """
    from dis import get_instructions
    from inspect import isfunction, unwrap

    methods: list[Any] = [member for kind in flow_class.__mro__ for member in vars(kind).values() if isfunction(member)]
    for function in [step, *methods]:
        code = unwrap(function).__code__
        lines = [
            instruction.positions.lineno
            for instruction in get_instructions(code)
            if instruction.opname == "STORE_ATTR" and instruction.argval == name and instruction.positions is not None
        ]
        if lines:
            return code.co_filename, lines[-1]
    code = unwrap(step).__code__
    return code.co_filename, code.co_firstlineno


def tell_plainly(error: MetaflowException) -> None:
    """Have this error end the process without a traceback, if nobody catches it.

    For errors that are raised while the user's file is imported, before the command line is there to tell them.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        if value is error:
            sys.stderr.write(describe_failure(error, ""))
        else:
            before(kind, value, trace)

    sys.excepthook = hook


def user_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of this package."""
    frames = []
    while trace is not None:
        if not _is_ours(trace):
            frames.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for frame in reversed(frames):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def _is_ours(trace: TracebackType) -> bool:
    name: str = trace.tb_frame.f_globals.get("__name__", "")
    return name == "metaflow" or name.startswith("metaflow.")


def _where(error: BaseException, frames: TracebackType | None) -> str | None:
    """Return ``file:line`` of what an error is about: as it says itself, else where the user's code raised it."""
    said = error.where if isinstance(error, MetaflowException) else None
    return said or _last_user_frame(frames)


def where_of_code(error: BaseException) -> str | None:
    """Return ``file:line`` where code of the user, or of a library, has raised; None if it was ours."""
    return _last_user_frame(user_frames(error.__traceback__))


def _last_user_frame(trace: TracebackType | None) -> str | None:
    """Return ``file:line`` of the innermost frame that is in no library, or else of the innermost one."""
    where = own = None
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        where = f"{path}:{trace.tb_lineno}"
        # Compiled code names a source file that is not there, and a string has none: their module has a place.
        module = trace.tb_frame.f_globals.get("__file__")
        if not _is_of_a_library(path) and not (isinstance(module, str) and _is_of_a_library(module)):
            own = where
        trace = trace.tb_next
    return own or where


def _is_of_a_library(path: str) -> bool:
    return path.startswith(("<frozen ", os.path.dirname(os.__file__))) or any(
        f"{os.sep}{name}{os.sep}" in path for name in ("site-packages", "dist-packages")
    )
