"""The hint for a name of ours that a file uses and does not import."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow.flow.undefined import hint_for


def error_of(path: Path, source: str) -> NameError:
    path.write_text(source)
    with pytest.raises(NameError) as caught:
        exec(compile(source, str(path), "exec"), {})
    return caught.value


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("from metaflow import FlowSpec\nbatch", "FILE:1 should read: from metaflow import FlowSpec, batch"),
        ("\nfrom metaflow import step as s\nstep", "FILE:2 should read: from metaflow import step as s, step"),
        ("if True:\n    from metaflow import step\nretry", "FILE:2 should read: from metaflow import step, retry"),
        ("from metaflow import (step,\n  FlowSpec)\nretry", "write `from metaflow import retry`"),
        ("from metaflow import step\nconda",
         "'conda' is a name of Metaflow that is not available in this version of Millrace"),
        ("from metaflow import step\nbatsh", None),
        ("from metaflow.exception import MetaflowException\nbatch", None),
        ("import os\nbatch", None),
    ],
)  # fmt: skip
def test_hints(tmp_path: Path, source: str, hint: str | None) -> None:
    path = tmp_path / "flow.py"
    assert hint_for(error_of(path, source)) == (hint and hint.replace("FILE", str(path)))


def test_without_a_file_or_a_traceback(tmp_path: Path) -> None:
    assert hint_for(NameError("name 'batch' is not defined", name="batch")) is None
    error = error_of(tmp_path / "flow.py", "from metaflow import step\nbatch")
    (tmp_path / "flow.py").unlink()
    assert hint_for(error) is None
