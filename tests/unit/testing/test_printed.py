"""Copies of what tasks print."""

from __future__ import annotations

import io
import sys

import pytest

from metaflow.flow.current import current
from metaflow.testing.printed import PrintingTask, kept


def test_what_is_printed_goes_where_it_would_go_and_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    task, before = PrintingTask(), sys.stdout
    with current._within(task), kept():
        print("a", "b", end="")
        sys.stdout.writelines(["c\n", "d\n"])
        print("e", file=sys.stderr, flush=True)
        assert sys.stdout.encoding == before.encoding
        assert not sys.stdout.isatty()
    print("after")
    assert (task.stdout.getvalue(), task.stderr.getvalue()) == ("a bc\nd\n", "e\n")
    assert capsys.readouterr() == ("a bc\nd\nafter\n", "e\n")
    assert sys.stdout is before


def test_one_task_within_another_has_its_own() -> None:
    outer, inner = PrintingTask(), PrintingTask()
    with current._within(outer), kept():
        print("1")
        with current._within(inner), kept():
            print("2")
        print("3")
    assert (outer.stdout.getvalue(), inner.stdout.getvalue()) == ("1\n3\n", "2\n")


def test_a_stream_that_a_step_puts_in_place_stays_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    mine, task = io.StringIO(), PrintingTask()
    with current._within(task), kept():
        sys.stdout = mine
        print("x")
    assert sys.stdout is mine
    assert (mine.getvalue(), task.stdout.getvalue()) == ("x\n", "")


def test_a_process_without_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    task = PrintingTask()
    with current._within(task), kept():
        print("x", flush=True)
    assert task.stdout.getvalue() == "x\n"
    assert sys.stdout is None
