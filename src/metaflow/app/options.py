"""The options of the commands that carry out a run; see `metaflow.options` for what a table is.

Those before the command, which every command of a flow has, and those of a task are in `metaflow.compute.command`.
"""

from typing import Annotated, NamedTuple, TypeAlias

from metaflow.options import Option

_With: TypeAlias = Annotated[
    tuple[str, ...],
    Option("Attach a decorator to all steps.", word="with", metavar="DECORATOR", variable="decospecs"),
]
_Without: TypeAlias = Annotated[
    tuple[str, ...],
    Option("Remove a decorator from all steps.", word="without", metavar="NAME", variable="without"),
]


class RunOptions(NamedTuple):
    """How a run is carried out."""

    tags: Annotated[
        tuple[str, ...], Option("A tag for this run; can be given several times.", word="tag", metavar="TAG")
    ] = ()
    max_workers: Annotated[int, Option("Maximum number of tasks at a time.", least=1)] = 16
    max_num_splits: Annotated[int, Option("Maximum number of tasks in a foreach.", least=1)] = 100
    max_log_size: Annotated[
        int, Option("Maximum size of the stored stdout and stderr of a task, each.", metavar="MB", least=1)
    ] = 10
    run_decospecs: _With = ()
    run_without: _Without = ()
    run_id_file: Annotated[str | None, Option("Write the id of the run to this file.", metavar="FILE")] = None
    runner_attribute_file: Annotated[
        str | None, Option("Write the run id, flow name and metadata location to this file, as JSON.", metavar="FILE")
    ] = None
    namespace: Annotated[
        str | None,
        Option(
            "Namespace for the client in the steps; empty: the global one.", metavar="NAME", variable="user_namespace"
        ),
    ] = None


class SpinOptions(NamedTuple):
    """How a task is spun."""

    persist: Annotated[
        bool, Option("Keep the results, in .metaflow_spin, for `inspect_spin`.", negative="no-persist")
    ] = False
    skip_decorators: Annotated[bool, Option("Apply no decorators but your own.", negative="no-skip-decorators")] = False
    artifacts_module: Annotated[
        str | None,
        Option("Python file with a dictionary ARTIFACTS, whose values replace artifacts that come in.", metavar="FILE"),
    ] = None
    max_log_size: Annotated[
        int, Option("Maximum size of the stored stdout and stderr of the task, each.", metavar="MB", least=1)
    ] = 10
    run_id_file: Annotated[str | None, Option("Write the id of the spin to this file.", metavar="FILE")] = None
    runner_attribute_file: Annotated[
        str | None,
        Option("Write the names of the task and the metadata location to this file, as JSON.", metavar="FILE"),
    ] = None
    namespace: Annotated[
        str | None,
        Option(
            "Namespace of the run, and for the client in the step; empty: the global one.",
            metavar="NAME",
            variable="user_namespace",
        ),
    ] = None


class ResumeOptions(NamedTuple):
    """Which run is resumed."""

    origin_run_id: Annotated[str | None, Option("The earlier run; by default the latest one.", metavar="RUN")] = None


class DecoratorOptions(NamedTuple):
    """Decorators that are given after the name of a command that plans a flow without running it."""

    run_decospecs: _With = ()
    run_without: _Without = ()
