"""A pipe, cut into lines."""

from __future__ import annotations

import os

from metaflow.store.logs.pipe import LineReader


def test_a_long_line_is_one_line() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    reader = LineReader(read_end)
    for _ in range(60):
        os.write(write_end, b"x" * 50_000)
        assert reader.read()
        assert reader.take() == []
    os.write(write_end, b"y\nlast")
    os.close(write_end)
    while reader.read():
        pass
    assert reader.take() == [b"x" * 3_000_000 + b"y"]
    assert reader.take(rest=True) == [b"last"]
    reader.close()
