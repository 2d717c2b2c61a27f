"""`profile`."""

from __future__ import annotations

import re

import pytest

from metaflow import profile


def test_a_block_and_a_function_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with profile("block"):
        pass

    @profile("function")
    def work() -> int:
        return 3

    assert work() == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "PROFILE: block starts"
    assert re.fullmatch(r"PROFILE: block took \d+ ms", lines[1])
    assert [line.split()[1] for line in lines[2:]] == ["function", "function"]


def test_times_are_added_up_also_of_what_raises(capsys: pytest.CaptureFixture[str]) -> None:
    times = {"part": 1000}
    with pytest.raises(KeyError), profile("part", times):
        raise KeyError
    with profile("other", stats_dict=times):
        pass
    assert times["part"] >= 1000
    assert times.keys() == {"part", "other"}
    assert capsys.readouterr().out == ""
