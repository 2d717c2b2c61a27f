"""The server on real databases: under load, killed again and again; a locked file, a full disk, connections cut."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from urllib.parse import urlsplit

import httpx2
import pytest
from benchmarks.serve_load import Load, load

from metaflow.metadata_provider.protocol import ArtifactFact, Fact, TaskPath
from metaflow.metadata_provider.service.metadata import ServiceMetadata
from support.serving import Running

TASKS = 12
POSTGRES = os.environ.get("POSTGRES_URL", "")
needs_postgres = pytest.mark.skipif(not POSTGRES, reason="POSTGRES_URL names no PostgreSQL")


@pytest.fixture
def postgres() -> Iterator[str]:
    """Return the URL of a new database."""
    import psycopg

    name = f"millrace_test_{os.getpid()}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
        yield urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the place of a new database of either kind."""
    return str(tmp_path / "facts.db") if request.param == "sqlite" else request.getfixturevalue("postgres")


def registered(server: Running) -> int:
    """Return the status of the answer to a new run."""
    return httpx2.post(f"{server.url}/flows/F/run", json={}, timeout=30).status_code


def test_a_load_is_borne_and_nothing_is_lost(database: str, tmp_path: Path) -> None:
    with Running(database, str(tmp_path)) as server:
        outcome = asyncio.run(load(server.port, Load(seconds=3, tasks=30, heartbeats=100, readers=20)))
        assert server.megabytes() < 250
    assert outcome.errors == []
    assert outcome.found == outcome.expected


def test_servers_that_start_at_once_make_the_tables_once(database: str, tmp_path: Path) -> None:
    if "://" not in database:
        sqlite3.connect(database).close()  # an empty file, which each of them finds
        Path(database).touch()
    servers: list[Running] = []
    starts = [threading.Thread(target=lambda: servers.append(Running(database, str(tmp_path)))) for _ in range(3)]
    for each in starts:
        each.start()
    for each in starts:
        each.join()
    assert [registered(server) for server in servers] == [200, 200, 200]
    assert [server.end() for server in servers] == [(0, ""), (0, ""), (0, "")]


def test_no_request_that_fits_or_does_not_fit_the_description_is_an_error_of_the_server(tmp_path: Path) -> None:
    with Running(str(tmp_path / "facts.db"), str(tmp_path)) as server:
        program = str(Path(sys.executable).with_name("schemathesis"))
        words = ["--checks", "not_a_server_error", "--phases", "coverage,fuzzing", "--max-examples", "3", "--seed", "1"]
        command = [program, "run", f"{server.url}/openapi.json", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=200)
        assert done.returncode == 0, done.stdout[-3000:]
        assert server.end() == (0, "")


def test_a_server_that_is_killed_again_and_again_loses_nothing(database: str, tmp_path: Path) -> None:
    server = Running(database, str(tmp_path))
    metadata = ServiceMetadata(server.url, "ann")
    run = metadata.new_run("F", tags=[], system_tags=[])
    progress: Queue[int] = Queue()

    def write() -> None:
        for number in range(TASKS):
            task = TaskPath("F", run, "work", f"t{number}")
            metadata.register_task(task, tags=[], system_tags=[])
            metadata.record(task, 0, [Fact("attempt", "0", "attempt"), Fact("attempt_ok", "True", "status")])
            artifact = ArtifactFact("x", f"{number:040}")
            metadata.record_artifacts(task, 0, [artifact], storage=("local", "/data"), tags=[], system_tags=[])
            progress.put(number)

    writer = threading.Thread(target=write)
    writer.start()
    while progress.get(timeout=120) < TASKS - 1:
        server.end(signal.SIGKILL)
        server = Running(database, str(tmp_path), port=server.port)
        metadata.flush(60)
    writer.join()
    assert metadata.flush(60)
    tasks = {document["task_id"]: document for document in metadata.children(("F", run, "work"))}
    assert sorted(tasks) == sorted(f"t{number}" for number in range(TASKS))
    for number in range(TASKS):
        path = ("F", run, "work", f"t{number}")
        assert [fact["value"] for fact in metadata.facts(path)] == ["0", "True"]
        found = metadata.get((*path, "x"))
        assert found is not None
        assert found["sha"] == f"{number:040}"
    metadata.close()
    server.end()


def test_a_locked_file_is_waited_for_and_then_told_about(tmp_path: Path) -> None:
    file = tmp_path / "facts.db"
    with Running(str(file), str(tmp_path)) as server:
        assert registered(server) == 200
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        answer = httpx2.post(f"{server.url}/flows/F/run", json={}, timeout=30)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json() == {"message": f"The database {file} cannot be used: database is locked."}
        assert httpx2.get(f"{server.url}/flows").status_code == 200
        holder.close()
        assert registered(server) == 200


def test_a_full_disk_is_told_about_until_there_is_room(tmp_path: Path) -> None:
    file = tmp_path / "facts.db"
    with Running(str(file), str(tmp_path)) as server:
        assert registered(server) == 200
        unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        answers = {registered(server) for _ in range(3)}
        assert answers == {503}
        assert httpx2.get(f"{server.url}/flows").status_code == 200
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        assert registered(server) == 200
        assert len(httpx2.get(f"{server.url}/flows/F/runs").json()) == 2


@needs_postgres
def test_a_database_that_was_away_is_used_again(postgres: str, tmp_path: Path) -> None:
    import psycopg

    with Running(postgres, str(tmp_path)) as server, psycopg.connect(POSTGRES, autocommit=True) as connection:
        assert registered(server) == 200
        name = postgres.rpartition("/")[2]
        for _ in range(3):
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            assert httpx2.get(f"{server.url}/flows").status_code == 200
            assert registered(server) == 200


def test_a_signal_ends_the_server_in_good_order(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        server = Running(str(tmp_path / f"{number}.db"), str(tmp_path))
        assert registered(server) == 200
        with httpx2.stream("GET", f"{server.url}/events") as events:  # a stream that is open does not hold it
            assert next(events.iter_lines()) == ": watching"
            assert server.end(number) == (0, "")


def test_a_head_that_does_not_end_holds_no_connection(tmp_path: Path) -> None:
    with Running(str(tmp_path / "facts.db"), str(tmp_path)) as server:

        async def heads() -> None:
            for start in (b"GET / HTTP/1.1\r\nX: " + b"a" * (1 << 20), b"\x00" * 100, b"GET / HTTP/9\r\n\r\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(start)
                try:
                    assert (await reader.read()).startswith((b"HTTP/1.1 400", b""))
                except ConnectionError:
                    pass
                writer.close()

        asyncio.run(asyncio.wait_for(heads(), 60))
        assert registered(server) == 200
