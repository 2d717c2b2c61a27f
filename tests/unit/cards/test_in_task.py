"""What steps see as `current.card`, and what becomes of cards when components or the storage do not do their part."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from metaflow.cards import Markdown
from metaflow.cards.in_task import TaskCards
from metaflow.exception import StorageUnavailable
from metaflow.store.memory import MemoryStorage

PATH = "F/1/start/1"


class Away(MemoryStorage):
    """A storage that does not take what it is given: it says so, or for ever nothing."""

    def __init__(self, *, is_stuck: bool = False) -> None:
        super().__init__()
        self.is_stuck = is_stuck
        self.is_away = True
        self.puts = 0
        self.refused = threading.Event()

    def put(
        self,
        items: Iterable[tuple[str, bytes]],
        *,
        overwrite: bool = False,
        attributes: Mapping[str, bytes] | None = None,
    ) -> None:
        self.puts += 1
        if not self.is_away:
            super().put(items, overwrite=overwrite, attributes=attributes)
            return
        if self.is_stuck:
            time.sleep(600)
        self.refused.set()
        raise StorageUnavailable("s3://bucket does not answer.")


class Endless:
    def __repr__(self) -> str:
        while True:
            time.sleep(1)


class Cards(TaskCards):
    """Cards of a task that no client finds."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.told: list[str] = []
        super().__init__(PATH, None, storage, complain=self.told.append)

    def task(self, attempt: int | None = None) -> Any:
        return SimpleNamespace(pathspec=PATH, _internal=lambda name: {})

    @property
    def pages(self) -> list[str]:
        assert isinstance(self.storage, MemoryStorage)
        return [page.decode() for name, page in self.storage.objects.items() if name.endswith(".html")]


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


@pytest.mark.parametrize(
    ("is_stuck", "told"),
    [(False, "s3://bucket does not answer."), (True, "The storage was not ready after 0.05 s.")],
)
def test_a_storage_that_is_away_at_the_end_is_told_once_and_waited_for_once(is_stuck: bool, told: str) -> None:
    storage = Away(is_stuck=is_stuck)
    cards = Cards(storage)
    for _ in range(3):
        cards.add(type="blank", timeout=0.05)
    cards.finish(0)
    assert storage.puts == 1
    assert cards.told == [
        f"@card: the card could not be stored: {told}",
        "@card: not stored for the same reason: 2 more.",
    ]


def test_a_storage_that_comes_back_gets_the_final_card() -> None:
    storage = Away()
    cards = Cards(storage)
    cards.add(type="blank", refresh_interval=0)
    cards.current.append(Markdown("here"))
    cards.current.refresh()
    assert storage.refused.wait(60)
    storage.is_away = False
    cards.finish(0)
    assert cards.told == ["@card: a refresh failed: s3://bucket does not answer."]
    assert "here" in cards.pages[0]


def test_a_component_that_never_comes_is_told_and_its_card_says_so() -> None:
    cards = Cards(MemoryStorage())
    cards.add(type="blank", timeout=0.05, refresh_interval=0)
    cards.current.append(Endless())
    cards.current.refresh()
    cards.finish(0)
    assert ["was not ready after 0.05 s" in each for each in cards.told] == [True, True]
    assert "The card was not ready after 0.05 s." in cards.pages[0]
