"""What steps see as `current.card`, and what becomes of cards when components or the storage do not do their part."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from metaflow.cards import Markdown, in_task
from metaflow.cards.in_task import TaskCards
from metaflow.exception import StorageUnavailable
from metaflow.store.memory import MemoryStorage
from support import processes

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


def test_cards_are_found_by_their_type_and_have_their_components() -> None:
    cards = Cards(MemoryStorage())
    for id in ("a", "b"):
        cards.add(type="blank", id=id)
    cards.add(type="default")
    first, second = cards.current.get(type="blank")
    text = Markdown("here")
    first.append(text)
    assert list(cards.current["a"]) == [text]
    assert list(second) == []
    assert len(cards.current.get(type="default")) == 1
    assert cards.current.get(type="none of this type") == cards.current.get() == []
    assert cards.told == []


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


class Slow(MemoryStorage):
    """A storage that keeps what a refresh stores until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()
        self.data: list[Any] = []
        self.goes_on_after_the_final_page = False

    def put(
        self,
        items: Iterable[tuple[str, bytes]],
        *,
        overwrite: bool = False,
        attributes: Mapping[str, bytes] | None = None,
    ) -> None:
        items = list(items)
        is_refresh = threading.current_thread() is not threading.main_thread()
        if is_refresh:
            self.has_begun.set()
            assert self.may_go_on.wait(60)
        super().put(items, overwrite=overwrite, attributes=attributes)
        self.data += [json.loads(content)["data"] for name, content in items if name.endswith(".json")]
        if not is_refresh and self.goes_on_after_the_final_page:
            self.may_go_on.set()


def test_of_refreshes_that_a_slow_storage_keeps_waiting_the_newest_counts() -> None:
    storage = Slow()
    cards = Cards(storage)
    cards.add(type="blank", refresh_interval=0)
    cards.current.append(Markdown("first"), id="text")
    cards.current.refresh()
    assert storage.has_begun.wait(60)
    for number in range(100):  # none of them waits
        cards.current.components["text"].update(f"update {number}")
        cards.current.refresh()
    storage.may_go_on.set()
    processes.eventually(lambda: len(storage.data) == 2, "both are stored")
    assert ["first" in str(storage.data[0]), "update 99" in str(storage.data[1])] == [True, True]
    cards.finish(0)
    assert storage.data[2:] == [{}]


def test_a_refresh_that_is_stored_after_the_final_page_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_task, "_LAST_WAIT", 0.01)
    storage = Slow()
    storage.goes_on_after_the_final_page = True
    cards = Cards(storage)
    cards.add(type="blank", refresh_interval=0)
    cards.current.append(Markdown("early"), id="text")
    cards.current.refresh()
    assert storage.has_begun.wait(60)
    cards.current.components["text"].update("at the end")
    cards.finish(0)
    assert "at the end" in cards.pages[0]
    assert storage.data[-1] == {}
    assert cards.told == []


def test_a_refresh_that_never_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_task, "_LAST_WAIT", 0.01)
    monkeypatch.setattr(in_task, "_FURTHER_WAIT", 0.01)
    storage = Slow()
    cards = Cards(storage)
    cards.add(type="blank")
    cards.current.append(Markdown("at the end"))
    cards.current.refresh()
    assert storage.has_begun.wait(60)
    cards.finish(0)
    storage.may_go_on.set()
    assert ["has not answered to a refresh" in each for each in cards.told] == [True]


def test_how_long_the_end_of_a_task_has_waited_is_told() -> None:
    cards = Cards(MemoryStorage())
    cards.clock = itertools.count(step=10).__next__
    cards.finish(0)
    assert cards.told == ["@card: the end of this task has waited 10 s for its cards."]
