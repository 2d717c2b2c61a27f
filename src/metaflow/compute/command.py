"""The command line of a task, written once for all backends.

A task is ``python flow.py <options of the flow> step <name> <options of the task>``, with some environment variables.
Local exec, local fork, a pod and a deployed job all take this one frozen value. The two tables below are those options;
`read_task` is the reader of what `FlowCommand.step` writes.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

from metaflow import registry
from metaflow.options import Option, read, write

SPOT_NOTICE = "MILLRACE_SPOT_NOTICE"
"""Set for remote tasks: the file that appears when the machine is about to be taken away."""

TERMINATION = "MILLRACE_TERMINATION"
"""Set for remote tasks: the file that appears when the container is asked to end."""

LOCAL_ROOT = "MILLRACE_LOCAL_ROOT"
"""Set for tasks: the root of local metadata, wherever the flow file changes directory to."""

CODE_PACKAGE = "MILLRACE_CODE_PACKAGE"
"""Set for tasks of a run that has a code package: the fact about it. Not for what the tasks themselves start."""

ELSEWHERE = ".mf_code"
"""Directory in the code package with modules from elsewhere than beside the flow."""

_DATASTORES = ", ".join(registry.names("datastore"))


class FlowOptions(NamedTuple):
    """Options of every command of a flow, before the command's name; those that are forwarded go to its tasks."""

    quiet: Annotated[
        bool,
        Option("Print no remarks, only the log of a run, results and errors.", negative="not-quiet", is_forwarded=True),
    ] = False
    metadata: Annotated[
        str | None, Option("Metadata provider: local, service, spin.", metavar="NAME", is_forwarded=True)
    ] = None
    mode: Annotated[
        str | None,
        Option("spin: work with the results of `spin --persist` instead of runs.", metavar="spin", is_forwarded=True),
    ] = None
    environment: Annotated[
        str | None,
        Option("Environment with the libraries of tasks: local.", metavar="NAME", is_forwarded=True),
    ] = None
    datastore: Annotated[str | None, Option(f"Datastore: {_DATASTORES}.", metavar="NAME", is_forwarded=True)] = None
    datastore_root: Annotated[
        str | None, Option("Root directory or URL of the datastore.", metavar="PATH", is_forwarded=True)
    ] = None
    package_suffixes: Annotated[
        str | None, Option("More file suffixes to include in the code package: .a,.b", metavar="LIST")
    ] = None
    decospecs: Annotated[
        tuple[str, ...],
        Option("Attach a decorator to all steps.", word="with", metavar="DECORATOR", is_forwarded=True),
    ] = ()
    without: Annotated[
        tuple[str, ...], Option("Remove a decorator from all steps.", metavar="NAME", is_forwarded=True)
    ] = ()
    config: Annotated[
        tuple[tuple[str, str], ...], Option("Read a config of the flow from a file.", metavar="NAME FILE")
    ] = ()
    config_value: Annotated[
        tuple[tuple[str, str], ...], Option("Give a config of the flow as JSON.", metavar="NAME JSON")
    ] = ()
    branch: Annotated[
        str | None,
        Option(
            "Branch of the project: test.NAME, or prod.NAME with --production; by default your own.",
            metavar="NAME",
            is_forwarded=True,
            needs="project",
        ),
    ] = None
    production: Annotated[
        bool,
        Option("Use the production branch of the project, prod or prod.NAME.", is_forwarded=True, needs="project"),
    ] = False
    trigger: Annotated[
        tuple[str, ...],
        Option(
            "A run that this one shall take for what has triggered it; can be given several times.",
            metavar="FLOW/RUN",
            is_forwarded=True,
            needs="trigger_on_finish",
        ),
    ] = ()
    pylint: Annotated[bool, Option("Has no effect: pylint is not used.", negative="no-pylint")] = True
    event_logger: Annotated[str | None, Option("Has no effect.", is_hidden=True)] = None
    monitor: Annotated[str | None, Option("Has no effect.", is_hidden=True)] = None


class TaskOptions(NamedTuple):
    """Options of ``step``: which attempt of which task, and what comes in."""

    run_id: Annotated[str, Option("The run.")]
    task_id: Annotated[str, Option("The task.")]
    input_paths: Annotated[str, Option("Where its artifacts come from: run/step/task[-last],…")]
    split_index: Annotated[int | None, Option("Position in the foreach that it opens.")] = None
    max_num_splits: Annotated[int | None, Option("Maximum width of a foreach that it opens.")] = None
    retry_count: Annotated[int, Option("The attempt, from 0.")] = 0
    max_user_code_retries: Annotated[int, Option("Number of attempts after the first.")] = 0
    namespace: Annotated[str | None, Option("Namespace for the client; the global one by default.")] = None
    tags: Annotated[tuple[str, ...], Option("A tag of the run.", word="tag")] = ()
    clone_run_id: Annotated[str | None, Option("The run that is resumed.")] = None
    branches: Annotated[
        tuple[str, ...], Option("A branch that it is in, if its step is in several.", word="in-branch")
    ] = ()
    spin_root: Annotated[str | None, Option("Of a spun task: the directory of its results; empty: it keeps none.")] = (
        None
    )
    artifacts_module: Annotated[str | None, Option("Of a spun task: a file that replaces artifacts.")] = None
    skip_decorators: Annotated[
        bool, Option("Of a spun task: without decorators, but for the user's own.", negative="no-skip-decorators")
    ] = False


class Spinning(NamedTuple):
    """What a spun task is told beside what other tasks are.

    Attributes
    ----------
    inputs_run : str
        The past run that its inputs are of.
    root : str
        Directory of its results; empty: it keeps none.
    artifacts_module : str or None
        Absolute path of a file that replaces artifacts.
    skip_decorators : bool
        Whether no decorators are applied but the user's own.
    branches : tuple of str
        Those of the past task, if its step does not tell them.
    """

    inputs_run: str
    root: str = ""
    artifacts_module: str | None = None
    skip_decorators: bool = False
    branches: tuple[str, ...] = ()


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
    module : str
        The flow file's dotted name, if it was started by that.
    """

    script: str
    path: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    fresh: bool = False
    module: str = ""


class FlowCommand(NamedTuple):
    """What all tasks of a run on one backend have in common.

    Attributes
    ----------
    script : str
        The flow file as it was given to python: ``sys.argv[0]``.
    path : str
        Its absolute path.
    options : FlowOptions
        Of the run.
    run : str
        The run's id.
    namespace : str or None
        The namespace for the client inside the tasks; None for the global one.
    tags : tuple of str
        The run's user tags.
    environment : tuple of (str, str)
        Variables to set for every task.
    module : str
        The flow file's dotted name, if it was started by that.
    spinning : Spinning or None
        Of a spun task.
    """

    script: str
    path: str
    options: FlowOptions
    run: str
    namespace: str | None
    tags: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    module: str = ""
    spinning: Spinning | None = None

    @property
    def inputs_run(self) -> str:
        """The run whose tasks are the inputs: of a spun task a past one."""
        return self.run if self.spinning is None else self.spinning.inputs_run

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
        branches: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> TaskCommand:
        """Return the command of one attempt."""
        options = TaskOptions(
            self.run,
            str(task),
            input_paths,
            split_index=split_index,
            max_num_splits=max_splits,
            retry_count=attempt,
            max_user_code_retries=retries,
            namespace=self.namespace,
            tags=self.tags,
            clone_run_id=origin_run,
            branches=branches,
        )
        if self.spinning is not None:
            options = options._replace(
                spin_root=self.spinning.root,
                artifacts_module=self.spinning.artifacts_module,
                skip_decorators=self.spinning.skip_decorators,
            )
        arguments = (*write(self.options, only_forwarded=True), "step", step, *write(options))
        variables = {"METAFLOW_RUN_ID": self.run, **dict(self.environment), **(environment or {})}
        return TaskCommand(self.script, self.path, arguments, variables, bool(environment), self.module)


def read_task(words: Sequence[str]) -> tuple[FlowOptions, str, TaskOptions] | None:
    """Read what `FlowCommand.step` has written: the flow's options, the step, the task's options.

    None if the words are not of that form.
    """
    if "step" not in words:
        return None
    at = list(words).index("step")
    flow_options = read(FlowOptions, words[:at])
    task_options = read(TaskOptions, words[at + 2 :])
    if flow_options is None or task_options is None or words[at + 1].startswith("-"):
        return None
    return flow_options, words[at + 1], task_options


class PlainEnvironment:
    """The environment that the launching interpreter already is: nothing to install."""

    kind = "local"
