"""The command ``metaflow``: about this installation, not about a flow."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from metaflow import extensions, installed, registry, settings
from metaflow.cli import unavailable
from metaflow.cli.main import print_error
from metaflow.cli.metadata import metadata
from metaflow.cli.serve import serve
from metaflow.exception import CommandException, MetaflowException
from metaflow.settings.overview import overview
from metaflow.version import API, MILLRACE, __version__


def main() -> NoReturn:
    """Run the command line of the process and leave it."""
    try:
        sys.exit(command.main(prog_name="metaflow", standalone_mode=False) or 0)
    except click.ClickException as error:
        print_error(CommandException(error.format_message(), hint="see `metaflow --help`"))
        sys.exit(2)
    except MetaflowException as error:
        print_error(error)
        sys.exit(2 if isinstance(error, CommandException) else 1)
    except click.Abort:
        sys.exit(130)


class _Group(click.Group):
    """Says by name what Metaflow's program has and this one has not."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        path = " ".join([*ctx.command_path.split()[1:], args[0]])
        refused = unavailable.refusal("metaflow command", path)
        if refused is not None:
            raise refused
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Group, help="Millrace: this installation and its configuration. To run a flow, use `python flow.py run`."
)
def command() -> None:
    pass


command.add_command(serve)
command.add_command(metadata)


@command.command("version", help="Print the version.")
def _version() -> None:
    click.echo(__version__)


@command.command("help", help="Print the commands.")
@click.pass_context
def _help(context: click.Context) -> None:
    assert context.parent is not None
    click.echo(context.parent.get_help())


@command.command("status", help="Print versions, the user, and where data and metadata are stored.")
def _status() -> None:

    found = settings.load()
    rows = {
        "Millrace": f"{MILLRACE}, the API of Metaflow {API}",
        "user": found.user,
        "profile": found.profile or "none",
        "configuration": ", ".join(found.files) or "no file",
        "metadata": f"{found.default_metadata} ({found.local_root})",
        "datastore": found.default_datastore,
    }
    for name, value in rows.items():
        click.echo(f"{name:<14} {value}")
    for warning in found.values.warnings():
        click.echo(warning, err=True)


@command.command("extensions", help="Print what other distributions add, and whether it can be used.")
def _extensions() -> None:
    rows = installed.every()
    for each in rows:
        hidden = each.name in registry.names(each.kind)
        state = "hidden by the built-in of this name" if hidden else extensions.fault(each) or "ready"
        click.echo(f"{each.kind} '{each.name}'  {each.distribution}  {each.target}\n    {state}")
    for broken in installed.unreadable():
        click.echo(f"{broken.distribution}: its entry points cannot be read ({broken.reason})", err=True)
    if not rows:
        click.echo("No distribution that is installed adds anything.")


@command.group("configure", cls=_Group, help="Inspect the configuration.")
def _configure() -> None:
    pass


@_configure.command("show", help="Print every setting in force and its origin.")
@click.option("--profile", "-p", metavar="NAME", help="Use the configuration file of this profile.")
@click.option("--all", "with_defaults", is_flag=True, help="Print all known settings, and what they mean.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def _show(profile: str | None, with_defaults: bool, as_json: bool) -> None:

    found = settings.load(profile=profile)
    rows = overview(found.values, with_defaults=with_defaults)
    if as_json:
        import json

        click.echo(json.dumps({"files": found.files, "settings": [row._asdict() for row in rows]}, indent=2))
        return
    for row in rows:
        click.echo(str(row))
        if with_defaults and row.sentence:
            click.echo(f"    {row.sentence}")
    if not rows:
        click.echo("No setting is in force: everything is local.")
