"""The benchmarks run; what they measure is for people, not for tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "work",
    [
        *("import", "hello", "guarded", "resume", "array", "client", "library-numpy", "config", "spin", "run_step"),
        *("cards-size", "cards-drawing", "cards-hello-share"),
    ],
)
def test_a_work_is_measured_and_leaves_nothing(work: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--repeat", "1", "--only", work]
    done = subprocess.run(
        [*command, "--directory", str(tmp_path), "--original", ""],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    head, _, row = done.stdout.strip().splitlines()[-3:]
    assert head.startswith("| work | ours | original |")
    assert "failed" not in row
    assert row.count("|") == head.count("|")
    assert list(tmp_path.iterdir()) == []


def test_a_work_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such thing\nexit 3\n")
    python.chmod(0o755)
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "hello", "--ours", str(python)]
    done = subprocess.run([*command, "--original", ""], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ended with status 3" in done.stderr
    assert "no such thing" in done.stderr
    assert "| hello (2 tasks) | failed |" in done.stdout
