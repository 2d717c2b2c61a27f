"""Recording behind a queue: the order, the end of waiting, and what happens when the recorder fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from threading import Event

import pytest

from metaflow.exception import StorageUnavailable
from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.metadata_provider.entries import FactsEntry, TaskEntry
from metaflow.metadata_provider.protocol import Fact, TaskPath
from metaflow.metadata_provider.queue import RecorderQueue

TASK = TaskPath("F", "1", "train", "2")


def entry(name: str) -> FactsEntry:
    return FactsEntry(TASK, 0, [Fact(name, "", name)])


class GatedRecorder(DeferredMetadata):
    """A recorder that writes facts once its gate is open, and refuses the fact `bad`."""

    def __init__(self) -> None:
        super().__init__("the service")
        self.gate = Event()

    def record(self, task: TaskPath, attempt: int | None, facts: Sequence[Fact]) -> None:
        assert self.gate.wait(60)
        if any(fact.name == "bad" for fact in facts):
            raise StorageUnavailable("The metadata service refuses.")
        super().record(task, attempt, facts)

    def names(self, path: Sequence[str] = ()) -> list[str]:
        return [fact.name for each in self.entries if isinstance(each, FactsEntry) for fact in each.facts]


class Scene:
    """A queue before a gated recorder, and the failures that it has told."""

    def __init__(self, limit: int = 1000) -> None:
        self.recorder = GatedRecorder()
        self.failures: list[Exception] = []
        self.queue = RecorderQueue(self.recorder, self.failures.append, limit)


def test_entries_are_written_in_their_order_while_nobody_waits() -> None:
    async def live() -> None:
        scene = Scene()
        assert scene.queue.is_empty
        scene.queue.put(TaskEntry(TASK, [], []))
        for number in range(100):
            scene.queue.put(entry(str(number)))
        assert not scene.queue.is_empty
        assert scene.recorder.entries == []
        scene.recorder.gate.set()
        await scene.queue.flush()
        assert isinstance(scene.recorder.entries[0], TaskEntry)
        assert scene.recorder.names() == [str(number) for number in range(100)]
        assert not scene.failures
        await asyncio.sleep(0)
        assert scene.queue.is_empty
        await scene.queue.flush()

    asyncio.run(live())


def test_a_flush_waits_for_what_was_put_before_it_also_while_something_is_written() -> None:
    async def live() -> None:
        scene = Scene()
        scene.queue.put(entry("first"))
        await asyncio.sleep(0)  # the writer has taken it
        scene.queue.put(entry("second"))
        flush = asyncio.create_task(scene.queue.flush())
        scene.recorder.gate.set()
        await flush
        assert scene.recorder.names() == ["first", "second"]

    asyncio.run(live())


def test_a_failure_is_told_at_once_and_to_whoever_comes_later_and_nothing_more_is_written() -> None:
    async def live() -> None:
        scene = Scene()
        for name in ("good", "bad", "late"):
            scene.queue.put(entry(name))
        scene.recorder.gate.set()
        with pytest.raises(StorageUnavailable, match="service refuses") as refusal:
            await scene.queue.flush()
        assert scene.failures == [refusal.value]
        assert scene.recorder.names() == ["good"]
        with pytest.raises(StorageUnavailable, match="service refuses"):
            scene.queue.put(entry("later"))

    asyncio.run(live())


def test_a_recorder_that_is_too_slow_for_good() -> None:
    async def live() -> None:
        scene = Scene(limit=3)
        for number in range(3):
            scene.queue.put(entry(str(number)))
        with pytest.raises(StorageUnavailable, match="the service are written too slowly: 3 entries wait"):
            scene.queue.put(entry("one too many"))
        scene.recorder.gate.set()
        await scene.queue.flush()

    asyncio.run(live())
