"""``dump`` and ``logs`` over runs written by hand."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from metaflow.cli.inspection import dump, logs
from metaflow.exception import CommandException, MetaflowExceptionWrapper

from ..client.written import Place, WrittenRun
from .session import invoke


@pytest.fixture
def run(place: Place) -> WrittenRun:
    run = place.foreach()
    run.print("start", "1", b"hello", b"\xff")
    run.print("start", "1", b"trouble", stream="stderr")
    return run


def test_dump_of_a_step(place: Place, run: WrittenRun) -> None:
    shown = invoke(place, dump, f"{run.id}/work")
    assert [line.partition(" [")[0] for line in shown.results] == ["doubled"] * 3
    assert [line.rpartition(" = ")[2] for line in shown.results] == ["0", "2", "4"]
    assert [remark.partition("/")[2] for remark in shown.remarks] == ["work/2:", "work/3:", "work/4:"]


def test_dump_of_a_task(place: Place, run: WrittenRun) -> None:
    (line,) = invoke(place, dump, f"Numbers/{run.id}/work/3").results
    assert line == "doubled [size: 5 type: <class 'int'>] = 2"
    (line,) = invoke(place, dump, f"{run.id}/work/3", "--max-value-size", "0").results
    assert line.startswith("doubled [size: 5")
    assert not line.endswith("2")
    private = invoke(place, dump, f"{run.id}/work/3", "--private").results
    assert {"_success", "doubled"} < {line.partition(" ")[0] for line in private}
    (line,) = invoke(place, dump, f"{run.id}/work/3", "--private", "--include", "nope, _success").results
    assert line.endswith("= True")


def test_dump_of_what_cannot_be_read(place: Place, run: WrittenRun) -> None:
    (blob,) = (path for path in Path(place.root, "Numbers", "data").rglob("*") if path.name == _sha(run))
    blob.write_bytes(b"other")
    shown = invoke(place, dump, f"{run.id}/work/3")
    (line,) = shown.results
    assert line.startswith("doubled = (cannot be read: The blob ")
    assert "damaged" in line
    assert shown.status == 1


class Shy:
    def __repr__(self) -> str:
        raise ZeroDivisionError("no text")


class Locked:
    def __reduce__(self) -> Any:
        return _unlock, ()


def _unlock() -> None:
    raise PermissionError("locked")


def test_dump_of_what_the_users_code_refuses(place: Place, run: WrittenRun, tmp_path: Path) -> None:
    """Each is told about with the user's line, and the others are shown."""
    run.task("end", "9", fine=1, locked=Locked(), shy=Shy())
    shown = invoke(place, dump, f"{run.id}/end/9")
    assert shown.results[0] == "fine [size: 5 type: <class 'int'>] = 1"
    lines = [function.__code__.co_firstlineno + 1 for function in (_unlock, Shy.__repr__)]
    assert shown.results[1:] == [
        f"locked = (cannot be read: PermissionError: locked, {__file__}:{lines[0]})",
        f"shy = (cannot be read: ZeroDivisionError: no text, {__file__}:{lines[1]})",
    ]
    assert shown.status == 1
    shown = invoke(place, dump, f"{run.id}/end/9", "--file", str(tmp_path / "values"), "--include", "fine,locked")
    assert pickle.loads((tmp_path / "values").read_bytes()) == {f"{run.id}/end/9": {"fine": 1}}
    assert any("locked = (cannot be read: PermissionError" in remark for remark in shown.remarks)
    assert shown.status == 1


def _sha(run: WrittenRun) -> str:
    from metaflow.client import Run

    return Run(run.path)["work"]["3"]["doubled"].sha


def test_dump_into_a_file(place: Place, run: WrittenRun, tmp_path: Path) -> None:
    target = tmp_path / "values"
    assert invoke(place, dump, f"{run.id}/work", "--file", str(target)).results == []
    values = pickle.loads(target.read_bytes())
    assert values == {f"{run.id}/work/{id}": {"doubled": 2 * id - 4} for id in (2, 3, 4)}
    with pytest.raises(CommandException, match="cannot be written"):
        invoke(place, dump, f"{run.id}/work", "--file", str(tmp_path / "no" / "where"))


@pytest.mark.parametrize("path", ["abc", "1", "", "a//b", "1/work/2/x", "/work"])
def test_paths_of_another_depth(place: Place, run: WrittenRun, path: str) -> None:
    for command in (dump, logs):
        with pytest.raises(CommandException, match="not the path of a step or a task") as caught:
            invoke(place, command, path)
        assert "RUN/STEP" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("path", "hint"), [("7/work", "existing runs"), ("{run}/wrk", "'work'"), ("{run}/work/9", "existing tasks: 4, 3")]
)
def test_nothing_there(place: Place, run: WrittenRun, path: str, hint: str) -> None:
    path = path.format(run=run.id)
    for command in (dump, logs):
        with pytest.raises(CommandException, match=f"nothing at '{path}'") as caught:
            invoke(place, command, path)
        assert hint in str(caught.value.hint)


def test_logs(place: Place, run: WrittenRun) -> None:
    assert invoke(place, logs, f"{run.id}/start").results == ["hello", "\ufffd", "trouble"]
    assert invoke(place, logs, "show", f"{run.id}/start/1").results == ["hello", "\ufffd", "trouble"]
    assert invoke(place, logs, "--stderr", f"{run.id}/start").results == ["trouble"]
    assert invoke(place, logs, "--stdout", "--stderr", f"{run.id}/start").results == ["hello", "\ufffd", "trouble"]
    (line,) = invoke(place, logs, f"{run.id}/start", "--stderr", "--timestamps").results
    assert line.endswith(":00.000 trouble")
    with pytest.raises(CommandException, match="--no-both"):
        invoke(place, logs, f"{run.id}/start", "--no-both")


def test_logs_of_attempts(place: Place, run: WrittenRun) -> None:
    run.task("work", "2", attempt=1, error=MetaflowExceptionWrapper(ValueError()))
    run.print("work", "2", b"second try", attempt=1)
    run.print("work", "2", b"first try")
    assert invoke(place, logs, f"{run.id}/work").results == ["second try"]
    assert invoke(place, logs, f"{run.id}/work", "--attempt", "0").results == ["first try"]
    assert invoke(place, logs, f"{run.id}/work", "--attempt", "1").results == ["second try"]
    with pytest.raises(CommandException, match="no attempt 2") as caught:
        invoke(place, logs, f"{run.id}/work", "--attempt", "2")
    assert caught.value.hint == "attempts: 0, 1"


def test_scrubbing(place: Place, run: WrittenRun) -> None:
    invoke(place, logs, "scrub", f"{run.id}/start", "--stdout")
    (first, last) = invoke(place, logs, f"{run.id}/start").results
    assert "scrubbed" in first
    assert last == "trouble"
    run.begin("work", "9")
    run.print("work", "9", b"secret")
    with pytest.raises(CommandException) as caught:
        invoke(place, logs, "scrub", f"{run.id}/work/9")
    assert "--include-not-done" in str(caught.value.hint)
    invoke(place, logs, "scrub", f"{run.id}/work/9", "--include-not-done")
    assert "secret" not in invoke(place, logs, f"{run.id}/work/9").results
    with pytest.raises(CommandException, match="--attempt and --all"):
        invoke(place, logs, "scrub", f"{run.id}/start", "--all", "--attempt", "0")


def test_scrubbing_all_attempts(place: Place, run: WrittenRun) -> None:
    run.task("start", "1", attempt=1)
    run.print("start", "1", b"secret", attempt=1)
    invoke(place, logs, "scrub", f"{run.id}/start", "--all")
    for attempt in ("0", "1"):
        shown = invoke(place, logs, f"{run.id}/start", "--attempt", attempt).results
        assert all("scrubbed" in line for line in shown)
