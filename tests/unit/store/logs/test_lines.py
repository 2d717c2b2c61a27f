"""The form of log lines."""

from __future__ import annotations

from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from metaflow.store.logs.lines import Line, format_line, merge, parse

LINES = st.lists(st.binary().map(lambda text: text.replace(b"\n", b"")))
TIMES = st.floats(0, 4e9, allow_nan=False)


def texts(lines: list[Line]) -> list[bytes]:
    return [line.text for line in lines]


def stamped(text: str, second: int, ident: str = "", source: str = "runtime") -> bytes:
    return f"[MFLOG|0|2026-01-01T00:00:{second:02}Z|{source}|{ident}]{text}\n".encode()


def test_the_form_of_a_line() -> None:
    assert format_line(b"hello", 1574995419.689123, "8a8f") == (
        b"[MFLOG|0|2019-11-29T02:43:39.689123Z|runtime|8a8f]hello\n"
    )
    assert format_line(b"", 1574995419, "") == b"[MFLOG|0|2019-11-29T02:43:39.000000Z|runtime|]\n"


@given(LINES, TIMES)
def test_what_was_formatted_is_read_back(lines: list[bytes], now: float) -> None:
    data = b"".join(format_line(text, now, f"id-{number}") for number, text in enumerate(lines))
    parsed = list(parse(data))
    assert texts(parsed) == lines
    assert [line.ident for line in parsed] == [f"id-{number}".encode() for number in range(len(lines))]
    for line in parsed:
        assert line.time is not None
        assert abs(line.time.replace(tzinfo=UTC).timestamp() - now) < 1e-5


@given(st.binary())
def test_no_byte_is_lost_in_what_has_no_prefix(data: bytes) -> None:
    lines = list(parse(data))
    assert b"\n".join(line.text for line in lines) == data.removesuffix(b"\n")
    assert all(line.time is None for line in lines)


def test_lines_without_prefix_take_the_time_of_their_neighbour() -> None:
    quoted = b"x [MFLOG|0|2026-01-01T00:00:01Z|runtime|x]"
    lines = list(parse(quoted + b"\n" + stamped("a", 5) + b"second\n" + stamped("b", 7)))
    assert texts(lines) == [quoted, b"a", b"second", b"b"]
    assert [line.time.second for line in lines if line.time] == [5, 5, 5, 7]


def test_of_a_line_that_was_cut_its_stamp_is_not_shown() -> None:
    whole = stamped("a", 5) + stamped("b", 7)
    begin = len(stamped("a", 5))
    for cut in range(begin, len(whole) + 1):
        lines = texts(list(parse(whole[:cut])))
        assert lines in ([b"a"], [b"a", b""], [b"a", b"b"])
        assert texts(list(parse(whole[:cut] + b"\n" * (cut > begin) + stamped("c", 8))))[-1] == b"c"
    assert texts(list(parse(stamped("a", 5) + b"[MFLOG|0|2026-" + stamped("c", 8)))) == [b"a", b"c"]


def test_prefixes_that_are_none() -> None:
    data = b"[MFLOG|1|2026-01-01T00:00:00Z|runtime|x]a\n[MFLOG|0|2026-13-01T00:00:00Z|runtime|x]b"
    assert [line.time for line in parse(data)] == [None, None]
    assert texts(list(parse(data))) == [data.split(b"\n")[0], b"b"]


def test_a_carriage_return_belongs_to_the_text() -> None:
    assert texts(list(parse(stamped("10 %\r20 %\r", 1)))) == [b"10 %\r20 %\r"]


def test_files_of_one_stream_are_merged_by_time() -> None:
    one = stamped("a", 1, "1") + stamped("c", 3, "3") + stamped("c again", 3, "4")
    two = stamped("b", 2, "1", "task") + stamped("c", 3, "3", "task") + stamped("d", 4, "5", "task")
    assert texts(merge([one, two])) == [b"a", b"b", b"c", b"c again", b"d"]
    assert merge([b"", b""]) == []
