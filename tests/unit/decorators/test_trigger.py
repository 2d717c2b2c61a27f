"""The events that `@trigger` waits for, in each notation, and what it refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from metaflow.decorators.trigger import Event, TriggerDecorator, namespaced_event_name
from metaflow.exception import InvalidDecoratorAttribute, InvalidEventName
from metaflow.flow.current import Current


def later(context: object) -> str:
    return "later"


@pytest.mark.parametrize(
    ("attributes", "events"),
    [
        ({"event": "a"}, (Event("a"),)),
        ({"event": {"name": "a"}}, (Event("a"),)),
        ({"event": {"name": "a", "parameters": {"x": "y"}}}, (Event("a", (("x", "y"),)),)),
        ({"event": {"name": "a", "parameters": [("x", "y"), "z"]}}, (Event("a", (("x", "y"), ("z", "z"))),)),
        ({"event": {"name": "a", "parameters": ["x", "z"]}}, (Event("a", (("x", "x"), ("z", "z"))),)),
        ({"event": {"name": "a", "parameters": []}}, (Event("a", ()),)),
        ({"event": {"name": later, "parameters": later}}, (Event(later, later),)),
        ({"event": later}, (Event(later),)),
        ({"events": ["a", {"name": "b"}, later]}, (Event("a"), Event("b"), Event(later))),
    ],
)
def test_events(attributes: dict[str, Any], events: tuple[Event, ...]) -> None:
    assert TriggerDecorator(attributes).trigger == (events, {})


def test_what_is_recorded_is_one_notation() -> None:
    given = {"events": ["a", {"name": "b", "parameters": [("x", "y"), "z"]}], "options": {"o": 1}}
    assert TriggerDecorator(given).recorded() == {
        "event": None,
        "events": ["a", {"name": "b", "parameters": {"x": "y", "z": "z"}}],
        "options": {"o": 1},
    }


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "names no event"),
        ({"event": ""}, "names no event"),
        ({"events": []}, "names no event"),
        ({"event": "a", "events": ["b"]}, "has both event= and events="),
        ({"events": "a"}, "expected a list"),
        ({"events": 3}, "expected a list"),
        ({"event": 3}, "3 is not an event"),
        ({"event": ["a"]}, "is not an event"),
        ({"events": ["a", 3]}, "3 is not an event"),
        ({"events": ["a", "a"]}, "the event 'a' is there twice"),
        ({"event": " "}, "not a valid event name"),
        ({"event": {"name": 3}}, "3 is not a valid event name"),
        ({"event": {"parameters": {}}}, "has no name"),
        ({"event": {"nme": "a"}}, "has the key 'nme'"),
        ({"event": {"name": "a", "parameters": "x"}}, "cannot have the parameters 'x'"),
        ({"event": {"name": "a", "parameters": 3}}, "cannot have the parameters 3"),
        ({"event": {"name": "a", "parameters": {"x": 3}}}, "cannot have the parameters"),
        ({"event": {"name": "a", "parameters": {3: "x"}}}, "cannot have the parameters"),
        ({"event": {"name": "a", "parameters": [("x",)]}}, "cannot have the parameters"),
        ({"event": {"name": "a", "parameters": [("x", "y", "z")]}}, "cannot have the parameters"),
        ({"event": "a", "options": 3}, "expected a dictionary"),
    ],
)
def test_what_cannot_be(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDecoratorAttribute, match=said):
        TriggerDecorator(attributes)


def test_names_of_each_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Current()
    monkeypatch.setattr("metaflow.decorators.trigger.current", here)
    name = namespaced_event_name("done")
    assert name() == "mfns.done"
    here._set({"project_name": "shop", "branch_name": "user.ann"})
    assert name() == "mfns.shop.user.ann.done"
    monkeypatch.setenv("METAFLOW_NAMESPACED_EVENTS_PREFIX", "ours")
    assert name(None) == "ours.shop.user.ann.done"


@pytest.mark.parametrize("name", [3, None, "", " "])
def test_what_is_no_name_of_an_event(name: Any) -> None:
    with pytest.raises(InvalidEventName, match=re.escape(f"namespaced_event_name({name!r})")) as caught:
        namespaced_event_name(name)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value.where).startswith(f"{__file__}:")
    assert "'data_ready'" in str(caught.value.hint)
