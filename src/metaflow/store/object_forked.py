"""Object storage for a forked child: a process of its own, started by exec, that answers over two pipes.

The threads of an obstore client do not survive a fork, and a client that is used in the child waits for them for ever.
Steps do fork: `multiprocessing`, `parallel_map`, data loaders. So a child whose parent has used a client hands its
requests to a helper, one after the other. It costs an interpreter start, and ends when its child does.

Run as a program it is the helper. Start reading at `Helper`.
"""

from __future__ import annotations

import os
import pickle
import sys
from threading import Lock
from typing import IO, Any

from metaflow.exception import MetaflowException, StorageUnavailable


class Helper:
    """A process that makes the requests of this one.

    Parameters
    ----------
    target : str
        ``module:class`` of what answers them over there.
    *arguments
        What it is made of.
    """

    def __init__(self, target: str, *arguments: Any) -> None:
        import subprocess

        self.pid = os.getpid()
        self._asking = Lock()
        command = [sys.executable, "-m", "metaflow.store.object_forked"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests: IO[bytes] = process.stdin
        self._answers: IO[bytes] = process.stdout
        self.call("open", target, *arguments)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a method over there.

        Raises
        ------
        metaflow.exception.MetaflowException
            What the method raises.
        """
        with self._asking:
            try:
                pickle.dump((name, arguments), self._requests)
                self._requests.flush()
                ok, answer = pickle.load(self._answers)
            except (OSError, EOFError) as error:
                raise StorageUnavailable("The process that makes the requests of a forked one has died.") from error
        if not ok:
            raise answer
        return answer


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    from importlib import import_module

    server: Any = None
    while True:
        try:
            name, arguments = pickle.load(requests)
        except EOFError:
            return
        answer: Any
        try:
            if name == "open":
                module, _, attribute = arguments[0].partition(":")
                server, answer = getattr(import_module(module), attribute)(*arguments[1:]), None
            else:
                answer = getattr(server, name)(*arguments)
            told = pickle.dumps((True, answer))
        except MetaflowException as error:
            told = pickle.dumps((False, error))
        answers.write(told)
        answers.flush()


if __name__ == "__main__":
    _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else gets between the answers
    serve(sys.stdin.buffer, _answers)
