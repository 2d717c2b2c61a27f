"""``resume``: a new run that goes on from what an earlier one had finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from metaflow.cli.parameters import parameter_options
from metaflow.cli.run import begin, prepare, run_options
from metaflow.cli.session import Session
from metaflow.exception import CommandException

if TYPE_CHECKING:
    from metaflow.runtime.resume import Origin


@click.pass_obj
def _resume(session: Session, /, **options: Any) -> None:
    rerun = options["step_to_rerun"]
    prepare(session, options, "resumes")
    if rerun is not None and rerun not in session.plan.graph:
        raise CommandException(
            f"The flow {session.flow_name} has no step '{rerun}' to run again.",
            hint=f"its steps are: {', '.join(session.plan.graph)}",
        )
    origin = _origin(session, options["origin_run_id"])
    _check_parameters(session, origin)
    session.say(f"Looking at what had finished in the run {origin.run}.")
    begin(session, options, {}, origin, rerun)


def _check_parameters(session: Session, origin: Origin) -> None:
    new = [name for name in session.plan.parameters if name not in origin.parameters.objects]
    if new:
        several = len(new) > 1
        raise CommandException(
            f"The run {origin.run} has no parameter{'s' if several else ''} {', '.join(new)}, and a resumed run has "
            "the parameters of the run that it goes on from.",
            hint=f"`python {session.script} run` begins a run with {'them' if several else 'it'}; or make "
            f"{'them plain attributes' if several else 'it a plain attribute'} of the flow's class or of a step",
        )


def _origin(session: Session, given: str | None) -> Origin:
    from metaflow.runtime.resume import Origin

    flow, _, run = given.rpartition("/") if given is not None else ("", "", None)
    if flow not in ("", session.flow_name):
        raise CommandException(f"--origin-run-id {given}: this is a run of {flow}, not of {session.flow_name}.")
    if run == "":
        raise CommandException(f"--origin-run-id '{given}' names no run.")
    run = run or session.metadata.latest_run(session.flow_name)
    if run is None:
        raise CommandException(
            f"The flow {session.flow_name} has no run here that could be resumed.",
            hint=f"`python {session.script} run` starts one; --origin-run-id names one of somebody else",
        )
    return Origin(session.storage, session.flow_name, run)


def resume(session: Session) -> click.Command:
    """Make the command; the options of the flow's parameters are known to it, only to say that they are not taken."""
    return click.Command(
        "resume",
        callback=_resume,
        help="Go on from an earlier run: what had finished is taken over, the rest runs. "
        "Parameters are those of that run.",
        params=[
            click.Argument(["step_to_rerun"], required=False),
            click.Option(["--origin-run-id"], metavar="RUN", help="The earlier run; by default the last `run`."),
            *run_options(),
            *(_refused(option) for option in parameter_options(session)),
        ],
    )


def _refused(option: click.Option) -> click.Option:
    option.hidden = True
    option.expose_value = False
    option.envvar = None
    option.allow_from_autoenv = False
    option.callback = _refuse
    return option


def _refuse(context: click.Context, option: click.Parameter, value: Any) -> None:
    if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE:
        raise CommandException(
            f"{option.opts[0]} cannot be given to resume: its parameters are those of the run that it goes on from.",
            hint=f"`python {context.obj.script} run` begins a run with other values",
        )
