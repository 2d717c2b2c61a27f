"""`Runner`: runs of a flow file, started by a Python program."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Self

from metaflow import registry, settings
from metaflow.app.driver import StartedRun
from metaflow.client import Run
from metaflow.client.runs import run_at
from metaflow.client.site import Site
from metaflow.exception import KeywordTypeMismatch, MetaflowException, RunNotStarted, UnknownKeyword
from metaflow.flow.parameter_types import quoted
from metaflow.runner.executing import ExecutingProcess, ExecutingRun, ExecutingTask, end
from metaflow.runner.keywords import flow_words, resume_words, run_words, spin_words
from metaflow.runner.process import FlowProcess
from metaflow.runner.shown import Shown, follow
from metaflow.settings.table import PROFILE
from metaflow.store.objects import KINDS

__all__ = ["ExecutingProcess", "ExecutingRun", "ExecutingTask", "Runner"]

_LAST_LINES = 20
"""Lines of what a process has said that its error quotes."""

_WRONG_KEYWORDS = {error.__name__: error for error in (KeywordTypeMismatch, UnknownKeyword)}


class Runner:
    """Runs a flow file, each time in a process of its own, as ``python flow.py …`` does.

    It works in any thread and any event loop, and as often and as many times at once as one likes. The process ends
    when the program does, however that ends.

    Parameters
    ----------
    flow_file : str
        Path of the flow file.
    show_output : bool, default True
        Whether `run` and `resume` print what the run prints.
    profile : str, optional
        METAFLOW_PROFILE of the run: the name of a configuration.
    env : dict of str to str, optional
        Environment variables of the run, added to those of this process.
    cwd : str, optional
        Its working directory; by default that of this process.
    file_read_timeout : int, default 3600
        Seconds within which a run must have begun.
    **kwargs
        The options of a flow's command line that come before the command: ``datastore=``, ``pylint=False``,
        ``decospecs=["retry"]`` for ``--with``, ``config=[("name", "file.json")]``,
        ``config_value=[("name", {"key": 1})]``, …

    Raises
    ------
    FileNotFoundError
        There is no such file, or no such directory.
    UnknownKeyword, KeywordTypeMismatch
        A keyword is no option, or its value none of it.

    Examples
    --------
    >>> with Runner("train.py", decospecs=["retry"]) as runner:  # doctest: +SKIP
    ...     result = runner.run(alpha=0.5, max_workers=8)
    ...     print(result.status, result.run.data.score)
    """

    _resume_call = ""
    """What a program calls to resume a run, with ``{}`` for the id, if a command line cannot."""

    def __init__(
        self,
        flow_file: str,
        show_output: bool = True,
        profile: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        file_read_timeout: float = 3600,
        **kwargs: Any,
    ) -> None:
        self.flow_file = os.path.abspath(flow_file)
        self._check_file()
        self.cwd = os.path.abspath(cwd or os.getcwd())
        if not os.path.isdir(self.cwd):
            raise FileNotFoundError(f"cwd: there is no directory {self.cwd}.")
        self.show_output = show_output
        self.env_vars = {**os.environ, **_variables(env or {}), **({PROFILE.name: profile} if profile else {})}
        self.file_read_timeout = file_read_timeout
        self.top_level_kwargs = kwargs
        self._words = flow_words(kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Remove temporary files: there are none. Runs that were started go on, and can be waited for."""

    def run(self, **kwargs: Any) -> ExecutingRun[Self]:
        """Run the flow to its end.

        Parameters
        ----------
        **kwargs
            Values for parameters of the flow, of their types, with ``_`` for ``-`` in their names; and the options of
            ``run``: ``tags=["a"]``, ``max_workers=4``, …

        Returns
        -------
        ExecutingRun
            Its `status` tells whether it was successful.

        Raises
        ------
        UnknownKeyword, KeywordTypeMismatch
            A keyword is neither a parameter nor an option, or its value none of it.
        RunNotStarted
            It ended before there was a run, with the reason.
        TimeoutError
            There was no run within `file_read_timeout`.
        """
        return self._run(self._executed(*run_words(kwargs)))

    def resume(self, **kwargs: Any) -> ExecutingRun[Self]:
        """Resume an earlier run, to its end.

        Parameters
        ----------
        **kwargs
            ``origin_run_id=``, by default the latest run; ``step_to_rerun=``; and the options of ``run``.

        Returns
        -------
        ExecutingRun
            Its `status` tells whether it was successful.

        Raises
        ------
        UnknownKeyword, KeywordTypeMismatch, RunNotStarted, TimeoutError
            As for `run`.
        """
        return self._run(self._executed(resume_words(kwargs)))

    async def async_run(self, **kwargs: Any) -> ExecutingRun[Self]:
        """Start a run of the flow, and return when it has begun. A coroutine that is cancelled here leaves no process.

        Parameters
        ----------
        **kwargs
            As for `run`.

        Returns
        -------
        ExecutingRun
            `ExecutingRun.wait` waits for its end.

        Raises
        ------
        UnknownKeyword, KeywordTypeMismatch, RunNotStarted, TimeoutError
            As for `run`.
        """
        return self._run(await self._begun(*run_words(kwargs)))

    async def async_resume(self, **kwargs: Any) -> ExecutingRun[Self]:
        """Start to resume an earlier run, and return when that has begun.

        Parameters
        ----------
        **kwargs
            As for `resume`.

        Returns
        -------
        ExecutingRun
            As for `async_run`.

        Raises
        ------
        UnknownKeyword, KeywordTypeMismatch, RunNotStarted, TimeoutError
            As for `run`.
        """
        return self._run(await self._begun(resume_words(kwargs)))

    def spin(self, pathspec: str, **kwargs: Any) -> ExecutingTask[Self]:
        """Run one step with the inputs that it had in an earlier run.

        Parameters
        ----------
        pathspec : str
            The step: of the newest run; or ``RUN/STEP``, or ``RUN/STEP/TASK``.
        **kwargs
            The options of ``spin``: ``persist=True``, ``artifacts_module="file.py"``, …

        Returns
        -------
        ExecutingTask
            Its `task` has the results, if they are kept.

        Raises
        ------
        UnknownKeyword, KeywordTypeMismatch, RunNotStarted, TimeoutError
            As for `run`.
        """
        return self._task(self._executed(spin_words(pathspec, kwargs)))

    async def async_spin(self, pathspec: str, **kwargs: Any) -> ExecutingTask[Self]:
        """Start to run one step, and return when it has begun.

        Parameters
        ----------
        pathspec, **kwargs
            As for `spin`.

        Returns
        -------
        ExecutingTask
            `ExecutingTask.wait` waits for its end.

        Raises
        ------
        UnknownKeyword, KeywordTypeMismatch, RunNotStarted, TimeoutError
            As for `run`.
        """
        return self._task(await self._begun(spin_words(pathspec, kwargs)))

    # ----------------------------------------------------------------------------------------------------------------

    def _check_file(self) -> None:
        if not os.path.isfile(self.flow_file):
            raise FileNotFoundError(f"There is no flow file {self.flow_file}.")

    def _process(self, words: list[str], parameters: dict[str, Any] | None = None) -> FlowProcess:
        self._check_file()
        words = [*self._words, *words]
        return FlowProcess(self.flow_file, words, parameters or {}, self.env_vars, self.cwd, self._resume_call)

    def _executed(self, words: list[str], parameters: dict[str, Any] | None = None) -> FlowProcess:
        process = self._process(words, parameters)
        shown = [Shown(process.stdout, "stdout"), Shown(process.stderr, "stderr")] if self.show_output else []
        try:
            if not follow(process, shown, lambda: process.has_begun, self.file_read_timeout):
                raise self._too_slow()
            follow(process, shown, lambda: process.has_ended)
        except BaseException:
            process.end()
            follow(process, shown, lambda: process.has_ended)
            raise
        return process

    async def _begun(self, words: list[str], parameters: dict[str, Any] | None = None) -> FlowProcess:
        process = self._process(words, parameters)
        try:
            await asyncio.wait_for(process.changed.heard(lambda: process.has_begun), self.file_read_timeout)
        except TimeoutError:
            await end(process)
            raise self._too_slow() from None
        except BaseException:
            await end(process)
            raise
        return process

    def _run(self, process: FlowProcess) -> ExecutingRun[Self]:
        return ExecutingRun(self, process, self._found(_begun_run(process)))

    def _task(self, process: FlowProcess) -> ExecutingTask[Self]:
        begun = _begun_run(process)
        step, _, task = begun.task.partition("/")
        is_kept = begun.metadata in registry.names("metadata") and begun.datastore in registry.names("datastore")
        find = (lambda: self._found(begun)[step][task]) if is_kept else None
        return ExecutingTask(self, process, f"{begun.flow}/{begun.id}/{begun.task}", find)

    def _too_slow(self) -> TimeoutError:
        return TimeoutError(
            f"{self.flow_file} had not begun a run after {self.file_read_timeout} s (file_read_timeout), and was ended."
        )

    def _found(self, run: StartedRun) -> Run:
        """Return the run where its process keeps it, which may be elsewhere than where this program keeps its own."""
        installation = settings.load(self.env_vars, self.cwd)
        metadata = registry.load("metadata", run.metadata)(run.metadata_root, installation.username or "")
        access = [installation.datastores] if run.datastore in KINDS else []
        storage = registry.load("datastore", run.datastore)(run.datastore_root, *access)
        return run_at(Site(metadata, storage), run.flow, run.id)


def _variables(env: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise KeywordTypeMismatch(
                f"env: the variable {name!r} has the value {quoted(value)}, a {type(value).__name__}, not a text."
            )
    return env


def _begun_run(process: FlowProcess) -> StartedRun:
    if process.started is None:
        raise _not_started(process)
    return process.started


def _not_started(process: FlowProcess) -> MetaflowException:
    """Return the error of a process that ended before its run had begun."""
    said: dict[str, Any] = {
        "returncode": process.returncode,
        "stdout": str(process.stdout),
        "stderr": str(process.stderr),
    }
    if process.trouble is not None:
        return RunNotStarted(f"The process of the flow could not be started: {process.trouble}.", **said)
    failure = process.failure
    if failure is not None:
        place = failure["line"], failure["file"]
        if failure["kind"] in _WRONG_KEYWORDS:
            return _WRONG_KEYWORDS[failure["kind"]](failure["message"], *place, hint=failure["hint"])
        return RunNotStarted(f"{failure['headline']}: {failure['message']}", *place, hint=failure["hint"], **said)
    if process.returncode == 0:
        return RunNotStarted(
            f"{process.path} ended well without a run.",
            hint="it has to call its flow: `if __name__ == '__main__': MyFlow()`",
            **said,
        )
    code = process.returncode or 0
    how = f"with status {code}" if code > 0 else f"by signal {-code}"
    last = "".join(f"\n    {line}" for line in said["stderr"].splitlines()[-_LAST_LINES:])
    return RunNotStarted(f"{process.path} ended {how} before it had begun a run.{last and ' It said:' + last}", **said)
