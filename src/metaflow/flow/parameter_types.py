"""What the values of a parameter are: from text to value, from a default to a value, and the words for messages.

Pure functions on values; knows neither parameters nor the command line. Start reading at `kind_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from metaflow.exception import repr_of, text_of


class Kind(NamedTuple):
    """One kind of value.

    Attributes
    ----------
    metavar : str
        Placeholder for help texts, such as ``INTEGER``.
    expected : str
        What a value is, with article, such as ``an integer``.
    convert : callable
        Text to value. Raises ValueError with a reason, or with nothing to say.
    adopt : callable
        A default, written in the flow or returned by a function, to a value. Raises ValueError likewise.
    accepts : callable
        Whether a function may return this as the default.
    from_program : callable
        A value that a Python program gives, in a form that `convert` (of a text) or `adopt` takes. Raises ValueError if
        it is of another type.
    """

    metavar: str
    expected: str
    convert: Callable[[str], Any]
    adopt: Callable[[Any], Any]
    accepts: Callable[[Any], bool]
    from_program: Callable[[Any], Any] = lambda value: value


class JSONTypeClass:
    """The type of parameters that are given as JSON; use its only instance, `JSONType`.

    A value arrives in the flow decoded: as a list, a dict, a number, …
    """

    name = "JSON"

    def convert(self, value: Any, param: object = None, ctx: object = None) -> Any:
        """Decode a text; other values are returned as they are.

        Raises
        ------
        ValueError
            The text is not JSON.
        """
        return decode_json(value) if isinstance(value, str) else value

    def __repr__(self) -> str:
        return "JSON"


JSONType = JSONTypeClass()


def kind_of(declared: Any, default: Any) -> Kind | None:
    """Return the kind of a parameter's values, or None if `declared` is not a type.

    Parameters
    ----------
    declared : type, JSONType, callable or click type, optional
        ``type=`` of the parameter. An object with ``convert(value, param, ctx)`` counts as a click type.
    default : object
        Its default, which tells the type if `declared` is None; a function tells nothing, and means text.
    """
    if declared is None:
        declared = str if default is None or callable(default) else type(default)
    if declared is JSONTypeClass or isinstance(declared, JSONTypeClass):
        return _JSON
    if isinstance(declared, type):
        return _KINDS.get(declared) or _by_calling(declared)
    if hasattr(declared, "convert"):
        return _by_click(declared)
    return _by_calling(declared) if callable(declared) else None


def quoted(value: object) -> str:
    """Return `value` for a message: its repr, shortened."""
    text = repr_of(value)
    return text if len(text) <= 60 else f"{text[:50]}…{text[-5:]}"


def decode_json(text: str) -> Any:
    """Decode JSON.

    Raises
    ------
    ValueError
        With what is wrong, and where.
    """
    import json

    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"character {error.colno}" if error.lineno == 1 else f"line {error.lineno}, character {error.colno}"
        raise ValueError(f"{error.msg} at {where}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _keep(value: Any) -> Any:
    return value


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError from None


def _float(value: Any) -> float:
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError from None


_TRUTH = dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True) | dict.fromkeys(
    ("0", "false", "f", "no", "n", "off"), False
)


def _truth(value: Any) -> bool:
    if isinstance(value, (int, float)):
        return bool(value)
    try:
        return _TRUTH[value.strip().lower()]
    except (KeyError, AttributeError):
        raise ValueError from None


def _container(cls: type) -> Kind:
    word = "an object" if cls is dict else "a list"

    def convert(text: str) -> Any:
        value = decode_json(text)
        if not isinstance(value, dict if cls is dict else list):
            raise ValueError(f"it holds {quoted(value)}")
        return cls(value)

    def adopt(value: Any) -> Any:
        if isinstance(value, str):
            return convert(value)
        return value if isinstance(value, cls) else _call(cls, value)

    return Kind("JSON", f"JSON with {word}", convert, adopt, lambda value: isinstance(value, (str, cls)))


def _encode_json(value: Any) -> str:
    import json

    return json.dumps(value)


def _plain(metavar: str, expected: str, convert: Callable[[Any], Any], accepts: Callable[[Any], bool]) -> Kind:
    """Return a kind of which a program gives only what a function may return."""

    def from_program(value: Any) -> Any:
        if not accepts(value):
            raise ValueError
        return value

    return Kind(metavar, expected, convert, convert, accepts, from_program)


_JSON = Kind(
    "JSON", "JSON", decode_json, JSONType.convert, lambda value: isinstance(value, (str, list, dict)), _encode_json
)

_KINDS: dict[type, Kind] = {
    str: _plain("TEXT", "text", _keep, lambda value: isinstance(value, str)),
    int: _plain("INTEGER", "an integer", _integer, lambda value: type(value) is int),
    float: _plain("FLOAT", "a number", _float, lambda value: type(value) in (float, int)),
    bool: _plain("BOOLEAN", "true or false", _truth, lambda value: type(value) is bool),
    list: _container(list),
    dict: _container(dict),
    tuple: _container(tuple),
}


def _by_click(declared: Any) -> Kind:
    name = str(getattr(declared, "name", None) or type(declared).__name__)
    choices = getattr(declared, "choices", None)
    metavar = f"[{'|'.join(map(str, choices))}]" if choices else name.upper()

    def convert(value: Any) -> Any:
        return _call(declared.convert, value, None, None)

    return Kind(metavar, f"a valid {name}", convert, convert, lambda value: True)


def _by_calling(declared: Callable[[Any], Any]) -> Kind:
    name = getattr(declared, "__name__", "value")
    cls = declared if isinstance(declared, type) else None

    def convert(value: Any) -> Any:
        return _call(declared, value)

    def adopt(value: Any) -> Any:
        return value if cls and isinstance(value, cls) else convert(value)

    def accepts(value: Any) -> bool:
        return cls is None or isinstance(value, (str, cls))

    return Kind(name.upper() if cls else "VALUE", f"a valid {name}", convert, adopt, accepts)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        reason = getattr(error, "message", None) or text_of(error) or type(error).__name__
        raise ValueError(str(reason).rstrip(".")) from error
