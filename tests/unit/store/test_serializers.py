"""Pickles: round trips, the class paths of Metaflow's pickles, damage, and who is at fault when pickle refuses."""

from __future__ import annotations

import os
import pickle
import threading
from collections import OrderedDict, defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import BlobCorrupt, MetaflowDataMissing, UnpicklableArtifact
from metaflow.flow.frames import ForeachFrame
from metaflow.store import serializers
from metaflow.store.blobs import SPOOL_ABOVE, Blobs
from metaflow.store.local import LocalStorage

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(LocalStorage(str(tmp_path)), "F")


def save(blobs: Blobs, value: Any) -> str:
    writer = blobs.writer()
    serializers.dump(value, writer)
    return writer.finish()


def load(blobs: Blobs, key: str) -> Any:
    with blobs.open(key) as reader:
        return serializers.load(reader, "x")


# --- there and back --------------------------------------------------------------------------------------------------


@given(PLAIN)
def test_what_was_dumped_is_loaded(value: Any) -> None:
    data = serializers.dumps(value)
    assert serializers.loads(data, "x") == value
    assert pickle.loads(data) == value


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_pickles_of_any_protocol_are_read(value: Any, protocol: int) -> None:
    assert serializers.loads(pickle.dumps(value, protocol), "x") == value


def test_identity_within_a_value_survives(blobs: Blobs) -> None:
    shared = ["shared"]
    loop: list[Any] = [shared, shared]
    loop.append(loop)
    again = load(blobs, save(blobs, loop))
    assert again[0] is again[1]
    assert again[2] is again


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_big_pickles_of_any_protocol_are_read_as_a_stream(protocol: int, blobs: Blobs) -> None:
    value = {"text": "ü" * SPOOL_ABOVE, "bytes": bytes(range(256)) * 5000, "list": list(range(1000))}
    (key,) = blobs.save([pickle.dumps(value, protocol)])
    assert load(blobs, key) == value


def test_arrays_of_any_layout(blobs: Blobs) -> None:
    numpy = pytest.importorskip("numpy")
    square = numpy.arange(640_000, dtype=float).reshape(800, 800)
    arrays = {
        "C": square,
        "Fortran": numpy.asfortranarray(square),
        "strided": square[::3, ::2],
        "reversed": square[::-1],
        "read-only": numpy.broadcast_to(square[0], (800, 800)),
        "objects": numpy.array([None, "x", 1.5], dtype=object),
        "records": numpy.zeros(100_000, dtype=[("a", "i4"), ("b", "f8")]),
        "empty": numpy.zeros((0, 3)),
        "scalar": numpy.array(7),
    }
    for name, array in arrays.items():
        for value in (array, [array, "after", array[:1] if array.ndim else array]):
            again = load(blobs, save(blobs, value))
            numpy.testing.assert_array_equal(again if value is array else again[0], array, err_msg=name)
        if array.size > SPOOL_ABOVE // 8:
            assert load(blobs, save(blobs, array)).flags.writeable, name


def test_the_loop_frames_that_metaflow_pickles_are_ours() -> None:
    """Metaflow pickles them as a member of whatever was the main program."""
    values = pickle.dumps(("work", "items", 3, 1, "b"), 2)[2:-1]
    data = b"\x80\x02c__main__\nForeachFrame\n" + values + b"\x81."
    frame = serializers.loads(data, "_foreach_stack")
    assert frame == ForeachFrame("work", "items", 3, 1, "b")
    assert type(frame) is ForeachFrame


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "missing"),
    [(b"\x80\x02cno_such_module\nThing\n.", "no_such_module"), (b"\x80\x02cjson\nNoSuchClass\n.", "NoSuchClass")],
)
def test_a_class_that_is_not_here_is_named(data: bytes, missing: str) -> None:
    with pytest.raises(MetaflowDataMissing, match=missing) as caught:
        serializers.loads(data, "model")
    assert "'model'" in caught.value.message
    assert "importable" in str(caught.value.hint)


@pytest.mark.parametrize("value", [os.urandom(3 * SPOOL_ABOVE), ["text" * 10] * 200_000], ids=["raw", "gzip"])
@pytest.mark.parametrize("damage", ["cut", "flipped early", "flipped late", "empty", "class"])
def test_damage_is_said_before_anything_that_pickle_says(value: Any, damage: str, blobs: Blobs, tmp_path: Path) -> None:
    key = save(blobs, value)
    path = tmp_path / blobs.path(key)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "empty":
        data.clear()
    elif damage == "class":
        data[:] = b"\x80\x02cno_such_module\nThing\n."
    else:
        data[30 if damage == "flipped early" else -30] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BlobCorrupt) as caught:
        load(blobs, key)
    assert caught.value.key == key
    assert caught.value.path == str(path)


# --- what cannot be saved --------------------------------------------------------------------------------------------


class Box:
    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)


class Slots:
    __slots__ = ("content",)
    content: Any


class Filtered:
    """Leaves its lock out of its pickles."""

    def __init__(self, content: Any) -> None:
        self.lock = threading.Lock()
        self.content = content

    def __getstate__(self) -> dict[str, Any]:
        return {"content": self.content}


class Listing(list[Any]):
    note: Any


class Broken:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("no way")


def lock() -> Any:
    return threading.Lock()


def explained(value: Any) -> UnpicklableArtifact:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - pickle raises what it likes
        serializers.dumps(value)
    return serializers.explain("x", value, caught.value)


def in_slots(content: Any) -> Slots:
    slots = Slots()
    slots.content = content
    return slots


def with_note(note: Any) -> Listing:
    listing = Listing([1, 2])
    listing.note = note
    return listing


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (lock(), "self.x"),
        ([1, [2, lock()]], "self.x[1][1]"),
        ((1, (lock(),)), "self.x[1][0]"),
        ({"a": 1, "b": {"c": [0, lock()]}}, "self.x['b']['c'][1]"),
        ({1: {(2, 3): lock()}}, "self.x[1][(2, 3)]"),
        (OrderedDict(a=lock()), "self.x['a']"),
        (defaultdict(list, a=[lock()]), "self.x['a'][0]"),
        ({lock()}, "self.x{…}"),
        (Box(inner=Box(callbacks=[print, lock()])), "self.x.inner.callbacks[1]"),
        (in_slots([lock()]), "self.x.content[0]"),
        (Filtered([lock()]), "self.x.content[0]"),
        (with_note(lock()), "self.x.note"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_way_to_the_member_at_fault(value: Any, path: str) -> None:
    error = explained(value)
    assert error.path == path
    assert error.name == "x"
    assert f"{path} is a _thread.lock" in error.message
    assert "pickle" in error.message
    assert "del self.x" in str(error.hint)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (lambda: 0, "function"),
        ((number for number in range(0)), "generator"),
        (os, "module"),
        (Broken(), f"{__name__}.Broken"),
        (Listing, "type"),
    ],
    ids=["lambda", "generator", "module", "broken", "class"],
)
def test_the_kind_of_the_member_at_fault(value: Any, kind: str) -> None:
    if isinstance(value, type):
        value = type("Local", (value,), {})
    error = explained(["before", {"key": value}])
    assert error.path == "self.x[1]['key']"
    assert f"is a {kind} (" in error.message


def test_the_reason_is_that_of_the_member() -> None:
    assert "no way" in explained([lambda: 0, Broken()][::-1]).message
    assert explained([Broken()]).message.count("ZeroDivisionError") <= 1


def test_cycles_are_walked_once() -> None:
    loop: list[Any] = [1]
    box = Box(loop=loop)
    loop += [loop, box, {"back": loop, "lock": lock()}]
    assert explained(loop).path == "self.x[3]['lock']"


def test_what_only_fails_as_a_whole_is_the_whole() -> None:
    class Local:
        pass

    error = explained([Local()])
    assert error.path == "self.x[0]"
    assert "Local" in error.message


def test_a_value_that_is_too_deep_is_not_searched() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    error = explained(deep)
    assert error.path == "self.x"
    assert "recursion" in error.message
    while deep:  # taken apart by hand: the interpreter would recurse
        (deep,) = deep


def test_a_stream_that_is_no_pickle_is_no_damage() -> None:
    with pytest.raises(pickle.UnpicklingError):
        serializers.loads(b"hello", "x")
    assert pickle.load(BytesIO(serializers.dumps(1))) == 1
