"""Storage under faults: what passes is waited for, what does not pass is told at once, and nothing half is read.

The faults are made by a proxy of the tests' own in front of a server of their own.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow.exception import BlobCorrupt, StorageUnavailable
from metaflow.store.artifacts import load_artifact
from metaflow.store.blobs import Blobs
from metaflow.store.objects.storage import S3Storage
from support import processes
from support.fault_proxy import Altered, Answer, Cut, Fault, FaultProxy
from support.object_stores import Bucket, s3
from support.site import Site
from support.storage_contract import spooled

pytestmark = pytest.mark.live

SLOW_DOWN = Answer(503, "SlowDown", "Please reduce your request rate.")


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with s3() as bucket:
        yield bucket


@pytest.fixture
def proxy(server: Bucket) -> Iterator[FaultProxy]:
    proxy = FaultProxy(server.endpoint)
    yield proxy
    proxy.go()


@pytest.fixture
def bucket(server: Bucket, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    bucket = server.behind(proxy)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    return bucket


@pytest.fixture
def storage(bucket: Bucket, request: pytest.FixtureRequest) -> S3Storage:
    return S3Storage(f"{bucket.root}/{abs(hash(request.node.name))}")


class StoreSite(Site):
    def __init__(self, directory: Path, bucket: Bucket) -> None:
        super().__init__(directory, "fork")
        self.bucket = bucket

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.bucket.environment, "METAFLOW_DEFAULT_DATASTORE": "s3"}


@pytest.fixture
def site(tmp_path: Path, bucket: Bucket) -> Iterator[StoreSite]:
    site = StoreSite(tmp_path, bucket)
    try:
        yield site
    except BaseException:
        processes.kill_all(site.mark)
        raise
    processes.assert_gone(site.mark)


# --- what passes -----------------------------------------------------------------------------------------------------


def conflict(number: int, method: str, path: str) -> Fault:
    """What S3 says to one of two that create an object at the same time."""
    return (
        Answer(409, "ConditionalRequestConflict") if method == "PUT" and "?" not in path and number % 3 == 1 else None
    )


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda number, method, path: SLOW_DOWN if number % 5 == 0 else None, id="throttled"),
        pytest.param(lambda number, method, path: Answer(500, "InternalError") if number % 4 == 0 else None, id="500"),
        pytest.param(lambda number, method, path: Cut() if number % 5 == 1 else None, id="cut at once"),
        pytest.param(lambda number, method, path: Cut(60) if number % 5 == 1 else None, id="cut in the middle"),
        pytest.param(conflict, id="conflict"),
    ],
)
def test_a_storage_gets_by(fault: object, proxy: FaultProxy, storage: S3Storage) -> None:
    proxy.fault = fault  # type: ignore[assignment]
    items = [(f"F/{number}", bytes([number]) * 500) for number in range(30)]
    storage.put(items)
    assert list(storage.get([key for key, _ in items])) == items
    content = random.Random(2).randbytes(20 << 20)
    storage.put_file("F/big", spooled(storage, content))
    with storage.open("F/big") as file:  # type: ignore[union-attr]
        assert file.read() == content
    assert len(list(storage.list("F"))) == 31


@pytest.mark.parametrize("shape", ["foreach.py", "branches.py"])
def test_a_run_gets_by(shape: str, proxy: FaultProxy, site: StoreSite) -> None:
    proxy.fault = lambda number, method, path: SLOW_DOWN if number % 5 == 0 else Cut() if number % 11 == 0 else None
    assert site.run_flow(shape, "run").succeeded().run.successful
    assert proxy.seen(), "the proxy was in the way"


def test_a_run_with_much_latency(proxy: FaultProxy, site: StoreSite) -> None:
    proxy.latency = 0.5
    finished = site.run_flow("linear.py", "run").succeeded()
    proxy.latency = 0.0
    assert finished.run.successful


def test_an_endpoint_that_goes_away_for_a_while(proxy: FaultProxy, site: StoreSite) -> None:
    running = site.start_flow("linear.py", "run")
    processes.eventually(lambda: proxy.seen("PUT", "/start/1/"), "the first task has begun")
    proxy.go()
    processes.eventually(lambda: "Waiting for s3://" in running.stdout + running.stderr, "the wait is told", within=30)
    proxy.come()
    finished = running.wait()
    assert finished.succeeded().run.successful
    assert f"at {proxy.url}" in finished.output


# --- what does not pass ----------------------------------------------------------------------------------------------

REFUSALS = {
    "denied": (Answer(403, "AccessDenied", "Access Denied"), "access is denied", "s3:PutObject"),
    "key": (Answer(403, "InvalidAccessKeyId", "not in our records"), "credentials", "AWS_PROFILE"),
    "secret": (Answer(403, "SignatureDoesNotMatch"), "credentials", "AWS_SECRET_ACCESS_KEY"),
    "expired": (Answer(400, "ExpiredToken", "The provided token has expired."), "credentials", "temporary"),
    "clock": (Answer(403, "RequestTimeTooSkewed", "The difference is too large."), "clocks", "clock"),
    "bucket": (Answer(404, "NoSuchBucket", "The specified bucket does not exist"), "no such bucket", "SYSROOT_S3"),
    "region": (Answer(301, "PermanentRedirect", "another endpoint"), "another region", "AWS_REGION"),
    "malformed": (Answer(400, "AuthorizationHeaderMalformed", "expecting 'eu-west-1'"), "eu-west-1", "AWS_REGION"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_told_before_any_task(name: str, proxy: FaultProxy, site: StoreSite) -> None:
    answer, words, hint = REFUSALS[name]
    proxy.fault = lambda number, method, path: answer
    begun = time.monotonic()
    finished = site.run_flow("linear.py", "run").failed()
    assert time.monotonic() - begun < 20
    assert words in finished.stderr
    assert hint in finished.stderr
    assert "Task starts" not in finished.stdout
    assert "Traceback" not in finished.output
    assert finished.stderr.count("Storage unavailable") == 1
    assert site.bucket.root in finished.stderr
    assert proxy.url in finished.stderr


def test_a_refusal_in_the_middle_of_a_run(proxy: FaultProxy, site: StoreSite) -> None:
    denied = Answer(403, "AccessDenied", "Access Denied")
    proxy.fault = lambda number, method, path: denied if method == "PUT" and "/middle/2/" in path else None
    finished = site.run_flow("linear.py", "run").failed()
    assert "access is denied" in finished.output
    assert "s3:PutObject" in finished.output
    assert "Traceback" not in finished.output


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [("http://no-such-host.invalid", "host cannot be found"), ("http://127.0.0.1:9", "Connection refused")],
)
def test_an_endpoint_that_is_not_there(
    endpoint: str, words: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAFLOW_S3_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("METAFLOW_S3_RETRY_COUNT", "3")
    with pytest.raises(StorageUnavailable) as caught:
        S3Storage(bucket.root).put([("a", b"")])
    assert words in caught.value.message
    assert f"{bucket.root}/a at {endpoint}" in caught.value.message
    assert "tried 4 times" in caught.value.message
    assert "METAFLOW_S3_ENDPOINT_URL" in str(caught.value.hint)


def test_the_region_of_a_bucket_is_found_out(proxy: FaultProxy, storage: S3Storage) -> None:
    """The first answer says that the bucket is elsewhere; who asks for it is told where."""
    elsewhere = (("x-amz-bucket-region", "eu-west-1"),)
    asked: list[str] = []

    def fault(number: int, method: str, path: str) -> Fault:
        asked.append(method)
        if number == 0:
            return Answer(301, "PermanentRedirect", headers=elsewhere)
        return Answer(403, "AccessDenied", headers=elsewhere) if method == "HEAD" else None

    proxy.fault = fault
    storage.put([("a", b"1")])
    assert asked == ["PUT", "HEAD", "PUT"]
    assert storage._bucket().call(lambda bucket: bucket.region) == "eu-west-1"
    assert list(storage.get(["a"])) == [("a", b"1")]


def test_a_store_without_conditional_writes(proxy: FaultProxy, storage: S3Storage) -> None:
    refused: list[str] = []

    def fault(number: int, method: str, path: str) -> Fault:
        if method == "PUT" and not refused:
            refused.append(path)
            return Answer(501, "NotImplemented", "A header you provided implies functionality that is missing")
        return None

    proxy.fault = fault
    storage.put([("a", b"1")])
    assert list(storage.get(["a"])) == [("a", b"1")]
    assert refused


# --- nothing half ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, 20 << 20])
def test_an_altered_blob_is_detected(size: int, proxy: FaultProxy, storage: S3Storage) -> None:
    content = pickle.dumps(random.Random(3).randbytes(size), 5)
    blobs = Blobs(storage, "F")
    writer = blobs.writer()
    writer.write(content)
    key = writer.finish()
    proxy.fault = lambda number, method, path: Altered() if method == "GET" else None
    with pytest.raises(BlobCorrupt, match=key):
        load_artifact(blobs, key, "x", size)


def test_an_object_that_is_replaced_while_it_is_read(storage: S3Storage) -> None:
    def put(letter: bytes) -> None:
        storage.put_file("big", spooled(storage, letter * (30 << 20)))

    put(b"a")
    with storage.open("big") as file:  # type: ignore[union-attr]
        assert file.read(10) == b"aaaaaaaaaa"
        put(b"b")
        with pytest.raises(StorageUnavailable, match="replaced"):
            file.read()


def test_a_writer_that_is_killed_while_it_uploads(proxy: FaultProxy, storage: S3Storage) -> None:
    """Parts are on their way when it dies: there is no object then, and the next writer makes it whole."""
    script = (
        "import sys; from metaflow.store.objects.storage import S3Storage as S; "
        "storage = S(sys.argv[1]); file = storage.spool(); file.write(bytes(40 << 20)); storage.put_file('F/big', file)"
    )
    proxy.latency = 0.2
    process = subprocess.Popen([sys.executable, "-c", script, storage.root])
    processes.eventually(lambda: proxy.seen("PUT", "partNumber"), "a part has arrived")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    proxy.latency = 0.0
    assert storage.head(["F/big"]) == [None]
    assert storage.open("F/big") is None
    assert list(storage.list("F")) == []
    storage.put_file("F/big", spooled(storage, bytes(40 << 20)))
    assert storage.head(["F/big"]) == [40 << 20]


def test_a_forked_child_gets_its_own_way(storage: S3Storage) -> None:
    """A client's threads do not survive a fork: without a process of its own the child would wait for ever."""
    storage.put([("F/a", b"1"), ("F/b", b"2")])
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            storage.put([("F/c", b"3")])
            found = dict(storage.get(["F/a", "F/b", "F/c", "F/d"]))
            os.write(write, repr((found, storage.head(["F/a"]), sorted(storage.list("F")))).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    killer = threading.Timer(60, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    killer.cancel()
    assert b"'F/c': b'3'" in told
    assert b"'F/d': None" in told
    assert list(storage.get(["F/c"])) == [("F/c", b"3")]


FORKING = """
import multiprocessing
from metaflow import FlowSpec, step

def length(number):
    return len(FLOW.words)

class Forks(FlowSpec):
    @step
    def start(self):
        self.words = ["a", "b"]
        self.next(self.end)

    @step
    def end(self):
        global FLOW
        FLOW = self
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(length, range(4)) == [2, 2, 2, 2]

if __name__ == "__main__":
    Forks()
"""


def test_a_step_that_forks_reads_its_artifacts_there(site: StoreSite) -> None:
    assert site.run_flow(FORKING, "run").succeeded().run.successful
