"""A place to write runs in, at which the client looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow.client import metadata, namespace
from metaflow.client.scope import Scope, scope
from metaflow.flow.frames import ForeachFrame

from .written import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(sys.modules["__main__"], "ForeachFrame", ForeachFrame, raising=False)  # as in a task
    (tmp_path / ".metaflow").mkdir()
    metadata(f"local@{tmp_path}")
    namespace(None)
    yield Place(str(tmp_path))
    vars(scope).update(vars(Scope()))
