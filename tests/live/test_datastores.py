"""Flows whose data is in an object store: the flow tests of this machine once more, with another datastore.

The matrix runs in S3, forked and exec'ed; a part of it in Google Cloud Storage and Azure.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from support import processes
from support.object_stores import STORES, Absent, Bucket
from support.present import present
from support.site import Site

pytestmark = pytest.mark.live

FLOWS = Path(__file__).parents[1] / "flows"


class StoreSite(Site):
    """A site whose flows keep their data in a bucket."""

    def __init__(self, directory: Path, mode: str, bucket: Bucket) -> None:
        super().__init__(directory, mode)
        self.bucket = bucket

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.bucket.environment, "METAFLOW_DEFAULT_DATASTORE": self.bucket.kind}


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"live_{name}", FLOWS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _tests(name: str, *without: str) -> dict[str, object]:
    """Return the tests and fixtures of a module; `without` those that are about files on this machine."""
    taken = {**globals(), **dict.fromkeys(without)}
    return {key: value for key, value in vars(_load(name)).items() if key not in taken and not key.startswith("__")}


@pytest.fixture(scope="module")
def stores() -> Iterator[dict[str, Bucket]]:
    """The buckets that are open, by kind."""
    opened: dict[str, Bucket] = {}
    contexts = []
    for kind, store in STORES.items():
        context = store()
        try:
            opened[kind] = context.__enter__()
            contexts.append(context)
        except Absent:
            pass
    yield opened
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture
def bucket(stores: dict[str, Bucket], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bucket:
    """The bucket of a test; the client of this process finds it too."""
    kind = getattr(request, "param", "s3")
    if kind not in stores:
        pytest.skip(f"this machine cannot have a server for {kind}")
    for name, value in stores[kind].environment.items():
        monkeypatch.setenv(name, value)
    return stores[kind]


@pytest.fixture
def site(tmp_path: Path, mode: str, bucket: Bucket) -> Iterator[Site]:
    yield from _tended(StoreSite(tmp_path, mode, bucket))


@pytest.fixture
def one_site(tmp_path: Path, bucket: Bucket) -> Iterator[Site]:
    yield from _tended(StoreSite(tmp_path, "fork", bucket))


def _tended(site: Site) -> Iterator[Site]:
    try:
        yield site
    except BaseException:
        processes.kill_all(site.mark)
        raise
    processes.assert_gone(site.mark)


globals().update(_tests("test_shapes"))
globals().update(_tests("test_merge"))
globals().update(_tests("test_artifacts", "test_equal_blobs_are_stored_once_per_flow"))
globals().update(_tests("test_parameters"))
globals().update(_tests("test_resume", "test_a_run_that_had_hardly_begun"))
globals().update(_tests("test_failures"))
globals().update(_tests("test_current"))


# --- what is special here --------------------------------------------------------------------------------------------

SMALL = ["linear.py", "branches.py", "foreach.py", "nested.py", "switch.py", "recursion.py"]


@pytest.mark.parametrize("bucket", ["gs", "azure"], indirect=True)
@pytest.mark.parametrize("flow", SMALL)
def test_shapes_elsewhere(flow: str, one_site: StoreSite) -> None:
    finished = one_site.run_flow(flow, "run").succeeded()
    assert finished.run.successful
    assert {task.successful for step in finished.run for task in step} == {True}
    told = one_site.run_flow(flow, "dump", f"{finished.run_id}/end").succeeded()
    assert " = " in told.stdout


@pytest.mark.parametrize("bucket", ["gs", "azure"], indirect=True)
def test_parameters_and_resume_elsewhere(one_site: StoreSite) -> None:
    one_site.write("data.txt", "included ☃")
    flow = """
        import os
        from metaflow import FlowSpec, IncludeFile, Parameter, retry, step

        class Elsewhere(FlowSpec):
            number = Parameter("number", default=1)
            file = IncludeFile("file", default="data.txt")

            @retry(times=1, minutes_between_retries=0)
            @step
            def start(self):
                from metaflow import current
                print("attempt", current.retry_count)
                assert current.retry_count == 1
                self.big = bytes(3_000_000)
                self.next(self.end)

            @step
            def end(self):
                assert self.big == bytes(3_000_000)
                assert "FAIL" not in os.environ
                print(self.file, self.number)

        if __name__ == "__main__":
            Elsewhere()
    """
    failed = one_site.run_flow(flow, "run", "--number", "7", env={"FAIL": "1"}).failed()
    one_site.run_flow("flow.py", "resume", "--origin-run-id", str(failed.run_id)).succeeded()
    latest = present(one_site.flow("Elsewhere").latest_run)
    assert latest.successful
    assert present(latest["end"].task).stdout == "included ☃ 7\n"
    assert present(latest.data).file == "included ☃"


WATCHED = """
import sys
from metaflow import FlowSpec, step

class Watched(FlowSpec):
    @step
    def start(self):
        from metaflow.store.objects import connection
        self.fresh = "obstore" in sys.modules
        self.next(self.wait)

    @step
    def wait(self):
        import os, pathlib, time
        print("here", flush=True)
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Watched()
"""


def test_no_client_lives_in_the_zygote(one_site: StoreSite) -> None:
    """It has imported the client, and has one thread and no connection; its child has a client of its own."""
    running = one_site.start_flow(WATCHED, "run")
    processes.eventually(lambda: "] here" in running.stdout, "the second task waits")
    (zygote,) = processes.zygotes(one_site.mark)
    assert len(list(Path(f"/proc/{zygote.pid}/task").iterdir())) == 1
    assert "_obstore" in Path(f"/proc/{zygote.pid}/maps").read_text()
    port = f":{int(one_site.bucket.endpoint.rpartition(':')[2]):04X}"
    (child,) = [each for each in processes.marked(one_site.mark) if each.parent == zygote.pid]
    assert sockets(zygote.pid, port) == 0
    assert len(list(Path(f"/proc/{child.pid}/task").iterdir())) > 1
    (one_site.directory / "go").touch()
    assert running.wait().succeeded().values("start")["fresh"] is True


def sockets(pid: int, port: str) -> int:
    """Return how many connections to `port` (in hexadecimal digits, after a colon) a process has."""
    held = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(f"socket:[{row[9]}]" in held for row in rows if row[2].endswith(port))


def test_logs_are_readable_while_a_task_runs(one_site: StoreSite) -> None:
    running = one_site.start_flow(WATCHED, "run")
    processes.eventually(lambda: "] here" in running.stdout, "the second task waits")

    def stored() -> bool:
        return present(present(one_site.flow("Watched").latest_run)["wait"].task).stdout == "here\n"

    processes.eventually(stored, "its output is stored")
    (one_site.directory / "go").touch()
    running.wait().succeeded()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--datastore=s3", "--datastore-root=s3://"), "does not name a bucket"),
        (("--datastore=s3", "--datastore-root=s3:///x"), "does not name a bucket"),
        (("--datastore=s3", "--datastore-root=s3:/bucket"), "two slashes"),
        (("--datastore=s3", "--datastore-root=gs://bucket/x"), "belongs to the datastore 'gs'"),
        (("--datastore=s3", "--datastore-root=/tmp/x"), "path on this machine"),
        (("--datastore=gs", "--datastore-root=bucket"), "it lacks 'gs://'"),
        (("--datastore=gs",), "METAFLOW_DATASTORE_SYSROOT_GS"),
        (("--datastore=azure",), "METAFLOW_DATASTORE_SYSROOT_AZURE"),
        (("--datastore=azure", "--datastore-root=container/x"), "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT"),
        (("--datastore=s4",), "s4"),
    ],
)
def test_what_cannot_be_a_datastore(one_site: StoreSite, options: tuple[str, ...], words: str) -> None:
    finished = one_site.run_flow("linear.py", *options, "run").failed()
    assert words in finished.stderr
    assert "Traceback" not in finished.output
    assert "Task starts" not in finished.output
