"""Python objects to bytes and back: pickle, protocol 5, streamed.

Written with protocol 5 a big array goes to the blob writer as the memory it is, not as a copy. Reading maps the class
paths that Metaflow's pickles contain to ours. When an object refuses, `explain` finds the member that does.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from metaflow.exception import (
    MetaflowDataMissing,
    StorageUnavailable,
    TimeoutException,
    UnpicklableArtifact,
    repr_of,
    text_of,
)

if TYPE_CHECKING:
    from metaflow.store.blobs import BlobReader, BlobWriter, Sha1

ENCODING = "pickle-v4"
"""What the index calls this form: the name under which Metaflow reads pickles of any protocol."""

_PROTOCOL = 5
_NEVER_AT_FAULT = frozenset({bool, bytes, complex, float, int, str, type(None)})
_CLASSES: dict[tuple[str, str], tuple[str, str]] = {
    # The original defines this tuple in whatever module is the main program.
    ("__main__", "ForeachFrame"): ("metaflow.flow.frames", "ForeachFrame"),
}


def dump(value: Any, writer: BlobWriter | Sha1) -> None:
    """Pickle `value` into `writer`."""
    pickle.Pickler(cast(BinaryIO, writer), _PROTOCOL).dump(value)


def dumps(value: Any) -> bytes:
    """Pickle a small `value`."""
    return pickle.dumps(value, _PROTOCOL)


def loads(data: bytes, name: str) -> Any:
    """Unpickle `data`; `name` is for the error."""
    return _load(io.BytesIO(data), name)


def load(reader: BlobReader, name: str) -> Any:
    """Unpickle from a blob that is being read, and check its hash."""
    try:
        value = _load(cast(BinaryIO, reader), name)
    except (StorageUnavailable, TimeoutException):
        raise  # there is nothing more to read, or no time
    except Exception:
        reader.check()  # if the bytes are damaged, that is the error, not what pickle made of them
        raise
    reader.check()
    return value


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(*_CLASSES.get((module, name), (module, name)))


def _load(source: BinaryIO, name: str) -> Any:
    try:
        return _Unpickler(source).load()
    except (ImportError, AttributeError) as error:
        raise MetaflowDataMissing(
            f"The artifact '{name}' cannot be loaded here: {text_of(error)}.",
            hint="the library or class it was created with must be importable where it is loaded",
        ) from error


def explain(name: str, value: Any, error: Exception) -> UnpicklableArtifact:
    """Return the error for an artifact that cannot be pickled, with the path to the deepest member at fault.

    Parameters
    ----------
    name : str
        Name of the artifact.
    value : object
        The artifact.
    error : Exception
        What pickle raised for it.
    """
    path, value, error = _culprit(f"self.{name}", value, error)
    kind = type(value).__qualname__
    if type(value).__module__ != "builtins":
        kind = f"{type(value).__module__}.{kind}"
    return UnpicklableArtifact(name, path, kind, text_of(error) or type(error).__name__)


def _culprit(path: str, value: Any, error: Exception) -> tuple[str, Any, Exception]:
    """Walk down to a value that refuses although none of its members does; return the way, the value, its refusal."""
    whole = path, value, error
    if isinstance(error, RecursionError):  # of what is too deep no single member is at fault
        return whole
    way = [(*whole, _members(value))]
    seen = {id(value): value}
    refusing, excused = {id(value)}, set()
    while way:
        path, value, error, members = way[-1]
        for step, member in members:
            if type(member) in _NEVER_AT_FAULT:
                continue
            if id(member) in seen:
                if id(member) in refusing:
                    excused.add(id(value))
                continue
            seen[id(member)] = member
            refusal = _refusal(member)
            if refusal is not None:
                refusing.add(id(member))
                excused.add(id(value))
                way.append((path + step, member, refusal, _members(member)))
                break
        else:
            if id(value) not in excused:
                return path, value, error
            way.pop()
    return whole


def _refusal(value: Any) -> Exception | None:
    try:
        pickle.Pickler(_Nowhere(), _PROTOCOL).dump(value)
    except Exception as error:  # noqa: BLE001 - whatever a __reduce__ raises
        return error
    return None


class _Nowhere:
    def write(self, data: Any) -> int:
        return len(data)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (type, FunctionType, ModuleType)):
        return  # pickled by name, or not at all
    if isinstance(value, dict):
        for key, member in value.items():
            yield f"[{repr_of(key)}]", member
    elif isinstance(value, (list, tuple)):
        for index, member in enumerate(value):
            yield f"[{index}]", member
    elif isinstance(value, (set, frozenset)):
        for member in value:
            yield "{…}", member
    for key, member in _state(value).items():
        yield f".{key}", member


def _state(value: Any) -> dict[str, Any]:
    """Return the attributes that pickle would save, those in slots included."""
    try:
        state = value.__getstate__()
    except Exception:  # noqa: BLE001 - the user's code
        return {}
    parts = state if isinstance(state, tuple) else (state,)
    return {key: member for part in parts if isinstance(part, dict) for key, member in part.items()}
