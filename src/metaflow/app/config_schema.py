"""Checking a config against a class: a dataclass, or a model of pydantic where that is installed.

The value stays a dictionary; the class says which keys it has, of which types, and fills in defaults. Types of a
dataclass that are not listed in `_conform` are taken as they are. Start reading at `conform`.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any


class SchemaMismatch(Exception):
    """A value does not fit; `path` has the keys and indices that lead to it."""

    def __init__(self, sentence: str, path: tuple[Any, ...] = ()) -> None:
        super().__init__(sentence)
        self.path = path


def is_schema(schema: Any) -> bool:
    """Tell whether `conform` knows what to do with it."""
    return isinstance(schema, type) and (dataclasses.is_dataclass(schema) or hasattr(schema, "model_validate"))


def conform(value: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """Return the value with the defaults of the schema.

    Parameters
    ----------
    value : mapping
        What was read.
    schema : type
        A dataclass or a pydantic model.

    Raises
    ------
    SchemaMismatch
        A key is missing, unknown or of another type, or the class refuses the value.
    """
    if not hasattr(schema, "model_validate"):
        return dataclasses.asdict(_conform(value, schema, ()))
    try:
        dumped: dict[str, Any] = schema.model_validate(dict(value)).model_dump()
    except ValueError as error:
        first: dict[str, Any] = error.errors()[0] if hasattr(error, "errors") else {"msg": str(error), "loc": ()}
        raise SchemaMismatch(first["msg"], tuple(first["loc"])) from None
    return dumped


def _conform(value: Any, kind: Any, path: tuple[Any, ...]) -> Any:
    """Return the value as the type wants it, made anew where the type has parts."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _instance(value, kind, path)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _one_of(value, arguments, path)
    if origin is typing.Literal:
        if value not in arguments:
            raise SchemaMismatch(f"{value!r} is none of {', '.join(repr(each) for each in arguments)}", path)
        return value
    if origin is typing.Annotated:
        return _conform(value, arguments[0], path)
    if origin in (list, tuple, set, frozenset) and arguments:
        _expect(value, (list, tuple), "a list", path)
        return [_conform(each, arguments[0], (*path, index)) for index, each in enumerate(value)]
    if origin in (dict, Mapping) and arguments:
        _expect(value, Mapping, "a dictionary", path)
        return {key: _conform(each, arguments[1], (*path, key)) for key, each in value.items()}
    if kind in (list, tuple):
        _expect(value, (list, tuple), "a list", path)
    elif kind is float:
        _expect(value, (int, float), "a number", path, not_bool=True)
        return float(value)
    elif kind in (int, str, bool, dict, type(None)):
        names = {int: "an integer", str: "a text", bool: "true or false", dict: "a dictionary", type(None): "null"}
        _expect(value, kind, names[kind], path, not_bool=kind is int)
    return value


def _instance(value: Any, kind: Any, path: tuple[Any, ...]) -> Any:
    _expect(value, Mapping, "a dictionary", path)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for key in value:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            known = f"did you mean '{near[0]}'?" if near else f"its keys: {', '.join(fields)}"
            raise SchemaMismatch(f"{kind.__name__} has no such key ({known})", (*path, key))
    hints = typing.get_type_hints(kind, include_extras=True)
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in value and not has_default:
            raise SchemaMismatch(f"{kind.__name__} needs this key", (*path, name))
    members = {name: _conform(each, hints[name], (*path, name)) for name, each in value.items()}
    try:
        return kind(**members)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever its __post_init__ refuses
        raise SchemaMismatch(f"{kind.__name__} refuses it: {type(error).__name__}: {error}", path) from None


def _one_of(value: Any, kinds: tuple[Any, ...], path: tuple[Any, ...]) -> Any:
    mismatches = []
    for kind in kinds:
        try:
            return _conform(value, kind, path)
        except SchemaMismatch as mismatch:
            mismatches.append(mismatch)
    raise max(mismatches, key=lambda mismatch: len(mismatch.path))


def _expect(value: Any, kinds: Any, wanted: str, path: tuple[Any, ...], *, not_bool: bool = False) -> None:
    if not isinstance(value, kinds) or (not_bool and isinstance(value, bool)):
        raise SchemaMismatch(f"{value!r} is not {wanted}", path)
