"""Calls that wait for a network, side by side.

A storage behind a network answers in milliseconds and can answer many at once, so whoever has several questions asks
them together. Threads, since the clients below let go of the interpreter's lock while they wait; they live for the
length of one call of `overlap`, so no thread is left in a process that forks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from threading import Condition, Thread
from typing import Any, TypeVar

WIDTH = 32
"""Calls under way at a time."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def beside(function: Callable[[], object]) -> Callable[[], None]:
    """Start `function` in a thread; return what waits for its end and raises what it raised."""
    call = _Call(None)

    def work() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised by who waits
            call.error = error

    def wait() -> None:
        thread.join()
        if call.error is not None:
            raise call.error

    thread = Thread(target=work, daemon=True)
    thread.start()
    return wait


def overlap(function: Callable[[_In], _Out], items: Iterable[_In], width: int = WIDTH) -> Iterator[_Out]:
    """Yield ``function(item)`` for each of `items`, in their order; `width` calls are under way at a time.

    With a `width` of 1 the caller makes them itself. Results wait until they are taken, at most `width` of them. If a
    call raises, the results before it are yielded, and then the error is raised; calls that have begun come to their
    end, others are not begun.
    """
    if width == 1:
        return map(function, items)
    source = iter(items)
    first = list(islice(source, 2))
    if len(first) < 2:
        return map(function, first)
    return _Overlap(function, _chain(first, source), width).results()


def _chain(first: list[_In], rest: Iterator[_In]) -> Iterator[_In]:
    yield from first
    yield from rest


class _Call:
    __slots__ = ("done", "error", "item", "result")

    def __init__(self, item: Any) -> None:
        self.item = item
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None


class _Overlap:
    def __init__(self, function: Callable[[Any], Any], items: Iterator[Any], width: int) -> None:
        self._function = function
        self._items = items
        self._width = width
        self._change = Condition()
        self._waiting: deque[_Call] = deque()
        self._over = False

    def results(self) -> Iterator[Any]:
        threads: list[Thread] = []
        calls: deque[_Call] = deque()
        try:
            while True:
                for item in islice(self._items, self._width - len(calls)):
                    call = _Call(item)
                    calls.append(call)
                    self._hand_out(call, threads)
                if not calls:
                    return
                call = calls[0]
                with self._change:
                    while not call.done:
                        self._change.wait()
                if call.error is not None:
                    raise call.error
                calls.popleft()
                yield call.result
        finally:
            with self._change:
                self._over = True
                self._waiting.clear()
                self._change.notify_all()
            for thread in threads:
                thread.join()

    def _hand_out(self, call: _Call, threads: list[Thread]) -> None:
        with self._change:
            self._waiting.append(call)
            self._change.notify_all()
        if len(threads) < self._width:
            threads.append(Thread(target=self._work, daemon=True))
            threads[-1].start()

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._waiting:
                    if self._over:
                        return
                    self._change.wait()
                call = self._waiting.popleft()
            try:
                call.result = self._function(call.item)
            except BaseException as error:  # noqa: BLE001 - raised where the results are taken
                call.error = error
            with self._change:
                call.done = True
                self._change.notify_all()
