"""Pickles read without running them: plain values as they are, everything else as a description of itself.

`pickle` calls whatever a pickle names. A server that shows artifacts of others must not, so here the opcodes are
interpreted with containers of our own, and what they would call is only written down (`Built`). Nothing is imported,
hashed, compared or looked up; every loop is bounded by the bytes that are read and by `Limits`. A value that is larger
than its limits is returned as far as it has come.

After the description of the opcodes in CPython's `pickletools`. Start reading at `read`; `to_python` is for what is
known to be plain.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

_PIECE = 1 << 16
"""Bytes of one string that are kept."""
_DEEPEST = 50


class Source(Protocol):
    """Where a pickle is read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, fewer at the end."""

    def readline(self) -> bytes:
        """Return the next bytes up to a newline."""

    def skip(self, size: int, /) -> None:
        """Pass over bytes."""


class Limits(NamedTuple):
    """What a pickle may cost.

    Attributes
    ----------
    operations : int
        Opcodes that are looked at.
    kept : int
        Bytes of strings that are kept in all.
    """

    operations: int = 100_000
    kept: int = 1 << 20


LIMITS = Limits()


class Unreadable(ValueError):
    """It is no pickle, or a damaged one."""


class Named:
    """A class or function that a pickle names."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    @property
    def path(self) -> str:
        """The name with its module, unless that is Python's own."""
        return self.name if self.module in ("builtins", "__builtin__") else f"{self.module}.{self.name}"


class Built:
    """An object that a pickle would make by calling something.

    Attributes
    ----------
    maker : object
        What would be called, mostly a `Named`.
    arguments : object
        What with, mostly a tuple.
    state : object
        What its attributes would be; None if nothing is said.
    items : list
        What would be added to it: members, or pairs.
    """

    __slots__ = ("arguments", "items", "maker", "state")

    def __init__(self, maker: Any, arguments: Any) -> None:
        self.maker = maker
        self.arguments = arguments
        self.state: Any = None
        self.items: list[Any] = []

    @property
    def path(self) -> str:
        """Name of the class or function with its module; empty if it is no name."""
        return self.maker.path if isinstance(self.maker, Named) else ""


class Pairs:
    """A dictionary: its keys may be anything, and are not hashed."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[tuple[Any, Any]] = []

    def get(self, name: str) -> Any:
        """Return the value under a string; None if there is none."""
        return next((value for key, value in self.items if type(key) is str and key == name), None)


class Members:
    """A set."""

    __slots__ = ("is_frozen", "items")

    def __init__(self, items: list[Any], *, is_frozen: bool) -> None:
        self.items = items
        self.is_frozen = is_frozen


class Piece:
    """The beginning of a string or of bytes of which only that was read; `size` is in bytes."""

    __slots__ = ("beginning", "size")

    def __init__(self, beginning: str | bytes, size: int) -> None:
        self.beginning = beginning
        self.size = size


class _Mark:
    pass


_MARK = _Mark()


class _Enough(Exception):
    pass


def read(source: Source, limits: Limits = LIMITS) -> tuple[Any, bool]:
    """Return what a pickle holds, and whether that is all of it.

    Returns
    -------
    tuple of (object, bool)
        None, bool, int, float, str, bytes, list and tuple are what they are; dictionaries are `Pairs`, sets `Members`,
        long strings `Piece`, everything else `Named` or `Built`. They may contain themselves.

    Raises
    ------
    Unreadable
        It is no pickle, or a damaged one.
    """
    machine = _Machine(source, limits)
    try:
        return machine.run(), machine.is_whole
    except _Enough:
        stack = [each for each in machine.stack if each is not _MARK]
        if not stack:
            raise Unreadable("its beginning is too large") from None
        return stack[0], False
    except Unreadable:
        raise
    except (struct.error, IndexError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise Unreadable(f"it is damaged ({type(error).__name__}: {error})") from error


class _Machine:
    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._operations = limits.operations
        self._left = limits.kept
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.is_whole = True

    def run(self) -> Any:
        read = self._source.read
        for _ in range(self._operations):
            code = read(1)
            if code == b".":
                return self.stack.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise Unreadable("it is no pickle" if code else "it is truncated")
            operation(self)
        raise _Enough

    # --- arguments --------------------------------------------------------------------------------------------------

    def number(self, form: str) -> Any:
        size = struct.calcsize(form)
        return struct.unpack(form, self.exactly(size))[0]

    def exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) != size:
            raise Unreadable("it is truncated")
        return data

    def line(self) -> str:
        line = self._source.readline()
        if not line.endswith(b"\n") or len(line) > _PIECE:
            raise Unreadable("a line has no end")
        return line[:-1].decode("utf-8", "replace")

    def string(self, form: str, *, is_text: bool) -> None:
        size = self.number(form)
        if size < 0:
            raise Unreadable("a size is negative")
        kept = min(size, _PIECE)
        self._left -= kept
        if self._left < 0:
            raise _Enough
        data = self.exactly(kept)
        if size > kept:
            self._source.skip(size - kept)
            self.is_whole = False
        value: str | bytes = data.decode("utf-8", "replace" if size > kept else "surrogatepass") if is_text else data
        self.stack.append(Piece(value, size) if size > kept else value)

    def integer(self, form: str) -> None:
        size = self.number(form)
        if size > _PIECE or size < 0:
            raise Unreadable("a number is too large")
        self.stack.append(int.from_bytes(self.exactly(size), "little", signed=True))

    def after_mark(self) -> list[Any]:
        stack = self.stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is _MARK:
                items = stack[index + 1 :]
                del stack[index:]
                return items
        raise Unreadable("a mark is missing")

    # --- what the opcodes do ----------------------------------------------------------------------------------------

    def memoize(self, number: int) -> None:
        self._memo[number] = self.stack[-1]

    def put_next(self) -> None:
        self.memoize(len(self._memo))

    def get(self, number: int) -> None:
        self.stack.append(self._memo[number])

    def tuple_of(self, count: int) -> None:
        items = tuple(self.stack[-count:]) if count else ()
        if len(items) != count:
            raise Unreadable("the stack is empty")
        if count:
            del self.stack[-count:]
        self.stack.append(items)

    def named(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise Unreadable("a name is no string")
        self.stack.append(Named(module, name))

    def by_lines(self) -> None:
        self.stack.append(Named(self.line(), self.line()))

    def call(self) -> None:
        arguments, maker = self.stack.pop(), self.stack.pop()
        self.stack.append(Built(maker, arguments))

    def call_with_keywords(self) -> None:
        keywords, arguments, maker = self.stack.pop(), self.stack.pop(), self.stack.pop()
        built = Built(maker, arguments)
        built.state = keywords
        self.stack.append(built)

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Built):
            target.state = state

    def object_after_mark(self) -> None:
        items = self.after_mark()
        self.stack.append(Built(items[0], tuple(items[1:])))

    def instance(self) -> None:
        maker = Named(self.line(), self.line())
        self.stack.append(Built(maker, tuple(self.after_mark())))

    def extend(self, items: Sequence[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, (Members, Built)):
            target.items.extend(items)
        else:
            raise Unreadable("members are added to what has none")

    def set_items(self, items: Sequence[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, (Pairs, Built)):
            raise Unreadable("pairs are added to what has none")
        target.items.extend(_pairs(items))

    def dictionary(self) -> None:
        made = Pairs()
        made.items.extend(_pairs(self.after_mark()))
        self.stack.append(made)

    def persistent(self, ident: Any) -> None:
        self.stack.append(Built(Named("", "persistent_id"), (ident,)))


def _pairs(items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)


def _pushing(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(make(machine))


def _text_number(machine: _Machine) -> Any:
    text = machine.line()
    return {"00": False, "01": True}[text] if text in ("00", "01") else int(text.removesuffix("L"))


def _quoted(machine: _Machine) -> Any:
    text = machine.line()
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        raise Unreadable("a string has no quotes")
    return text[1:-1]


_OPERATIONS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": lambda machine: machine.exactly(1),  # PROTO
    b"\x95": lambda machine: machine.exactly(8),  # FRAME
    b"N": _pushing(lambda machine: None),
    b"\x88": _pushing(lambda machine: True),
    b"\x89": _pushing(lambda machine: False),
    b"J": _pushing(lambda machine: machine.number("<i")),
    b"K": _pushing(lambda machine: machine.number("<B")),
    b"M": _pushing(lambda machine: machine.number("<H")),
    b"G": _pushing(lambda machine: machine.number(">d")),
    b"I": _pushing(_text_number),
    b"L": _pushing(_text_number),
    b"F": _pushing(lambda machine: float(machine.line())),
    b"S": _pushing(_quoted),
    b"V": _pushing(lambda machine: machine.line()),
    b"\x8a": lambda machine: machine.integer("<B"),
    b"\x8b": lambda machine: machine.integer("<i"),
    b"\x8c": lambda machine: machine.string("<B", is_text=True),
    b"X": lambda machine: machine.string("<I", is_text=True),
    b"\x8d": lambda machine: machine.string("<Q", is_text=True),
    b"U": lambda machine: machine.string("<B", is_text=True),
    b"T": lambda machine: machine.string("<i", is_text=True),
    b"C": lambda machine: machine.string("<B", is_text=False),
    b"B": lambda machine: machine.string("<I", is_text=False),
    b"\x8e": lambda machine: machine.string("<Q", is_text=False),
    b"\x96": lambda machine: machine.string("<Q", is_text=False),
    b"]": _pushing(lambda machine: []),
    b"}": _pushing(lambda machine: Pairs()),
    b"\x8f": _pushing(lambda machine: Members([], is_frozen=False)),
    b"(": _pushing(lambda machine: _MARK),
    b")": lambda machine: machine.tuple_of(0),
    b"\x85": lambda machine: machine.tuple_of(1),
    b"\x86": lambda machine: machine.tuple_of(2),
    b"\x87": lambda machine: machine.tuple_of(3),
    b"t": _pushing(lambda machine: tuple(machine.after_mark())),
    b"l": _pushing(lambda machine: machine.after_mark()),
    b"d": lambda machine: machine.dictionary(),
    b"\x91": _pushing(lambda machine: Members(machine.after_mark(), is_frozen=True)),
    b"a": lambda machine: machine.extend([machine.stack.pop()]),
    b"e": lambda machine: machine.extend(machine.after_mark()),
    b"\x90": lambda machine: machine.extend(machine.after_mark()),
    b"s": lambda machine: machine.set_items([machine.stack.pop(), machine.stack.pop()][::-1]),
    b"u": lambda machine: machine.set_items(machine.after_mark()),
    b"0": lambda machine: machine.stack.pop(),
    b"1": lambda machine: machine.after_mark(),
    b"2": _pushing(lambda machine: machine.stack[-1]),
    b"\x94": lambda machine: machine.put_next(),
    b"p": lambda machine: machine.memoize(int(machine.line())),
    b"q": lambda machine: machine.memoize(machine.number("<B")),
    b"r": lambda machine: machine.memoize(machine.number("<I")),
    b"g": lambda machine: machine.get(int(machine.line())),
    b"h": lambda machine: machine.get(machine.number("<B")),
    b"j": lambda machine: machine.get(machine.number("<I")),
    b"c": lambda machine: machine.by_lines(),
    b"\x93": lambda machine: machine.named(),
    b"R": lambda machine: machine.call(),
    b"\x81": lambda machine: machine.call(),
    b"\x92": lambda machine: machine.call_with_keywords(),
    b"o": lambda machine: machine.object_after_mark(),
    b"i": lambda machine: machine.instance(),
    b"b": lambda machine: machine.build(),
    b"P": lambda machine: machine.persistent(machine.line()),
    b"Q": lambda machine: machine.persistent(machine.stack.pop()),
    b"\x97": _pushing(lambda machine: Built(Named("", "buffer"), ())),
    b"\x98": lambda machine: None,
    b"\x82": _pushing(lambda machine: Named("copyreg", f"extension {machine.number('<B')}")),
    b"\x83": _pushing(lambda machine: Named("copyreg", f"extension {machine.number('<H')}")),
    b"\x84": _pushing(lambda machine: Named("copyreg", f"extension {machine.number('<i')}")),
}


class Text:
    """Bytes in memory as a `Source`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        return data

    def readline(self) -> bytes:
        """Return the next line."""
        end = self._data.find(b"\n", self._at)
        return self.read((end + 1 if end >= 0 else len(self._data)) - self._at)

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        self._at += size


class Stream:
    """A stream as a `Source`, read in large parts, and no more of it than may be.

    Parameters
    ----------
    stream : object
        Has ``read(size)`` and ``skip(size)``.
    most : int
        Bytes that are read in all.
    most_skipped : int
        Bytes that are passed over in all.
    """

    def __init__(self, stream: Any, most: int, most_skipped: int) -> None:
        self._stream = stream
        self._left = most
        self._left_to_skip = most_skipped
        self._data = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        while len(self._data) - self._at < size and self._more():
            pass
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        return data

    def readline(self) -> bytes:
        """Return the next line, or the beginning of a very long one."""
        while (end := self._data.find(b"\n", self._at)) < 0 and len(self._data) - self._at <= _PIECE and self._more():
            pass
        return self.read((end + 1 if end >= 0 else len(self._data)) - self._at)

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        there = min(size, len(self._data) - self._at)
        self._at += there
        if size > there:
            self._left_to_skip -= size - there
            if self._left_to_skip < 0:
                raise _Enough
            self._stream.skip(size - there)

    def _more(self) -> bool:
        if self._left <= 0:
            raise _Enough
        more = self._stream.read(min(_PIECE, self._left))
        self._left -= len(more)
        self._data = self._data[self._at :] + more
        self._at = 0
        return bool(more)


def to_python(value: Any, most: int = 100_000) -> Any:
    """Return what `read` returned as Python's own values; objects that it only describes stay as they are.

    Parameters
    ----------
    value : object
        What was read.
    most : int
        Values in all; of a dictionary's keys only strings and numbers are taken.

    Raises
    ------
    Unreadable
        There are more of them, or they are nested too deeply.
    """
    left = iter(range(most))

    def convert(value: Any, depth: int) -> Any:
        if depth > _DEEPEST or next(left, None) is None:
            raise Unreadable("it is too large")
        if isinstance(value, (list, tuple)):
            return type(value)(convert(each, depth + 1) for each in value)
        if isinstance(value, Pairs):
            return {key: convert(each, depth + 1) for key, each in value.items if isinstance(key, (str, int, float))}
        if isinstance(value, Members):
            return [convert(each, depth + 1) for each in value.items]
        return value

    return convert(value, 0)
