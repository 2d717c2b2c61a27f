"""The command line of a flow: ``python flow.py [options] command …``.

Commands are built when they are asked for: a task, which is ``step``, pays for one command and not for twenty. Errors
end here: one message in words, with the user's file and line and a hint, and an exit status; a traceback only for bugs
of our own. When a run is about to start, the zygote is started before the command line is even parsed, since its
imports take as long as ours.

Start reading at `main`.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from metaflow.cli.session import Session
from metaflow.exception import MetaflowException, RunFailed, TaskFailed

if TYPE_CHECKING:
    from metaflow.flow.spec import FlowSpec

_COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module:function that makes the command from a session, one line for the list of commands)
    "check": ("metaflow.cli.structure:check", "Check the flow's graph and parameters (the default)."),
    "dump": ("metaflow.cli.inspection:dump", "Print the artifacts of a task, or of all tasks of a step."),
    "logs": ("metaflow.cli.inspection:logs", "Print or scrub what tasks printed."),
    "output-dot": ("metaflow.cli.structure:output_dot", "Print the graph for Graphviz."),
    "output-raw": ("metaflow.cli.structure:output_raw", "Print the graph as it was read from the source."),
    "run": ("metaflow.cli.run:run", "Run the flow on this machine."),
    "show": ("metaflow.cli.structure:show", "Print the steps and how they follow one another."),
    "step": ("metaflow.cli.step:step", "Run one task; used by `run`."),
    "tag": ("metaflow.cli.tag:tag", "Add, remove, replace and list the tags of runs."),
    "version": ("metaflow.cli.structure:version", "Print the version."),
}
_HIDDEN = frozenset({"step"})
_LATER = frozenset(
    {"airflow", "argo-workflows", "batch", "card", "kubernetes", "package", "resume", "secrets", "spin", "step-functions"}
)


class FlowGroup(click.Group):
    """The top-level command: finds the others by name and makes them on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        from importlib import import_module

        module, _, function = _COMMANDS[cmd_name][0].partition(":")
        target = getattr(import_module(module), function)
        command: click.Command = target if isinstance(target, click.Command) else target(ctx.obj)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            raise _no_such_command(args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in sorted(_COMMANDS) if name not in _HIDDEN])


def _no_such_command(name: str) -> click.UsageError:
    if name in _LATER:
        return click.UsageError(f"The command '{name}' is not available in this version of Millrace.")
    near = difflib.get_close_matches(name, _COMMANDS, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"The commands are: {', '.join(sorted(set(_COMMANDS) - _HIDDEN))}."
    return click.UsageError(f"There is no command '{name}'. {hint}")


def _top_level() -> FlowGroup:
    option = click.Option
    return FlowGroup(
        callback=_remember,
        invoke_without_command=True,
        params=[
            option(["--quiet/--not-quiet"], default=False, help="Print only what the flow prints, and errors."),
            option(["--metadata"], metavar="NAME", help="Where facts about runs are kept: local."),
            option(["--environment"], metavar="NAME", help="How tasks get their libraries: local."),
            option(["--datastore"], metavar="NAME", help="Where data is kept: local."),
            option(["--datastore-root"], metavar="PATH", help="Directory or URL of the data."),
            option(["--package-suffixes"], metavar="LIST", help="Further file endings for the code package, .a,.b"),
            option(["--with", "decospecs"], multiple=True, metavar="DECORATOR", help="Attach a decorator to all steps."),
            option(["--pylint/--no-pylint"], default=True, help="Accepted; the flow is checked without pylint."),
            option(["--event-logger"], hidden=True),
            option(["--monitor"], hidden=True),
        ],
        help="Run this flow and look at its runs.",
        context_settings={"help_option_names": ["--help", "-h"]},
    )


@click.pass_context
def _remember(context: click.Context, **options: Any) -> None:
    session: Session = context.obj
    session.options = options
    for kind, name in (("environment", options["environment"]), ("datastore", options["datastore"])):
        if name is not None:
            from metaflow import registry

            registry.load(kind, name)
    if context.invoked_subcommand is None:
        context.invoke(click.Command("check", callback=_default, params=[]))


@click.pass_obj
def _default(session: Session) -> None:
    from metaflow.cli.structure import check_flow

    check_flow(session)
    session.say(f"The next word is a command: `python {session.script} run`, `show`, or --help for all.")


def main(flow_class: type[FlowSpec], arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line of `flow_class` and leave the process.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The user's flow.
    arguments : sequence of str, optional
        Words after the script; those of the process by default.

    Raises
    ------
    SystemExit
        Always: 0 if all is well, 1 if the run or the flow failed, 2 if the command line is wrong, 130 if interrupted.
    """
    sys.exit(_run(flow_class, list(sys.argv[1:] if arguments is None else arguments)))


def _run(flow_class: type[FlowSpec], arguments: list[str]) -> int:
    session = None
    try:
        session = Session(flow_class, os.environ)
        if "run" in arguments and "--help" not in arguments:
            from metaflow.cli.run import start_early

            start_early(session)
        status = _top_level().main(
            arguments, prog_name=session.script, standalone_mode=False, obj=session, auto_envvar_prefix="METAFLOW"
        )
    except click.UsageError as error:
        print_error("Invalid command", error.format_message(), None, _usage_hint(error))
        return 2
    except click.ClickException as error:
        print_error("Invalid command", error.format_message(), None, None)
        return 2
    except (RunFailed, TaskFailed) as error:
        print_failure(error)
        return 1
    except MetaflowException as error:
        print_error(error.headline, error.message, error.where, error.hint)
        return 1
    except (KeyboardInterrupt, click.Abort):
        print_error("Interrupted", "Ctrl-C was pressed.", None, None)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    finally:
        if session is not None:
            from metaflow.cli import early

            early.stop()
    return status if isinstance(status, int) else 0


def _usage_hint(error: click.UsageError) -> str | None:
    possibilities = getattr(error, "possibilities", None)
    if possibilities:
        return f"did you mean {' or '.join(sorted(possibilities))}?" if "Did you mean" not in error.format_message() else None
    if error.ctx is not None:
        return f"`python {error.ctx.command_path} --help` lists what there is"
    return None


def print_error(headline: str, message: str, where: str | None, hint: str | None) -> None:
    """Print an error for a person: what happened, where, hint."""
    lines = [f"{headline}:", *(f"    {line}" for line in message.splitlines())]
    lines += [f"    {where}"] if where else []
    lines += [f"    hint: {hint}"] if hint else []
    text = "\n".join(lines) + "\n"
    sys.stdout.flush()
    try:
        sys.stderr.write(text)
    except UnicodeEncodeError:
        sys.stderr.write(text.encode("ascii", "backslashreplace").decode())
    sys.stderr.flush()


def print_failure(error: TaskFailed) -> None:
    """Print why a run failed, the failed step last."""
    sys.stdout.flush()
    sys.stderr.write(f"{error.message}\n")
    sys.stderr.flush()
