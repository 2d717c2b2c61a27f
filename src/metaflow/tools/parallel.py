"""`parallel_map` and `parallel_imap_unordered`: a function over many items, on all cores of this machine.

Each item is handled by a forked process, which has all that this one has: the function may be a lambda, and what it
needs is not pickled; only its results are. Start reading at `parallel_imap_unordered`.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, NoReturn, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 1 << 20


class MulticoreException(Exception):
    """The function failed for an item; its own exception, if that can be pickled, is the cause."""


def parallel_map(
    func: Callable[[Item], Result], iterable: Iterable[Item], max_parallel: int | None = None, dir: str | None = None
) -> list[Result]:
    """Call a function for each item, in several processes; return the results in order of the items.

    Parameters
    ----------
    func : callable
        Takes one item. It may be a lambda, and use what is defined around it.
    iterable : iterable
        The items.
    max_parallel : int, optional
        Maximum number of processes at a time; the number of cores that this process may use by default.
    dir : str, optional
        Has no effect: no files are needed.

    Raises
    ------
    MulticoreException
        The function failed for an item; the processes that still run are ended.
    """
    numbered = parallel_imap_unordered(lambda pair: (pair[0], func(pair[1])), enumerate(iterable), max_parallel, dir)
    return [result for _, result in sorted(numbered, key=lambda pair: pair[0])]


def parallel_imap_unordered(
    func: Callable[[Item], Result], iterable: Iterable[Item], max_parallel: int | None = None, dir: str | None = None
) -> Generator[Result, None, None]:
    """Call a function for each item, in several processes; yield the results as they come.

    Parameters and errors are those of `parallel_map`. Items are taken from `iterable` as processes become free.
    """
    width = _cores() if max_parallel is None else max_parallel
    if width < 1:
        raise ValueError(f"max_parallel is {max_parallel}, not 1 or more")
    return _results(func, iter(iterable), width)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Child(NamedTuple):
    pid: int
    received: bytearray


def _results(func: Callable[[Item], Result], items: Iterator[Item], width: int) -> Generator[Result, None, None]:
    with selectors.DefaultSelector() as pipes:
        try:
            for item in islice(items, width):
                _start(pipes, func, item)
            while pipes.get_map():
                for key, _ in pipes.select():
                    child: _Child = key.data
                    chunk = os.read(key.fd, _CHUNK)
                    if chunk:
                        child.received.extend(chunk)
                        continue
                    pipes.unregister(key.fileobj)
                    os.close(key.fd)
                    _, status = os.waitpid(child.pid, 0)
                    result: Result = _outcome(child.received, status)
                    for item in islice(items, 1):
                        _start(pipes, func, item)
                    yield result
        finally:
            _end(pipes)


def _start(pipes: selectors.BaseSelector, func: Callable[[Any], Any], item: Any) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _work(func, item, writer)
    os.close(writer)
    pipes.register(reader, selectors.EVENT_READ, _Child(pid, bytearray()))


def _work(func: Callable[[Any], Any], item: Any, writer: int) -> NoReturn:
    """Call the function in the child, hand on what comes of it, and leave."""
    try:
        ended: Any = (True, func(item))
        told = pickle.dumps(ended, pickle.HIGHEST_PROTOCOL)
    except BaseException as error:  # noqa: BLE001 - also sys.exit ends an item, and never what is behind the fork
        traceback.print_exc()
        told = _failure(error)
    try:
        with open(writer, "wb") as pipe:
            pipe.write(told)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _failure(error: BaseException) -> bytes:
    sentence = "".join(traceback.format_exception_only(error)).strip()
    try:
        told = pickle.dumps((False, (sentence, error)), pickle.HIGHEST_PROTOCOL)
        pickle.loads(told)  # an exception with arguments of its own is pickled, and then cannot be read
    except Exception:  # noqa: BLE001
        return pickle.dumps((False, (sentence, None)))
    return told


def _outcome(received: bytearray, status: int) -> Any:
    """Return a child's result.

    Raises
    ------
    MulticoreException
        It has none.
    """
    if not received:
        code = os.waitstatus_to_exitcode(status)
        end = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
        raise MulticoreException(f"A process of parallel_map {end} before it had a result.")
    ok, result = pickle.loads(received)
    if ok:
        return result
    sentence, error = result
    raise MulticoreException(f"The function of parallel_map failed: {sentence}") from error


def _end(pipes: selectors.BaseSelector) -> None:
    for key in list(pipes.get_map().values()):
        os.kill(key.data.pid, signal.SIGKILL)
        os.close(key.fd)
        os.waitpid(key.data.pid, 0)
