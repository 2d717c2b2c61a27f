"""``metaflow serve``: the metadata service and the pages of runs, until Ctrl-C."""

from __future__ import annotations

import os
import sys
import webbrowser

import click

from metaflow.exception import CommandException


@click.command("serve", help="Serve a metadata service, and pages on which runs can be looked at.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for any that is free.")
@click.option("--metadata", metavar="PLACE", help="Show the runs of this place; by default that of the settings.")
@click.option("--database", metavar="FILE|URL", help="Keep what runs report here: a file, or postgresql://….")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def serve(host: str, port: int, metadata: str | None, database: str | None, no_browser: bool) -> None:
    try:
        from metaflow.serve import server
        from metaflow.serve.access import AccessRules, is_loopback
        from metaflow.serve.application import application
        from metaflow.serve.composition import composed

        served = composed(database, metadata)
    except ModuleNotFoundError as error:
        raise CommandException(
            f"`metaflow serve` needs a library that is not installed: {error.name}.",
            hint="pip install 'millrace[serve]'",
        ) from None

    app = application(served, AccessRules(is_local=is_loopback(host)))
    listening = server.listen(host, port)
    address = server.address_of(listening)

    def started() -> None:
        click.echo(f"Serving {address}")
        sys.stdout.flush()
        if not no_browser and sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform == "darwin"):
            webbrowser.open(address)

    server.serve(app, listening, started=started, ending=served.changes.end)
    if served.database is not None:
        served.database.close()
