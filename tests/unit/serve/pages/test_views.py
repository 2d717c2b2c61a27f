from __future__ import annotations

import json
import shlex

import pytest

from metaflow.serve.pages import views
from metaflow.serve.reading.protocol import Phase, Preview, StepCounts, TaskRow
from support.reading import sample_reader


@pytest.mark.parametrize(
    ("counts", "state", "said"),
    [
        ({}, "none", ""),
        ({"successful": 2}, "successful", "2 successful"),
        ({"successful": 9000, "running": 1}, "running", "1 running, 9,000 successful"),
        ({"running": 1, "caught": 1, "failed": 3}, "failed", "3 failed, 1 running, 1 caught"),
    ],
)
def test_a_step_is_as_its_worst_task(counts: dict[str, int], state: str, said: str) -> None:
    assert views.state_of(counts) == state
    assert views.counted(counts) == said


def test_the_graph_says_how_each_step_is_doing_and_leads_there() -> None:
    html = views.graph(sample_reader(40).run("TrainFlow", "101"))
    assert (
        'href="/runs/TrainFlow/101/train" class="step kind-linear state-failed" aria-label="train: 1 of 40 failed"'
        in html
    )
    assert 'aria-label="start: successful"' in html
    assert 'aria-label="end: not reached"' in html


def test_tracks_stay_within_their_width() -> None:
    steps = [StepCounts("a", {"successful": 1}, 1000, 1500), StepCounts("b", {"running": 1}, 1990), StepCounts("c", {})]
    found = views.spans(steps, 1000, 2000)
    assert [each[:3] for each in found["a"]] == [(0.0, 500.0, "successful")]
    assert [each[:3] for each in found["b"]] == [(990.0, 10.0, "running")]
    assert "c" not in found
    wide = StepCounts("d", {"successful": 9999, "failed": 1}, 1000, 2000)
    good, bad = views.spans([wide], 1000, 2000)["d"]
    assert (good.kind, bad.kind) == ("successful", "failed")
    assert bad.width > 7
    assert bad.x + bad.width == pytest.approx(1000, abs=0.2)
    assert [(each.x, each.width) for each in views.phases([Phase("queued", 1), Phase("ran", 3)])] == [
        (0, 250),
        (250, 750),
    ]
    assert views.phases([Phase("queued", 0)])[0].width == 0


def test_data_cannot_end_the_element_it_stands_in() -> None:
    text = views.task_data([TaskRow("s", "1", "failed", 5, None, 1, "</script><!--&")])
    assert not set(text) & set("<>&")
    assert json.loads(text)["item"] == ["</script><!--&"]


def test_commands_are_safe_to_paste() -> None:
    detail = sample_reader().run("TrainFlow", "101")
    odd = (
        Preview("x", "str", 1, "", r"'a\'; rm -rf ~'", None),
        Preview("y", "dict", 1, "", "{'a': [1]}", None),
        Preview("long", "str", 1, "", "'aaa'… (1,000 bytes in all)", None),
        Preview("none", "NoneType", 1, "", "None", None),
    )
    by_title = {each.title: each.text for each in views.commands(detail._replace(parameters=odd), "local@/a")}
    command = by_title["Run it anew with its parameters, but for long"]
    assert shlex.split(command)[3:] == ["--x", "a'; rm -rf ~", "--y", '{"a": [1]}']
    assert by_title["Resume it where it failed"] == "python trainflow.py resume --origin-run-id 101"
    compile(by_title["Read it in a notebook"], "cell", "exec")
    assert "Run('TrainFlow/101')" in by_title["Read it in a notebook"]
