"""What only the owner of a machine can make: a control group with little memory, a small disk. Tests that need one skip
where it cannot be made.
"""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_GROUPS = Path("/sys/fs/cgroup")


@contextmanager
def memory_group(mb: int) -> Iterator[Path]:
    """Make a control group for memory with a limit; who writes its process id to ``cgroup.procs`` there is in it."""
    group = _own_group() / f"millrace-test-{uuid.uuid4().hex[:8]}"
    limit = "memory.limit_in_bytes" if "memory" in group.parts else "memory.max"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        try:
            (group / limit).write_text(str(mb * 1_000_000))
            with_swap = group / ("memory.memsw.limit_in_bytes" if "memory" in group.parts else "memory.swap.max")
            if with_swap.exists():
                with_swap.write_text(str(mb * 1_000_000) if "memory" in group.parts else "0")
        except OSError as error:
            pytest.skip(f"the memory of a control group cannot be limited here: {error}")
        yield group
    finally:
        _remove(group)


def _own_group() -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _GROUPS / "memory" / path.strip("/")
    return _GROUPS / "memory" if (_GROUPS / "memory").is_dir() else _GROUPS


def _remove(group: Path) -> None:
    for _ in range(100):
        try:
            group.rmdir()
            return
        except OSError:  # until the kernel has let go of the last process
            time.sleep(0.02)


@contextmanager
def small_disk(directory: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a small file system in memory at a new directory."""
    directory.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(directory)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)
