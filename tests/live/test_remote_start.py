"""A task's start in real containers: an image with python and nothing else, odd users, odd disks, too little memory.

Needs a Docker engine, an image and an S3 that its containers reach: DOCKER_HOST, METAFLOW_DEFAULT_CONTAINER_IMAGE,
METAFLOW_DATASTORE_SYSROOT_S3, METAFLOW_S3_ENDPOINT_URL and credentials. All objects go below a prefix of their own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from metaflow.compute.archive import Member, pack
from metaflow.compute.jobs import boot, entry
from metaflow.compute.jobs.packages import TaskPackages
from metaflow.compute.jobs.runtime_package import Platform, runtime_archive
from metaflow.store.logs import stored
from metaflow.store.objects.storage import S3Storage

IMAGE = os.environ.get("METAFLOW_DEFAULT_CONTAINER_IMAGE", "")
ROOT = os.environ.get("METAFLOW_DATASTORE_SYSROOT_S3", "")
PASSED_ON = (
    "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "METAFLOW_S3_ENDPOINT_URL",
)  # fmt: skip
PATIENCE = 120

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not (IMAGE and ROOT and os.environ.get("DOCKER_HOST") and shutil.which("docker")),
        reason="the environment names no Docker engine, image and S3 to test with",
    ),
]


class Ended(NamedTuple):
    status: int
    stdout: str
    stderr: str
    began: float


class Containers:
    """Runs tasks in containers, all of one flow.

    Parameters
    ----------
    cache : Path
        For the runtime package.
    """

    def __init__(self, cache: Path) -> None:
        self.storage = S3Storage(f"{ROOT}/start-{uuid.uuid4().hex}")
        self.cache = str(cache)
        self.task = ""

    def run(self, source: str, *options: str, image: str = IMAGE, command: tuple[str, ...] = (), **more: Any) -> Ended:
        """Run a task; `options` are Docker's."""
        self.task = f"Flow/1/work/{uuid.uuid4().int % 10**6}"
        code = pack([Member("task.py", source.encode())], 1)
        packages = TaskPackages(self.storage, "Flow", code, lambda: runtime_archive(self.cache, Platform()))
        variable = entry.boot_variable(
            packages.links(),
            script="task.py",
            command=(),
            storage=("s3", self.storage.root),
            task=self.task,
            attempt=0,
            time_limit=PATIENCE,
        )
        config = {**json.loads(variable[entry.VARIABLE]), **more}
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment[entry.VARIABLE] = json.dumps(config)
        given = [word for name in environment for word in ("--env", name)]
        began = time.time()
        done = subprocess.run(
            ["docker", "run", "--rm", "--network", "host", *given, *options, image, *(command or entry.argv())],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr, began)

    def outcome(self) -> dict[str, Any]:
        data = next(iter(self.storage.get([f"{self.task}/0.outcome.json"])))[1]
        assert data is not None
        document: dict[str, Any] = json.loads(data)
        return document

    def lines(self, stream: str = "stdout") -> list[bytes]:
        return [line.text for line in stored.read(self.storage, self.task, 0, stream)]


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    containers = Containers(tmp_path_factory.mktemp("cache"))
    try:
        yield containers
    finally:
        remove(containers.storage, "")


def remove(storage: S3Storage, prefix: str) -> None:
    entries = list(storage.list(prefix))
    storage.delete([entry.key for entry in entries if entry.is_object])
    for found in entries:
        if not found.is_object:
            remove(storage, found.key)


def test_python_and_nothing_else(containers: Containers) -> None:
    ended = containers.run("import time, metaflow; print('first', time.time()); print('Ä')")
    assert ended.status == 0, ended
    first = float(ended.stdout.split()[1])
    print(f"from `docker run` to the first line: {first - ended.began:.2f} s")
    assert containers.lines()[1:] == ["Ä".encode()]
    assert containers.outcome()["ending"]["code"] == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--read-only", "--tmpfs", "/tmp:exec"),
        ("--user", "4711:4711"),
        ("--user", "4711:4711", "--read-only", "--tmpfs", "/var/tmp:exec,mode=1777", "--env", "HOME="),
        ("--workdir", "/etc", "--user", "4711", "--env", "PYTHONSAFEPATH=1"),
        ("--tmpfs", "/fast:exec", "--env", "METAFLOW_TEMPDIR=/fast"),
        ("--init",),
        ("--env", "LANG=C", "--env", "PYTHONDONTWRITEBYTECODE=1", "--env", "PYTHONPATH=/nowhere"),
        ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "64"),
    ],
    ids=" ".join,
)
def test_odd_surroundings(containers: Containers, options: tuple[str, ...]) -> None:
    ended = containers.run("import os; open('x', 'w').write('y'); print(os.getcwd(), 'Ä')", *options)
    assert ended.status == 0, ended
    if "METAFLOW_TEMPDIR=/fast" in options:
        assert containers.lines()[0].startswith(b"/fast/")
    assert containers.outcome()["ending"]["code"] == 0


def test_no_place_for_code(containers: Containers) -> None:
    ended = containers.run("pass", "--read-only")
    assert ended.status == boot.NO_SPACE
    assert ended.stderr.startswith("There is no directory for the task's code: "), ended.stderr


def test_a_disk_that_is_full(containers: Containers) -> None:
    ended = containers.run("pass", "--read-only", "--tmpfs", "/tmp:exec,size=2m")
    assert ended.status == boot.NO_SPACE
    assert re.fullmatch(r"Cannot unpack the task's code in /tmp/.*: No space left on device\.\n", ended.stderr)


def test_too_little_memory(containers: Containers) -> None:
    ended = containers.run(
        "print('begins')\nx = []\nwhile True: x.append(bytearray(10_000_000))",
        "--memory",
        "150m",
        "--memory-swap",
        "150m",
    )
    assert ended.status == 137, ended
    ending = containers.outcome()["ending"]
    assert (ending["oom"], ending["signal"]) == (True, 9)
    assert ending["limit_mb"] == pytest.approx(157.3, abs=0.1)
    assert 100 < ending["peak_mb"] <= 158
    assert containers.lines() == [b"begins"]


def test_stopped_from_outside(containers: Containers) -> None:
    name = f"stopped-{uuid.uuid4().hex}"
    source = f"""
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("saved"), sys.exit(9)))
print("ready")
time.sleep({PATIENCE})
"""
    stopper = subprocess.Popen(
        ["sh", "-c", f"until docker logs {name} 2>/dev/null | grep -q ready; do sleep 0.1; done; docker stop {name}"],
        stdout=subprocess.DEVNULL,
    )
    ended = containers.run(source, "--name", name)
    stopper.wait(PATIENCE)
    assert ended.status == 9
    assert containers.lines() == [b"ready", b"saved"]
    assert containers.outcome()["ending"]["terminated"]


def test_a_link_that_has_expired(containers: Containers) -> None:
    key = "Flow/data/ab/abcdef"
    containers.storage.put([(key, b"x")])
    url = containers.storage.signed_url(key, 1)
    time.sleep(2.1)
    package = {"name": "code", "url": url, "sha256": ""}
    ended = containers.run("pass", packages=[package])
    if ended.status == boot.DAMAGED:
        pytest.skip("this S3 does not look at signatures")
    assert ended.status == boot.EXPIRED
    assert "expired" in ended.stderr


def test_an_image_without_python(containers: Containers) -> None:
    ended = containers.run("pass", "--entrypoint", "/nowhere/python")
    assert ended.status == 127
