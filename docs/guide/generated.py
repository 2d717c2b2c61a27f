"""What the guide's site says that a table of the program says already: settings, commands and their options.

A page names what it wants in a fenced block, and `expand` puts the lines there; Sphinx calls it for each page
(`conf.py`), and so do tests. So nothing is written twice, and nothing generated is kept. Start at `expand`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import get_args

import click

from metaflow import FlowSpec, absent
from metaflow.cli import unavailable
from metaflow.cli.commands import FlowGroup
from metaflow.cli.console import command as console
from metaflow.cli.option_parser import options_of
from metaflow.cli.session import Session
from metaflow.compute.command import FlowOptions
from metaflow.options import rows
from metaflow.settings.overview import overview
from metaflow.settings.table import OPTIONS, SETTINGS, UNUSED
from metaflow.settings.values import Values

_BLOCK = re.compile(r"^```\{([a-z-]+)\} ?(.*)\n((?:(?!```).*\n)*)```$", re.MULTILINE)
_RANGE = re.compile(r"  \[x>=\d+\]|; x>=\d+")
"""What click adds about the smallest number."""
_FILE = re.compile(r'^```(\w+) title="(.+)"$', re.MULTILINE)


def expand(page: str) -> str:
    """Return a page with the lines that its blocks ask for, and with the names of files above them.

    Raises
    ------
    KeyError
        A block names a setting or a command that does not exist.
    """
    page = _BLOCK.sub(_expanded, page)
    return _FILE.sub(r"```{code-block} \1\n:caption: \2\n", page)


def _expanded(block: re.Match[str]) -> str:
    kind, argument, text = block.groups()
    return "\n".join(_KINDS[kind](f"{argument} {text}".split())) if kind in _KINDS else block[0]


def _settings(names: list[str]) -> Iterator[str]:
    defaults = {shown.name: shown.value for shown in overview(Values({}), with_defaults=True)}
    for name in names:
        default = f" (`{defaults[name]}`)" if defaults[name] not in ("", "{}") else ""
        yield f"- `{name}`{default}: {SETTINGS[name].sentence}"


def _variables(_: list[str]) -> Iterator[str]:
    for name, option in OPTIONS.items():
        yield f"- `{name}`: `{option}`"


def _unused_settings(_: list[str]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for row in UNUSED.values():
        reasons.setdefault(row.reason, []).append(f"`{row.name}`")
    for reason, names in reasons.items():
        if reason:
            yield f"- {', '.join(names)}: {reason}."


def _command(words: list[str]) -> Iterator[str]:
    """Yield what a command does and its options; of a group, those of all its commands."""
    context = _metaflow(words[1:]) if words[0] == "metaflow" else _of_flow(words)
    yield from _described(context)


def _options(_: list[str]) -> Iterator[str]:
    decorators = {row.option.needs for row in rows(FlowOptions)}
    yield from _listed(options_of(FlowOptions, decorators), click.Context(_group()))


def _absent_names(_: list[str]) -> Iterator[str]:
    yield ", ".join(f"`{name}`" for name in sorted(absent.NAMES))


def _absent_commands(_: list[str]) -> Iterator[str]:
    for kind in get_args(unavailable.Kind):
        program = "metaflow " if kind == "metaflow command" else ""
        for name in unavailable.names(kind):
            error = unavailable.refusal(kind, name)
            assert error is not None
            yield f"- `{program}{name}`: {error.hint}"


_KINDS: dict[str, Callable[[list[str]], Iterator[str]]] = {
    "absent-commands": _absent_commands,
    "absent-names": _absent_names,
    "command": _command,
    "options": _options,
    "settings": _settings,
    "unused-settings": _unused_settings,
    "variables": _variables,
}


def commands() -> list[str]:
    """Return the commands of a flow that its help lists, and those of ``metaflow``, as pages name them."""
    hidden = {"help", "step"}
    own = [name for name in _group().list_commands(click.Context(_group())) if name not in hidden]
    return own + [f"metaflow {name}" for name in console.list_commands(click.Context(console)) if name not in hidden]


def _group() -> FlowGroup:
    return FlowGroup("flow.py", params=[*options_of(FlowOptions)])


class _AnyFlow(FlowSpec):
    """Stands for the reader's."""


def _of_flow(words: list[str]) -> click.Context:
    context = click.Context(_group(), info_name="python flow.py", obj=Session(_AnyFlow, {}))
    return _within(context, words)


def _metaflow(words: list[str]) -> click.Context:
    return _within(click.Context(console, info_name="metaflow"), words)


def _within(context: click.Context, words: list[str]) -> click.Context:
    for word in words:
        assert isinstance(context.command, click.Group)
        command = context.command.get_command(context, word)
        if command is None:
            raise KeyError(word)
        context = click.Context(command, parent=context, info_name=word)
    return context


def _described(context: click.Context) -> Iterator[str]:
    command = context.command
    if not isinstance(command, click.Group):
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)]).replace(" [OPTIONS]", "")
        yield f"`{usage}`\n: {_paragraph(command.help)}\n"
        yield from (f"  {line}" for line in _listed(command.params, context))
        yield ""
        return
    if command.help:
        yield f"{_paragraph(command.help)}\n"
    for name in command.list_commands(context):
        yield from _described(_within(context, [name]))


def _listed(parameters: list[click.Parameter] | list[click.Option], context: click.Context) -> Iterator[str]:
    for parameter in parameters:
        if isinstance(parameter, click.Option) and not parameter.hidden and "--help" not in parameter.opts:
            words, sentence = parameter.get_help_record(context) or ("", "")
            yield f"- `{words.replace('INTEGER RANGE', 'N')}`: {_RANGE.sub('', sentence)}"


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())
