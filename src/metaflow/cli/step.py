"""``step``: run one task. The engine writes this command line (`metaflow.compute.command`); a person may repeat it.

As the engine writes it, every option is one word, ``--name=value``: `read_plain` takes that apart without click, which
a task then does not even import. Anything else goes through the command, with the same names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from metaflow.cli.session import Session
from metaflow.compute.report import CHANNEL, TaskReport, open_channel
from metaflow.exception import CommandException, MetaflowException, TaskFailed

if TYPE_CHECKING:
    import click

    from metaflow.metadata_provider.protocol import Provider

_NOTICE = "MILLRACE_SPOT_NOTICE"
"""Set for remote tasks: the file that appears when the machine is about to be taken away."""

_NUMBERS = frozenset({"split_index", "max_num_splits", "retry_count", "max_user_code_retries"})
_REPEATED = {"decospecs": "with", "tags": "tag"}
_TOP_LEVEL: dict[str, Any] = {
    "quiet": False, "metadata": None, "environment": None, "datastore": None, "datastore_root": None, "decospecs": (),
    "without": (),
}  # fmt: skip
_OPTIONS: dict[str, Any] = {
    "run_id": None, "task_id": None, "input_paths": None, "split_index": None, "retry_count": 0,
    "max_num_splits": None,
    "max_user_code_retries": 0, "namespace": None, "tags": (), "clone_run_id": None,
}  # fmt: skip


def step(session: Session) -> click.Command:
    """Make the command."""
    import click

    option = click.Option
    return click.Command(
        "step",
        callback=lambda **options: run_task(session, options),
        hidden=True,
        help="Run one task of a run.",
        add_help_option=False,
        params=[
            click.Argument(["step_name"]),
            option(["--run-id"], required=True, help="The run."),
            option(["--task-id"], required=True, help="The task."),
            option(["--input-paths"], required=True, help="Where its artifacts come from: run/step/task[-last],…"),
            option(["--split-index"], type=int, help="Position in the foreach that it opens."),
            option(["--max-num-splits"], type=int, help="Widest foreach that it may open."),
            option(["--retry-count"], type=int, default=0, help="The attempt, from 0."),
            option(["--max-user-code-retries"], type=int, default=0, help="Attempts after the first."),
            option(["--namespace"], help="Namespace for the client; empty for the global one."),
            option(["--tag", "tags"], multiple=True, help="A tag of the run."),
            option(["--clone-run-id"], help="The run that is resumed."),
        ],
    )


def read_plain(words: list[str]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Read a command line of the form that the engine writes.

    Returns
    -------
    tuple of (dict, dict) or None
        The top-level options and those of the step, with the names that click would give them; None if the words are
        not of that form.
    """
    if "step" not in words:
        return None
    at = words.index("step")
    top_level = _read_options(words[:at], _TOP_LEVEL)
    options = _read_options(words[at + 2 :], _OPTIONS)
    if top_level is None or options is None or None in (options["run_id"], options["task_id"], options["input_paths"]):
        return None
    if words[at + 1].startswith("-"):
        return None
    options["step_name"] = words[at + 1]
    return top_level, options


def _read_options(words: list[str], defaults: dict[str, Any]) -> dict[str, Any] | None:
    options = dict(defaults)
    keys = {f"--{_REPEATED.get(key, key.replace('_', '-'))}": key for key in defaults}
    for word in words:
        name, equals, value = word.partition("=")
        key = keys.get(name)
        if key is None or bool(equals) == (key == "quiet"):
            return None
        if key in _NUMBERS:
            if not value.isdecimal():
                return None
            options[key] = int(value)
        elif key == "quiet":
            options[key] = True
        else:
            options[key] = (*options[key], value) if isinstance(options[key], tuple) else value
    return options


def run_task(session: Session, options: dict[str, Any]) -> int:
    """Run the task that `options` describe; return the exit status."""
    from metaflow.cli.facts import system_facts, system_tags
    from metaflow.client.scope import scope
    from metaflow.client.site import Site
    from metaflow.runtime.task import Task, TaskPlan

    name = options["step_name"]
    if name not in session.flow_class._steps:
        raise CommandException(f"The flow {session.flow_name} has no step '{name}'.")
    settings = session.settings
    namespace = options["namespace"] or None
    # The client of the step looks where the run is, wherever the step changes directory to.
    scope.adopt(Site(session.metadata, session.storage), namespace)
    plan = TaskPlan(
        run=options["run_id"],
        step=name,
        task=options["task_id"],
        attempt=options["retry_count"],
        last_code_attempt=options["max_user_code_retries"],
        input_paths=options["input_paths"],
        split_index=options["split_index"],
        max_splits=options["max_num_splits"],
        namespace=namespace,
        origin_run=options["clone_run_id"],
        tags=options["tags"],
        system_tags=system_tags(settings),
        user=settings.user,
        tempdir=settings.tempdir or ".",
        facts=system_facts(settings, session.script, session.code_package),
    )
    notice = os.environ.pop(_NOTICE, None)
    if notice is not None:
        from metaflow.flow.current import current

        current._set({"spot_termination_notice": notice})
    report = open_channel(os.environ)
    if session.metadata.kind == "deferred":
        report = _with_entries(session.metadata, report)
    try:
        return Task(session.plan, plan, session.storage, session.metadata, report).run()
    except MetaflowException as error:
        report(TaskReport(failure=TaskFailed(error.message, hint=error.hint)))
        raise


def _with_entries(metadata: Provider, report: Callable[[TaskReport], None]) -> Callable[[TaskReport], None]:
    """Let what the metadata have collected go home with the report."""
    from metaflow.metadata_provider.deferred import DeferredMetadata

    assert isinstance(metadata, DeferredMetadata)
    return lambda ended: report(ended._replace(entries=tuple(metadata.entries)))


def is_task(environ: Mapping[str, str]) -> bool:
    """Tell whether this process was started to run a task and has not begun to."""
    return CHANNEL in environ
