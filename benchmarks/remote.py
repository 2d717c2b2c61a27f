"""Flows on Kubernetes and AWS Batch: what is measured, where, and what the same number of bare jobs costs.

The places are those that the environment names (KUBECONFIG, AWS_ENDPOINT_URL, METAFLOW_*); without them the rows say
so. Both sides get the same settings, and one run each that does not count. The original gets an image with pip, boto3
and requests, which `remote_image` builds; ours runs in the plain one. What runs leave in the places is removed.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from benchmarks import remote_floor, remote_image, remote_rest
from benchmarks.measure import Measure, Side, run
from benchmarks.works import Sizes, Work

GROUPS = ("remote", "remote-kubernetes", "remote-batch")

_SMALL = {"kubernetes": "kubernetes:cpu=0.05,memory=128", "batch": "batch:cpu=1,memory=128"}
"""So that as many as possible run at once."""
_WORKERS = "40"


def works(sizes: Sizes) -> list[Work]:
    """Return the works; those that this environment does not allow say why."""
    return [*_kubernetes(sizes), *_batch(sizes)]


def _kubernetes(sizes: Sizes) -> list[Work]:
    width = 5 if sizes.quick else 30
    lack = _lack("KUBECONFIG", "no Kubernetes cluster")
    place = "`--with kubernetes`"
    return [
        _work("remote-kubernetes-hello", f"hello {place}", "2.5x", "3x", (5, 3), partial(_hello, "kubernetes"), lack),
        _floor("remote-kubernetes-hello-floor", 2, partial(remote_floor.kubernetes, (1, 1)), lack),
        _work(
            "remote-kubernetes-foreach",
            f"foreach {width} {place}, {_WORKERS} workers",
            "6x, memory 20x",
            "10x",
            (5, 3),
            partial(_foreach, "kubernetes", width),
            lack,
        ),
        _floor("remote-kubernetes-foreach-floor", width + 3, partial(remote_floor.kubernetes, (1, width, 1, 1)), lack),
        Work(
            "remote-kubernetes-first-line",
            f"{place}: from the container's start to the first line of a step (parts on stderr)",
            "",
            "1 s",
            {"ours": 3},
            _first_line,
            lack=lack,
        ),
    ]


def _batch(sizes: Sizes) -> list[Work]:
    width = 3 if sizes.quick else 10
    lack = _lack("METAFLOW_BATCH_JOB_QUEUE", "no AWS Batch queue")
    place = "`--with batch`"
    return [
        _work("remote-batch-hello", f"hello {place}", "2x", "", (5, 3), partial(_hello, "batch"), lack),
        _floor("remote-batch-hello-floor", 2, partial(remote_floor.batch, (1, 1)), lack),
        _work(
            "remote-batch-foreach",
            f"foreach {width} {place}, {_WORKERS} workers",
            "6x",
            "",
            (5, 3),
            partial(_foreach, "batch", width),
            lack,
        ),
        _floor("remote-batch-foreach-floor", width + 3, partial(remote_floor.batch, (1, width, 1, 1)), lack),
    ]


def _work(
    name: str,
    title: str,
    reach: str,
    aim: str,
    turns: tuple[int, int],
    measure: Callable[[Side, str], Measure],
    lack: str,
) -> Work:
    return Work(name, title, reach, aim, {"ours": turns[0], "original": turns[1]}, measure, "all", lack=lack)


def _floor(name: str, count: int, measure: Callable[[], Measure], lack: str) -> Work:
    title = f"beside it: {count} bare jobs in the same order, without any flow"
    return Work(name, title, "", "", {"ours": 3}, lambda side, directory: measure(), lack=lack)


def _lack(variable: str, what: str) -> str:
    for name, meaning in ((variable, what), ("METAFLOW_DATASTORE_SYSROOT_S3", "no S3 store")):
        if not os.environ.get(name):
            return f"the environment names {meaning} ({name})"
    return ""


def _hello(backend: str, side: Side, directory: str) -> Measure:
    return _run(side, directory, "hello.py", "run", "--with", backend, expect="Hello, world")[0]


def _foreach(backend: str, width: int, side: Side, directory: str) -> Measure:
    words = ("run", "--width", str(width), "--max-num-splits", str(width), "--max-workers", _WORKERS)
    total = sum(number * number for number in range(width))
    return _run(side, directory, "wide.py", *words, "--with", _SMALL[backend], expect=f"total {total}")[0]


def _first_line(side: Side, directory: str) -> Measure:
    measure, output = _run(side, directory, "first_line.py", "run", "--with", "kubernetes", expect="first line ")
    parts = [f"{name} {seconds} s" for name, seconds in re.findall(r"part (.*): ([\d.]+)", output)]
    sys.stderr.write(f"({', '.join(parts)}) ")
    (seconds,) = re.findall(r"first line ([\d.]+) s", output)
    return measure._replace(seconds=float(seconds))


def _run(side: Side, directory: str, program: str, *words: str, expect: str) -> tuple[Measure, str]:
    _warm_up(side, str(Path(directory).parent))
    return _run_now(side, directory, program, *words, expect=expect)


@cache
def _warm_up(side: Side, base: str) -> None:
    """Run once without measuring: packages are made and uploaded, images unpacked, modules compiled."""
    backend = "kubernetes" if os.environ.get("KUBECONFIG") else "batch"
    with tempfile.TemporaryDirectory(dir=base) as directory:
        _run_now(side, directory, "hello.py", "run", "--with", backend, expect="Hello, world")


def _run_now(side: Side, directory: str, program: str, *words: str, expect: str) -> tuple[Measure, str]:
    """Run a flow as a user of its own, by whose name the rest is found that it leaves."""
    user = f"bench-{secrets.token_hex(4)}"
    environment = {name: value for name, value in os.environ.items() if name.startswith("METAFLOW_")}
    environment |= {"METAFLOW_USER": user, "METAFLOW_DATASTORE_SYSROOT_S3": _root()}
    if side.name == "original":
        image = remote_image.make(side.python)
        words = ("--datastore", "s3", *words)
        environment |= {
            "METAFLOW_KUBERNETES_CONTAINER_IMAGE": image,
            "METAFLOW_BATCH_CONTAINER_IMAGE": image,
            "METAFLOW_KUBERNETES_IMAGE_PULL_POLICY": "IfNotPresent",
        }
    else:
        environment["XDG_CACHE_HOME"] = str(Path(directory).parent / "cache")
    try:
        return run(side, program, *words, directory=directory, expect=expect, together=True, environment=environment)
    finally:
        remote_rest.remove_jobs(user)


@cache
def _root() -> str:
    return f"{os.environ['METAFLOW_DATASTORE_SYSROOT_S3'].rstrip('/')}/bench-{secrets.token_hex(4)}"


def leave() -> None:
    """Remove the data of all runs, if there were any."""
    if _root.cache_info().currsize:
        remote_rest.remove_data(_root())
