"""The door of a flow's command line: ``python flow.py [options] command …``.

A task is ``step``, written by the engine in one form; that form is read here without the machinery of commands, since a
run does it ten thousand times. Everything else goes through `metaflow.cli.commands`. Errors end here: one message in
words, with the user's file and line and a hint, and an exit status; a traceback only for bugs of our own. When a run is
about to start, the zygote is started before the command line is even parsed, since its imports take as long as ours.

Start reading at `main`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from metaflow import registry, shadows
from metaflow.app.driver import driver
from metaflow.cli.session import Session
from metaflow.compute.command import read_task
from metaflow.compute.report import CHANNEL, report_unbegun
from metaflow.exception import CommandException, InvalidFlow, MetaflowException, RunInterrupted, TaskFailed
from metaflow.flow.failure import where_of_code
from metaflow.store.objects import KINDS

if TYPE_CHECKING:
    from metaflow.flow.spec import FlowSpec


def main(
    flow_class: type[FlowSpec],
    arguments: Sequence[str] | None = None,
    initial: Mapping[str, Any] = MappingProxyType({}),
) -> NoReturn:
    """Run the command line of `flow_class` and leave the process.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The user's flow.
    arguments : sequence of str, optional
        Words after the script; those of the process by default.
    initial : mapping of str to object
        What the flow's own ``__init__`` has assigned on self.

    Raises
    ------
    SystemExit
        Always: 0 if all is well, 1 if the run or the flow failed, 2 if the command line is wrong, 128 + the number of
        the signal that interrupted it (130 after Ctrl-C).
    """
    if not flow_class.__mro__[1:-1]:  # FlowSpec itself
        print_error(
            InvalidFlow(
                "FlowSpec is the base class of flows, not a flow.",
                hint="define a subclass, `class MyFlow(FlowSpec):`, and call that",
            )
        )
        sys.exit(1)
    shadows.look()  # once more: the flow file may have put directories onto the path
    _open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _invoke(Session(flow_class, os.environ, initial), words)
    except TaskFailed as error:
        print_failure(error)
        status = 128 + error.signal if isinstance(error, RunInterrupted) else 1
    except MetaflowException as error:
        print_error(error)
        report_unbegun(error, os.environ)
        driver().tell_failed(error)
        status = 2 if isinstance(error, CommandException) else 1
    except KeyboardInterrupt:
        why = "Ctrl-C was pressed." if read_task(words) is None else "The run of this task is ending."
        print_error(CommandException(why), "Interrupted")
        status = 130
    except SystemExit as leave:  # of the user's code: a module that is imported, a parser; steps have their own way
        left = _left(leave)
        print_error(left)
        report_unbegun(left, os.environ)
        driver().tell_failed(left)
        status = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    driver().tell_ended(status)
    sys.exit(status)


def _left(error: SystemExit) -> MetaflowException:
    code = "" if error.code is None else repr(error.code)
    file, _, line = (where_of_code(error) or "").rpartition(":")
    return InvalidFlow(
        f"sys.exit({code}) was called before the command had been carried out.",
        int(line) if line else None,
        file or None,
        hint="a module that is imported, a parser or a function of the flow must not leave the process",
    )


def _open_standard_streams() -> None:
    """Open what a service manager or a shell has closed, so that no pipe or socket of ours gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _invoke(session: Session, words: list[str]) -> int:
    ordered = read_task(words)
    if ordered is not None:
        from metaflow.app.task import run_task

        options, step, task_options = ordered
        session.workspace = session.workspace.with_options(**options._asdict())
        return run_task(session.workspace, step, task_options, session.environ, session.code_package)
    if CHANNEL in session.environ and "step" not in words:
        raise CommandException(
            f"This process was started to run a task, but the flow file asked for `{' '.join(words)}` instead.",
            hint=f"{session.workspace.path} must not change sys.argv, nor be started by another script with other "
            "arguments",
        )
    if {"run", "resume", "spin"} & set(words) and not {"--help", "-h"} & set(words):
        _start_zygote(session, words)
    try:
        from metaflow.cli import commands

        return commands.invoke(session, words)
    finally:
        session.zygote.stop()


def _start_zygote(session: Session, words: list[str]) -> None:
    """Start the process that tasks come from before the command line is parsed: its words tell what tasks will need.

    Where all steps are sent elsewhere, it is not started; the run does that, should it be needed after all.
    """
    specs = (*words, *session.workspace.settings.runs.decospecs)
    attached = {spec.removeprefix("--with=").partition(":")[0] for spec in specs}
    if not attached.isdisjoint(registry.names("job backend")):
        return
    kinds = {session.workspace.datastore, *(word.removeprefix("--datastore=") for word in words)}
    session.zygote.start(session.workspace, object_store=bool(kinds & KINDS), attached=attached)


def print_error(error: MetaflowException, headline: str = "") -> None:
    """Print an error for a person: what happened, where, hint."""
    lines = [f"{headline or error.headline}:", *(f"    {line}" for line in error.message.splitlines())]
    lines += [f"    {error.where}"] if error.where else []
    lines += (
        ["", *(f"      {line}" if line else "" for line in error.drawing.splitlines()), ""] if error.drawing else []
    )
    lines += [f"    hint: {error.hint}"] if error.hint else []
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
