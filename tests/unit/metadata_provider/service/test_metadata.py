"""The recorder and the catalog of a service, over ours and a network that can be cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaflow.exception import MetaflowTaggingError, StorageUnavailable
from metaflow.metadata_provider.lease import RunStatus, lease_of
from metaflow.metadata_provider.protocol import ArtifactFact, Fact, TaskPath, WholeAttempt
from metaflow.metadata_provider.service.metadata import ServiceMetadata
from metaflow.metadata_provider.service.sender import Pauses
from metaflow.settings.groups import ServiceSettings
from support.catalog_contract import *  # noqa: F403
from support.catalog_contract import Shelf
from support.fault_proxy import Answer, Cut, Fault, FaultProxy
from support.metadata_service import ListeningService
from support.present import present
from support.recorder_contract import *  # noqa: F403
from support.recorder_contract import Recorded

SYSTEM = ["user:ann", "runtime:dev"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningService]:
    found = ListeningService(str(tmp_path_factory.mktemp("service")))
    yield found
    found.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ListeningService]:
    """A service without anything in it."""
    found = ListeningService(str(tmp_path))
    yield found
    found.close()


_opened: list[ServiceMetadata] = []


def metadata_at(url: str, **settings: Any) -> ServiceMetadata:
    found = ServiceMetadata(url, "ann", ServiceSettings(url, **settings), Pauses(0.01, 0.05))
    _opened.append(found)
    return found


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


@pytest.fixture
def shelf(service: ListeningService) -> Shelf:
    recorder = metadata_at(service.url)
    return Shelf(recorder, recorder)


@pytest.fixture
def recorded(database: ListeningService) -> Recorded:
    recorder = metadata_at(database.url)

    def read() -> ServiceMetadata:
        assert recorder.flush(30, None)
        return metadata_at(database.url, page_size=3)

    return Recorded(recorder, recorder.new_run("F", tags=["t"], system_tags=SYSTEM), read)


class Faulty:
    """A service behind a proxy."""

    def __init__(self, database: ListeningService) -> None:
        self.proxy = FaultProxy(database.url)
        self.here = metadata_at(self.proxy.url, patience=60.0)
        self.there = metadata_at(database.url)

    def faults(self, *faults: Fault, at: str = "") -> None:
        """Have calls with `at` in their path go wrong, one after the other."""
        left = list(faults)
        self.proxy.fault = lambda number, method, path: left.pop(0) if left and at in path else None


@pytest.fixture
def faulty(database: ListeningService) -> Iterator[Faulty]:
    found = Faulty(database)
    yield found
    found.proxy.go()


BUSY = Answer(429, "", headers=(("Retry-After", "0"),))
FAULTS: list[Fault] = [Cut(0), Cut(3), Answer(500, ""), Answer(502, ""), BUSY]


@pytest.mark.parametrize("part", ["/task", "/metadata", "/artifact", "/step"])
def test_nothing_is_lost_and_nothing_is_there_twice(faulty: Faulty, part: str) -> None:
    run = faulty.here.new_run("F", tags=[], system_tags=SYSTEM)
    task = TaskPath("F", run, "start", "1")
    faulty.faults(*FAULTS, at=part)
    faulty.here.register_task(task, tags=[], system_tags=SYSTEM)
    faulty.here.record(task, 0, [Fact("attempt", "0", "attempt"), Fact("stack", ["x=1"], "stack")])
    faulty.here.record_artifacts(
        task, 0, [ArtifactFact("x", "0" * 40)], storage=("local", "/d"), tags=[], system_tags=SYSTEM
    )
    faulty.here.record(task, 0, [Fact("attempt-done", "0", "attempt-done")])
    assert faulty.here.flush(60)
    assert [fact["field_name"] for fact in faulty.there.facts(task)] == ["attempt", "stack", "attempt-done"]
    assert faulty.there.names(("F", run, "start")) == ["1"]
    assert faulty.there.get((*task, "x")) is not None


def test_a_run_whose_answer_was_lost_is_registered_once(faulty: Faulty) -> None:
    said: list[str] = []
    faulty.here.tell(said.append)
    faulty.faults(Cut(0), Answer(503, ""), at="/run")
    run = faulty.here.new_run("Once", tags=[], system_tags=SYSTEM)
    assert faulty.there.names(("Once",)) == [run]
    assert said == [f"Waiting for the metadata service {faulty.proxy.url}: it cut its answer short."]


def test_a_service_that_is_away_loses_nothing(faulty: Faulty) -> None:
    run = faulty.here.new_run("F", tags=[], system_tags=SYSTEM)
    faulty.proxy.go()
    tasks = [TaskPath("F", run, "work", str(number)) for number in range(1, 21)]
    for task in tasks:
        faulty.here.register_task(task, tags=[], system_tags=SYSTEM)
        faulty.here.record(task, 0, [Fact("attempt", "0", "attempt")])
        faulty.here.record(task, 0, [Fact("attempt-done", "0", "attempt-done")])
    assert not faulty.here.flush(0.01)
    assert faulty.here.flush(0, [TaskPath("F", run, "start", "1")])
    faulty.proxy.come()
    assert faulty.here.flush(60)
    assert sorted(map(int, faulty.there.names(("F", run, "work")))) == [*range(1, 21)]
    assert len(list(faulty.there.facts_below(("F", run), ["attempt", "attempt-done"]))) == 40
    calls = faulty.proxy.seen("POST", "/metadata")
    assert len(calls) < 28, "what waits for one task is one call, but for what was being sent"


def test_a_refusal_names_the_service(faulty: Faulty) -> None:
    run = faulty.here.new_run("F", tags=[], system_tags=SYSTEM)
    faulty.faults(Answer(403, ""), at="/task")
    faulty.here.register_task(TaskPath("F", run, "start", "1"), tags=[], system_tags=SYSTEM)
    with pytest.raises(StorageUnavailable, match=f"{faulty.proxy.url} refuses a call \\(403\\)") as error:
        faulty.here.flush(60)
    assert "METAFLOW_SERVICE_AUTH_KEY" in (error.value.hint or "")


def test_what_cannot_be_read_is_said_after_some_tries(faulty: Faulty) -> None:
    away = metadata_at(faulty.proxy.url, retries=2)
    faulty.proxy.go()
    with pytest.raises(StorageUnavailable, match="cannot be read: nobody listens there") as error:
        away.get(("F",))
    assert "METAFLOW_SERVICE_RETRY_COUNT" in (error.value.hint or "")


def test_tags_are_changed_again_when_others_change_them(faulty: Faulty) -> None:
    run = faulty.here.new_run("F", tags=["t"], system_tags=SYSTEM)
    faulty.faults(Answer(409, ""), Answer(409, ""), Answer(500, ""), at="/tag/mutate")
    assert faulty.here.change_tags("F", run, add=["a"], remove=["t"]) == ["a"]
    faulty.faults(Answer(400, ""), at="/tag/mutate")
    with pytest.raises(MetaflowTaggingError):
        faulty.here.change_tags("F", run, add=["b"], remove=[])


def test_listing_takes_few_calls(faulty: Faulty) -> None:
    run = faulty.there.new_run("F", tags=[], system_tags=SYSTEM)
    for number in range(1, 102):
        faulty.there.register_task(TaskPath("F", run, "work", str(number)), tags=[], system_tags=SYSTEM)
    assert faulty.there.flush(60)
    reader = metadata_at(faulty.proxy.url, page_size=50)
    assert len(reader.names(("F", run, "work"))) == 101
    assert len(faulty.proxy.seen("GET")) == 3


def test_a_task_that_is_taken_over_is_whole(database: ListeningService) -> None:
    metadata = metadata_at(database.url)
    run = metadata.new_run("F", tags=[], system_tags=SYSTEM)
    task = TaskPath("F", run, "start", "1")
    shared = [ArtifactFact("y", "1" * 40)]
    whole = WholeAttempt(
        [Fact("attempt", "0", "attempt")], [ArtifactFact("x", "0" * 40)], ("local", "/d"), task, shared
    )
    metadata.register_task(task, tags=[], system_tags=SYSTEM, whole=whole)
    assert metadata.get((*task, "x")) is not None
    assert metadata.get((*task, "y")) is not None
    assert [fact["value"] for fact in metadata.facts(task)] == ["0"]


def test_how_a_run_is_doing(database: ListeningService) -> None:
    metadata = metadata_at(database.url)
    run = metadata.new_run("F", tags=[], system_tags=SYSTEM)
    metadata.register_task(TaskPath("F", run, "_parameters", "0"), tags=[], system_tags=SYSTEM)
    lease = lease_of(metadata, "F", run)
    lease.take()
    lease.renew([TaskPath("F", run, "start", "nope")])
    assert present(lease_of(metadata_at(database.url), "F", run).status()).state == "running"
    lease.end("failed")
    assert metadata.flush(30)
    ended = present(lease_of(metadata_at(database.url), "F", run).status())
    assert ended[:2] == RunStatus("failed")[:2]
    assert ended.ended is not None


def test_a_fork_sends_by_itself(database: ListeningService) -> None:
    metadata = metadata_at(database.url)
    run = metadata.new_run("F", tags=[], system_tags=SYSTEM)
    child = os.fork()
    if child == 0:
        mine = metadata_at(database.url)
        mine.register_task(TaskPath("F", run, "start", "1"), tags=[], system_tags=SYSTEM)
        os._exit(0 if mine.flush(30) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert metadata.names(("F", run, "start")) == ["1"]
