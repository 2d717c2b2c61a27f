"""A kill for lack of memory, told from others by what the kernel shows; the kernel is a directory here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metaflow.compute.local.memory import MemoryWatch

MB = 1_000_000


class Kernel:
    """A directory with the files that the kernel would show."""

    def __init__(self, directory: Path, version: int) -> None:
        self.proc, self.groups, self.log = directory / "proc", directory / "groups", directory / "kmsg"
        self.version = version
        (self.proc / "self").mkdir(parents=True)
        top = self.groups / "memory" if version == 1 else self.groups
        self.group = top / "jobs" / "mine"
        self.group.mkdir(parents=True)
        line = "4:memory:/jobs/mine" if version == 1 else "0::/jobs/mine"
        (self.proc / "self" / "cgroup").write_text(f"9:name=systemd:/\n{line}\n")
        (self.proc / "meminfo").write_text("MemTotal:       16000000 kB\nMemFree: 3 kB\n")
        self.log.write_text("")
        self.kills(in_group=0, on_machine=7)

    def kills(self, *, in_group: int, on_machine: int) -> None:
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        (self.group / name).write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {in_group}\n")
        (self.proc / "vmstat").write_text(f"nr_free_pages 1\noom_kill {on_machine}\n")

    def limit(self, value: str, group: Path | None = None) -> None:
        name = "memory.limit_in_bytes" if self.version == 1 else "memory.max"
        ((group or self.group) / name).write_text(f"{value}\n")

    @contextmanager
    def watch(self) -> Iterator[MemoryWatch]:
        watch = MemoryWatch(str(self.proc), str(self.groups), str(self.log))
        try:
            yield watch
        finally:
            watch.close()


@pytest.fixture(params=[1, 2])
def kernel(tmp_path: Path, request: pytest.FixtureRequest) -> Kernel:
    return Kernel(tmp_path, request.param)


def test_a_kill_that_the_group_has_counted(kernel: Kernel) -> None:
    kernel.kills(in_group=3, on_machine=7)
    with kernel.watch() as watch:
        assert not watch.has_killed(100, 50.0)
        kernel.kills(in_group=4, on_machine=8)
        assert watch.has_killed(100, 50.0)


def test_one_kill_explains_one_end(kernel: Kernel) -> None:
    with kernel.watch() as watch:
        kernel.kills(in_group=2, on_machine=9)
        assert [watch.has_killed(pid, 50.0) for pid in (1, 2, 3)] == [True, True, False]


def test_the_log_names_the_process(kernel: Kernel) -> None:
    kernel.log.write_text("3,1,1,-;Out of memory: Killed process 100 (python) total-vm:9kB\n")
    with kernel.watch() as watch:
        with kernel.log.open("a") as log:
            log.write("3,2,2,-;Memory cgroup out of memory: Killed process 102 (python) total-vm:9kB\n")
        assert not watch.has_killed(100, 1.0), "this was before"
        assert watch.has_killed(102, 1.0)
        assert not watch.has_killed(102, 1.0)


def test_a_kill_somewhere_on_the_machine_counts_for_a_large_task_only(kernel: Kernel) -> None:
    kernel.limit(str(1000 * MB))
    with kernel.watch() as watch:
        kernel.kills(in_group=0, on_machine=8)
        assert not watch.has_killed(100, 499.0)
        assert not watch.has_killed(100, None)
        assert watch.has_killed(100, 600.0)
        assert not watch.has_killed(101, 600.0)


@pytest.mark.parametrize(
    ("own", "outer", "expected"), [("max", "max", 16384), ("max", "3000", 3000), ("500", "3000", 500)]
)
def test_the_limit_is_the_smallest_around(kernel: Kernel, own: str, outer: str, expected: float) -> None:
    unlimited = "9223372036854771712" if kernel.version == 1 else "max"
    for value, group in ((own, kernel.group), (outer, kernel.group.parent)):
        kernel.limit(unlimited if value == "max" else str(int(value) * MB), group)
    with kernel.watch() as watch:
        assert watch.limit_mb == expected


def test_a_kernel_that_shows_nothing(tmp_path: Path) -> None:
    watch = MemoryWatch(*(str(tmp_path / name) for name in ("proc", "groups", "kmsg")))
    assert watch.limit_mb is None
    assert not watch.has_killed(100, 1e9)
    watch.close()


def test_a_container_that_sees_its_own_group_at_the_top(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 2)
    (kernel.proc / "self" / "cgroup").write_text("0::/the/path/of/the/host\n")
    (kernel.groups / "memory.events").write_text("oom_kill 0\n")
    with kernel.watch() as watch:
        (kernel.groups / "memory.events").write_text("oom_kill 1\n")
        assert watch.has_killed(100, 1.0)
