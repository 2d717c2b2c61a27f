"""Copying what is known of runs from one place to another: local files to a service, a service to local files.

Documents keep their ids and times. What is there already is left alone, so that a copy that was broken off goes on when
it is made again, and nothing is there twice; of a run that is whole a fact of its parameters says so, the last that is
written. Start reading at `copy_runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from metaflow.metadata_provider.lease import lease_of
from metaflow.metadata_provider.protocol import PARAMETERS_STEP, Document, Fact, Metadata, TaskPath

MARK = "copied-from"
"""The fact that says that a run is whole, and where it was copied from."""
_AT_ONCE = 8


class Copyable(Metadata, Protocol):
    """A place that can be copied from and to."""

    def artifacts(self, task: Sequence[str]) -> list[Document]:
        """Return the artifacts of all attempts of a task."""

    def keep(self, path: Sequence[str], document: Document) -> None:
        """Register a flow, run, step or task as it is elsewhere, unless it is there."""

    def keep_facts(self, task: TaskPath, facts: Sequence[Document]) -> None:
        """Add those facts that a task does not have."""

    def keep_artifacts(self, task: TaskPath, artifacts: Sequence[Document]) -> None:
        """Add artifacts."""


class Copied(NamedTuple):
    """What became of a run: ``copied``, ``known`` (it was whole already) or ``running`` (it was left out)."""

    flow: str
    run: str
    what: str


def copy_runs(
    source: Copyable, target: Copyable, flows: Collection[str], tell: Callable[[Copied], None]
) -> list[Copied]:
    """Copy the runs of flows, oldest first.

    Parameters
    ----------
    source, target
        From where, and where to.
    flows : collection of str
        Their names; empty: all.
    tell : callable
        Takes each run when it is done.
    """
    done = []
    for flow in flows or sorted(source.names(())):
        runs = [listed.run for listed in source.newest(flow) if source.get((flow, listed.run)) is not None]
        for run in reversed(runs):
            done.append(Copied(flow, run, _copy_run(source, target, flow, run)))
            tell(done[-1])
    return done


def _copy_run(source: Copyable, target: Copyable, flow: str, run: str) -> str:
    parameters = TaskPath(flow, run, PARAMETERS_STEP, next(iter(source.names((flow, run, PARAMETERS_STEP))), "0"))
    if target.facts(parameters, MARK):
        return "known"
    status = lease_of(source, flow, run).status()
    if status is not None and status.state == "running":
        return "running"
    for path in ((flow,), (flow, run)):
        target.keep(path, _document(source, path))
    tasks = []
    for step in sorted(source.names((flow, run))):
        target.keep((flow, run, step), _document(source, (flow, run, step)))
        tasks += [TaskPath(flow, run, step, task) for task in source.names((flow, run, step))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda task: _copy_task(source, target, task), tasks))
    if status is not None and status.state != "lost":
        lease_of(target, flow, run).keep(status)
    target.record(parameters, None, [Fact(MARK, f"{source.kind}@{source.root}", MARK)])
    target.flush()
    return "copied"


def _copy_task(source: Copyable, target: Copyable, task: TaskPath) -> None:
    target.keep(task, _document(source, task))
    target.keep_artifacts(task, source.artifacts(task))
    target.keep_facts(task, [fact for fact in source.facts(task) if fact["field_name"] != MARK])


def _document(source: Copyable, path: Sequence[str]) -> Document:
    return source.get(path) or {"ts_epoch": 0}
