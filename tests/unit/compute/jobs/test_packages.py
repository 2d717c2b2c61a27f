from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from collections.abc import Iterable, Mapping
from hashlib import sha1, sha256
from pathlib import Path

import pytest

from metaflow.compute.archive import Member, pack
from metaflow.compute.jobs import runtime_package
from metaflow.compute.jobs.packages import TaskPackages
from metaflow.compute.jobs.runtime_package import Platform, RuntimeArchive, here, platform_of, runtime_archive
from metaflow.exception import MetaflowException
from metaflow.store.blobs import Blobs
from metaflow.store.memory import MemoryStorage

CODE = b"\x1f\x8b the code"


class Counting(MemoryStorage):
    """A storage that notes what is put."""

    def __init__(self, spool: str) -> None:
        super().__init__(spool)
        self.puts: list[str] = []

    def put(
        self,
        items: Iterable[tuple[str, bytes]],
        *,
        overwrite: bool = False,
        attributes: Mapping[str, bytes] | None = None,
    ) -> None:
        items = list(items)
        self.puts += [key for key, _ in items]
        super().put(items, overwrite=overwrite, attributes=attributes)


@pytest.fixture
def runtime(tmp_path: Path) -> RuntimeArchive:
    path = tmp_path / "runtime.tar.gz"
    path.write_bytes(b"our own")
    return RuntimeArchive(str(path), sha256(b"our own").hexdigest())


def test_a_url_gives_the_package_itself_however_well_it_can_be_compressed(
    tmp_path: Path, runtime: RuntimeArchive
) -> None:
    """Two hundred modules that differ little, and a regular table: what gzip leaves of them can be compressed again."""
    modules = [Member(f"module_{number:03}.py", b"def f():\n    return 1\n" * 400) for number in range(200)]
    table = [Member("table.csv", b"".join(b"%06d,0,0\n" % (number % 97) for number in range(300_000)))]
    for code in (pack(modules, 6), pack(table, 6)):
        storage = Counting(str(tmp_path))
        blobs = Blobs(storage, "Flow")
        for before in ([], [code]):  # and where an earlier run has stored it as a blob like any other
            blobs.save(before)
            link = TaskPackages(storage, "Flow", code, lambda: runtime).links()[1]
            assert sha256(storage.objects[link.url.removeprefix("memory:/")]).hexdigest() == link.sha256
            assert blobs.load(sha1(code).hexdigest()) == code
            storage.delete([blobs.path(sha1(code).hexdigest())])


def test_both_are_uploaded_once(tmp_path: Path, runtime: RuntimeArchive) -> None:
    storage = Counting(str(tmp_path))
    for _ in range(2):
        packages = TaskPackages(storage, "Flow", CODE, lambda: runtime)
        first, second = packages.links()
        assert packages.links() == [first, second]
        assert storage.objects[first.url.removeprefix("memory:/")] == b"our own"
        assert storage.objects[second.url.removeprefix("memory:/")] == CODE
    assert (first.name, first.sha256) == ("runtime", runtime.sha256)
    assert (second.name, second.sha256) == ("code", sha256(CODE).hexdigest())
    sha = sha1(CODE).hexdigest()
    assert sorted(storage.puts) == [f"Flow/data/{sha[:2]}/{sha}", f"_millrace/runtime/{runtime.sha256}.tar.gz"]


def test_the_fact(tmp_path: Path, runtime: RuntimeArchive) -> None:
    packages = TaskPackages(MemoryStorage(str(tmp_path)), "Flow", CODE, lambda: runtime)
    fact = json.loads(packages.fact)
    sha = sha1(CODE).hexdigest()
    assert fact.pop("metadata") == '{"version": 0, "archive_format": "tgz", "mfcontent_version": 1}'
    assert fact == {"ds_type": "memory", "sha": sha, "location": f"memory:/Flow/data/{sha[:2]}/{sha}"}


@pytest.mark.parametrize(
    ("text", "expected", "tag"),
    [
        ("linux/amd64", Platform("x86_64"), "manylinux2014_x86_64"),
        ("linux/arm64", Platform("aarch64"), "manylinux2014_aarch64"),
        ("linux/aarch64/musl", Platform("aarch64", True), "musllinux_1_2_aarch64"),
    ],
)
def test_platforms(text: str, expected: Platform, tag: str) -> None:
    assert platform_of(text) == expected
    assert tag in platform_of(text).tags


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small packages instead of ours and the client's, which would take a second."""
    for name in ("metaflow/__init__.py", "metaflow/sub/code.py", "obstore/__init__.py"):
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"name = {name!r}\n")
    for name in ("metaflow/__pycache__/x.pyc", "metaflow/py.typed", "obstore/_obstore.abi3.so", "obstore/a.pyi"):
        path = tmp_path / "lib" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"bytes")

    def listed(package: str) -> object:
        with monkeypatch.context() as patch:
            patch.setattr("importlib.util.find_spec", lambda name: Spec(str(tmp_path / "lib" / name)))
            yield from original(package)

    original = runtime_package._sources
    monkeypatch.setattr(runtime_package, "_sources", listed)
    return tmp_path / "lib"


class Spec:
    def __init__(self, path: str) -> None:
        self.submodule_search_locations = [path]


@pytest.fixture
def platform() -> Platform:
    platform = here()
    if platform is None:
        pytest.skip("this machine runs no such images")
    return platform


def test_what_the_runtime_package_has(sources: Path, platform: Platform, tmp_path: Path) -> None:
    archive = runtime_archive(str(tmp_path / "cache"), platform)
    content = Path(archive.path).read_bytes()
    assert sha256(content).hexdigest() == archive.sha256
    tag = sys.implementation.cache_tag
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        assert tar.getnames() == [
            "PLATFORM",
            "metaflow/__init__.py",
            f"metaflow/__pycache__/__init__.{tag}.pyc",
            "metaflow/sub/code.py",
            f"metaflow/sub/__pycache__/code.{tag}.pyc",
            "obstore/__init__.py",
            f"obstore/__pycache__/__init__.{tag}.pyc",
            "obstore/_obstore.abi3.so",
        ]
        member = tar.extractfile("PLATFORM")
        assert member is not None
        assert member.read() == f"{platform.name}\n".encode()


def test_it_is_made_once_and_anew_when_a_source_has_changed(sources: Path, platform: Platform, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = runtime_archive(str(cache), platform)
    made = os.stat(first.path)
    assert runtime_archive(str(cache), platform) == first
    assert os.stat(first.path) == made
    (sources / "metaflow/sub/code.py").write_text("name = 'changed'")
    assert runtime_archive(str(cache), platform).sha256 != first.sha256


def test_the_cache_stays_small(sources: Path, platform: Platform, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for number in range(8):
        (sources / "metaflow/sub/code.py").write_text("#" * number)
        newest = runtime_archive(str(cache), platform)
    assert len(list(cache.iterdir())) <= 5
    assert Path(newest.path).exists()


def test_a_wheel_that_cannot_be_had(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    other = Platform("aarch64" if here() != Platform("aarch64") else "x86_64", musl=True)
    with pytest.raises(MetaflowException, match=r"Images for linux/.*-musl need obstore==.*cannot be had"):
        runtime_archive(str(tmp_path / "cache"), other)
