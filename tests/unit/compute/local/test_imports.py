"""What a file imports, read from source."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from metaflow.compute.local.imports import imported_names


def names(directory: Path, source: str, package: str = "") -> list[str]:
    path = directory / "flow.py"
    path.write_text(textwrap.dedent(source))
    return list(imported_names(str(path), package))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a, b.c as d", ["a", "b.c"]),
        ("from a import b, c", ["a", "a.b", "a.c"]),
        ("from a.b import *", ["a.b"]),
        ("from . import x\nfrom .y import z", ["p.q", "p.q.x", "p.q.y", "p.q.y.z"]),
        ("from .. import x", ["p", "p.x"]),
        ("def f():\n    import a\nclass C:\n    if f:\n        import b\n    else:\n        import c", ["a", "b", "c"]),
        ("if TYPE_CHECKING:\n    import a\n    if True:\n        import b\nelse:\n    import c", ["c"]),
        ("import typing as t\nif t.TYPE_CHECKING:\n    import a", ["typing"]),
        ("if not TYPE_CHECKING:\n    import a", ["a"]),
    ],
)  # fmt: skip
def test_names(source: str, expected: list[str], tmp_path: Path) -> None:
    assert names(tmp_path, source, "p.q") == expected


@pytest.mark.parametrize(
    "source",
    ["def broken(:\n", "import a\n\0", "# coding: no-such-coding\nimport a", "import a\n" + "(" * 1000, "\xff"],
)
def test_a_file_that_cannot_be_read_has_no_imports(source: str, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_bytes(source.encode("latin-1"))
    assert list(imported_names(str(tmp_path / "flow.py"), "")) == []
    assert list(imported_names(str(tmp_path / "missing.py"), "")) == []
