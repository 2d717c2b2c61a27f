"""``metaflow serve``: the metadata service and the pages of runs, until Ctrl-C."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from metaflow.app.packages import cache_directory
from metaflow.cli.browser import open_if_watched
from metaflow.exception import CommandException


@click.command("serve", help="Serve a metadata service, and pages on which runs can be looked at, until Ctrl-C.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for any that is free.")
@click.option(
    "--database",
    metavar="FILE|URL",
    help="Keep what runs report in this SQLite file, or in PostgreSQL: postgresql://USER@HOST/NAME.",
)
@click.option("--metadata", metavar="PLACE", help="Show the runs of this directory or service.")
@click.option("--datastore", metavar="PLACE", help="Directory or bucket of the runs' data, if they do not say.")
@click.option("--token-file", metavar="FILE", help="Let in who has one of these tokens: TOKEN [PROJECT …] a line.")
@click.option("--trusted-proxy-header", "trusted_header", metavar="NAME", help="Let in requests with this header.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--print-config",
    "form",
    type=click.Choice(["json", "shell"]),
    help="Print the settings that clients of this server need, as a configuration file or as commands, and end.",
)
def serve(no_browser: bool, form: str | None, **options: Any) -> None:
    try:
        from metaflow.serve import composition, server
        from metaflow.serve.application import application

        asked = composition.ServeOptions(**options)
        rules = composition.rules(asked)
        if form is not None:
            click.echo(composition.rendered(composition.client_settings(asked, bool(rules.tokens)), form))
            return
        served = composition.served(asked)._replace(cache=f"{cache_directory(os.environ)}/pages.sqlite")
        app = application(served, rules)
    except ModuleNotFoundError as error:
        raise CommandException(
            f"`metaflow serve` needs a library that is not installed: {error.name}.",
            hint="pip install 'millrace[serve]'",
        ) from None

    listening = server.listen(asked.host, asked.port)
    address = server.address_of(listening)

    def started() -> None:
        click.echo(f"Serving {address}")
        sys.stdout.flush()  # into a pipe or a file, too
        if not no_browser:
            open_if_watched(address)

    server.serve(app, listening, started=started, ending=served.changes.end)
    if served.database is not None:
        served.database.close()
