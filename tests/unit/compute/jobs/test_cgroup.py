from __future__ import annotations

from pathlib import Path

from metaflow.compute.jobs.cgroup import MemoryGroup


def test_version_2(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\nhigh 3\noom 2\noom_kill 1\noom_group_kill 0\n")
    (tmp_path / "memory.peak").write_text("1500000\n")
    (tmp_path / "memory.max").write_text("max\n")
    group = MemoryGroup(str(tmp_path))
    assert (group.kills(), group.peak_mb(), group.limit_mb()) == (1, 1.5, None)


def test_version_1(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    (memory / "memory.max_usage_in_bytes").write_text("2000000\n")
    (memory / "memory.limit_in_bytes").write_text("4000000\n")
    group = MemoryGroup(str(tmp_path))
    assert (group.kills(), group.peak_mb(), group.limit_mb()) == (4, 2.0, 4.0)


def test_version_1_of_an_old_kernel_without_a_limit(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\n")
    (memory / "memory.failcnt").write_text("7\n")
    (memory / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    group = MemoryGroup(str(tmp_path))
    assert (group.kills(), group.peak_mb(), group.limit_mb()) == (7, None, None)


def test_no_groups(tmp_path: Path) -> None:
    group = MemoryGroup(str(tmp_path))
    assert (group.kills(), group.peak_mb(), group.limit_mb()) == (0, None, None)
