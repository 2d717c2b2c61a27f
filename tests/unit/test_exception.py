"""Errors: one tree, drawn at the top of its module; each survives pickling; what a failed task stores."""

from __future__ import annotations

import copy
import json
import pickle
import re
from typing import Any

import pytest

from metaflow import exception
from metaflow.exception import (
    BlobCorrupt,
    DataDamaged,
    MetaflowException,
    MetaflowExceptionWrapper,
    MissingInMergeArtifactsException,
    RunInterrupted,
    TaskFailed,
    TimeoutException,
    UnhandledInMergeArtifactsException,
    UnpicklableArtifact,
)


def tree(root: type[MetaflowException]) -> list[type[MetaflowException]]:
    found = [root]
    for child in root.__subclasses__():
        if child.__module__ == exception.__name__:
            found += tree(child)
    return found


CLASSES = list(dict.fromkeys(tree(MetaflowException)))

OWN_ARGUMENTS: dict[type[MetaflowException], tuple[Any, ...]] = {
    BlobCorrupt: ("da39a3", "/data/da39a3"),
    DataDamaged: ("/data/latest_run", "it is empty"),
    RunInterrupted: ("Interrupted.", 2),
    TimeoutException: ("Too long.",),
    UnpicklableArtifact: ("model", "self.model[2]", "_thread.lock", "no"),
    UnhandledInMergeArtifactsException: ("They differ.", ["x", "y"]),
    MissingInMergeArtifactsException: ("Not there.", ["x", "y"]),
}


def make(cls: type[MetaflowException]) -> MetaflowException:
    if cls in OWN_ARGUMENTS:
        return cls(*OWN_ARGUMENTS[cls])
    if issubclass(cls, TaskFailed):
        return cls("the step 'work' failed", hint="what to do", peak_mb=512.0, signal=9)
    return cls("What happened.", 3, "flow.py", hint="what to do")


@pytest.mark.parametrize("cls", CLASSES)
def test_pickling_keeps_all(cls: type[MetaflowException]) -> None:
    error = make(cls)
    error.extra = [1]  # type: ignore[attr-defined]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is cls
        assert again.__dict__ == error.__dict__
        assert str(again) == str(error)
        assert again.args == error.args
    assert copy.copy(error).__dict__ == error.__dict__


@pytest.mark.parametrize("cls", CLASSES)
def test_each_has_a_headline_and_a_sentence(cls: type[MetaflowException]) -> None:
    error = make(cls)
    assert cls.headline
    assert cls is MetaflowException or "headline" in vars(cls), "each class has its own"
    assert str(error) == error.message != ""
    with pytest.raises(MetaflowException):
        raise error


@pytest.mark.parametrize("cls", [TaskFailed, *TaskFailed.__subclasses__()])
def test_a_failure_comes_back_from_its_record(cls: type[TaskFailed]) -> None:
    failure = cls("the step 'work' failed", hint="what to do", peak_mb=512.0, signal=9)
    again = TaskFailed.from_record(json.loads(json.dumps(failure.record())))
    assert type(again) is cls
    assert again.__dict__ == failure.__dict__
    assert (again.kind, again.values["peak_mb"]) == (cls.kind, 512.0)


def test_a_record_of_a_kind_that_nobody_knows() -> None:
    again = TaskFailed.from_record({"kind": "melted", "message": "it melted"})
    assert type(again) is TaskFailed
    assert (again.message, again.hint, again.values) == ("it melted", None, {})


def test_headlines_differ() -> None:
    headlines = [cls.headline for cls in CLASSES]
    assert len(set(headlines)) == len(headlines)


def test_the_tree_at_the_top_is_the_tree() -> None:
    """Each class once, below its base and no other."""
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in (exception.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)(\w+)  ", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            assert match[2] not in drawn
            drawn[match[2]] = path[depth - 1] if depth else None
    actual = {
        cls.__name__: next((base.__name__ for base in cls.__bases__ if issubclass(base, MetaflowException)), None)
        for cls in CLASSES
    }
    assert drawn == actual


def test_the_place_in_the_users_file() -> None:
    assert MetaflowException("x").where is None
    assert MetaflowException("x", 3).where is None
    assert MetaflowException("x", source_file="flow.py").where == "flow.py"
    assert MetaflowException("x", 3, "flow.py").where == "flow.py:3"


def test_attributes_of_their_own() -> None:
    corrupt = BlobCorrupt("da39a3", "/data/da39a3", "it is cut short")
    assert (corrupt.key, corrupt.path) == ("da39a3", "/data/da39a3")
    assert "it is cut short" in corrupt.message
    unpicklable = make(UnpicklableArtifact)
    assert isinstance(unpicklable, UnpicklableArtifact)
    assert (unpicklable.name, unpicklable.path) == ("model", "self.model[2]")
    assert "del self.model" in str(unpicklable.hint)
    for cls in (UnhandledInMergeArtifactsException, MissingInMergeArtifactsException):
        assert make(cls).artifact_names == ["x", "y"]  # type: ignore[attr-defined]


def failure() -> ValueError:
    try:
        raise ValueError("three\nlines\n")
    except ValueError as error:
        return error


def test_what_a_failed_task_stores() -> None:
    stored = MetaflowExceptionWrapper(failure())
    assert (stored.type, stored.exception) == ("builtins.ValueError", "three\nlines\n")
    assert stored.stacktrace is not None
    assert "in failure" in stored.stacktrace
    assert str(stored) == stored.stacktrace == repr(stored)
    given = MetaflowExceptionWrapper(failure(), "only this")
    assert str(given) == "only this"
    assert MetaflowExceptionWrapper().type is None
    assert str(MetaflowExceptionWrapper(failure(), "")) == "[no stacktrace]\nbuiltins.ValueError: three\nlines\n"


def test_what_a_failed_task_stores_needs_no_class_of_the_user() -> None:
    class Own(Exception):
        pass

    stored = MetaflowExceptionWrapper(Own("why"))
    again = pickle.loads(pickle.dumps(stored))
    assert type(again) is MetaflowExceptionWrapper
    assert again.__dict__ == stored.__dict__
    assert again.type is not None
    assert again.type.endswith("Own")
    assert stored.__reduce__() == (MetaflowExceptionWrapper, (None,), stored.__dict__)


def test_what_metaflow_has_stored_is_read() -> None:
    """Its pickles name this class, call it with None, and give a state of three texts."""
    state = pickle.dumps({"exception": "why", "type": "builtins.ValueError", "stacktrace": "Traceback…"}, 2)[2:-1]
    data = b"\x80\x02cmetaflow.exception\nMetaflowExceptionWrapper\nN\x85R" + state + b"b."
    stored = pickle.loads(data)
    assert (stored.exception, stored.type, str(stored)) == ("why", "builtins.ValueError", "Traceback…")
