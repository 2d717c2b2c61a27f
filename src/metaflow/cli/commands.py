"""The commands of a flow: their names, the top-level options, and how a command line is taken apart.

A command is made when it is asked for. To add one, write a function that returns it and a row in `_COMMANDS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from metaflow import registry
from metaflow.app.workspace import Workspace
from metaflow.cli import unavailable
from metaflow.cli.jobs import job_commands
from metaflow.cli.option_parser import options_of, values_of
from metaflow.cli.session import Session
from metaflow.cli.structure import check_and_say
from metaflow.compute.command import FlowOptions
from metaflow.exception import CommandException
from metaflow.flow.config import configs_of
from metaflow.flow.notes import flow_decorators_of
from metaflow.settings.table import NAMES

_COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module:function that makes the command from a session, one line for the list of commands)
    "card": ("metaflow.cli.card:card", "Look at the cards of tasks."),
    "check": ("metaflow.cli.structure:check", "Check the flow's graph and parameters (the default)."),
    "dump": ("metaflow.cli.inspection:dump", "Print the artifacts of a task, or of all tasks of a step."),
    "help": ("metaflow.cli.structure:help_", "Print the commands and the options before them."),
    "logs": ("metaflow.cli.inspection:logs", "Print or scrub the logs of tasks."),
    "output-dot": ("metaflow.cli.structure:output_dot", "Print the graph in Graphviz format."),
    "output-raw": ("metaflow.cli.structure:output_raw", "Print the graph as read from the source."),
    "package": ("metaflow.cli.package:package", "Inspect the code package of remote tasks."),
    "resources": ("metaflow.cli.resources:resources", "Print the resources that each step requests."),
    "resume": ("metaflow.cli.resume:resume", "Resume an earlier run."),
    "run": ("metaflow.cli.run:run", "Run the flow."),
    "show": ("metaflow.cli.structure:show", "Print the steps of the flow and their order."),
    "spin": ("metaflow.cli.spin:spin", "Run one step with the inputs that it had in an earlier run."),
    "status": ("metaflow.cli.status:status", "Print the status of a run and why it failed."),
    "step": ("metaflow.cli.step:step", "Run one task; used by `run`."),
    "tag": ("metaflow.cli.tag:tag", "Add, remove, replace and list the tags of runs."),
    "version": ("metaflow.cli.structure:version", "Print the version."),
}
_HIDDEN = frozenset({"help", "step"})
_COMMAND = "millrace.command"


def _sentences() -> dict[str, str]:
    """Return all commands by name, each with one line about it; every job backend has one."""
    jobs = {name: f"List and kill the jobs of this flow on {name}." for name in _job_backends()}
    return dict(sorted({**{name: sentence for name, (_, sentence) in _COMMANDS.items()}, **jobs}.items()))


def _job_backends(name: str = "") -> list[str]:
    """Return the names of all job backends; those of extensions only if `name` is nobody else's."""
    built_in = registry.names("job backend")
    return built_in if name in built_in else registry.names_with_extensions("job backend")


class FlowGroup(click.Group):
    """The top-level command: finds the others by name and makes them on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_sentences())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return job_commands(cmd_name) if cmd_name in _job_backends(cmd_name) else None
        module, _, function = _COMMANDS[cmd_name][0].partition(":")
        target = getattr(import_module(module), function)
        command: click.Command = target if isinstance(target, click.Command) else target(ctx.obj)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        # Before a command is made: its options are those of the flow's parameters, which configs and mutators change.
        session: Session = ctx.obj
        session.workspace = session.workspace.with_options(**values_of(FlowOptions, ctx.params)._asdict())
        return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-") and args[0] not in _job_backends(args[0]):
            raise _no_such_command(args[0])
        name, command, rest = super().resolve_command(ctx, args)
        ctx.meta[_COMMAND] = command
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, text in _sentences().items() if name not in _HIDDEN])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        configs = configs_of(ctx.obj.workspace.flow_class).values()
        if configs:
            with formatter.section("Configs"):
                formatter.write_dl([(config.name, config.help or "") for config in configs])


def _no_such_command(name: str) -> click.UsageError | CommandException:
    refused = unavailable.refusal("command", name)
    if refused is not None:
        return refused
    known = [each for each in _sentences() if each not in _HIDDEN]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"The commands are: {', '.join(known)}."
    return click.UsageError(f"There is no command '{name}'. {hint}")


def _top_level(flow_class: type) -> FlowGroup:
    return FlowGroup(
        callback=_begin,
        invoke_without_command=True,
        params=[*options_of(FlowOptions, flow_decorators_of(flow_class)), help_option()],
        help="Run this flow and inspect its runs.",
        add_help_option=False,
    )


def help_option() -> click.Option:
    """Return ``--help``: click's own looks for translations on the disk each time a command is made."""

    def show(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value and not context.resilient_parsing:
            click.echo(context.get_help(), color=context.color)
            context.exit()

    return click.Option(
        ["--help", "-h"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show this message and exit.",
    )


@click.pass_context
def _begin(context: click.Context, /, **read: Any) -> None:
    session: Session = context.obj
    for warning in session.workspace.settings.values.warnings():
        session.say(warning)
    if context.invoked_subcommand is not None:
        for remark in _misnamed(context.invoked_subcommand, context.meta[_COMMAND], session.environ):
            session.say(remark)
    for kind in ("datastore", "metadata"):
        name = read[kind]
        if name is not None:
            _check_name(kind, name)
    if context.invoked_subcommand is None:
        context.invoke(click.Command("check", callback=_default, params=[]))


def _misnamed(name: str, command: click.Command, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable that resembles one of the command's and is not read."""
    prefix = f"METAFLOW_{name.upper().replace('-', '_')}_"
    meant = {word.strip("-").replace("-", "_").upper(): each for each in command.params for word in each.opts}
    read = {name for each in command.params for name in _variables(each, prefix)}
    for variable in sorted(environ.keys() - read - NAMES):
        near = difflib.get_close_matches(variable.removeprefix(prefix), meant, n=1, cutoff=0.8)
        if variable.startswith(prefix) and near:
            known = _variables(meant[near[0]], prefix)[0]
            yield f"{variable} in the environment is not a known setting: did you mean {known}?"


def _variables(parameter: click.Parameter, prefix: str) -> Sequence[str]:
    """Return the environment variables that stand for a parameter of a command."""
    if parameter.envvar is None:
        return [prefix + str(parameter.name).upper()]
    return [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar


def _check_name(kind: str, name: str) -> None:
    try:
        registry.load(kind, name)
    except CommandException as error:
        error.message = f"--{kind} {name}: {error.message}"
        raise


@click.pass_obj
def _default(session: Session) -> None:

    check_and_say(session)
    session.say(f"Next, give a command: `{session.workspace.invocation} run`, for example, or --help to list them.")


def invoke(session: Session, arguments: list[str]) -> int:
    """Take a command line apart and run its command; return the exit status.

    Raises
    ------
    CommandException
        It cannot be taken apart: an unknown command or option, a value of the wrong kind, …
    """
    try:
        status = _top_level(session.workspace.flow_class).main(
            arguments,
            prog_name=_program(session.workspace),
            standalone_mode=False,
            obj=session,
            auto_envvar_prefix="METAFLOW",
        )
    except click.NoSuchOption as error:
        hint = _hint(error, session.workspace)
        raise unavailable.refusal("option", error.option_name) or CommandException(
            error.format_message(), hint=hint
        ) from error
    except click.UsageError as error:
        raise CommandException(error.format_message(), hint=_hint(error, session.workspace)) from error
    except click.ClickException as error:
        raise CommandException(error.format_message()) from error
    except click.Abort:
        raise KeyboardInterrupt from None
    return status if isinstance(status, int) else 0


def _hint(error: click.UsageError, workspace: Workspace) -> str | None:
    if "id you mean" in error.format_message():
        return None
    path = error.ctx.command_path if error.ctx is not None else ""
    command = path.removeprefix(_program(workspace))
    return f"see `{workspace.invocation}{command} --help`"


def _program(workspace: Workspace) -> str:
    return workspace.invocation if workspace.module else workspace.script
