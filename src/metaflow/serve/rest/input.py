"""What comes from outside, checked: bodies, names in paths, numbers in queries. Pure.

Whatever is wrong is a `Refused` with a sentence that names the field, before anything of it reaches the database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from metaflow.exception import MetaflowException

MOST_CHARACTERS = 1000
"""Of a name."""
_MOST_TEXT = 1_000_000
"""Characters of any other string, such as the value of a fact."""
_MOST_NESTED = 50
LATEST = 253_402_300_800_000
"""Milliseconds from the epoch to the year 10000."""


class Refused(MetaflowException):
    """A request that cannot be answered as it is.

    Parameters
    ----------
    message : str
        Why, in a sentence.
    status : int
        Of the answer.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def parsed(body: bytes) -> Any:
    """Return the JSON of a body, None if it is empty."""
    if not body.strip():
        return None
    try:
        value = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused("The body is not JSON.") from None
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def name(text: str, what: str) -> str:
    """Return a name of a flow, step, …, which a path may have.

    Raises
    ------
    Refused
        It cannot be one.
    """
    if not text or len(text) > MOST_CHARACTERS or "/" in text or not text.isprintable() or text in (".", ".."):
        raise Refused(f"This cannot be the name of a {what}: {text[:40]!r}.")
    return text


class Fields:
    """The fields of a JSON object.

    Parameters
    ----------
    value : object
        What should be one.
    where : str
        Before a field's name in messages, for an object in a list: ``[3].``.
    """

    def __init__(self, value: Any, where: str = "") -> None:
        if value is None and not where:
            value = {}
        if not isinstance(value, Mapping):
            raise Refused(f"{where.removesuffix('.') or 'The body'} must be a JSON object.")
        self._fields = value
        self._where = where

    def string(self, field: str, default: str | None = None, *, most: int = MOST_CHARACTERS) -> str:
        """Return a string."""
        value = self._fields.get(field)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise Refused(f"{self._where}{field} must be a string.")
        return self._checked(field, value, most)

    def identifier(self, field: str) -> str | None:
        """Return what a client calls a run or task: a string, a whole number, or None if it leaves that to us."""
        value = self._fields.get(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise Refused(f"{self._where}{field} must be a string.")
        return name(str(value), field.partition("_")[0])

    def integer(self, field: str, most: int, default: int | None = None) -> int:
        """Return a whole number from 0 to `most`."""
        value = self._fields.get(field)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise Refused(f"{self._where}{field} must be a whole number from 0 to {most}.")
        return value

    def strings(self, field: str) -> list[str]:
        """Return a list of strings, empty if there is none."""
        value = self._fields.get(field)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Refused(f"{self._where}{field} must be a list of strings.")
        return [self._checked(field, each, MOST_CHARACTERS) for each in value]

    def document(self, field: str) -> str:
        """Return any value as JSON text."""
        value = self._fields.get(field)
        if _depth(value) > _MOST_NESTED:
            raise Refused(f"{self._where}{field} is nested too deeply.")
        text = json.dumps(value)
        if "\\u0000" in text or "\\ud" in text.lower():
            self._check_all(field, value)
        if len(text) > _MOST_TEXT:
            raise Refused(f"{self._where}{field} has more than {_MOST_TEXT} characters.", 413)
        return text

    def _check_all(self, field: str, value: Any) -> None:
        if isinstance(value, str):
            self._checked(field, value, _MOST_TEXT)
        elif isinstance(value, list):
            for each in value:
                self._check_all(field, each)
        elif isinstance(value, Mapping):
            for key, each in value.items():
                self._check_all(field, key)
                self._check_all(field, each)

    def _checked(self, field: str, value: str, most: int) -> str:
        if len(value) > most:
            raise Refused(f"{self._where}{field} has more than {most} characters.")
        if "\0" in value:
            raise Refused(f"{self._where}{field} must not have a NUL character.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refused(f"{self._where}{field} has half of a surrogate pair.") from None
        return value


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= _MOST_NESTED:
        depth += 1
        level = [
            each
            for outer in level
            if isinstance(outer, (list, dict))
            for each in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


def objects(value: Any) -> list[Fields]:
    """Return the objects of a body that is a list of them; one alone counts as a list."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise Refused("The body must be a list of JSON objects.")
    return [Fields(each, f"[{index}].") for index, each in enumerate(value)]
