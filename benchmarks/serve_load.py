"""The metadata service under load: tasks registered and ended, heartbeats, readers; what it answers, and what is lost.

``python -m benchmarks.serve_load --database FILE|URL`` starts a server and prints how long its answers took. Clients
are bare sockets in one process, so that the server has the other core. Start reading at `load`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from support.serving import Running


class Load(NamedTuple):
    """What is asked of the server.

    Attributes
    ----------
    seconds : float
        How long.
    tasks : int
        Registered and ended a second, by four calls each.
    heartbeats : int
        In all.
    readers : int
        Each of which reads something once a second.
    """

    seconds: float = 60.0
    tasks: int = 200
    heartbeats: int = 10_000
    readers: int = 50


class Outcome(NamedTuple):
    """What came of it.

    Attributes
    ----------
    milliseconds : list of float
        How long each answer took, sorted.
    errors : list of str
        Answers that were none.
    expected, found : dict of str to int
        How many tasks, facts and artifacts were sent, and how many are there.
    seconds : float
        How long it took in all.
    """

    milliseconds: list[float]
    errors: list[str]
    expected: dict[str, int]
    found: dict[str, int]
    seconds: float

    def percentile(self, share: float) -> float:
        """Return the time within which a share of the answers came."""
        return self.milliseconds[min(int(len(self.milliseconds) * share), len(self.milliseconds) - 1)]


class _Client:
    """One connection."""

    def __init__(self, port: int, outcome: Outcome) -> None:
        self._port = port
        self._outcome = outcome
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        began = time.perf_counter()
        try:
            status, content = await self._exchange(method, path, b"" if body is None else json.dumps(body).encode())
        except OSError as error:
            status, content = 0, str(error).encode()
        self._outcome.milliseconds.append((time.perf_counter() - began) * 1000)
        if status != 200:
            self._outcome.errors.append(f"{method} {path}: {status} {content[:100]!r}")
            return None
        return json.loads(content)

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(answer.partition("content-length: ")[2].partition("\r\n")[0] or 0)
        return int(answer.split(" ", 2)[1]), await reader.readexactly(length)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


def _facts(names: str, time: int) -> list[dict[str, Any]]:
    return [
        {"field_name": name, "type": name, "value": "True", "tags": ["attempt_id:0"], "user_name": "ann"}
        | {"ts_epoch": time}
        for name in names.split()
    ]


_BEGIN = "attempt origin-run-id ds-type ds-root python_version"
_END = "attempt_ok attempt-done"
_ARTIFACTS = ("x", "model", "_task_ok", "_success")


async def _task(client: _Client, run: str, known: list[str]) -> None:
    now = time.time_ns() // 1_000_000
    common = {"user_name": "ann", "ts_epoch": now}
    task = await client.ask("POST", f"{run}/steps/work/task", common)
    if task is None:
        return
    place = f"{run}/steps/work/tasks/{task['task_id']}"
    known.append(place)
    await client.ask("POST", f"{place}/metadata", _facts(_BEGIN, now))
    artifacts = [
        {"name": name, "attempt_id": 0, "sha": "0" * 40, "type": "metaflow.artifact", "content_type": "pickle-v4"}
        | {"ds_type": "local", "location": ":root:/data", **common}
        for name in _ARTIFACTS
    ]
    await client.ask("POST", f"{place}/artifact", artifacts)
    await client.ask("POST", f"{place}/metadata", _facts(_END, now))


async def _at_a_pace(count: int, seconds: float, connections: list[_Client], do: Callable[[_Client], Any]) -> None:
    """Do something `count` times, evenly in time, by whichever connection is free."""
    free: asyncio.Queue[_Client] = asyncio.Queue()
    for each in connections:
        free.put_nowait(each)
    began = time.perf_counter()

    async def once(client: _Client) -> None:
        await do(client)
        free.put_nowait(client)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            early = began + seconds * number / count - time.perf_counter()
            if early > 0:
                await asyncio.sleep(early)
            group.create_task(once(await free.get()))


async def load(port: int, asked: Load) -> Outcome:
    """Put a load on a server that listens on a port, and return what came of it."""
    outcome = Outcome([], [], {}, {}, 0.0)
    clients = [_Client(port, outcome) for _ in range(64 + 16 + asked.readers)]
    first = clients[0]
    number = (await first.ask("POST", "/flows/Load/run", {"user_name": "ann"}))["run_number"]
    run = f"/flows/Load/runs/{number}"
    await first.ask("POST", f"{run}/steps/work/step", {})
    known: list[str] = []
    await _task(first, run, known)
    beats = itertools.cycle(range(10_000))
    reads = itertools.cycle(
        ["/flows/Load/runs?_limit=50", f"{run}/steps/work/tasks?_limit=50", f"{run}/steps", "{task}/metadata"]
    )

    def beat(client: _Client) -> Awaitable[Any]:
        return client.ask("POST", f"{known[next(beats) % len(known)]}/heartbeat", {})

    def read(client: _Client) -> Awaitable[Any]:
        return client.ask("GET", next(reads).format(task=known[-1]))

    began = time.perf_counter()
    total = round(asked.tasks * asked.seconds)
    await asyncio.gather(
        _at_a_pace(total, asked.seconds, clients[:64], lambda client: _task(client, run, known)),
        _at_a_pace(asked.heartbeats, asked.seconds, clients[64:80], beat),
        _at_a_pace(round(asked.readers * asked.seconds), asked.seconds, clients[80:], read),
    )
    took = time.perf_counter() - began
    milliseconds = sorted(outcome.milliseconds)
    total += 1
    expected = {"tasks": total, "facts": 7 * total, "artifacts": 4 * total}
    found = {
        "tasks": len(await first.ask("GET", f"{run}/steps/work/tasks")),
        "facts": len(await first.ask("GET", f"{run}/metadata")),
        "artifacts": len(await first.ask("GET", f"{run}/artifacts")),
    }
    for client in clients:
        client.close()
    return outcome._replace(milliseconds=milliseconds, expected=expected, found=found, seconds=took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database", help="a file or a URL; by default a file of its own")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        with Running(arguments.database or f"{directory}/facts.db", directory) as server:
            outcome = asyncio.run(load(server.port, Load(arguments.seconds, heartbeats=round(arguments.seconds * 167))))
            memory = server.megabytes()
        print(f"{len(outcome.milliseconds)} answers in {outcome.seconds:.1f} s, {len(outcome.errors)} errors")
        for share in (0.5, 0.9, 0.99, 1):
            print(f"{share:>6.0%} within {outcome.percentile(share):.1f} ms")
        print(f"server: {memory:.0f} MB, {server.cpu_seconds:.1f} s of CPU")
        print("nothing is lost" if outcome.expected == outcome.found else f"{outcome.expected} != {outcome.found}")
        print(*outcome.errors[:5], sep="\n")


if __name__ == "__main__":
    main()
