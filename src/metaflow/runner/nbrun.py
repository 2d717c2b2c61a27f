"""`NBRunner`: runs of a flow whose class is in a notebook."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Mapping
from typing import Any

from metaflow.client import Run
from metaflow.exception import NBRunnerInitializationError
from metaflow.runner.cells import file_of
from metaflow.runner.metaflow_runner import ExecutingRun, Runner

__all__ = ["NBRunner", "NBRunnerInitializationError"]


class NBRunner:
    """Runs a flow whose class is defined in a notebook, each time in a process of its own.

    The class may be in any cell, and so may be what it uses: imports, functions, classes, and values, which are taken
    along as they are now. Nothing else of the cells is executed. A file with the flow, in `base_dir`, is there until
    `cleanup`, or the end of the kernel.

    Parameters
    ----------
    flow : type of FlowSpec
        The class.
    show_output : bool, default True
        Whether blocking runs print what the run prints.
    profile : str, optional
        METAFLOW_PROFILE of the run: the name of a configuration.
    env : dict of str to str, optional
        Environment variables of the run, added to those of this process.
    base_dir : str, optional
        Its working directory, where it also finds modules; by default that of the notebook.
    file_read_timeout : int, default 3600
        Seconds within which a run must have begun.
    **kwargs
        Options that come before the command, as for `Runner`.

    Attributes
    ----------
    runner : Runner
        What runs the file.

    Raises
    ------
    NBRunnerInitializationError
        It is no flow, its source is not to be found, or it uses a value that cannot go along.

    Examples
    --------
    >>> run = NBRunner(MyFlow).nbrun(alpha=0.5)  # doctest: +SKIP
    >>> run.data.score  # doctest: +SKIP
    """

    def __init__(
        self,
        flow: object,
        show_output: bool = True,
        profile: str | None = None,
        env: Mapping[str, str] | None = None,
        base_dir: str | None = None,
        file_read_timeout: float = 3600,
        **kwargs: Any,
    ) -> None:
        source = file_of(flow)
        directory, name = os.path.abspath(base_dir or os.getcwd()), getattr(flow, "__name__", "Flow")
        try:
            descriptor, self.flow_file = tempfile.mkstemp(".py", f"{name}_", directory)
        except OSError as error:
            raise NBRunnerInitializationError(
                f"The file of the flow cannot be written to {directory}: {error.strerror}.",
                hint="name another directory: base_dir=",
            ) from None
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(source)
        self._remove = weakref.finalize(self, _remove, self.flow_file)
        try:
            self.runner: Runner = _CellRunner(
                name, self.flow_file, show_output, profile, env, directory, file_read_timeout, **kwargs
            )
        except BaseException:
            self.cleanup()
            raise

    def nbrun(self, **kwargs: Any) -> Run:
        """Run the flow to its end, and clean up.

        Parameters
        ----------
        **kwargs
            As for `Runner.run`: parameters, such as variables of the notebook, and options.

        Returns
        -------
        Run
            The run, successful or not.
        """
        try:
            return self.run(**kwargs).run
        finally:
            self.cleanup()

    def nbresume(self, **kwargs: Any) -> Run:
        """Resume an earlier run, to its end, and clean up.

        Parameters
        ----------
        **kwargs
            As for `Runner.resume`.

        Returns
        -------
        Run
            The new run, successful or not.
        """
        try:
            return self.resume(**kwargs).run
        finally:
            self.cleanup()

    def run(self, **kwargs: Any) -> ExecutingRun[Runner]:
        """Run the flow to its end: `Runner.run`."""
        return self.runner.run(**kwargs)

    def resume(self, **kwargs: Any) -> ExecutingRun[Runner]:
        """Resume an earlier run, to its end: `Runner.resume`."""
        return self.runner.resume(**kwargs)

    async def async_run(self, **kwargs: Any) -> ExecutingRun[Runner]:
        """Start a run, and return when it has begun: `Runner.async_run`."""
        return await self.runner.async_run(**kwargs)

    async def async_resume(self, **kwargs: Any) -> ExecutingRun[Runner]:
        """Start to resume a run, and return when that has begun: `Runner.async_resume`."""
        return await self.runner.async_resume(**kwargs)

    def cleanup(self) -> None:
        """Remove the file of the flow. Local runs that have begun go on: they have read it."""
        self._remove()


class _CellRunner(Runner):
    """Runs a file that will not be there when somebody resumes the run."""

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._resume_call = f"NBRunner({name}).nbresume(origin_run_id='{{}}')"


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:
        pass
