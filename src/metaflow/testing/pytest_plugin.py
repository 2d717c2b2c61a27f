"""Fixtures for pytest, found by its entry point ``pytest11``: `run_step`, `run_flow`, `metaflow_home`.

Loads nothing until a test asks for one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def run_step() -> Any:
    """`metaflow.testing.run_step`: run one step in this process."""
    from metaflow.testing.step import run_step

    return run_step


@pytest.fixture
def run_flow() -> Any:
    """`metaflow.testing.run_flow`: run a flow in this process."""
    from metaflow.testing.flow import run_flow

    return run_flow


@pytest.fixture
def metaflow_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a directory in which this test's runs are kept, and no others are seen.

    For tests that use the client, or start flows as processes: settings of this machine do not count, the datastore and
    the metadata are local files below the directory, and the namespace is that of the user ``tester``.
    """
    import os

    from metaflow.client.scope import scope

    for name in list(os.environ):
        if name.startswith("METAFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("METAFLOW_HOME", str(tmp_path / ".metaflowconfig"))
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(tmp_path))
    monkeypatch.setenv("METAFLOW_USER", "tester")
    with scope.anew():
        yield tmp_path
