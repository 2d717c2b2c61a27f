"""`metaflow.S3` against servers that stand for S3, Google Cloud Storage and Azure: what it does, and what it says."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metaflow import S3
from metaflow.datatools.s3 import (
    MetaflowS3AccessDenied,
    MetaflowS3Exception,
    MetaflowS3InvalidRange,
    MetaflowS3NotFound,
    MetaflowS3URLException,
    S3GetObject,
    S3PutObject,
)
from support.fault_proxy import Answer, Cut, FaultProxy
from support.object_stores import STORES, Absent, Bucket
from support.site import Site

pytestmark = pytest.mark.live

_SLOW_DOWN = Answer(503, "SlowDown")
_DENIED = Answer(403, "AccessDenied")


@pytest.fixture(scope="module")
def stores() -> Iterator[dict[str, Bucket | str]]:
    """The buckets that are open, or why not, by kind."""
    opened: dict[str, Bucket | str] = {}
    contexts = []
    for kind, store in STORES.items():
        context = store()
        try:
            opened[kind] = context.__enter__()
            contexts.append(context)
        except Absent as reason:
            opened[kind] = str(reason)
    yield opened
    for context in contexts:
        context.__exit__(None, None, None)


def _enter(bucket: Bucket | str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment of a bucket; return a URL of nothing in it."""
    if isinstance(bucket, str):
        pytest.skip(bucket)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("METAFLOW_TEMPDIR", str(directory))
    container = bucket.root.removeprefix("s3://").removeprefix("gs://").partition("/")[0]
    return f"{bucket.kind}://{container}/{uuid.uuid4().hex}"


@pytest.fixture(params=sorted(STORES))
def anywhere(
    request: pytest.FixtureRequest, stores: dict[str, Bucket | str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A URL in each kind of store."""
    return _enter(stores[request.param], tmp_path, monkeypatch)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is about S3 in both servers; a proxy would be in the way of signatures that are checked."""
    if "root" in metafunc.fixturenames:
        servers = ["s3"] if "proxy" in metafunc.fixturenames else ["s3", "seaweed"]
        metafunc.parametrize("server", servers, scope="module")


@pytest.fixture
def bucket(stores: dict[str, Bucket | str], server: str) -> Bucket:
    """The bucket that `root` is in."""
    found = stores[server]
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def root(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL in S3."""
    return _enter(bucket, tmp_path, monkeypatch)


@pytest.fixture
def proxy(bucket: Bucket, root: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What `root` is reached through."""
    proxy = FaultProxy(bucket.endpoint)
    for name, value in bucket.behind(proxy).environment.items():
        monkeypatch.setenv(name, value)
    yield proxy
    proxy.go()


def is_seaweed() -> bool:
    """Whether the bucket of this test is in SeaweedFS, which has limits that S3 has not."""
    return os.environ.get("METAFLOW_S3_ENDPOINT_URL", "") == os.environ.get("SEAWEED_S3_URL")


# --- in every kind of store -------------------------------------------------------------------------------------------


def test_what_is_put_is_got(anywhere: str) -> None:
    with S3(s3root=anywhere) as s3:
        assert s3.put("a", "text ü", content_type="text/x", metadata={"k": "ü", "n": [1]}) == f"{anywhere}/a"
        assert s3.put("d/b", b"\xff\x00") == f"{anywhere}/d/b"
        assert s3.put("d/empty", "") == f"{anywhere}/d/empty"
        found = s3.get("a")
        assert (found.text, found.size, found.key, found.prefix) == ("text ü", 7, "a", anywhere)
        assert (found.content_type, found.metadata, found.range_info) == ("text/x", {"k": "ü", "n": [1]}, (7, 0, 7))
        assert abs((found.last_modified or 0) - time.time()) < 3600
        assert s3.get("d/b").blob == b"\xff\x00"
        assert s3.get("d/b").text == "\ufffd\x00"
        assert s3.get("d/empty").blob == b""
        assert not s3.get("a", return_info=False).has_info


def test_many_keep_their_order(anywhere: str) -> None:
    keys = [f"k{number * 37 % 100:02}" for number in range(100)]
    with S3(s3root=anywhere) as s3:
        assert s3.put_many((key, key) for key in keys) == [(key, f"{anywhere}/{key}") for key in keys]
        assert [each.text for each in s3.get_many(key for key in keys)] == keys
        assert [each.key for each in s3.info_many(keys)] == keys
        assert [each.key for each in s3.list_recursive()] == sorted(keys)
        assert (s3.get_many([]), s3.put_many([]), s3.list_paths([])) == ([], [], [])


def test_ranges(anywhere: str) -> None:
    with S3(s3root=anywhere) as s3:
        s3.put("a", "0123456789")
        found = s3.get_many([S3GetObject("a", 2, 3), S3GetObject("a", 7, None), S3GetObject("a", 8, 99), "a"])
        assert [each.text for each in found] == ["234", "789", "89", "0123456789"]
        assert [each.range_info for each in found] == [(10, 2, 3), (10, 7, 3), (10, 8, 2), (10, 0, 10)]
        with pytest.raises(MetaflowS3InvalidRange, match="no such range"):
            s3.get(S3GetObject("a", 10, 1))


def test_what_is_missing(anywhere: str) -> None:
    with S3(s3root=anywhere) as s3:
        s3.put("a", "x")
        for call in (s3.get, s3.info):
            with pytest.raises(MetaflowS3NotFound, match=f"{anywhere}/nix: there is no such object"):
                call("nix")
            found = call("nix", return_missing=True)
            assert (found.exists, found.downloaded, found.size, found.path, found.text) == (False, False) + 3 * (None,)
        with pytest.raises(MetaflowS3NotFound, match="2 of 3 objects: there is no such object") as caught:
            s3.get_many(["n1", "a", "n2"])
        assert [url for url, _ in caught.value.failed] == [f"{anywhere}/n1", f"{anywhere}/n2"]
        assert [each.exists for each in s3.get_many(["n1", "a"], return_missing=True)] == [False, True]
        assert [each.exists for each in s3.info_many(["a", "n1"], return_missing=True)] == [True, False]


def test_lists(anywhere: str) -> None:
    with S3(s3root=anywhere) as s3:
        s3.put_many((key, key) for key in ("a", "d/x", "d/e/y", "dd/z"))
        assert [(each.key, each.exists) for each in s3.list_paths()] == [("a", True), ("d", False), ("dd", False)]
        assert [(each.key, each.size) for each in s3.list_paths(["d", "dd/"])] == [("x", 3), ("e", None), ("z", 4)]
        assert [each.key for each in s3.list_recursive(["d"])] == ["e/y", "x"]
        assert s3.list_paths(["nix", "a"]) == s3.list_recursive(["nix", "a"]) == []
        assert [each.text for each in s3.get_all()] == ["a", "d/e/y", "d/x", "dd/z"]
        assert [each.key for each in s3.get_recursive(["d/", "dd"])] == ["e/y", "x", "z"]
        assert [each.key for each in s3.get_recursive(["d"])] == ["e/y", "x", "d/z"]  # a text that keys begin with
        assert [each.key for each in s3.get_recursive(["d/", "dd"], return_info=True)] == ["d/e/y", "d/x", "dd/z"]


def test_what_is_there_is_left_alone(anywhere: str) -> None:
    with S3(s3root=anywhere) as s3:
        assert s3.put("a", "old") == s3.put("a", "new", overwrite=False)
        assert s3.put_many([("a", "new"), ("b", "new")], overwrite=False) == [("b", f"{anywhere}/b")]
        assert [each.text for each in s3.get_many(["a", "b"])] == ["old", "new"]
        s3.put("a", "newer")
        assert s3.get("a").text == "newer"


def test_big_objects_travel_in_parts(anywhere: str, tmp_path: Path) -> None:
    content = os.urandom(21 << 20)
    (tmp_path / "big").write_bytes(content)
    with S3(s3root=anywhere) as s3:
        s3.put_files(
            [("file", str(tmp_path / "big")), S3PutObject("noted", path=str(tmp_path / "big"), metadata={"a": 1})]
        )
        s3.put("bytes", content)
        with open(tmp_path / "big", "rb") as file:
            s3.put("stream", io.BufferedReader(io.BytesIO(content)))
            s3.put("open", file)
        found = s3.get_many(["file", "noted", "bytes", "stream", "open", S3GetObject("file", 1, 20 << 20)])
        assert [each.blob == content for each in found[:-1]] == 5 * [True]
        assert found[-1].blob == content[1 : 1 + (20 << 20)]
        assert found[1].metadata == {"a": 1}


@pytest.mark.parametrize("key", ["ü + %20 & ? # é", "a=b;c:d@e,f'(g)!*[h]~|<i>\"^`{j}", "日本/語", "." * 3, "x" * 300])
def test_keys_of_all_letters(anywhere: str, key: str) -> None:
    if len(key) > 255 and is_seaweed():
        pytest.skip("a part of a key has at most 255 bytes in SeaweedFS")
    with S3(s3root=anywhere) as s3:
        assert s3.put_many([(key, key)]) == [(key, f"{anywhere}/{key}")]
        assert s3.get(key).text == key
        assert [each.key for each in s3.list_recursive()] == [key]


def test_a_bucket_that_is_missing(anywhere: str) -> None:
    kind = anywhere.partition(":")[0]
    url = f"{kind}://bucket-{uuid.uuid4().hex[:12]}/x"
    with S3() as s3:
        calls: list[Callable[[str], object]] = [s3.get, s3.info, lambda url: s3.list_paths([url])]
        if not is_seaweed():  # there, a put makes the bucket
            calls.append(lambda url: s3.put(url, "x"))
        for call in calls:
            with pytest.raises(MetaflowS3NotFound, match="no such bucket"):
                call(url)


# --- in S3 ------------------------------------------------------------------------------------------------------------

_ODD = ["a//b", "folder/", "x/./y", "x/../y", "tab\there", "trailing/x/"]


def test_keys_that_obstore_cannot_name(root: str) -> None:
    if is_seaweed():
        pytest.skip("SeaweedFS takes keys for paths, and has no such ones")
    keys = [*_ODD, "plain"]
    with S3(s3root=root) as s3:
        assert s3.put_many((key, key) for key in keys) == [(key, f"{root}/{key}") for key in keys]
        assert [each.text for each in s3.get_many(keys)] == keys
        assert [each.size for each in s3.info_many(_ODD)] == [len(key) for key in _ODD]
        assert s3.get(S3GetObject("a//b", 1, 2)).text == "//"
        assert sorted(each.url for each in s3.list_recursive()) == sorted(f"{root}/{key}" for key in keys)
        assert sorted(each.text or "" for each in s3.get_all()) == sorted(keys)
        assert s3.put("a//b", "new", overwrite=False)
        assert s3.get("a//b").text == "a//b"


def test_empty_objects_that_stand_for_folders(root: str) -> None:
    with S3(s3root=root) as s3:
        s3.put_many([("folder/", ""), ("folder/x", "x"), ("empty", "")])
        assert [each.url for each in s3.list_recursive()] == [
            f"{root}/{key}" for key in ("empty", "folder/", "folder/x")
        ]
        assert [each.text for each in s3.get_all()] == ["", "", "x"]
        assert [each.url for each in s3.list_paths(["empty", "folder/"])] == [f"{root}/folder/", f"{root}/folder/x"]
        assert [each.url for each in s3.list_recursive(["folder"])] == [f"{root}/folder/", f"{root}/folder/x"]
        assert [each.text for each in s3.get_recursive(["folder/"])] == ["", "x"]


def test_more_than_one_page(root: str) -> None:
    keys = [f"{number:05}" for number in range(1100)]
    with S3(s3root=root) as s3:
        s3.put_many((key, key) for key in keys)
        assert [each.key for each in s3.list_recursive()] == keys
        assert [each.key for each in s3.get_recursive(["010"])] == [f"{number:02}" for number in range(100)]


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_full_urls_without_a_root(given: str | None, root: str) -> None:
    """`bucket` says where the data of a run is: without a run nothing."""
    with S3(bucket=given) as s3:
        assert s3.put(f"{root}/a", "x") == f"{root}/a"
        found = s3.get(f"{root}/a")
        assert (found.key, found.prefix, found.url) == (f"{root}/a", None, f"{root}/a")
        assert [each.key for each in s3.list_paths([root])] == ["a"]
        assert [each.key for each in s3.get_recursive([root])] == ["a"]


def test_encryption_is_asked_for_and_told(root: str) -> None:
    with S3(s3root=root, encryption="AES256") as s3, S3(s3root=root) as plain:
        s3.put("all", "x")
        plain.put_many([S3PutObject("one", "x", encryption="AES256"), ("none", "x")])
        assert [each.encryption for each in plain.info_many(["all", "one", "none"])] == ["AES256", "AES256", None]


def test_credentials_region_endpoint_and_role_given_outright(
    bucket: Bucket, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in bucket.environment:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keys = {
        "aws_access_key_id": bucket.environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": bucket.environment["AWS_SECRET_ACCESS_KEY"],
        "region_name": "us-east-1",
    }
    with S3(s3root=root, session_vars=keys, client_params={"endpoint_url": bucket.endpoint}) as s3:
        s3.put_many([("a", "x"), ("a//b", "y")])
        assert [each.text for each in s3.get_many(["a", "a//b"])] == ["x", "y"]
    if bucket.endpoint == os.environ.get("SEAWEED_S3_URL"):
        return  # nobody may assume a role there
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    role = "arn:aws:iam::123456789012:role/reader"
    with S3(s3root=root, role=role, session_vars=keys) as s3:
        assert s3.get("a").text == "x"


# --- where it runs ----------------------------------------------------------------------------------------------------


def test_local_copies_live_as_long_as_the_client(root: str, tmp_path: Path) -> None:
    with S3(s3root=root) as s3:
        s3.put("data.csv", "x")
        found = s3.get("data.csv")
        assert found.path is not None
        assert Path(found.path).is_absolute()
        assert Path(found.path).parent.parent == tmp_path
        assert found.path.endswith("data.csv")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MetaflowS3Exception, match="is gone"):
        found.text
    assert (found.exists, found.size) == (True, 1)


def test_a_failed_download_leaves_nothing(root: str, tmp_path: Path) -> None:
    with S3(s3root=root) as s3:
        s3.get("nix", return_missing=True)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_thread_is_left(root: str) -> None:
    before = set(threading.enumerate())
    with S3(s3root=root) as s3:
        s3.put_many((f"{number}", "x") for number in range(50))
        assert set(threading.enumerate()) <= before


def test_in_threads_and_in_a_running_loop(root: str) -> None:
    with S3(s3root=root) as s3:
        s3.put("a", "x")
        texts: list[str | None] = []
        threads = [threading.Thread(target=lambda: texts.append(s3.get_many(["a", "a"])[1].text)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == 8 * ["x"]

        async def within() -> str | None:
            return s3.get("a").text

        assert asyncio.run(within()) == "x"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_child_that_was_forked_after_use(root: str) -> None:
    with S3(s3root=root) as s3:
        s3.put("a", "from the parent")
        child = os.fork()
        if child == 0:
            ok = False
            try:
                ok = s3.get("a").text == "from the parent" and bool(
                    s3.put_many([("b", "x"), ("a//b", io.BytesIO(b"y"))])
                )
                with S3(s3root=root) as own:
                    ok = ok and own.get("b").text == "x"
                    own.get("nix")
            except MetaflowS3NotFound:
                os._exit(0 if ok else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert s3.get("b").text == "x"


FLOW = """
from metaflow import FlowSpec, S3, step

class DataFlow(FlowSpec):
    @step
    def start(self):
        with S3(run=self) as s3:
            self.url = s3.put("k/x", "v")
            self.found = [each.text for each in s3.get_all()]
        with S3(run=self, prefix="/other/") as s3:
            self.other = s3.put("y", "w")
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    DataFlow()
"""


def test_in_a_step_keys_are_below_the_run(
    bucket: Bucket, root: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAFLOW_DATATOOLS_S3ROOT", f"{root}/data")
    site.write("data_flow.py", FLOW)
    environment = {**bucket.environment, "METAFLOW_DATATOOLS_S3ROOT": f"{root}/data"}
    finished = site.run_flow("data_flow.py", "run", env=environment).succeeded()
    values = finished.values("start")
    below = f"DataFlow/{finished.run_id}"
    container = "/".join(root.split("/")[:3])
    assert values == {
        "url": f"{root}/data/{below}/k/x",
        "found": ["v"],
        "other": f"{container}/other/{below}/y",
    } | {name: value for name, value in values.items() if name not in ("url", "found", "other")}
    for run in (finished.run, finished.run["start"].task):
        with S3(run=run) as s3:
            assert s3.get("k/x").text == "v"


# --- when the store is in trouble -------------------------------------------------------------------------------------


def test_a_fifth_of_the_requests_is_refused_for_a_while(root: str, proxy: FaultProxy) -> None:
    proxy.fault = lambda number, method, path: _SLOW_DOWN if number % 5 == 0 else None
    keys = [f"{number:03}" for number in range(100)]
    with S3(s3root=root) as s3:
        s3.put_many((key, key) for key in keys)
        assert [each.text for each in s3.get_many(keys)] == keys
        assert len(s3.list_recursive()) == 100


def test_connections_are_cut(root: str, proxy: FaultProxy) -> None:
    content = os.urandom(20 << 20)
    with S3(s3root=root) as s3:
        s3.put("big", content)
        s3.put("small", content[:100])
        proxy.fault = lambda number, method, path: Cut(50 if "small" in path else 1 << 20) if number % 3 == 0 else None
        proxy.forget()
        assert [each.blob for each in s3.get_many(["small", "big", "small"])] == [content[:100], content, content[:100]]


def test_requests_overlap(root: str, proxy: FaultProxy) -> None:
    with S3(s3root=root) as s3:
        s3.put("a", "x")
        proxy.forget()
        proxy.latency = 0.3
        s3.get_many(20 * ["a"])
        assert len(proxy.seen("GET")) == 20
        assert proxy.rounds() <= 2


@pytest.mark.parametrize("count", [1, 50])
def test_denied_access_fails_at_once(root: str, proxy: FaultProxy, count: int) -> None:
    proxy.fault = lambda number, method, path: _DENIED
    with S3(s3root=root) as s3:
        begin = time.monotonic()
        for call in (
            lambda: s3.get_many(count * ["a"]),
            lambda: s3.put_many(count * [("a", "x")]),
            lambda: s3.list_paths(["a"]),
        ):
            with pytest.raises(MetaflowS3AccessDenied, match=f"{root}/a.*access is denied|access is denied.*{root}/a"):
                call()
        assert time.monotonic() - begin < 5
        assert len(proxy.requests) <= 2 * 32 + 1


def test_trouble_that_passes_is_told_and_waited_for(
    root: str, proxy: FaultProxy, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaflow.store.objects.retry._TELL_AFTER", 0.0)
    with S3(s3root=root) as s3:
        s3.put("a", "x")
        proxy.forget()
        proxy.fault = lambda number, method, path: _SLOW_DOWN if number < 9 else None
        assert s3.get("a").text == "x"
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"Waiting for s3://{root.split('/')[2]} at {proxy.url}: 503")


def test_trouble_that_lasts_ends_with_its_name(root: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_S3_RETRY_COUNT", "1")
    proxy.fault = lambda number, method, path: _SLOW_DOWN
    with S3(s3root=root) as s3, pytest.raises(MetaflowS3Exception, match=r"is not responding \(.*SlowDown.*2 times in"):
        s3.put("a", "x")
    proxy.go()
    with S3(s3root=root) as s3, pytest.raises(MetaflowS3Exception, match=r"is not responding \(.*refused.*2 times in"):
        s3.get("a")


def test_a_batch_that_fails_in_part_names_what_failed(root: str, proxy: FaultProxy) -> None:
    refused = Answer(400, "InvalidRequest")
    proxy.fault = lambda number, method, path: refused if method == "PUT" and path.endswith(("3", "7")) else None
    with S3(s3root=root) as s3:
        with pytest.raises(MetaflowS3Exception, match="2 of 10 objects: 400") as caught:
            s3.put_many((f"{number}", "x") for number in range(10))
        assert [url for url, _ in caught.value.failed] == [f"{root}/3", f"{root}/7"]
        assert len(s3.list_recursive()) == 8


def test_a_key_without_boto3_in_reach_is_told(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "botocore.config", None)
    with S3(s3root=root) as s3, pytest.raises(MetaflowS3URLException, match="need boto3"):
        s3.put("a//b", "x")
