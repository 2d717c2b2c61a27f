"""``resources``: what each step asks for and why, before anything runs.

What is printed are the `ResourceRequest`s that a run hands to its launchers; this file computes nothing of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from metaflow.app.options import DecoratorOptions
from metaflow.app.requests import resource_requests
from metaflow.cli.option_parser import options_of, values_of
from metaflow.cli.session import Session
from metaflow.cli.structure import planned
from metaflow.compute.resources import ResourceRequest

_UNITS = {"memory": "MB", "memory_limit": "MB", "disk": "MB", "shared_memory": "MiB", "tmpfs_size": "MB"}
_ALWAYS = ("cpu", "memory", "disk", "gpu", "image")


@click.command(
    help="Print where each step runs, the resources it requests, and where each value comes from.",
    params=list(options_of(DecoratorOptions)),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def resources(session: Session, /, as_json: bool, **read: Any) -> None:
    options = values_of(DecoratorOptions, read)
    workspace = planned(session, options.run_decospecs, options.run_without)
    requests = resource_requests(workspace)
    if as_json:
        steps = {name: request._asdict() for name, request in requests.items()}
        session.echo(json.dumps({"flow": workspace.name, "steps": steps}, indent=2))
        return
    for names, request in _alike(requests):
        session.echo(f"{', '.join(names)}: on {'this machine' if request.backend == 'local' else request.backend}")
        for line in _table(list(_rows(request))):
            session.echo(f"    {line}")


def _alike(requests: dict[str, ResourceRequest]) -> Iterator[tuple[list[str], ResourceRequest]]:
    """Yield each request once, with the steps that have it."""
    left = dict(requests)
    while left:
        request = next(iter(left.values()))
        names = [name for name, other in left.items() if other == request]
        left = {name: other for name, other in left.items() if name not in names}
        yield names, request


def _rows(request: ResourceRequest) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and source: the figures, then what somebody has set."""
    if request.backend == "local":
        for name, source in request.sources.items():
            yield name, _text(name, getattr(request, name)), f"{source}; without effect here"
        return
    values = {**request._asdict(), **request.options}
    for name in _ALWAYS:
        yield name, _text(name, values[name]), request.sources.get(name, "")
    for name, source in request.sources.items():
        if name not in _ALWAYS and not source.startswith("default of") and (name != "gpu_vendor" or request.gpu):
            yield name, _text(name, values[name]), source


def _text(name: str, value: Any) -> str:
    if value is None:
        return "as the backend has it" if name == "disk" else "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_text("", item) for item in value) or "none"
    number = f"{value:.10g}" if isinstance(value, float) else str(value)
    return f"{number} {_UNITS[name]}" if name in _UNITS else number


def _table(rows: list[tuple[str, str, str]]) -> list[str]:
    """Return the rows as lines, names and values in columns of their own, unless one is very long."""
    first = max((len(name) for name, _, _ in rows), default=0)
    second = max((len(value) for _, value, _ in rows if len(value) <= 24), default=0)
    return [f"{name:{first}}  {value:{second}}  {source}".rstrip() for name, value, source in rows]
