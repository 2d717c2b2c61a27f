"""The permanent link of each thing: a run, a step, a task, what belongs to it, and two runs compared. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

from metaflow.metadata_provider.protocol import TaskPath

RUNS = "/"
COMPARE = "/compare"


def runs(query: Iterable[tuple[str, str]] = ()) -> str:
    """Return the address of the list of runs that a filter lets through."""
    return _with_query(RUNS, query)


def run(flow: str, run: str) -> str:
    """Return the address of a run."""
    return _joined("runs", flow, run)


def step(flow: str, run: str, step: str) -> str:
    """Return the address of a step: the list of its tasks."""
    return _joined("runs", flow, run, step)


def task(path: TaskPath, attempt: int | None = None) -> str:
    """Return the address of a task, or of one of its attempts."""
    return _with_query(_joined("runs", *path), _of_attempt(attempt))


def log(path: TaskPath, stream: str, attempt: int | None = None, **query: str) -> str:
    """Return the address of a log, from a position on if one is given."""
    return _with_query(_joined("runs", *path, "log", stream), [*_of_attempt(attempt), *query.items()])


def raw_log(path: TaskPath, stream: str, attempt: int | None = None) -> str:
    """Return the address of what a task printed, as it printed it."""
    return _with_query(_joined("runs", *path, "log", stream, "raw"), _of_attempt(attempt))


def artifact(path: TaskPath, name: str, attempt: int | None = None) -> str:
    """Return the address of an artifact."""
    return _with_query(_joined("runs", *path, "artifacts", name), _of_attempt(attempt))


def card(path: TaskPath, hash: str) -> str:
    """Return the address of a card's document."""
    return _joined("runs", *path, "cards", hash)


def compared(left: tuple[str, str], right: tuple[str, str]) -> str:
    """Return the address of two runs, each a flow and an id, side by side."""
    return _with_query(COMPARE, [("run", "/".join(left)), ("run", "/".join(right))])


def _of_attempt(attempt: int | None) -> list[tuple[str, str]]:
    return [] if attempt is None else [("attempt", str(attempt))]


def _joined(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _with_query(path: str, query: Iterable[tuple[str, str]]) -> str:
    text = urlencode(list(query))
    return f"{path}?{text}" if text else path
