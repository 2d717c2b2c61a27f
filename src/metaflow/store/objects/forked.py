"""Object storage in a forked child: by a process of its own, started by exec, that is asked over two pipes.

The threads of an obstore client do not survive a fork, and a client that is used in the child waits for them for ever.
Steps do fork: `multiprocessing`, `parallel_map`, data loaders. So a child whose parent has used a client hands its
calls to such a process, one after the other. It costs an interpreter's start, and ends when its child does.

Run as a program it is that process. Start reading at `ForkSafe`.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from threading import Lock
from typing import IO, Any, Concatenate, Generic, ParamSpec, TypeVar

from metaflow.exception import MetaflowException, StorageUnavailable
from metaflow.store.objects.errors import StoreError

_Target = TypeVar("_Target")
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_runtime_of: list[int] = []  # the process in which obstore's threads run: they are one set for the whole process


def note_use() -> None:
    """Take note that obstore is used in this process."""
    if not _runtime_of:
        _runtime_of.append(os.getpid())


def is_forked() -> bool:
    """Tell whether obstore was used before this process was forked, and would wait for ever in it."""
    return bool(_runtime_of) and _runtime_of[0] != os.getpid()


class ForkSafe(Generic[_Target]):
    """An object whose methods are called here or, in a forked child, in a process of its own.

    Parameters
    ----------
    make : callable
        Makes the object: a class that can be pickled by name. It is made at the first call.
    *arguments
        What it is made of; can be pickled.
    """

    def __init__(self, make: Callable[..., _Target], *arguments: Any) -> None:
        self._make = make
        self._arguments = arguments
        self._target: _Target | None = None
        self._process: _Process | None = None
        self._lock = Lock()

    def call(
        self,
        method: Callable[Concatenate[_Target, _Arguments], _Result],
        *arguments: _Arguments.args,
        **options: _Arguments.kwargs,
    ) -> _Result:
        """Call a method of the object, such as ``Bucket.head``.

        Raises
        ------
        StoreError, metaflow.exception.MetaflowException
            What the method raises.
        """
        if is_forked():
            result: _Result = self._process_of_child().call(method, arguments, options)
            return result
        if self._target is None:
            with self._lock:
                self._target = self._target or self._make(*self._arguments)
        return method(self._target, *arguments, **options)

    def _process_of_child(self) -> _Process:
        with self._lock:
            if self._process is None or self._process.of != os.getpid():
                self._process = _Process(self._make, self._arguments)
            return self._process


class _Process:
    def __init__(self, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        import subprocess

        self.of = os.getpid()
        self._asking = Lock()
        command = [sys.executable, "-m", "metaflow.store.objects.forked"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests: IO[bytes] = process.stdin
        self._results: IO[bytes] = process.stdout
        pickle.dump((make, arguments), self._requests)

    def call(self, method: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        with self._asking:
            try:
                pickle.dump((method, arguments, options), self._requests)
                self._requests.flush()
                ok, result = pickle.load(self._results)
            except (OSError, EOFError) as error:
                raise StorageUnavailable(
                    "The process that makes the storage requests of this forked process has died."
                ) from error
        if not ok:
            raise result
        return result


def serve(requests: IO[bytes], results: IO[bytes]) -> None:
    """Answer calls until there are no more."""
    make, made_of = pickle.load(requests)
    target: Any = None
    while True:
        try:
            method, arguments, options = pickle.load(requests)
        except EOFError:
            return
        try:
            target = target or make(*made_of)
            told = pickle.dumps((True, method(target, *arguments, **options)))
        except (MetaflowException, StoreError) as error:
            told = pickle.dumps((False, error))
        results.write(told)
        results.flush()


if __name__ == "__main__":
    _results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else gets between the results
    serve(sys.stdin.buffer, _results)
