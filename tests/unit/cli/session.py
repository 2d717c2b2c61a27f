"""A session for commands that only look: what they print is kept."""

from __future__ import annotations

from types import SimpleNamespace

import click

from metaflow.settings.values import Values

from ..client.written import Place


class Looking:
    """What `metaflow.cli.session.Session` offers to a command, at a place of a test."""

    def __init__(self, place: Place, flow_name: str) -> None:
        settings = SimpleNamespace(user="ann", values=Values({}))
        self.workspace = SimpleNamespace(
            name=flow_name, settings=settings, storage=place.storage, metadata=place.provider
        )
        self.results: list[str] = []
        self.remarks: list[str] = []
        self.status = 0

    def echo(self, text: str = "") -> None:
        self.results.append(text)

    def say(self, text: str) -> None:
        self.remarks.append(text)

    warn = say


def invoke(place: Place, command: click.Command, *arguments: str, flow: str = "Numbers") -> Looking:
    """Run a command in a new session and return the session."""
    session = Looking(place, flow)
    status = command.main(list(arguments), prog_name="flow.py", standalone_mode=False, obj=session)
    session.status = status if isinstance(status, int) else 0
    return session
