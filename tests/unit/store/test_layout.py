"""The names in a storage."""

from __future__ import annotations

import pytest

from metaflow.store import layout
from metaflow.store.layout import END, STOPPED, EndMarker, Segment

TASK = "F/7/start/3"


def test_the_names_of_metaflow() -> None:
    assert layout.blob("F", "abcdef") == "F/data/ab/abcdef"
    assert layout.attributes_file("F/data/ab/abcdef") == "F/data/ab/abcdef_meta"
    assert layout.attempt_file(TASK, 2, layout.BEGUN) == "F/7/start/3/2.attempt.json"
    assert layout.attempt_file(TASK, 2, layout.INDEX) == "F/7/start/3/2.data.json"
    assert layout.attempt_file(TASK, 2, layout.DONE) == "F/7/start/3/2.DONE.lock"
    assert layout.logs(TASK, 0, "stderr") == [
        "F/7/start/3/0.runtime_stderr.log",
        "F/7/start/3/0.task_stderr.log",
    ]


def test_our_own_names() -> None:
    assert layout.outcome(TASK, 2) == "F/7/start/3/2.outcome.json"
    assert layout.runtime_package("abc") == "_millrace/runtime/abc.tar.gz"
    assert Segment("3", 0, "stdout", 512).key("F/7") == "F/7/_live/3.0.stdout.000000000512"
    assert EndMarker("3", 1, STOPPED).key("F/7") == "F/7/_live/3.1.stopped"


@pytest.mark.parametrize("name", [Segment("3", 0, "stdout", 512), EndMarker("3", 1, END), EndMarker("12", 0, STOPPED)])
def test_what_is_live_is_read_back(name: Segment | EndMarker) -> None:
    assert layout.parse_live(name.key("F/7")) == name


@pytest.mark.parametrize("name", ["", "3", "3.0", "3.0.over", "3.x.end", "3.0.stdout.x", "3.0.stdout.1.2"])
def test_other_names_are_nothing(name: str) -> None:
    assert layout.parse_live(f"F/7/_live/{name}") is None


def test_attempts_among_the_names_of_a_task() -> None:
    names = ["10.DONE.lock", "2.DONE.lock", "2.data.json", "x.DONE.lock", "3.DONE.locked", "2.runtime_stdout.log"]
    assert layout.attempts_with(layout.DONE, names) == [2, 10]
    assert layout.attempts_with(layout.BEGUN, names) == []
    assert layout.files_of_attempt(2, names) == ["DONE.lock", "data.json", "runtime_stdout.log"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (layout.CardName("default", None, "abc"), "default-abc"),
        (layout.CardName("blank", "my_id", "abc"), "blank-my_id-abc"),
        (layout.CardName("blank", "my-id", "abc"), "blank-my-id-abc"),
    ],
)
def test_card_names(name: layout.CardName, text: str) -> None:
    assert str(name) == text
    key = layout.card_page("Flow/1/start/2", name)
    assert key == f"mf.cards/Flow/runs/1/steps/start/tasks/2/cards/{text}.html"
    assert layout.parse_card(key) == name
    assert layout.card_data("Flow/1/start/2", name) == (
        f"mf.cards/Flow/runs/1/steps/start/tasks/2/runtime/{text}.data.json"
    )


@pytest.mark.parametrize("name", ["x.data.json", "nothing.html", "a-b.htm", "-.html", "a-.html", ".html"])
def test_what_is_no_card(name: str) -> None:
    assert layout.parse_card(f"mf.cards/x/{name}") is None
