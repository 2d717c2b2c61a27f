"""Bytes of a stream: kept whole, read by lines from any position."""

from __future__ import annotations

from metaflow.runner.output import Output


def test_lines_from_a_position_on() -> None:
    output = Output()
    output.append(b"one\ntwo\nth")
    lines = list(output.lines(0, is_whole=False))
    assert lines == [(4, "one"), (8, "two")]
    output.append("rée\n\nlast".encode())
    assert list(output.lines(8, is_whole=False)) == [(15, "thrée"), (16, "")]
    assert list(output.lines(15, is_whole=True)) == [(16, ""), (20, "last")]
    assert list(output.lines(20, is_whole=True)) == []
    assert str(output) == "one\ntwo\nthrée\n\nlast"
    assert output.size == 20


def test_it_may_be_large() -> None:
    output, line = Output(), b"x" * 99 + b"\n"
    for _ in range(40):
        output.append(line * 1_000)
    lines = list(output.lines(0, is_whole=True))
    assert len(lines) == 40_000
    assert lines[-1] == (4_000_000, "x" * 99)
    assert output.read(3_999_900) == line
