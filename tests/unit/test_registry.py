"""The table of names: every row leads somewhere, and a wrong name gets the nearest one."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow import registry
from metaflow.exception import CommandException
from metaflow.flow.decorator import Decorator

ROWS = [(kind, name) for kind, table in registry._TABLE.items() for name in table]


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> str:
    """Add a kind to the table for the time of a test."""
    monkeypatch.setitem(registry._TABLE, "thing", {"alpha": "json:loads", "beta": "os.path:join"})
    monkeypatch.setitem(registry._PLANNED, "thing", ("gamma",))
    return "thing"


@pytest.mark.parametrize(("kind", "name"), ROWS)
def test_every_row_leads_to_what_it_says(kind: str, name: str) -> None:
    found: Any = registry.load(kind, name)
    if kind in ("step decorator", "flow decorator"):
        assert issubclass(found, Decorator)
        assert found.name == name
    elif kind in ("cards", "client object"):
        assert found.__name__ == name
    elif kind == "card":
        assert found.type == name
    elif kind == "language":
        assert found.__module__.startswith("metaflow.flow.")
    else:
        assert found.kind == name


def test_what_is_planned_is_not_there_yet() -> None:
    for kind, names in registry._PLANNED.items():
        assert not set(names) & set(registry.names(kind))
        for name in names:
            with pytest.raises(CommandException, match=f"The {kind} '{name}' is not available in this version"):
                registry.load(kind, name)


def test_names_are_sorted(scratch: str) -> None:
    assert registry.names(scratch) == ["alpha", "beta"]
    assert registry.names("flow decorator") == sorted(registry.names("flow decorator"))


def test_loading(scratch: str) -> None:
    import json

    assert registry.load(scratch, "alpha") is json.loads


def test_registering_imports_nothing(scratch: str) -> None:
    registry.register(scratch, "delta", "no_such_module:thing")
    assert registry.names(scratch) == ["alpha", "beta", "delta"]
    with pytest.raises(ModuleNotFoundError):
        registry.load(scratch, "delta")
    registry.register(scratch, "delta", "os.path:basename")
    assert registry.load(scratch, "delta")("a/b") == "b"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("alhpa", "did you mean 'alpha'?"), ("zzz", "known names: alpha, beta"), ("", "known names: alpha, beta")],
)
def test_an_unknown_name(name: str, hint: str, scratch: str) -> None:
    with pytest.raises(CommandException, match=f"There is no thing '{name}'") as caught:
        registry.load(scratch, name)
    assert caught.value.hint == hint
    assert caught.value.__suppress_context__


def test_a_kind_without_names(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._TABLE, "nothing", {})
    with pytest.raises(CommandException) as caught:
        registry.load("nothing", "x")
    assert caught.value.hint == "known names: none"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("exit_hook", "'exit_hook' is a decorator of flows, not of steps."),
        ("conda_base", "'conda_base' is a decorator of flows, not of steps. It is not available"),
        ("parallel", "The step decorator 'parallel' is not available in this version of Millrace."),
    ],
)
def test_what_with_cannot_be_given(name: str, said: str) -> None:
    with pytest.raises(CommandException) as caught:
        registry.load("step decorator", name)
    assert caught.value.message.startswith(said)
