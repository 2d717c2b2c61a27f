"""The lease of a run: who carries it out, whether that process lives, how the run ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metaflow.exception import DataDamaged, RunFailed, StorageUnavailable, TaskFailed
from metaflow.metadata_provider.lease import LOST_AFTER, LocalLease, NoLease, RunStatus, lease_of
from metaflow.metadata_provider.local import LocalMetadata


@pytest.fixture
def lease(tmp_path: Path) -> LocalLease:
    return LocalLease(LocalMetadata(str(tmp_path)), "Flow", "1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Flow" / "1" / "_meta" / "lease.json"


def change_holder(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_bytes())
    document["holder"] |= changes
    path.write_text(json.dumps(document))


def grow_old(path: Path, seconds: float) -> None:
    now = path.stat().st_mtime - seconds
    os.utime(path, (now, now))


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_a_run_without_a_lease(lease: LocalLease) -> None:
    assert lease.status() is None


def test_the_holder_lives(lease: LocalLease, path: Path) -> None:
    lease.take()
    assert lease.status() == RunStatus("running")
    grow_old(path, 10 * LOST_AFTER)
    assert lease.status() == RunStatus("running"), "it can be seen, whatever the clock says"


@pytest.mark.parametrize("state", ["successful", "failed", "interrupted"])
def test_an_ending_is_kept(lease: LocalLease, state: str) -> None:
    lease.take()
    failure = None if state == "successful" else RunFailed("it failed", hint="what to do", step="work")
    lease.end(state, failure)
    status = lease.status()
    assert status is not None
    assert status.state == state
    if failure is not None:
        assert type(status.failure) is RunFailed
        assert status.failure.record() == failure.record()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (lambda: {"pid": dead_pid()}, "killed or crashed"),
        (lambda: {"started": "1"}, "killed or crashed"),  # the process id belongs to another process now
        (lambda: {"boot": "another"}, "started anew"),
        (lambda: {"boot": "another", "pid": os.getpid()}, "started anew"),
    ],
)
def test_a_holder_that_is_gone(
    lease: LocalLease, path: Path, changes: Callable[[], dict[str, Any]], words: str
) -> None:
    lease.take()
    change_holder(path, **changes())
    status = lease.status()
    assert status is not None
    assert status.state == "lost"
    assert isinstance(status.failure, TaskFailed)
    assert words in status.failure.message
    assert status.failure.hint


@pytest.mark.parametrize("elsewhere", [{"host": "other", "boot": "b"}, {"processes": "pid:[1]"}])
def test_a_holder_elsewhere_lives_as_long_as_it_renews(
    lease: LocalLease, path: Path, elsewhere: dict[str, str]
) -> None:
    lease.take()
    change_holder(path, **elsewhere)
    assert lease.status() == RunStatus("running")
    grow_old(path, LOST_AFTER + 5)
    status = lease.status()
    assert status is not None
    assert status.state == "lost"
    assert "no sign for" in str(status.failure)
    lease.renew()
    assert lease.status() == RunStatus("running")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', "{}", '{"state": "running"}', '{"state": "failed", "failure": 3}']
)
def test_a_damaged_lease_is_named(lease: LocalLease, path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(DataDamaged, match=str(path)):
        lease.status()


def test_the_ending_needs_no_room(lease: LocalLease, path: Path) -> None:
    """What the file has taken from the beginning is enough, as on a full disk."""
    lease.take()
    size = path.stat().st_size
    lease._write_over({"holder": lease._holder, "state": "failed", "failure": RunFailed("x" * 9999).record()})
    assert path.stat().st_size == size
    status = lease.status()
    assert status is not None
    assert status.state == "failed"
    assert str(status.failure).startswith("xxx")


def test_a_folder_that_is_gone_is_told_and_not_made_anew(lease: LocalLease, path: Path) -> None:
    lease.check()  # nobody has taken it
    lease.take()
    lease.check()
    path.unlink()
    lease.renew()
    with pytest.raises(StorageUnavailable, match=f"is gone: {path.parents[1]}"):
        lease.check()
    lease.end("failed")
    assert not path.exists()


def test_a_provider_without_leases(tmp_path: Path) -> None:
    class Other(LocalMetadata):
        kind = "other"

    lease = lease_of(Other(str(tmp_path)), "Flow", "1")
    assert isinstance(lease, NoLease)
    lease.take()
    lease.renew()
    lease.check()
    lease.end("successful")
    assert lease.status() is None
    assert isinstance(lease_of(LocalMetadata(str(tmp_path)), "Flow", "1"), LocalLease)
