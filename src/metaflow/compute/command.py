"""The command line of a task, written once for all backends.

A task is ``python flow.py <top-level options> step <name> <task options>``, with some environment variables. Local
exec, local fork, a pod and a deployed job all take this one frozen value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class FlowCommand(NamedTuple):
    """What all tasks of a run have in common.

    Attributes
    ----------
    script : str
        The flow file as it was given to python: ``sys.argv[0]``.
    path : str
        Its absolute path.
    options : tuple of str
        Top-level options, before the command.
    flow, run : str
        Names.
    namespace : str or None
        The namespace for the client inside the tasks; None for the global one.
    tags : tuple of str
        The run's user tags.
    environment : tuple of (str, str)
        Variables to set for every task.
    """

    script: str
    path: str
    options: tuple[str, ...]
    flow: str
    run: str
    namespace: str | None
    tags: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    def step(
        self,
        step: str,
        task: int,
        *,
        attempt: int,
        retries: int,
        input_paths: str,
        split_index: int | None,
        max_splits: int | None = None,
        origin_run: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> TaskCommand:
        """Return the command of one attempt."""
        arguments = [
            *self.options,
            "step",
            step,
            f"--run-id={self.run}",
            f"--task-id={task}",
            f"--input-paths={input_paths}",
            f"--retry-count={attempt}",
            f"--max-user-code-retries={retries}",
            f"--namespace={self.namespace or ''}",
            *(f"--tag={tag}" for tag in self.tags),
        ]
        if split_index is not None:
            arguments.append(f"--split-index={split_index}")
        if max_splits is not None:
            arguments.append(f"--max-num-splits={max_splits}")
        if origin_run is not None:
            arguments.append(f"--clone-run-id={origin_run}")
        variables = {"METAFLOW_RUN_ID": self.run, **dict(self.environment), **(environment or {})}
        return TaskCommand(self.script, self.path, tuple(arguments), variables, fresh=bool(environment))


class TaskCommand(NamedTuple):
    """How to start one attempt of a task.

    Attributes
    ----------
    script : str
        The flow file, as the task shall see it in ``sys.argv[0]``.
    path : str
        Its absolute path.
    arguments : tuple of str
        What follows the script.
    environment : dict of str to str
        Variables to set.
    fresh : bool
        Whether it needs an interpreter of its own, so that the variables are there before anything is imported.
    """

    script: str
    path: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    fresh: bool = False

    def argv(self, python: Sequence[str]) -> list[str]:
        """Return the whole command line for an interpreter and its flags."""
        return [*python, self.path, *self.arguments]


class PlainEnvironment:
    """The environment that the launching interpreter already is: nothing to install."""

    kind = "local"
