from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from metaflow.exception import StorageUnavailable
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.changes import Changes, Path
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.protocol import RunPage, TaskRow
from metaflow.serve.reading.watching import Watches
from support.reading import FakeReader, sample_reader

PATIENCE = 20.0


class Counting(FakeReader):
    """Counts the looks, and can be away."""

    looks = 0
    is_away = False

    def _look(self) -> None:
        self.looks += 1
        if self.is_away:
            raise StorageUnavailable("it is away")

    def runs(self, wanted: RunFilter, after: str | None = None, size: int = 50) -> RunPage:
        self._look()
        return super().runs(wanted, after, size)

    def run_state(self, flow: str, run: str) -> object:
        self._look()
        return super().run_state(flow, run)

    def task_state(self, path: TaskPath) -> object:
        self._look()
        return super().task_state(path)


def watching(body: Any) -> Counting:
    reader = Counting(sample_reader().known)

    async def run() -> None:
        changes = Changes()
        changes.start()
        async with asyncio.timeout(PATIENCE):
            await body(reader, changes, Watches(reader, changes, pause=0.001))

    asyncio.run(run())
    return reader


async def change(events: AsyncIterator[list[Path]]) -> list[Path]:
    async for paths in events:
        if paths:
            return paths
    return []


async def looked(reader: Counting, times: int) -> None:
    aim = reader.looks + times
    while reader.looks < aim:
        await asyncio.sleep(0.001)


def add_task(reader: FakeReader) -> None:
    reader.known[0].tasks.append(TaskRow("train", "999", "running", 5))


def test_everybody_hears_of_a_change_from_one_poller() -> None:
    async def body(reader: Counting, changes: Changes, watches: Watches) -> None:
        path = ("TrainFlow", "101")
        streams = [watches.below(path, 0.01), watches.below((*path, "train"), 0.01), watches.below(path, 0.01)]
        for stream in streams:
            assert await anext(stream) == []
        assert len(watches._pollers) == 1
        await looked(reader, 2)
        add_task(reader)
        for stream in streams:
            assert await change(stream) == [path]
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        assert not watches._pollers

    watching(body)


def test_what_is_published_is_heard_too() -> None:
    async def body(reader: Counting, changes: Changes, watches: Watches) -> None:
        stream = watches.below(("TrainFlow", "101"), 0.01)
        await anext(stream)
        changes.publish(("TrainFlow", "101", "train", "3"))
        assert await change(stream) == [("TrainFlow", "101", "train", "3")]

    watching(body)


def test_a_store_that_is_away_is_looked_at_again() -> None:
    async def body(reader: Counting, changes: Changes, watches: Watches) -> None:
        stream = watches.below(("TrainFlow", "101"), 0.01)
        await anext(stream)
        await looked(reader, 2)
        reader.is_away = True
        await looked(reader, 2)
        add_task(reader)
        reader.is_away = False
        assert await change(stream) == [("TrainFlow", "101")]

    watching(body)


def test_lists_and_tasks_are_watched() -> None:
    async def body(reader: Counting, changes: Changes, watches: Watches) -> None:
        path = ("TrainFlow", "101", "train", "22")
        runs, task = watches.below((), 0.01), watches.below(path, 0.01)
        await anext(runs)
        await looked(reader, 2)
        await anext(task)
        await looked(reader, 20)
        reader.known[0].logs["train/22/1/stdout"].append("more")
        assert path in await change(task)
        del reader.known[-1]
        found = await change(runs)
        while () not in found:
            found = await change(runs)

    watching(body)
