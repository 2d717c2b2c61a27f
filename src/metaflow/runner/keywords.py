"""From the keywords of a Python program to the words of a command line and the values of parameters.

What the keywords of options accept is said by the rows of their tables (`metaflow.options`), so they are checked here,
before a process is started. Parameters are the flow's: its process checks them, which knows its configs and mutators.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from metaflow.app.options import ResumeOptions, RunOptions, SpinOptions
from metaflow.compute.command import FlowOptions
from metaflow.exception import KeywordTypeMismatch, UnknownKeyword
from metaflow.flow.parameter_types import quoted
from metaflow.options import Row, check, rows, write

_RERUN = "step_to_rerun"


def flow_words(keywords: Mapping[str, Any]) -> list[str]:
    """Return the words before the command.

    Raises
    ------
    UnknownKeyword, KeywordTypeMismatch, CommandException
        A keyword is no option, or its value is none of it.
    """
    _refuse_unknown(keywords, _keywords(FlowOptions), "an option of all commands")
    return _words(FlowOptions, keywords)


def run_words(keywords: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return the words of ``run``, and the values for parameters: of all keywords that are no options.

    Raises
    ------
    KeywordTypeMismatch, CommandException
        The value of an option is none, or that of a parameter cannot be handed over.
    """
    known = _keywords(RunOptions)
    parameters = {
        name: _handed_over(name, value) for name, value in keywords.items() if name not in known and value is not None
    }
    return ["run", *_words(RunOptions, keywords)], parameters


def resume_words(keywords: Mapping[str, Any]) -> list[str]:
    """Return the words of ``resume``.

    Raises
    ------
    UnknownKeyword, KeywordTypeMismatch, CommandException
        As for `flow_words`.
    """
    known = [_RERUN, *_keywords(ResumeOptions), *_keywords(RunOptions)]
    _refuse_unknown(keywords, known, "an option of resume, which takes the parameters of the run that it resumes")
    step = _text(_RERUN, keywords[_RERUN]) if keywords.get(_RERUN) is not None else None
    options = [*_words(ResumeOptions, keywords), *_words(RunOptions, keywords)]
    return ["resume", *([step] if step is not None else []), *options]


def spin_words(pathspec: object, keywords: Mapping[str, Any]) -> list[str]:
    """Return the words of ``spin``.

    Raises
    ------
    UnknownKeyword, KeywordTypeMismatch, CommandException
        As for `flow_words`.
    """
    _refuse_unknown(keywords, _keywords(SpinOptions), "an option of spin, which takes the parameters of an earlier run")
    return ["spin", _text("pathspec", pathspec), *_words(SpinOptions, keywords)]


def _keywords(table: type[tuple[Any, ...]]) -> list[str]:
    return [row.variable for row in rows(table)]


def _refuse_unknown(keywords: Mapping[str, Any], known: list[str], what: str) -> None:
    for name in keywords:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise UnknownKeyword(
                f"'{name}' is not {what}.",
                hint=f"did you mean '{near[0]}'?" if near else f"the keywords are: {', '.join(known)}",
            )


def _words(table: type[tuple[Any, ...]], keywords: Mapping[str, Any]) -> list[str]:
    """Return the words of a table's options, also of those that are given as by default: they go before settings."""
    given = {
        row.name: _VALUES[row.kind](row.variable, keywords[row.variable], row)
        for row in rows(table)
        if keywords.get(row.variable) is not None
    }
    values = table(**given)
    check(values)
    return write(values, stated=given)


def _flag(name: str, value: Any, row: Row) -> bool:
    return bool(_of(bool, name, value, "True or False"))


def _number(name: str, value: Any, row: Row) -> int:
    value = _plain(value)
    if isinstance(value, bool):
        raise _mismatch(name, value, "an integer")
    return int(_of(int, name, value, "an integer"))


def _one(name: str, value: Any, row: Row) -> str:
    return _text(name, value)


def _texts(name: str, value: Any, row: Row) -> tuple[str, ...]:
    return tuple(_text(name, each) for each in _of((list, tuple), name, value, "a list of texts"))


def _pairs(name: str, value: Any, row: Row) -> tuple[tuple[str, str], ...]:
    """Return pairs of texts, of a list or a dictionary; what is no text becomes JSON, if the option takes JSON."""
    pairs = list(value.items()) if isinstance(value, Mapping) else _of((list, tuple), name, value, "a list of pairs")
    made = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise _mismatch(name, pair, "a pair: the name of a config, and its value")
        key, given = pair
        takes_json = row.option.metavar.endswith("JSON") and not isinstance(given, str)
        text = json.dumps(_handed_over(name, given)) if takes_json else _text(name, given)
        made.append((_text(name, key), text))
    return tuple(made)


_VALUES: dict[type, Callable[[str, Any, Row], Any]] = {
    bool: _flag, int: _number, str: _one, tuple: _texts, dict: _pairs,
}  # fmt: skip
"""By the kind of a row."""


def _of(kind: type | tuple[type, ...], name: str, value: Any, expected: str) -> Any:
    if not isinstance(value, kind):
        raise _mismatch(name, value, expected)
    return value


def _text(name: str, value: Any) -> str:
    return str(_of(str, name, os.fspath(value) if isinstance(value, os.PathLike) else value, "a text"))


def _mismatch(name: str, value: Any, expected: str) -> KeywordTypeMismatch:
    return KeywordTypeMismatch(f"{name} is {quoted(value)}, a {type(value).__name__}, and should be {expected}.")


def _handed_over(name: str, value: Any) -> Any:
    """Return a value as JSON can say it: plain values, paths, numpy's numbers, and lists and dictionaries of them."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _handed_over(name, each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_handed_over(name, each) for each in value]
    value = _plain(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise KeywordTypeMismatch(
        f"{name} has the value {quoted(value)}, a {type(value).__name__}, which cannot be handed to another process.",
        hint="give text, numbers, truth values, None, paths, or lists and dictionaries of them",
    )


def _plain(value: Any) -> Any:
    """Return the number of Python's that a number of numpy is, or the like; other values as they are."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "shape", None) == () else value
