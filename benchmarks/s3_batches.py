"""Measure the batch calls of `S3` on both sides, against one endpoint, in one run; print a Markdown table of medians.

python -m benchmarks.s3_batches --original .venv-original/bin/python
python -m benchmarks.s3_batches --quick --endpoint http://127.0.0.1:5555

Each call runs in a process of its own, which has written its objects before; the time is that of the call. The ceiling
is what the endpoint gives a client that sends the plain requests over 32 connections and does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_CONNECTIONS = 32


class Call(NamedTuple):
    """A row of the table: the call, how many objects, of how many bytes each, and the ceiling's requests for it."""

    name: str
    objects: int
    size: int
    method: str


def calls(quick: bool) -> list[Call]:
    many, big = (100, 16 << 20) if quick else (1000, 256 << 20)
    return [
        Call("put_many", many, 100, "PUT"),
        Call("get_many", many, 100, "GET"),
        Call("info_many", many, 100, "HEAD"),
        Call("list_recursive", many, 100, "LIST"),
        Call("put_many", 1, 100, "PUT"),
        Call("put_files", 4, big, "PUT"),
        Call("get_many", 4, big, "GET"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.s3_batches", description="Measure metaflow.S3.")
    parser.add_argument("--ours", default=sys.executable)
    parser.add_argument("--original", default=os.environ.get("MILLRACE_ORIGINAL_PYTHON"))
    parser.add_argument("--endpoint", help="URL of an S3 that has the bucket 'bench' (default: one of our own)")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    sides = {"ours": options.ours, **({"original": options.original} if options.original else {})}
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as base, _endpoint(options.endpoint) as url:
        print(
            "| call | ours s | original s | times | ceiling s | ours MB | original MB |\n|---|---|---|---|---|---|---|"
        )
        for call in calls(options.quick):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
            for _ in range(options.repeat if call.size < 1 << 20 else 1):
                for name, python in sides.items():
                    found[name].append(_measure(python, call, url, base))
            _print(call, found, asyncio.run(_ceiling(url, call)))
    return 0


def _print(call: Call, found: dict[str, list[tuple[float, float]]], ceiling: float) -> None:
    seconds = {name: statistics.median(each for each, _ in measures) for name, measures in found.items()}
    memory = {name: max(each for _, each in measures) for name, measures in found.items()}
    size = f"{call.size >> 20} MB" if call.size >= 1 << 20 else f"{call.size} B"
    times = f"{seconds['original'] / seconds['ours']:.1f}" if "original" in seconds else ""
    cells = [f"`{call.name}` {call.objects} x {size}", f"{seconds['ours']:.3f}"]
    cells += [f"{seconds['original']:.3f}" if "original" in seconds else "", times, f"{ceiling:.3f}"]
    cells += [f"{memory['ours']:.0f}", f"{memory['original']:.0f}" if "original" in memory else ""]
    print(f"| {' | '.join(cells)} |", flush=True)


def _measure(python: str, call: Call, url: str, base: str) -> tuple[float, float]:
    """Return seconds of the call and MB of the largest process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "AWS_"))}
    environment |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}
    environment |= {"AWS_DEFAULT_REGION": "us-east-1", "METAFLOW_S3_ENDPOINT_URL": url, "METAFLOW_USER": "bench"}
    command = [python, str(_HERE / "programs" / "s3_batches.py"), call.name, str(call.objects), str(call.size)]
    done = subprocess.run(
        command, cwd=base, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    words = done.stdout.split()
    if done.returncode or "seconds" not in words:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    value = {words[at]: float(words[at + 1]) for at in range(words.index("seconds"), len(words) - 1, 2)}
    return value["seconds"], max(value["own_mb"], value["below_mb"])


@contextmanager
def _endpoint(given: str | None) -> Iterator[str]:
    if given is not None:
        yield given
        return
    command = [sys.executable, str(_HERE / "s3_endpoint.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


async def _ceiling(url: str, call: Call) -> float:
    """Return the seconds that the plain requests of a call take; what GET and HEAD read is written first."""
    host, _, port = url.removeprefix("http://").partition(":")
    if call.method == "LIST":
        requests = [f"GET /bench?list-type=2&prefix=ceiling%2F HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()]
        return await _send(host, int(port), requests, b"")
    body = b"." * call.size
    heads = [
        f"/bench/ceiling/{call.size}-{number} HTTP/1.1\r\nhost: {host}\r\n".encode() for number in range(call.objects)
    ]
    puts = [b"PUT " + head + f"content-length: {call.size}\r\n\r\n".encode() for head in heads]
    seconds = await _send(host, int(port), puts, body)
    if call.method == "PUT":
        return seconds
    return await _send(host, int(port), [call.method.encode() + b" " + head + b"\r\n" for head in heads], b"")


async def _send(host: str, port: int, requests: list[bytes], body: bytes) -> float:
    waiting = list(reversed(requests))

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 24)
        while waiting:
            request = waiting.pop()
            writer.write(request)
            writer.write(body)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            left = 0 if request.startswith(b"HEAD") else int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            while left > 0:
                left -= len(await reader.read(min(left, 1 << 22)))
            if b"connection: close" in head:
                writer.close()
                reader, writer = await asyncio.open_connection(host, port, limit=1 << 24)
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(min(_CONNECTIONS, len(requests)))))
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
