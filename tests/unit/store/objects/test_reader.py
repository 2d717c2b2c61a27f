"""Big objects as files: parts, in order, ahead of the reader."""

from __future__ import annotations

import io
import pickle

from hypothesis import given
from hypothesis import strategies as st

from metaflow.store.objects.reader import Part, RangedFile

CONTENT = bytes(range(256)) * 4


def opened(content: bytes, part: int, ahead: int = 3) -> RangedFile:
    view = memoryview(content)
    first = Part(view[:part], len(content), '"tag"', b"noted")
    return RangedFile(first, part, lambda start, end: view[start:end], ahead)


@given(
    st.integers(0, 1000),
    st.integers(1, 300),
    st.lists(st.tuples(st.sampled_from(["read", "readinto", "seek"]), st.integers(0, 1100))),
)
def test_reading_is_like_reading_a_file(size: int, part: int, calls: list[tuple[str, int]]) -> None:
    content = CONTENT[:size]
    file, model = opened(content, part), io.BytesIO(content)
    for verb, number in calls:
        if verb == "read":
            assert file.read(number) == model.read(number)
        elif verb == "seek":
            file.seek(number)
            model.seek(min(number, size))
        else:
            buffer = bytearray(number)
            count = file.readinto(buffer)
            assert bytes(buffer[:count]) == model.read(count)
            assert count or not number or model.read(1) == b""
    assert file.read() == model.read()
    assert file.attributes == b"noted"
    file.close()
    assert file.read() == b""


def test_a_part_can_be_sent_to_another_process() -> None:
    part = Part(memoryview(b"abc"), 10, None, b"noted")
    assert pickle.loads(pickle.dumps(part)) == part
