"""What steps see as `current.card`."""

from __future__ import annotations

from metaflow.cards import Markdown
from metaflow.cards.in_task import TaskCards
from metaflow.store.memory import MemoryStorage


def test_components_say_whether_they_are_there() -> None:
    told: list[str] = []
    cards = TaskCards("F/1/start/1", None, MemoryStorage(), makes_pages=False, complain=told.append)
    cards.add(type="blank")
    card = cards.current
    card.append(Markdown("here"), id="here")
    assert "here" in card.components
    assert "gone" not in card.components
    assert card.components.get("gone") is None
    assert told == []
    card.components["gone"].update("x")
    assert len(told) == 1
