"""Measure flows whose data is in S3, on both sides, against one endpoint: `python -m benchmarks.object_storage`.

The endpoint is `s3_endpoint.py`, a process of its own, the same for both sides, unless another is named. What it gives
to plain requests is printed beside the figures. For the original, boto3 has to be installed beside it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import report
from benchmarks.measure import Failure, Measure, Side, run
from benchmarks.s3_batches import _endpoint
from benchmarks.works import Work


def works(quick: bool) -> list[Work]:
    width, mb = (10, 64) if quick else (50, 512)
    small, big = {"ours": 5, "original": 3}, {"ours": 3, "original": 1}
    wide = ("run", "--max-num-splits", str(width), "--width", str(width))
    hello = partial(_run, "hello.py", ("run",), "Hello, world")
    return [
        Work("hello", "hello (2 tasks), data in S3", "", "", small, hello),
        Work("foreach", f"foreach {width}", "", "", big, partial(_run, "wide.py", wide, "total ")),
        Work("artifacts", "50 small artifacts, written and read", "", "", small,
             partial(_run, "many_artifacts.py", ("run",), "all values agree")),
        Work("array", f"{mb} MB array, saved by one step, summed by the next", "", "", big,
             partial(_run, "big_array.py", ("run", "--mb", str(mb)), "sums agree"), "task"),
    ]  # fmt: skip


def _run(program: str, arguments: tuple[str, ...], expect: str, side: Side, directory: str) -> Measure:
    below = program == "big_array.py"
    return run(side, program, *arguments, directory=directory, expect=expect, below=below)[0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.object_storage", description="Measure flows in S3.")
    parser.add_argument("--ours", default=sys.executable)
    parser.add_argument("--original", default=os.environ.get("MILLRACE_ORIGINAL_PYTHON"))
    parser.add_argument("--endpoint", help="URL of an S3 that has the bucket 'bench' (default: one of our own)")
    parser.add_argument("--only", action="append", choices=[work.name for work in works(True)])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    sides = [Side("ours", options.ours)]
    if options.original:
        sides.append(Side("original", options.original))
    print(report.machine(sides), end="\n\n", flush=True)
    rows, failed = [], False
    with _endpoint(options.endpoint) as url, tempfile.TemporaryDirectory(prefix="millrace-bench-") as base:
        print(_ceiling(url, 8 if options.quick else 128), end="\n\n", flush=True)
        for work in works(options.quick):
            if options.only and work.name not in options.only:
                continue
            try:
                rows.append(report.row(work, _measure(work, sides, url, base)))
            except Failure as failure:
                print(f"{work.name}: {failure}", file=sys.stderr, flush=True)
                rows.append(report.row(work, {}))
                failed = True
    print(report.table(rows), flush=True)
    return int(failed)


def _measure(work: Work, sides: list[Side], url: str, base: str) -> dict[str, list[Measure]]:
    measures: dict[str, list[Measure]] = {side.name: [] for side in sides}
    for turn in range(max(work.turns.values())):
        for side in sides:
            if turn < work.turns[side.name]:
                directory = tempfile.mkdtemp(dir=base)
                _configure(Path(directory), url)
                measure = work.run(side, directory)
                print(f"{work.name}: {side.name}, {measure.seconds:.3f} s", file=sys.stderr, flush=True)
                measures[side.name].append(measure)
    return measures


def _configure(directory: Path, url: str) -> None:
    """Write the configuration that a program whose home is `directory` reads."""
    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_DEFAULT_REGION="us-east-1")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION"):
        os.environ.pop(name, None)
    root = f"s3://bench/{directory.name}"
    config = {
        "METAFLOW_DEFAULT_DATASTORE": "s3",
        "METAFLOW_DATASTORE_SYSROOT_S3": root,
        "METAFLOW_S3_ENDPOINT_URL": url,
    }
    (directory / ".metaflowconfig").mkdir()
    (directory / ".metaflowconfig" / "config.json").write_text(json.dumps(config))


def _ceiling(url: str, mb: int) -> str:
    """Say what the endpoint gives to plain requests over one connection."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host)

    def seconds(method: str, key: str, body: bytes = b"") -> float:
        begin = time.perf_counter()
        connection.request(method, f"/bench/ceiling/{key}", body or None)
        connection.getresponse().read()
        return time.perf_counter() - begin

    small = median(seconds("PUT", str(number), b"x" * 100) for number in range(200))
    body = os.urandom(mb << 20)
    put, get = seconds("PUT", "big", body), seconds("GET", "big")
    return (
        f"The endpoint answers a small PUT in {small * 1000:.1f} ms, and takes {mb / put:.0f} MB/s and gives "
        f"{mb / get:.0f} MB/s over one connection."
    )


if __name__ == "__main__":
    sys.exit(main())
