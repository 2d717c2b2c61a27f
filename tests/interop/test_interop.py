"""Each side's client reads what the other's engine wrote.

Every flow runs under both. One client program (`report.py`) is run by both clients over both sites: of a site they
have to say the same, to the letter; of the two runs the same up to ids, times, versions and places.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.comparing import normal, without
from support.interop import INTEROP, ORIGINAL, PARAMETERS, Work, new_site, report, run, same
from support.interpreter import PYTHON

pytestmark = INTEROP

WORKS = [
    Work("linear.py", ("--tag", "one", "--tag", "grüße")),
    Work("branches.py", ("--tag", "tagged")),
    Work("foreach.py", ("--kind", "list")),
    Work("foreach.py", ("--kind", "numpy")),
    Work("foreach.py", ("--kind", "range")),
    Work("nested.py"),
    Work("switch.py"),
    Work("switch.py", ("--value", "3")),
    Work("switch.py", ("--value", '"elsewhere"'), fails=True, unlike=("exception",)),
    Work("recursion.py"),
    Work("mixed.py", unlike=("parents", "children")),
    Work("merge.py"),
    Work("artifacts.py"),
    Work("parameters.py"),
    Work("configured.py", ("--size", "7")),
    Work("mutated.py"),
    Work("parameters.py", PARAMETERS),
    Work("own_limits.py"),
    Work("only_step.py"),
    Work("odd_logs.py"),
    Work("exceptions.py", ("--kind", "own"), fails=True),
    Work("exceptions.py", ("--kind", "key"), fails=True),
    Work("exceptions.py", ("--kind", "chained"), fails=True),
    Work("exceptions.py", ("--kind", "empty"), fails=True),
    Work("talking.py", ("--with", "resources:cpu=2")),
]


@pytest.mark.parametrize("work", WORKS, ids=str)
def test_both_clients_read_both_runs(tmp_path: Path, work: Work) -> None:
    ours, theirs = new_site(tmp_path / "ours"), new_site(tmp_path / "theirs")
    run(ours, PYTHON, work)
    run(theirs, ORIGINAL, work)
    ours_by_us, ours_by_them, theirs_by_us, theirs_by_them = (
        without(report(site, python), {*work.unlike}) for site in (ours, theirs) for python in (PYTHON, ORIGINAL)
    )
    same(ours_by_us, ours_by_them, "our run, read by our client | by the original's")
    same(theirs_by_us, theirs_by_them, "the original's run, read by our client | by the original's")
    same(normal(ours_by_us, ours.directory), normal(theirs_by_us, theirs.directory), "our run | the original's")


def test_runs_of_both_stand_in_one_datastore(tmp_path: Path) -> None:
    site = new_site(tmp_path / "shared")
    runs = [run(site, python, Work("talking.py")).run_id for python in (ORIGINAL, PYTHON, ORIGINAL, PYTHON)]
    told = [report(site, python) for python in (ORIGINAL, PYTHON)]
    same(told[0], told[1], "read by the original's client | by ours")
    assert told[1]["flows"]["TalkingFlow"]["order"] == runs[::-1]
    assert told[1]["flows"]["TalkingFlow"]["latest_run"] == runs[-1]


def test_each_sides_commands_work_on_the_others_runs(tmp_path: Path) -> None:
    site = new_site(tmp_path / "shared")
    for runner, other in ((ORIGINAL, PYTHON), (PYTHON, ORIGINAL)):
        run_id = str(run(site, runner, Work("talking.py", ("--tag", "before"))).run_id)
        for stream in ("--stdout", "--stderr"):
            logs = [
                site.run_flow("talking.py", "logs", stream, f"{run_id}/start", command=[python]).succeeded().stdout
                for python in (runner, other)
            ]
            assert logs[0] == logs[1]
            assert logs[0]
        dump = site.run_flow("talking.py", "dump", "--include", "words", f"{run_id}/end", command=[other]).succeeded()
        assert "['aa', 'bb']" in dump.stdout
        for words in (("add", "added"), ("remove", "before"), ("replace", "--remove", "added", "--add", "replaced")):
            command = ("tag", words[0], "--run-id", run_id, *words[1:])
            site.run_flow("talking.py", *command, command=[other]).succeeded()
        told = [report(site, python)["flows"]["TalkingFlow"]["runs"][run_id] for python in (runner, other)]
        assert told[0]["user_tags"] == told[1]["user_tags"] == ["replaced"]


def test_a_flow_reads_what_the_others_run_left(tmp_path: Path) -> None:
    site = new_site(tmp_path / "shared")
    reader = site.write(
        "reader.py",
        """
        from metaflow import Flow, FlowSpec, step

        class ReaderFlow(FlowSpec):
            @step
            def start(self):
                self.words = Flow("TalkingFlow").latest_successful_run.data.words
                self.next(self.end)

            @step
            def end(self):
                print("words:", *self.words)

        if __name__ == "__main__":
            ReaderFlow()
        """,
    )
    for runner, other in ((ORIGINAL, PYTHON), (PYTHON, ORIGINAL)):
        run(site, runner, Work("talking.py"))
        assert "words: aa bb" in run(site, other, Work(reader.name)).stdout
