"""What Metaflow's command lines have and ours have not."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from metaflow import FlowSpec
from metaflow.cli import commands, console, unavailable
from metaflow.cli.session import Session
from metaflow.exception import CommandException


class Nothing(FlowSpec):
    pass


def refused_by_a_flow(*words: str) -> CommandException:
    with pytest.raises(CommandException) as caught:
        commands.invoke(Session(Nothing, {"METAFLOW_HOME": "/nowhere"}), [*words])
    return caught.value


@pytest.mark.parametrize("name", unavailable.names("command"))
def test_a_command_of_a_flow_says_what_to_do_instead(name: str) -> None:
    refused = refused_by_a_flow(name, "--any", "words")
    assert refused.message == f"The command `{name}` is not available in this version of Millrace."
    assert refused.hint


@pytest.mark.parametrize("name", unavailable.names("option"))
@pytest.mark.parametrize("words", [("{}", "x", "run"), ("show", "{}=x")])
def test_an_option_says_what_to_do_instead(name: str, words: tuple[str, ...]) -> None:
    refused = refused_by_a_flow(*(word.format(name) for word in words))
    assert refused.message == f"The option `{name}` is not available in this version of Millrace."
    assert refused.hint


@pytest.mark.parametrize("name", unavailable.names("metaflow command"))
def test_a_command_of_the_program_says_what_to_do_instead(name: str) -> None:
    error = CliRunner().invoke(console.command, [*name.split(), "more"], prog_name="metaflow").exception
    assert isinstance(error, CommandException)
    assert error.message == f"The command `metaflow {name}` is not available in this version of Millrace."
    assert error.hint


def test_what_nobody_has_is_said_as_before() -> None:
    assert "There is no command 'nothing'." in refused_by_a_flow("nothing").message
    assert "--nothing" in refused_by_a_flow("--nothing").message
    assert unavailable.refusal("command", "nothing") is None


def test_help_is_a_command_of_both() -> None:
    told = CliRunner().invoke(console.command, ["help"], prog_name="metaflow")
    assert told.exit_code == 0
    assert "configure" in told.output
