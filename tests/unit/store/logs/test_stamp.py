"""Which lines of a log are stored when it is longer than it may be."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.store.logs.lines import parse
from metaflow.store.logs.stamp import Stamp

OMITTED = re.compile(rb"\[(\d+) bytes are left out here: ")


def kept(lines: list[bytes], limit: int) -> tuple[list[bytes], list[bytes]]:
    """Return what is stored as the lines come, and what at the end."""
    stamp = Stamp("runtime", limit)
    early = b"".join(stamp.lines("stdout", [line], 1.0 + number) for number, line in enumerate(lines))
    late = stamp.rest("stdout")
    parsed = list(parse(early + late))
    order = [(line.time, line.ident) for line in parsed]
    assert order == sorted(set(order)), "the original's client orders lines by these"
    return [line.text for line in parse(early)], [line.text for line in parse(late)]


@pytest.mark.parametrize(
    ("lines", "early", "late"),
    [
        (["abc", "def"], ["abc", "def"], []),
        (["a" * 14, "b" * 4], ["a" * 14], ["b" * 4]),
        (["a" * 19], [], ["a" * 19]),
        (["a" * 30], ["a" * 14], ["12", "a" * 4]),
        (["abc"] * 5 + ["end"], ["abc"] * 3 + ["ab"], ["4", "end"]),
        (["abc", "x" * 100, "end"], ["abc", "x" * 10], ["90", "end"]),
        (["ä" * 10], ["ä" * 7], ["2", "ä" * 2]),
    ],
)
def test_examples(lines: list[str], early: list[str], late: list[str]) -> None:
    """Of 20 bytes, 15 are for the beginning."""
    begin, end = kept([line.encode() for line in lines], 20)
    assert [line.decode() for line in begin] == early
    assert [(found[1] if (found := OMITTED.match(line)) else line).decode() for line in end] == late


@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"").replace(b"[", b"")), min_size=1),
    st.integers(1, 100),
)
def test_what_is_kept_is_a_beginning_and_an_end_of_what_was_printed(lines: list[bytes], limit: int) -> None:
    early, late = kept(lines, limit)
    printed = sum(map(len, lines)) + len(lines)
    if printed <= limit:
        assert early + late == lines
        return
    omitted = OMITTED.match(late[0])
    assert omitted is not None
    begin, end = b"\n".join(early), b"\n".join(late[1:])
    assert b"\n".join(lines).startswith(begin)
    assert b"\n".join(lines).endswith(end)
    assert sum(map(len, early + late[1:])) + int(omitted[1]) == sum(map(len, lines))
    assert len(begin) + len(end) <= limit
