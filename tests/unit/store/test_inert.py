"""What pickles hold is read, and nothing that they name is run."""

from __future__ import annotations

import io
import os
import pickle
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from metaflow.flow.frames import ForeachFrame, PicklableFrames
from metaflow.store.inert import Built, Limits, Named, Pairs, Piece, Stream, Text, Unreadable, read, to_python


def parsed(data: bytes, limits: Limits = Limits()) -> tuple[Any, bool]:  # noqa: B008
    return read(Text(data), limits)


PLAIN = [
    None,
    True,
    [False, 0, -1, 255, 65_535, -(2**31), 2**70, -(2**90), 1.5, float("inf")],
    ["", "é", "\ud800", "x" * 300, b"", b"\x00\xff", b"y" * 300],
    ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    {"a": {"b": [1, {"c": ()}]}, 1: 2, 1.5: None},
    list(range(3000)),
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", PLAIN, ids=[str(index) for index in range(len(PLAIN))])
def test_plain_values_are_what_they_are(value: Any, protocol: int) -> None:
    if (protocol == 0 and "\ud800" in str(value)) or (protocol < 3 and "\\x" in str(value)):
        return  # bytes and half characters are calls and escapes there
    found, is_whole = parsed(pickle.dumps(value, protocol))
    assert is_whole
    if protocol > 0:
        assert to_python(found) == value


def test_objects_are_described() -> None:
    with PicklableFrames():
        data = pickle.dumps([ForeachFrame("train", "models", 3, 1, "xgboost")], 5)
    found = parsed(data)[0][0]
    assert isinstance(found, Built)
    assert found.path == "__main__.ForeachFrame"
    assert found.arguments == ("train", "models", 3, 1, "xgboost")


class Raising:
    """What a test would notice if it were run."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.parts = (call, arguments)

    def __reduce__(self) -> Any:
        return self.parts


def _nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return b"\x80\x05" + opening * depth + b"N" + closing * depth + b"."


def _laughs() -> bytes:
    """Ten lists in a list, thirty times: 10^30 members if they are written out."""
    layers = b"".join(b"](" + b"h%c" % index * 10 + b"eq%c" % (index + 1) for index in range(30))
    return b"\x80\x05]q\x00" + layers + b"."


HOSTILE = {
    "system": pickle.dumps(Raising(os.system, "touch /tmp/millrace-was-run")),
    "eval": pickle.dumps({"a": [Raising(eval, "1/0")]}),
    "exit": pickle.dumps(Raising(os._exit, 3)),
    "keyword call": b"\x80\x05cos\nsystem\n)}\x92.",
    "old instance": b"(S'ls'\nios\nsystem\n.",
    "old object": b"\x80\x02(cos\nsystem\nU\x02lso.",
    "state of a name": b"\x80\x05cbuiltins\nobject\n}b.",
    "deep lists": _nested(b"](", b"e", 40_000),
    "deep tuples": _nested(b"", b"\x85", 90_000),
    "deep tuples as keys": _nested(b"", b"\x85", 45_000)[:-1] + b"}2Ns.",
    "laughs": _laughs(),
    "itself": b"\x80\x05]q\x00h\x00a.",
    "many marks": b"\x80\x05" + b"(" * 99_000 + b"t" * 900,
    "duplicates": b"\x80\x05N" + b"2" * 200_000 + b".",
    "far memo": b"\x80\x05Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.",
    "big string that is not there": b"\x80\x05\x8d" + struct.pack("<Q", 1 << 60) + b"abc.",
    "negative string": b"\x80\x05T" + struct.pack("<i", -5) + b".",
    "big number": b"\x80\x05\x8b" + struct.pack("<i", 1 << 30) + b"\x01.",
    "long number": b"L" + b"9" * 60_000 + b"L\n.",
    "endless line": b"V" + b"x" * 1_000_000,
    "persistent": b"\x80\x05\x8c\x01aQ.",
    "buffer": b"\x80\x05\x97\x98.",
    "extension": b"\x80\x05\x82\x01.",
    "nothing": b"",
    "stop": b".",
    "text": b"hello, world",
    "half": pickle.dumps(list(range(1000)))[:-200],
    "empty pops": b"\x80\x0501ah\x00.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_run_nothing_and_end_soon(name: str) -> None:
    begin = time.process_time()
    try:
        found, _ = parsed(HOSTILE[name])
        to_python(found)
    except Unreadable:
        pass
    assert time.process_time() - begin < 2
    assert not os.path.exists("/tmp/millrace-was-run")


def test_what_would_be_called_is_named() -> None:
    found, _ = parsed(HOSTILE["system"])
    assert isinstance(found, Built)
    assert isinstance(found.maker, Named)
    assert found.maker.name == "system"
    assert found.arguments == ("touch /tmp/millrace-was-run",)


def test_of_a_large_value_the_beginning_is_returned() -> None:
    found, is_whole = parsed(pickle.dumps(list(range(100_000))), Limits(operations=5_000))
    assert not is_whole
    assert found[:1000] == list(range(1000))
    found, is_whole = parsed(
        pickle.dumps([b"x" * 10_000] * 1 + [bytes(9_999 + i) for i in range(9)]), Limits(kept=20_000)
    )
    assert (len(found), is_whole) == (0, False)


def test_of_a_long_string_the_beginning_is_kept() -> None:
    found, is_whole = parsed(pickle.dumps(("é" * 100_000, 7)))
    assert isinstance(found[0], Piece)
    assert (found[0].size, found[1], is_whole) == (200_000, 7, False)


class Counted(io.BytesIO):
    skipped = 0

    def skip(self, size: int) -> None:
        self.skipped += size
        self.seek(size, io.SEEK_CUR)


def test_a_stream_is_passed_over_rather_than_read() -> None:
    stream = Counted(pickle.dumps({"a": bytes(10_000_000), "b": 1}))
    found, _ = read(Stream(stream, 1 << 18, 1 << 30))
    assert isinstance(found, Pairs)
    assert found.get("b") == 1
    assert stream.skipped > 9_000_000


def test_a_stream_that_costs_too_much_is_not_read_to_its_end() -> None:
    stream = Counted(pickle.dumps([1, bytes(10_000_000), 2]))
    assert read(Stream(stream, 1 << 18, 1 << 20)) == ([], False)
