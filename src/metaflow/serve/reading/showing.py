"""What `metaflow.store.inert` has read of a pickle, as text for a page: bounded in width, depth and length. Pure.

Objects that were not made are shown as the call that would make them. What is known of some libraries' pickles tells
more: the shape of an array or a data frame, a date. Start reading at `show`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from math import isfinite, prod
from typing import Any, NamedTuple

from metaflow.store.inert import Built, Members, Named, Pairs, Piece

_DEEPEST = 12
_MEMBERS = 200
_LINE = 160
_LONGEST_INTEGER = 4000
"""Bits of a number that is written out."""
_NUMPY_TYPES = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
_ARRAYS = ("_frombuffer", "_reconstruct")
_CELLS = 12
_NOT_THAT = (TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError, StopIteration)


class Shown(NamedTuple):
    """A value as text.

    Attributes
    ----------
    summary : str
        One line.
    text : str or None
        Several lines; None if there is nothing to show but what the summary says.
    is_cut : bool
        Whether a part was left out.
    """

    summary: str
    text: str | None
    is_cut: bool


def show(value: Any, *, is_whole: bool, longest: int = 1 << 16) -> Shown:
    """Return a value that `metaflow.store.inert.read` has returned as text.

    Parameters
    ----------
    value : object
        What was read.
    is_whole : bool
        Whether that was all.
    longest : int
        Characters of the text.
    """
    known = _describe(value)
    if known is not None:
        return Shown(known, None, False)
    line, page = _Writer(_LINE, is_flat=True), _Writer(longest)
    line.write(value, 0)
    page.write(value, 0)
    summary, text = "".join(line.parts), "".join(page.parts).replace(", \n", ",\n")
    is_cut = not is_whole or page.is_cut
    if isinstance(value, (str, Piece)):
        content = value if isinstance(value, str) else value.beginning
        text = content[:longest] if isinstance(content, str) else text
        return Shown(summary, text if is_cut or "\n" in text or line.is_cut else None, is_cut or len(content) > longest)
    return Shown(summary, text if text != summary else None, is_cut)


class _Writer:
    """Writes a value, and stops when there is no more room."""

    def __init__(self, longest: int, *, is_flat: bool = False) -> None:
        self.parts: list[str] = []
        self._left = longest
        self._is_flat = is_flat
        self.is_cut = False

    def write(self, value: Any, depth: int) -> None:
        known = _describe(value) if depth else None
        if known is not None:
            self._add(f"<{known}>")
        elif isinstance(value, (list, tuple, Pairs, Members)):
            if depth > _DEEPEST:
                self._add("…")
                self.is_cut = True
            else:
                self._collection(value, depth)
        elif isinstance(value, Built):
            self._built(value, depth)
        else:
            self._add(_scalar(value, self._left))

    def _add(self, text: str) -> None:
        if self._left <= 0:
            self.is_cut = True
            return
        if len(text) > self._left:
            text, self.is_cut = f"{text[: self._left]}…", True
        self._left -= len(text)
        self.parts.append(text)

    def _collection(self, value: Any, depth: int) -> None:
        opening, closing = _brackets(value)
        items = value if isinstance(value, (list, tuple)) else value.items
        single = isinstance(value, tuple) and len(value) == 1
        self._add(opening)
        self._members(items, depth, is_pairs=isinstance(value, Pairs))
        self._add(f",{closing}" if single else closing)

    def _members(self, items: Iterable[Any], depth: int, *, is_pairs: bool) -> None:
        items = list(items)
        is_long = not self._is_flat and ((len(items) > 1 and any(not _is_scalar(item) for item in items)) or is_pairs)
        before, between = (f"\n{'    ' * (depth + 1)}", ",") if is_long else ("", ", ")
        for number, item in enumerate(items):
            if self._left <= 0 or number == _MEMBERS:
                self._add(f"{between if number else ''}{before}… ({len(items):,} in all)")
                self.is_cut = True
                break
            self._add(f"{between if number else ''}{before}")
            if is_pairs and isinstance(item, tuple) and len(item) == 2:
                self.write(item[0], depth + 1)
                self._add(": ")
                self.write(item[1], depth + 1)
            else:
                self.write(item, depth + 1)
        if is_long and items:
            self._add(f"\n{'    ' * depth}")

    def _built(self, value: Built, depth: int) -> None:
        if depth > _DEEPEST:
            self._add("…")
            self.is_cut = True
            return
        maker, arguments = _call_of(value)
        self._add(maker)
        self._add("(")
        self._members(arguments, depth, is_pairs=False)
        state = _attributes(value.state)
        if state:
            self._add("," if arguments else "")
            self._members(state, depth, is_pairs=True)
        if value.items:
            self._add(", " if arguments or state else "")
            self._members(value.items, depth, is_pairs=all(isinstance(each, tuple) for each in value.items[:1]))
        self._add(")")


def _call_of(value: Built) -> tuple[str, list[Any]]:
    """Return the name of what would be called and its arguments, without the detours of `copyreg`."""
    arguments = list(value.arguments) if isinstance(value.arguments, (list, tuple)) else []
    path = value.path
    if path in ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__") and arguments:
        kind = arguments[0]
        return (kind.path if isinstance(kind, Named) else "object"), []
    return path or "object", arguments


def _attributes(state: Any) -> list[tuple[Any, Any]]:
    if isinstance(state, tuple) and len(state) == 2 and any(isinstance(part, Pairs) for part in state):
        return [pair for part in state if isinstance(part, Pairs) for pair in part.items]
    if isinstance(state, Pairs):
        return state.items
    return [] if state is None else [("state", state)]


def _brackets(value: Any) -> tuple[str, str]:
    if isinstance(value, list):
        return "[", "]"
    if isinstance(value, tuple):
        return "(", ")"
    if isinstance(value, Members):
        if not value.items:
            return ("frozenset(" if value.is_frozen else "set("), ")"
        return ("frozenset({", "})") if value.is_frozen else ("{", "}")
    return "{", "}"


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str, bytes))


def _scalar(value: Any, longest: int) -> str:
    if isinstance(value, Piece):
        beginning = value.beginning[: max(0, longest - 40)]
        return f"{beginning!r}… ({value.size:,} bytes in all)"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > _LONGEST_INTEGER:
        return f"<integer of {value.bit_length():,} bits>"
    if isinstance(value, (str, bytes)):
        return repr(value[: longest + 1])
    if isinstance(value, Named):
        return value.path
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    return "…"


# --- what is known of some pickles -----------------------------------------------------------------------------------


def _describe(value: Any) -> str | None:
    """Return what an object of a known library is, in a few words; None if it is no such object."""
    if not isinstance(value, Built):
        return None
    try:
        for describe in (_array, _number, _frame, _moment):
            known = describe(value)
            if known is not None:
                return known[:500]
    except _NOT_THAT:
        pass  # it only looks like one
    return None


def _numpy(path: str, *names: str) -> bool:
    return path.startswith("numpy.") and path.rpartition(".")[2] in names


def _array(value: Built) -> str | None:
    path, arguments = value.path, value.arguments
    if _numpy(path, "_frombuffer"):
        _, kind, shape, *_ = arguments
    elif _numpy(path, "_reconstruct") and isinstance(value.state, tuple):
        _, shape, kind, *_ = value.state
    else:
        return None
    if not isinstance(shape, tuple) or not all(type(size) is int for size in shape):
        return None
    return f"{_dtype(kind)} array of shape ({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _dtype(value: Any) -> str:
    if not isinstance(value, Built) or not isinstance(value.arguments, tuple):
        return "unknown"
    code = value.arguments[0]
    if isinstance(code, Named):
        return code.name
    kind, size = str(code)[:1], str(code)[1:]
    if kind in _NUMPY_TYPES and size.isdecimal():
        return "bool" if kind == "b" else f"{_NUMPY_TYPES[kind]}{8 * int(size)}"
    return {"O": "object", "U": "string", "S": "bytes", "M": "datetime64", "m": "timedelta64", "V": "record"}.get(
        kind, str(code)[:40]
    )


def _number(value: Built) -> str | None:
    """Describe a scalar of numpy."""
    if not _numpy(value.path, "scalar"):
        return None
    kind, data = value.arguments
    name = _dtype(kind)
    if isinstance(data, bytes):
        import struct

        form = {"bool": "?", "float16": "e", "float32": "f", "float64": "d"}.get(name)
        order = ">" if isinstance(kind.state, tuple) and len(kind.state) > 1 and kind.state[1] == ">" else "<"
        if form is not None:
            return f"{name} {struct.unpack(order + form, data)[0]!r}"
        if name.startswith(("int", "uint")):
            number = int.from_bytes(data, "big" if order == ">" else "little", signed=name.startswith("int"))
            return f"{name} {number}"
    return f"{name} scalar"


def _frame(value: Built) -> str | None:
    """Describe a data frame or a series of pandas by the axes of its blocks."""
    path, arguments = _call_of(value)
    kind = arguments[0].path if arguments and isinstance(arguments[0], Named) else path
    name = kind.rpartition(".")[2]
    if not kind.startswith("pandas.") or name not in ("DataFrame", "Series") or not isinstance(value.state, Pairs):
        return None
    try:
        columns, *rest = _axes(value.state.get("_mgr") or value.state.get("_data"))
        if name == "Series":
            return f"pandas Series of {_count(_length(columns), 'row')}"
        size = f"pandas DataFrame of {_count(_length(rest[0]), 'row')} and {_count(_length(columns), 'column')}"
        labels = _labels(columns)
    except _NOT_THAT:
        return f"pandas {name}"  # of a version whose pickles look otherwise
    names = [_scalar(each, 40).strip("'") for each in labels[:_CELLS]]
    return size + (f": {', '.join(names)}{', …' if len(labels) > _CELLS else ''}" if names else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _axes(manager: Any) -> list[Any]:
    parts = (manager.arguments, manager.state)
    for each in (*parts, *(member for part in parts for member in _several(part))):
        if isinstance(each, (list, tuple)) and each and all(_is_index(axis) for axis in each):
            return list(each)
    raise ValueError("no axes")


def _several(value: Any) -> Iterator[Any]:
    return iter(value) if isinstance(value, (list, tuple)) else iter(())


def _is_index(value: Any) -> bool:
    return isinstance(value, Built) and value.path.startswith("pandas.") and "_new_" in value.path


def _length(index: Any) -> int:
    _, state = index.arguments
    if state.get("stop") is not None:
        start, stop, step = (state.get(name) for name in ("start", "stop", "step"))
        return len(range(start or 0, stop, step or 1))
    data = _data(state)
    if isinstance(data, list):
        return len(data)
    return prod(data.arguments[2] if _numpy(data.path, "_frombuffer") else data.state[1])


def _labels(index: Any) -> list[Any]:
    data = _data(index.arguments[1])
    members = data.state[4] if isinstance(data, Built) and isinstance(data.state, tuple) else data
    return members if isinstance(members, list) else []


def _data(state: Any) -> Any:
    """Return the list or the array of numpy that an index is made of."""
    data = state.get("data")
    if isinstance(data, Built) and not data.path.startswith("numpy."):
        return next(part for part in _several(data.state) if isinstance(part, Built) and _numpy(part.path, *_ARRAYS))
    return data


def _moment(value: Built) -> str | None:
    """Describe a date, a time or a length of time of the standard library."""
    kinds = {"datetime.datetime": datetime, "datetime.date": date, "datetime.time": time}
    path, arguments = value.path, value.arguments
    if path in kinds and isinstance(arguments, tuple) and arguments and isinstance(arguments[0], bytes):
        made = kinds[path](arguments[0])
        zone = " (with a time zone)" if len(arguments) > 1 else ""
        return f"{made.isoformat(' ') if isinstance(made, datetime) else made.isoformat()}{zone}"
    if path == "datetime.timedelta" and all(type(each) is int for each in arguments):
        return str(timedelta(*arguments))
    if path == "complex" and all(isinstance(each, float) and isfinite(each) for each in arguments):
        return str(complex(*arguments))
    return None
