"""Cards of real runs: what is on them, live and at the end; what goes wrong in one harms nothing; the commands."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from metaflow import Task
from metaflow.cards import Card, get_cards
from support.site import Finished, Site


@pytest.fixture(scope="module")
def run(shared: Callable[..., Finished]) -> Finished:
    return shared("cards.py", "run").succeeded()


def cards_of(run: Finished, step: str) -> dict[str | None, Card]:
    return {card.id: card for card in get_cards(run.task(step))}


def test_a_blank_card_has_what_was_appended(run: Finished) -> None:
    html = cards_of(run, "start")["notes"].get()
    assert "<h1>Notes</h1>" in html
    assert "<h1>Other title</h1>" in html
    assert "<td" in html
    assert "not a PNG" in html


def test_a_default_card_tells_of_its_task(run: Finished) -> None:
    html = cards_of(run, "start")[None].get()
    assert len(html) < 60_000
    for part in ("successful", "[1, 2, 3]", "alpha", "The first step.", "0.5", "marked", f"logs {run.run_id}/start/1"):
        assert part in html, part
    assert '<span class="f">start</span>' in html
    assert not re.search(r"(src|href)=\"?(https?:)?//", html)


def test_a_default_card_tells_what_its_step_asked_for_and_where_it_ran(run: Finished) -> None:
    html = cards_of(run, "start")[None].get()
    for label, value in (
        ("@environment", "vars: TOKEN"),  # without its value
        ("@resources", "memory=1234"),
        ("Host", re.escape(socket.gethostname())),
    ):
        assert re.search(f'<th scope="row">{label}</th><td>[^<]*{value}</td>', html), label
    assert "installed packages</summary>" in html
    made = run.site.run_flow("cards.py", "card", "create", f"{run.run_id}/start").succeeded().stdout
    assert "vars: TOKEN</td>" in made
    assert "installed packages" not in made  # here, but perhaps not where the step ran


def test_a_failed_step_says_why_and_has_one_card_for_all_attempts(run: Finished) -> None:
    (card,) = get_cards(run.task("join"))
    html = card.get()
    assert "failed, caught" in html
    assert "the step &lt;b&gt;failed&lt;/b&gt;" in html
    assert '<th scope="row">Attempt</th><td>1</td>' in html


def test_a_card_of_the_flow_file_is_made_of_task_components_options_and_graph(run: Finished) -> None:
    html = cards_of(run, "start")["own"].get()
    assert f"CardsFlow/{run.run_id}/start/1 [1, 2, 3]" in html
    assert "'source': '*mine*'" in html
    assert "['bad', 'end', 'join', 'live', 'start']" in html


def test_a_card_is_seen_while_its_step_runs(run: Finished) -> None:
    for task in run.run["live"]:
        assert [ids for _, ids in task.data.seen] == [["bar"]] * 3
    (card,) = get_cards(run.task("live"), id="own")
    data = card.get_data()
    assert data is not None
    assert data["reload_token"] == "final"


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("constructed", "RuntimeError: no such card can be"),
        ("raises", "RuntimeError: the card raised"),
        ("exits", "SystemExit: the card left"),
        ("dies", "ended without an answer"),
        ("hangs", "was not ready after 1 s"),
        ("slow", "The card was not ready after 1 s."),
        ("unknown", "There is no card of the type &#x27;unknown&#x27;."),
    ],
)
def test_a_card_that_fails_harms_nothing_and_says_so(run: Finished, card: str, message: str) -> None:
    html = cards_of(run, "bad")[card].get()
    assert "The step itself is not affected." in html
    assert message in html
    assert run.task("bad").successful


def test_a_refresh_that_fails_says_so_on_the_page_until_there_is_another(run: Finished) -> None:
    for task in run.run["live"]:
        assert "RuntimeError: it cannot be shown now" in task.data.broken
        assert task.stderr.count("could not be made: RuntimeError: it cannot be shown now") == 1
        (card,) = get_cards(task, id="broken")
        assert "could not be made" not in card.get()


def test_a_card_that_forks_answers_once(run: Finished) -> None:
    assert f"CardsFlow/{run.run_id}/bad/" in cards_of(run, "bad")["forks"].get()


def test_an_artifact_that_cannot_be_loaded_is_told_in_its_row(run: Finished) -> None:
    assert "It cannot be loaded: SystemExit: cannot be loaded" in cards_of(run, "start")[None].get()


def test_an_error_card_can_be_declined(run: Finished) -> None:
    assert "none" not in cards_of(run, "bad")
    log = run.task("bad").stderr
    assert "the card of the type 'mine' could not be made" in log
    assert "returned a NoneType, not a string" in log
    assert "the card prints" in run.task("bad").stdout


def test_a_card_that_is_not_there_is_told_once(run: Finished) -> None:
    log = run.task("start").stderr
    assert log.count("no card with the id 'nowhere'") == 1
    assert "no component with the id 'gone'" in log


def test_a_step_without_a_card_has_none(run: Finished) -> None:
    assert len(get_cards(run.task("end"))) == 0
    assert run.task("end").stdout == "has card: False\n"


def test_cards_show_themselves_in_a_notebook(run: Finished) -> None:
    shown = get_cards(run.task("start"))._repr_html_()
    assert shown.count("<iframe") == 3
    assert 'sandbox="allow-scripts"' in shown


def test_a_resumed_run_has_the_cards_of_its_origin(run: Finished, tmp_path: Path) -> None:
    words = ("resume", "end", "--origin-run-id", str(run.run_id), "--run-id-file", str(tmp_path / "id"))
    run.site.run_flow("cards.py", *words).succeeded()
    run.site.look()
    task = Task(f"CardsFlow/{(tmp_path / 'id').read_text()}/start/1")
    cards = get_cards(task)
    assert [card.origin_pathspec for card in cards] == [f"CardsFlow/{run.run_id}/start/1"] * 3
    assert "<h1>Notes</h1>" in cards[0].get()
    assert len(get_cards(task, follow_resumed=False)) == 0


def test_commands(run: Finished, tmp_path: Path) -> None:
    def card(*words: str) -> Finished:
        return run.site.run_flow("cards.py", "card", *words)

    listed = card("list", f"{run.run_id}/start", "--as-json").succeeded()
    document = json.loads(listed.stdout)
    assert document["pathspec"] == f"CardsFlow/{run.run_id}/start/1"
    assert [each["type"] for each in document["cards"]] == ["blank", "default", "mine"]
    target = tmp_path / "card.html"
    card("get", f"{run.run_id}/start", str(target), "--id", "notes").succeeded()
    assert "<h1>Notes</h1>" in target.read_text()
    nobody = {"BROWSER": "false %s", "DISPLAY": None, "WAYLAND_DISPLAY": None}
    viewed = run.site.run_flow(
        "cards.py", "card", "view", f"{run.run_id}/start", "--id", "notes", env=nobody
    ).succeeded()
    (path,) = re.findall(r"There is no browser here. The card is in (\S+)\.\n", viewed.output)
    assert "<h1>Notes</h1>" in Path(path).read_text()
    Path(path).unlink()
    made = card("create", f"{run.run_id}/join", "--type", "default").succeeded()
    assert "<!DOCTYPE html>" in made.stdout
    late = card("create", f"{run.run_id}/end", "--timeout", "1").failed()
    assert "The card was not ready after 1 s." in late.stderr
    own = card("create", f"{run.run_id}/start", "--type", "mine", "--options", '{"mode": "raise"}').failed()
    assert "the card raised" in own.stderr
    for words, message in (
        (("get", f"{run.run_id}/start"), "There are 3 cards"),
        (("view", f"{run.run_id}/end"), "There is no card at"),
        (("get", f"{run.run_id}/start", "--hash", "zz"), "There is no such card"),
        (("create", f"{run.run_id}/end", "--options", "x"), "this is no JSON object"),
        (("create", f"{run.run_id}/live"), "has 2 tasks"),
        (("server", "--run-id", "9"), "there is no such run"),
    ):
        refused = card(*words).failed()
        assert message in refused.stderr, words
        assert "Traceback" not in refused.stderr


LOADS_NOTHING = """
import atexit, sys
before = set(sys.modules)
LOADED_BEFORE = ("metaflow", "markdown_it", "subprocess")
from metaflow import FlowSpec, current, step
from metaflow.cards import Markdown

@atexit.register
def tell():
    if "step" in sys.argv:
        new = {name for name in set(sys.modules) - before if name.split(".")[0] in LOADED_BEFORE}
        print("loaded", sorted(new))

class LoadsNothing(FlowSpec):
    @step
    def start(self):
        current.card.append(Markdown("*from* the step"))
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    LoadsNothing()
"""


def test_with_card_puts_one_on_every_step_and_tasks_load_nothing_for_it(one_site: Site) -> None:
    finished = one_site.run_flow(LOADS_NOTHING, "run", "--with", "card").succeeded()
    for step in finished.run:
        task = finished.task(step.id)
        assert [card.type for card in get_cards(task)] == ["default"]
        assert "loaded []" in task.stdout
    assert "<em>from</em> the step" in get_cards(finished.task("start"))[0].get()


@pytest.mark.parametrize(
    ("decorator", "message"),
    [
        ("@card(type=3)", "expected the name of a type"),
        ("@card(id='a b')", "expected letters, digits and underscores"),
        ("@card(options=[1])", "expected a dictionary"),
        ("@card(timeout='soon')", "expected a number of seconds"),
        ("@card(tpye='x')", "did you mean 'type'?"),
    ],
)
def test_bad_attributes(one_site: Site, decorator: str, message: str) -> None:
    flow = f"""
        from metaflow import FlowSpec, card, step

        class BadCard(FlowSpec):
            {decorator}
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            BadCard()
    """
    finished = one_site.run_flow(flow, "check").failed()
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


UNENCODABLE = r"""
from metaflow import FlowSpec, card, current, step
from metaflow.cards import Markdown


class HalfFlow(FlowSpec):
    @card
    @card(type="blank", id="b")
    @step
    def start(self):
        current.card["b"].append(Markdown("half \ud800 of a pair"))
        current.card["b"].refresh()
        raise ValueError("no file caf\udce9.csv")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    HalfFlow()
"""


def test_what_utf8_does_not_have_is_shown_as_its_escape(one_site: Site) -> None:
    finished = one_site.run_flow(UNENCODABLE, "run").failed()
    cards = cards_of(finished, "start")
    assert "half \\ud800 of a pair" in cards["b"].get()
    assert "no file caf" in cards[None].get()
    assert "could not be" not in finished.task("start").stderr
