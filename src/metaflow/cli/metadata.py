"""``metaflow metadata copy``: what is known of runs, from one place to another."""

from __future__ import annotations

from collections import Counter

import click

from metaflow.client.site import named
from metaflow.exception import CommandException
from metaflow.metadata_provider.copying import Copied, copy_runs


@click.group("metadata", help="Copy what is known of runs.")
def metadata() -> None:
    pass


@metadata.command(
    "copy",
    help="Copy runs from one place to another: a directory with a .metaflow in it, or the URL of a metadata service. "
    "Their data stays where it is.",
)
@click.argument("source")
@click.argument("target")
@click.option("--flow", "flows", multiple=True, metavar="NAME", help="Only this flow; can be given several times.")
@click.option("--quiet", is_flag=True, help="Print no line for each run.")
def copy(source: str, target: str, flows: tuple[str, ...], quiet: bool) -> None:
    """Copy runs."""
    places = [named(place).catalog for place in (source, target)]
    for place, catalog in zip((source, target), places, strict=True):
        if catalog.kind not in ("local", "service"):
            raise CommandException(f"Runs of {place} cannot be copied.", hint="name a directory, or a service's URL")
    if places[0].root == places[1].root:
        raise CommandException(f"{source} and {target} are the same place.")

    def tell(run: Copied) -> None:
        if not quiet:
            click.echo(f"{run.flow}/{run.run} {_SAID[run.what]}")

    count = Counter(run.what for run in copy_runs(places[0], places[1], flows, tell))  # type: ignore[arg-type]
    click.echo(f"{count['copied']} runs copied, {count['known']} were there already, {count['running']} left out.")


_SAID = {"copied": "copied", "known": "is there already", "running": "is running and left out"}
