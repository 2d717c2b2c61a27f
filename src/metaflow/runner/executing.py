"""A command of a flow that a program has started: how it stands, what it prints, its end; and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar

from metaflow.exception import MetaflowNotFound
from metaflow.runner.output import Output
from metaflow.runner.process import FlowProcess

if TYPE_CHECKING:
    from metaflow.client import Run, Task

Status = Literal["running", "successful", "failed", "timeout"]
Starter = TypeVar("Starter")


class ExecutingProcess(Generic[Starter]):
    """A command of a flow in a process of its own.

    Attributes
    ----------
    runner : Runner
        What has started it.
    """

    def __init__(self, runner: Starter, process: FlowProcess) -> None:
        self.runner = runner
        self._process = process
        self._is_too_slow = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: what it has printed lives in memory and in files without names, as long as this object."""

    @property
    def pid(self) -> int | None:
        """Id of its process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status of its process, None while it goes on; negative, the signal that ended it."""
        return self._process.returncode

    @property
    def status(self) -> Status:
        """How it stands.

        ``running``, ``successful``, ``failed``, or ``timeout`` if it has been ended because `wait` took too long.
        """
        if self._is_too_slow:
            return "timeout"
        if not self._process.has_ended:
            return "running"
        return "successful" if self.returncode == 0 else "failed"

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return str(self._process.stdout)

    @property
    def stderr(self) -> str:
        """What it has printed so far on the stream for errors and remarks."""
        return str(self._process.stderr)

    async def wait(self, timeout: float | None = None, stream: str | None = None) -> Self:
        """Wait for its end. A coroutine that is cancelled here ends it, with all its tasks.

        Parameters
        ----------
        timeout : float, optional
            Seconds after which it is ended, with all its tasks.
        stream : str, optional
            ``stdout`` or ``stderr``: printed meanwhile.

        Returns
        -------
        ExecutingProcess
            This object.

        Raises
        ------
        ValueError
            There is no such stream.
        """
        over = self._process.changed.heard(lambda: self._process.has_ended) if stream is None else self._print(stream)
        try:
            await asyncio.wait_for(over, timeout)
        except TimeoutError:
            self._is_too_slow = not self._process.has_ended
            await end(self._process)
        except asyncio.CancelledError:
            await end(self._process)
            raise
        return self

    async def stream_log(self, stream: str, position: int | None = None) -> AsyncIterator[tuple[int, str]]:
        """Yield what it prints, line by line, from the beginning or a position on, until its end.

        Parameters
        ----------
        stream : str
            ``stdout`` or ``stderr``.
        position : int, optional
            One that was yielded before, to go on from there.

        Yields
        ------
        tuple of int, str
            The position after a line, and the line, without its end.

        Raises
        ------
        ValueError
            There is no such stream.
        """
        output, process = self._output(stream), self._process
        position, seen = position or 0, -1

        def has_news() -> bool:
            return process.has_ended or output.size > seen

        while True:
            await process.changed.heard(has_news)
            is_whole, seen = process.has_ended, output.size
            for after, line in output.lines(position, is_whole=is_whole):
                position = after
                yield after, line
            if is_whole:
                return

    def _output(self, stream: str) -> Output:
        outputs = {"stdout": self._process.stdout, "stderr": self._process.stderr}
        if stream not in outputs:
            raise ValueError(f"There is no stream {stream!r}: it is 'stdout' or 'stderr'.")
        return outputs[stream]

    async def _print(self, stream: str) -> None:
        async for _, line in self.stream_log(stream):
            print(line)


class ExecutingRun(ExecutingProcess[Starter]):
    """A run in a process of its own.

    Attributes
    ----------
    run : Run
        The run, for the client: whatever namespace and metadata this program has chosen.
    """

    def __init__(self, runner: Starter, process: FlowProcess, run: Run) -> None:
        super().__init__(runner, process)
        self.run = run

    def __repr__(self) -> str:
        return f"<{self.run.pathspec}: {self.status}>"


class ExecutingTask(ExecutingProcess[Starter]):
    """A spun task in a process of its own.

    Attributes
    ----------
    pathspec : str
        Its name: ``Flow/id/step/0``.
    """

    def __init__(self, runner: Starter, process: FlowProcess, pathspec: str, find: Callable[[], Task] | None) -> None:
        super().__init__(runner, process)
        self.pathspec = pathspec
        self._find = find

    @property
    def task(self) -> Task:
        """The task, for the client, if its results are kept.

        Raises
        ------
        MetaflowNotFound
            They are not.
        """
        if self._find is None:
            raise MetaflowNotFound(
                f"The results of {self.pathspec} were not kept.", hint="spin it with persist=True to look at them"
            )
        return self._find()

    def __repr__(self) -> str:
        return f"<{self.pathspec}: {self.status}>"


async def end(process: FlowProcess) -> None:
    """End a process, with all its tasks, and wait for that; whoever is cancelled meanwhile need not wait."""
    process.end()
    await process.changed.heard(lambda: process.has_ended)
