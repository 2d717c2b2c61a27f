from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from metaflow.client.runs import run_at
from metaflow.client.site import Site
from metaflow.exception import RunFailed
from metaflow.flow.frames import ForeachFrame
from metaflow.metadata_provider.lease import LocalLease
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import Fact, TaskPath
from metaflow.serve.reading.cache import Cache
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.site_reader import SiteReader
from metaflow.store.local import LocalStorage
from support.reader_contract import *  # noqa: F403
from support.reader_contract import Library


def library_at(path: Path, cache: str | None = None) -> Library:
    metadata, storage = LocalMetadata(str(path / ".metaflow"), "ann"), LocalStorage(str(path / ".metaflow"))
    return Library(SiteReader(Site(metadata, storage), Cache(cache)), metadata, storage)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return library_at(tmp_path, str(tmp_path / "cache" / "pages.sqlite"))


@pytest.fixture
def lease(library: Library) -> Any:
    """Return what carries out a run in this process."""

    def take(run: str) -> LocalLease:
        taken = LocalLease(library.recorder, "F", run)
        taken.take()
        return taken

    return take


def test_the_client_and_the_pages_say_the_same(library: Library, lease: Any, tmp_path: Path) -> None:
    run = library.add_wide_run()
    taken = lease(run)

    def both() -> tuple[list[str], list[str]]:
        client = run_at(Site(LocalMetadata(library.recorder.root), library.storage), "F", run)
        table = {(row.step, row.task): row.state for row in library.reader.tasks("F", run).rows}
        tasks = [task for step in client for task in step]
        seen = [str(table[task.path_components[2], task.id]) for task in tasks]
        return [client.status, *(task.status for task in tasks)], [library.reader.run("F", run).row.state, *seen]

    client, pages = both()
    assert client == pages
    assert pages[0] == "running"
    taken.end("failed", RunFailed("it failed", step="train", task="4", cause="memory", foreach="models[2] = c"))
    client, pages = both()
    assert client == pages
    assert pages[0] == "failed"
    found = library.reader.run("F", run)
    assert found.first_failure == ("F", run, "train", "4")
    assert found.row.ended is not None
    assert found.row.failure is not None
    assert (found.row.failure.kind, found.row.failure.item) == ("memory", "models[2] = c")


def test_by_status(library: Library, lease: Any) -> None:
    for state in ("successful", "failed", "interrupted"):
        lease(library.add_run()).end(state)
    lease(library.add_run())
    library.add_run()
    states = [row.state for row in library.reader.runs(RunFilter()).rows]
    assert states == ["unknown", "running", "interrupted", "failed", "successful"]
    wanted = RunFilter(states=frozenset({"failed", "running"}))
    assert [row.state for row in library.reader.runs(wanted).rows] == ["running", "failed"]


def test_a_search_that_takes_long_goes_on_from_where_it_stopped(library: Library) -> None:
    runs = [library.add_run(tags=["wanted"] if number == 0 else []) for number in range(12)]
    site = Site(LocalMetadata(library.recorder.root), library.storage)
    reader = SiteReader(site, Cache(None), itertools.count().__next__)
    found, after, looks = [], None, 0
    while looks == 0 or after is not None:
        page = reader.runs(RunFilter(tags=frozenset({"wanted"})), after, 2)
        found += [row.run for row in page.rows]
        after, looks = page.after, looks + 1
        assert page.is_partial or after is None
    assert found == runs[:1]
    assert looks > 2


def test_one_run_that_cannot_be_read_spoils_no_list(library: Library) -> None:
    runs = [library.add_run() for _ in range(3)]
    (Path(library.recorder.root) / "F" / runs[1] / "_meta" / "_self.json").write_text("{")
    rows = library.reader.runs(RunFilter()).rows
    assert [row.run for row in rows] == runs[::-1]
    assert rows[1].failure is not None
    assert "is damaged" in rows[1].failure.message


def test_a_task_that_resume_took_over_is_shown_as_its_origin(library: Library) -> None:
    old = library.add_wide_run()
    new = library.add_run()
    taken = TaskPath("F", new, "train", "9")
    library.recorder.register_task(taken, tags=(), system_tags=())
    facts = {"origin-run-id": old, "origin-task-id": "3", "attempt-done": "0"}
    library.recorder.record(taken, 0, [Fact(name, value, name) for name, value in facts.items()])
    (row,) = library.reader.tasks("F", new).rows
    assert (row.state, row.item) == ("caught", "models[1] = b")
    assert library.reader.run("F", new).origin == f"F/{old}"
    assert library.reader.task(taken).origin == ("F", old, "train", "3")


def test_what_never_changes_is_kept(library: Library, lease: Any, tmp_path: Path) -> None:
    run = library.add_wide_run()
    lease(run).end("successful")
    cache = tmp_path / "cache" / "pages.sqlite"
    before = library.reader.run("F", run)
    with sqlite3.connect(cache) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (2,)
    again = library_at(tmp_path, str(cache)).reader
    assert again.run("F", run) == before
    for damage in (b"no database", b"SQLite format 3\0" + b"\xff" * 5000, b""):
        for suffix in ("-wal", "-shm"):
            Path(f"{cache}{suffix}").unlink(missing_ok=True)
        cache.write_bytes(damage)
        assert library_at(tmp_path, str(cache)).reader.run("F", run) == before
    cache.unlink()
    assert library_at(tmp_path, str(cache)).reader.run("F", run) == before
    assert library_at(tmp_path, "/proc/nowhere/pages.sqlite").reader.run("F", run) == before


def test_frames_of_nested_foreaches(library: Library) -> None:
    run = library.add_run()
    frames = [ForeachFrame("a", "xs", 2, 1, "x=1"), ForeachFrame("b", "ys", 2, 0, None)]
    library.add(TaskPath("F", run, "b", "1"), frames=frames)
    assert library.reader.tasks("F", run).rows[0].item == "xs[1] = x=1, ys[0] = None"
