"""Copies of runs, to a service and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow.exception import StorageUnavailable, TaskFailed
from metaflow.metadata_provider.copying import Copied, copy_runs
from metaflow.metadata_provider.lease import lease_of
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import ArtifactFact, Catalog, Document, Fact, TaskPath
from metaflow.metadata_provider.service.metadata import ServiceMetadata
from metaflow.settings.groups import ServiceSettings
from support.fault_proxy import Answer, FaultProxy
from support.metadata_service import ListeningService

SYSTEM = ["user:ann"]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[ListeningService]:
    found = ListeningService(str(tmp_path))
    yield found
    found.close()


@pytest.fixture
def service(listening: ListeningService) -> Iterator[ServiceMetadata]:
    found = ServiceMetadata(listening.url, "ann", ServiceSettings(listening.url))
    yield found
    found.close()


def write(local: LocalMetadata, state: str = "failed") -> str:
    run = local.new_run("F", tags=["t"], system_tags=SYSTEM, claim=lambda run: lease_of(local, "F", run).take())
    for step, task in (("_parameters", "0"), ("start", "1"), ("work", "2"), ("work", "3")):
        path = TaskPath("F", run, step, task)
        local.register_task(path, tags=["t"], system_tags=SYSTEM)
        for attempt in range(2):
            local.record(path, attempt, [Fact("attempt", str(attempt), "attempt"), Fact("stack", ["x=1"], "stack")])
            artifacts = [ArtifactFact(name, str(attempt) * 40) for name in ("x", "_task_ok")]
            where = {"storage": ("local", "/d"), "tags": ["t"], "system_tags": SYSTEM}
            local.record_artifacts(path, attempt, artifacts, **where)  # type: ignore[arg-type]
    if state != "running":
        lease_of(local, "F", run).end(state, TaskFailed("why", hint="so") if state == "failed" else None)
    return run


def known(catalog: Catalog, run: str) -> list[object]:
    """Return all that a catalog says of a run."""
    keys = ("run_number", "step_name", "task_id", "tags", "system_tags", "ts_epoch", "sha", "attempt_id", "value")

    def shown(document: Document | None) -> object:
        return {key: (document or {}).get(key) or None for key in keys}  # no tags are none, or an empty list

    status = lease_of(catalog, "F", run).status()
    told: list[object] = [shown(catalog.get(("F", run))), status and (status.state, str(status.failure), status.ended)]
    for step in sorted(catalog.names(("F", run))):
        for task in sorted(catalog.names(("F", run, step))):
            path = ("F", run, step, task)
            facts = [each for each in catalog.facts(path) if each["field_name"] not in ("copied-from", "run-status")]
            told += [shown(catalog.get(path[:3])), shown(catalog.get(path)), *map(shown, facts)]
            told += [shown(catalog.get((*path, "x"), attempt)) for attempt in range(2)]
    return told


def test_there_and_back(tmp_path: Path, listening: ListeningService, service: ServiceMetadata) -> None:
    local, other = LocalMetadata(str(tmp_path / "a"), "ann"), LocalMetadata(str(tmp_path / "b"), "ann")
    runs = [write(local), write(local, "successful")]
    running = write(local, "running")
    proxy = FaultProxy(listening.url)
    cut = ServiceMetadata(proxy.url, "ann", ServiceSettings(proxy.url))
    left = [None] * 20
    proxy.fault = lambda number, method, path: left.pop() if left else Answer(403, "")
    with pytest.raises(StorageUnavailable):  # it is broken off
        copy_runs(local, cut, ["F"], lambda run: None)
    cut.close()
    proxy.go()
    told: list[Copied] = []
    done = copy_runs(local, service, [], told.append)
    assert done == told == [*(Copied("F", run, "copied") for run in runs), Copied("F", running, "running")]
    assert copy_runs(local, service, ["F"], lambda run: None)[0].what == "known"
    assert [each.what for each in copy_runs(service, other, [], lambda run: None)] == ["copied", "copied"]
    for run in runs:
        assert known(local, run) == known(service, run) == known(other, run)
    assert other.latest_run("F") == runs[1]
