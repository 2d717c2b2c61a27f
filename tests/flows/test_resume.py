"""`resume`: what had finished is taken over, what had not runs, and the result is that of an undisturbed run.

Every flow is of `sources/resumable.py`; its tasks write to the file `ran` that they ran, under a label of their own.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaflow import Run, Task
from metaflow.metadata_provider.local import LocalMetadata
from support import processes
from support.present import present
from support.processes import eventually
from support.site import Finished, Running, Site
from support.soundness import assert_sound

pytestmark = pytest.mark.ours

SEEDS = int(os.environ.get("MILLRACE_SEEDS", "4"))
"""How many moments of death are tried."""

FAILURES = {
    "Line": ["start", "middle"],
    "Branches": ["deep", "join"],
    "Foreach": ["work[1]", "after[2]", "join"],
    "Nested": ["spread[1]", "leaf[1,0]", "inner_join[0]"],
    "BranchesInForeach": ["left[1]", "meet[0]"],
    "Switch": ["longer", "meet"],
    "Recursion": ["loop#1", "loop#3"],
    "Climb": ["climb[1]#3", "summit[0]"],
}


def resume(site: Site, shape: str, *words: str, env: dict[str, str] | None = None) -> Finished:
    site.place("ledger.py")
    path = site.directory / f"resumed-{len(list(site.directory.glob('resumed-*')))}"
    finished = site.run_flow(
        "resumable.py", "resume", *words, "--run-id-file", str(path), env={"SHAPE": shape, **(env or {})}
    )
    return replace(finished, run_id=path.read_text() if path.exists() else None)


def start(site: Site, shape: str, *words: str, env: dict[str, str] | None = None) -> Running:
    prepare(site)
    return site.start_flow("resumable.py", "run", *words, env={"SHAPE": shape, **(env or {})})


def run(site: Site, shape: str, *words: str, fails: str = "", env: dict[str, str] | None = None) -> Finished:
    prepare(site, fails)
    return site.run_flow("resumable.py", "run", *words, env={"SHAPE": shape, **(env or {})})


def prepare(site: Site, fails: str = "") -> None:
    site.place("ledger.py")
    (site.directory / "fails").write_text(fails)


def failed_run(site: Site, shape: str, fails: str, *words: str, env: dict[str, str] | None = None) -> Finished:
    """Run the flow until the task `fails` fails, then remove the cause and forget what ran."""
    finished = run(site, shape, *words, fails=fails, env=env).failed()
    assert f"{fails} was asked to fail" in finished.output
    (site.directory / "fails").unlink()
    forget(site)
    return finished


def forget(site: Site) -> None:
    (site.directory / "ran").write_text("")


def ran(site: Site) -> Counter[str]:
    return Counter((site.directory / "ran").read_text().split())


def tasks_of(run: Run) -> dict[str, Task]:
    """Return the tasks that have finished well, by label."""
    return {task["label"].data: task for step in run for task in step if task.successful}


def latest_run(site: Site, shape: str) -> str:
    return (site.root / shape / "latest_run").read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Counter[str]]]:
    """Return the result of a shape's undisturbed run, and what ran in it."""
    known: dict[str, tuple[Any, Counter[str]]] = {}

    def of(shape: str) -> tuple[Any, Counter[str]]:
        if shape not in known:
            site = Site(tmp_path_factory.mktemp(shape), "fork", warm=True)
            known[shape] = (run(site, shape).succeeded().data.result, ran(site))
        return known[shape]

    return of


def check_resumed(site: Site, origin: Run, resumed: Finished, expected: tuple[Any, Counter[str]]) -> None:
    """Fail unless just what had not finished in `origin` ran, and all is as after an undisturbed run."""
    result, everything = expected
    resumed.succeeded()
    before, after = tasks_of(origin), tasks_of(resumed.run)
    assert ran(site) == everything - Counter(before.keys())
    assert resumed.data.result == result
    assert set(after) == set(everything)
    assert resumed.run.origin_pathspec == origin.pathspec
    for label, task in after.items():
        assert task.parent.origin_pathspec == f"{origin.pathspec}/{task.parent.id}"
        assert task.origin_pathspec == (before[label].pathspec if label in before else None)
        # An engine that is killed takes along what a task has just printed.
        assert task.stdout == (before[label].stdout if label in before else f"task {label}\n")
        assert (task.finished, task.exception) == (True, None)
    assert_sound(site.root)


CASES = [(shape, label) for shape, labels in FAILURES.items() for label in labels]


@pytest.mark.parametrize(("shape", "fails"), CASES)
def test_a_failed_run(one_site: Site, undisturbed: Any, shape: str, fails: str) -> None:
    failed = failed_run(one_site, shape, fails)
    resumed = resume(one_site, shape)
    check_resumed(one_site, failed.run, resumed, undisturbed(shape))
    assert latest_run(one_site, shape) == resumed.run_id


@pytest.mark.parametrize(("shape", "fails"), [("Nested", "leaf[1,0]"), ("Climb", "climb[1]#3")])
def test_a_failed_run_in_both_ways_to_make_a_task(site: Site, undisturbed: Any, shape: str, fails: str) -> None:
    failed = failed_run(site, shape, fails, "--max-workers", "2")
    check_resumed(site, failed.run, resume(site, shape), undisturbed(shape))


@pytest.mark.parametrize(
    ("shape", "fails", "step", "reruns"),
    [
        ("Line", "end", "start", "start middle end"),
        ("Line", "end", "middle", "middle end"),
        ("Line", "middle", "end", "middle end"),  # never past the failure
        ("Branches", "join", "left", "left join end"),
        ("Branches", "deep", "join", "deep join end"),
        ("Foreach", "join", "after", "after[0] after[1] after[2] join end"),
        ("Foreach", "after[1]", "work", "work[0] work[1] work[2] after[0] after[1] after[2] join end"),
        ("Nested", "outer_join", "inner_join", "inner_join[0] inner_join[1] outer_join end"),
        ("Recursion", "end", "loop", "loop#1 loop#2 loop#3 loop#4 end"),
    ],
)
def test_from_a_step(one_site: Site, undisturbed: Any, shape: str, fails: str, step: str, reruns: str) -> None:
    failed_run(one_site, shape, fails, "--max-workers", "1")
    resumed = resume(one_site, shape, step).succeeded()
    assert ran(one_site) == Counter(reruns.split())
    assert resumed.data.result == undisturbed(shape)[0]
    assert all(
        (task.origin_pathspec is None) == (label in reruns.split()) for label, task in tasks_of(resumed.run).items()
    )


def test_a_run_that_succeeded(one_site: Site, undisturbed: Any) -> None:
    origin = run(one_site, "Foreach").succeeded()
    forget(one_site)
    check_resumed(one_site, origin.run, resume(one_site, "Foreach"), undisturbed("Foreach"))
    assert not ran(one_site)
    resume(one_site, "Foreach", "join").succeeded()
    assert ran(one_site) == Counter(["join", "end"])


def test_a_resumed_run(one_site: Site, undisturbed: Any) -> None:
    """Two failures, one after the other; the second is gone on from by name, then the latest by default."""
    first = failed_run(one_site, "Climb", "climb[1]#3")
    (one_site.directory / "fails").write_text("join")
    second = resume(one_site, "Climb").failed()
    (one_site.directory / "fails").unlink()
    for name in (str(second.run_id), f"Climb/{second.run_id}"):
        forget(one_site)
        third = resume(one_site, "Climb", "--origin-run-id", name)
        check_resumed(one_site, second.run, third, undisturbed("Climb"))
        assert ran(one_site) == Counter(["join", "end"])
    fourth = resume(one_site, "Climb").succeeded()
    assert fourth.run.origin_pathspec == third.run.pathspec
    assert latest_run(one_site, "Climb") == fourth.run_id
    assert first.run_id != second.run_id


def test_the_console_names_what_was_taken_over_and_its_log_is_there(one_site: Site) -> None:
    failed = failed_run(one_site, "Line", "middle")
    resumed = resume(one_site, "Line").succeeded()
    assert resumed.task("start").stdout == "task start\n"
    assert f"Looking for finished tasks of the run {failed.run_id}." in resumed.stderr
    assert f"[{resumed.run_id}/start/1] Task taken over from {failed.run_id}/start/1." in resumed.stdout
    assert "Task starts" not in "".join(line for line in resumed.stdout.splitlines() if "/start/" in line)


def test_a_run_of_somebody_else(one_site: Site, undisturbed: Any) -> None:
    failed = failed_run(one_site, "Foreach", "work[1]")
    resumed = resume(one_site, "Foreach", env={"METAFLOW_USER": "another"})
    check_resumed(one_site, failed.run, resumed, undisturbed("Foreach"))
    assert "user:another" in resumed.run.tags
    assert "user:tester" not in resumed.run.tags
    assert "user:tester" in failed.run.tags


def test_a_switch_is_chosen_anew_only_where_it_runs(one_site: Site) -> None:
    failed_run(one_site, "Switch", "longer")
    assert resume(one_site, "Switch", env={"WAY": "short"}).succeeded().data.result == "longer"
    assert resume(one_site, "Switch", "start", env={"WAY": "short"}).succeeded().data.result == "short"


# --- the source has changed -----------------------------------------------------------------------------------------


def changed(site: Site, *changes: tuple[str, str]) -> None:
    path = site.directory / "resumable.py"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)


def test_code_of_steps_that_had_not_finished(one_site: Site) -> None:
    failed_run(one_site, "Line", "middle")
    changed(one_site, ('["start"]', '["other start"]'), ('"middle"]', '"other middle"]'))
    resumed = resume(one_site, "Line").succeeded()
    assert resumed.data.result == ["start", "other middle"]
    told = "The source of the step start has changed; what had finished of it is taken over as it was: `resume start`"
    assert resumed.stdout.count("has changed") == resumed.stdout.count(told) == 1
    again = resume(one_site, "Line", "--origin-run-id", str(resumed.run_id)).succeeded()
    assert again.stdout.count("has changed") == again.stdout.count(told) == 1, "it is still the first run's"
    assert "has changed" not in resume(one_site, "Line", "start").succeeded().stdout


def test_a_step_that_was_added(one_site: Site) -> None:
    """After the failure as any other; right after a finished step, that one runs anew: it has to lead there."""
    added = "    @step\n    def added(self):\n        note(self)\n        self.next(self.end)\n\n    @step\n    def end"
    failed_run(one_site, "Line", "middle")
    changed(one_site, ("self.next(self.end)", "self.next(self.added)"), ("    @step\n    def end", added))
    resume(one_site, "Line").succeeded()
    assert ran(one_site) == Counter(["middle", "added", "end"])
    failed_run(one_site, "Line", "end")
    changed(one_site, ("self.next(self.middle)", "self.next(self.between)"))
    changed(one_site, ("    @step\n    def middle", added.replace("added", "between").replace("def end", "def middle")))
    changed(
        one_site,
        ("self.next(self.end)\n\n    @step\n    def middle", "self.next(self.middle)\n\n    @step\n    def middle"),
    )
    resume(one_site, "Line").succeeded()
    assert ran(one_site) == Counter(["start", "between", "middle", "added", "end"])


def test_a_list_that_is_longer_now(one_site: Site) -> None:
    failed_run(one_site, "Foreach", "work[1]")
    changed(one_site, ('[3, "b", None]', '[3, "b", None, 4]'))
    assert len(resume(one_site, "Foreach").succeeded().data.result) == 3
    assert len(resume(one_site, "Foreach", "start").succeeded().data.result) == 4


def test_a_branch_that_was_added(one_site: Site) -> None:
    failed_run(one_site, "Branches", "join")
    changed(one_site, ("self.next(self.left, self.right)", "self.next(self.left, self.right, self.third)"))
    third = (
        "    @step\n    def third(self):\n        note(self)\n        self.next(self.join)\n\n    @step\n    def left"
    )
    changed(one_site, ("    @step\n    def left", third))
    resume(one_site, "Branches").succeeded()
    assert ran(one_site) == Counter(["start", "third", "left", "right", "deep", "join", "end"])


# --- parameters -----------------------------------------------------------------------------------------------------

PARAMETERS = """
    import pathlib
    from metaflow import FlowSpec, IncludeFile, JSONType, Parameter, current, step

    class ParameterFlow(FlowSpec):
        number = Parameter("number", default=1)
        document = Parameter("document", type=JSONType, default="{}")
        text = IncludeFile("text", default="text.txt")
        constant = "old"

        @step
        def start(self):
            self.next(self.middle)

        @step
        def middle(self):
            if pathlib.Path("fails").exists():
                raise ValueError
            self.seen = (self.number, self.document, self.text, self.constant, current.origin_run_id)
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        ParameterFlow()
"""


def test_parameters_are_those_of_the_origin_and_constants_those_of_the_source(one_site: Site) -> None:
    (one_site.directory / "fails").touch()
    (one_site.directory / "text.txt").write_text("old text")
    words = ("--number", "5", "--document", '{"a": [1]}')
    failed = one_site.run_flow(PARAMETERS, "run", *words).failed()
    (one_site.directory / "fails").unlink()
    (one_site.directory / "text.txt").unlink()
    later = PARAMETERS.replace("default=1", "default=2").replace('"old"', '"new"')
    refused = one_site.run_flow(later, "resume", "--number", "7").failed()
    assert refused.returncode == 2
    assert "--number cannot be given to resume" in refused.stderr
    one_site.run_flow(later, "resume", env={"METAFLOW_RUN_NUMBER": "8"}).succeeded()
    (run,) = (run for run in one_site.flow("ParameterFlow") if run.id != failed.run_id)
    data = present(run.data)
    assert data.seen == (5, {"a": [1]}, "old text", "new", failed.run_id)
    assert (data.number, data.text, present(run["start"].task).data.number) == (5, "old text", 5)
    help = one_site.run_flow(later, "resume", "--help").succeeded().stdout
    assert "--number" not in help


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def failed_line(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("failed"), "fork", warm=True)
    failed_run(site, "Line", "middle")
    return site


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--origin-run-id", "12345"], ["no run 12345", "Line", "hint:"]),
        (["--origin-run-id", "Other/12345"], ["Other", "not of Line"]),
        (["--origin-run-id", ""], ["is not the id of a run"]),
        (["--origin-run-id", "../Line"], ["not of Line"]),
        (["nowhere"], ["no step 'nowhere'", "start, middle, end"]),
        (["--originrunid", "1"], ["--originrunid", "--origin-run-id"]),
        (["--max-workers", "0"], ["--max-workers"]),
        (["start", "end"], ["end"]),
    ],
)
def test_bad_input(failed_line: Site, words: list[str], told: list[str]) -> None:
    refused = resume(failed_line, "Line", *words)
    assert refused.returncode == 2
    assert refused.run_id is None
    assert all(word in refused.stderr for word in told), refused.stderr
    assert "Traceback" not in refused.output
    assert not ran(failed_line)
    assert len(list(failed_line.flow("Line"))) == 1


def test_without_a_run(one_site: Site) -> None:
    refused = resume(one_site, "Line")
    assert refused.returncode == 2
    assert "no run here" in refused.stderr
    assert "run` starts one" in refused.stderr
    assert not (one_site.root / "Line").exists()


def test_a_run_that_had_hardly_begun(one_site: Site) -> None:
    """Its engine died before the parameters were stored: it is named, and nothing is begun."""
    failed = failed_run(one_site, "Line", "middle")
    (one_site.root / "Line" / str(failed.run_id) / "_parameters" / "0" / "0.DONE.lock").unlink()
    refused = resume(one_site, "Line")
    assert refused.returncode == 2
    assert f"no run {failed.run_id}" in refused.stderr
    assert len(list(one_site.flow("Line"))) == 1


# --- the engine was killed ------------------------------------------------------------------------------------------


def check_killed(site: Site, undisturbed: Any, seed: int) -> None:
    """Kill the engine at a moment drawn from the seed, and go on from what it left."""
    draw = random.Random(seed)
    shape = draw.choice(["Nested", "Climb", "BranchesInForeach"])
    running = start(site, shape, "--max-workers", draw.choice(["2", "4"]), env={"PAUSE": "0.005"})
    kill(running, shape, draw)
    if running.run_id is None or not done(site.root / shape / running.run_id / "_parameters"):
        return  # nothing had begun
    forget(site)
    site.look()
    check_resumed(site, Run(f"{shape}/{running.run_id}"), resume(site, shape), undisturbed(shape))


def done(directory: Path) -> int:
    return len(list(directory.glob("**/0.DONE.lock")))


def kill(running: Running, shape: str, draw: random.Random) -> None:
    tasks, pause = draw.randrange(0, 20), draw.random() * 0.02
    eventually(
        lambda: running.process.poll() is not None or done(running.site.root / shape) >= tasks,
        f"{tasks} tasks are done",
    )
    time.sleep(pause)  # not to wait for anything: to come at any point of a task
    running.process.kill()
    running.process.wait()
    processes.assert_gone(running.site.mark)


@pytest.mark.parametrize(
    ("mode", "seed"), [*(("fork", seed) for seed in range(SEEDS)), *(("exec", seed) for seed in range(SEEDS)[::4])]
)
def test_a_run_whose_engine_was_killed(site: Site, undisturbed: Any, seed: int) -> None:
    check_killed(site, undisturbed, seed)


def test_a_resume_whose_engine_was_killed(one_site: Site, undisturbed: Any) -> None:
    """The half-finished resumed run is itself gone on from."""
    failed_run(one_site, "Nested", "leaf[1,0]", "--max-workers", "1")
    path = one_site.directory / "second"
    words = ("resume", "--max-workers", "1", "--run-id-file", str(path))
    running = one_site.start_flow("resumable.py", *words, env={"SHAPE": "Nested", "PAUSE": "0.05"})
    eventually(lambda: "leaf[1,0]" in ran(one_site), "the resumed run has come to what had failed")
    running.process.kill()
    running.process.wait()
    processes.assert_gone(one_site.mark)
    forget(one_site)
    one_site.look()
    second = path.read_text()
    resumed = resume(one_site, "Nested", "--origin-run-id", second)
    check_resumed(one_site, Run(f"Nested/{second}"), resumed, undisturbed("Nested"))


# --- a flow that has changed ----------------------------------------------------------------------------------------

CHANGING = """
import os
from metaflow import FlowSpec, Parameter, step

class ChangingFlow(FlowSpec):
    width = Parameter("width", default=3)
    {more}

    @step
    def start(self):
        self.items = list(range(self.width))
        self.next(self.work, foreach='items')

    @step
    def work(self):
        self.next(self.join)

    @step
    def other(self):
        self.next(self.end)

    @step
    def join(self, inputs):
        self.next(self.other)

    @step
    def end(self):
        if os.environ.get("FAILS"):
            raise ValueError("asked to fail")
        print("more:", getattr(self, "more", None))

if __name__ == "__main__":
    ChangingFlow()
"""


def changing(more: str = "") -> str:
    return CHANGING.replace("{more}", more)


def resumed_flow(site: Site, source: str, *words: str) -> Finished:
    return site.run_flow(source, "resume", *words)


def test_a_parameter_that_the_origin_did_not_have(one_site: Site) -> None:
    failed = one_site.run_flow(changing(), "run", env={"FAILS": "1"}).failed()
    origin = ("--origin-run-id", str(failed.run_id))
    refused = resumed_flow(one_site, changing('more = Parameter("more", required=True)'))
    assert refused.returncode == 2
    assert "has no parameter more" in refused.stderr
    assert len(list(one_site.flow("ChangingFlow"))) == 1
    assert "more: 5" in resumed_flow(one_site, changing("more = 5")).succeeded().stdout
    with_default = changing('more = Parameter("more", default=7)')
    told = resumed_flow(one_site, with_default, *origin).succeeded()
    assert "more: 7" in told.stdout
    assert "with their defaults: more." in told.stderr
    at_a_join = with_default.replace("(self, inputs):", "(self, inputs):\n        print('input:', inputs[0].more)")
    assert "input: 7" in resumed_flow(one_site, at_a_join, "join", *origin).succeeded().stdout


def test_the_tags_of_the_origin_are_carried_over_and_said(one_site: Site) -> None:
    one_site.run_flow(changing(), "run", "--tag", "one", "--tag", "two", env={"FAILS": "1"}).failed()
    told = resumed_flow(one_site, changing(), "--tag", "two", "--tag", "three").succeeded()
    assert ": one, two." in told.stderr
    resumed = present(one_site.flow("ChangingFlow").latest_run)
    assert resumed.user_tags == {"one", "two", "three"}
    assert present(resumed.end_task).user_tags == {"one", "two", "three"}


def test_the_widest_foreach_allowed_is_about_what_runs(one_site: Site) -> None:
    one_site.run_flow(changing(), "run", "--max-num-splits", "3", env={"FAILS": "1"}).failed()
    finished = resumed_flow(one_site, changing(), "--max-num-splits", "2").succeeded()
    assert finished.stdout.count("Task taken over") == 6
    refused = resumed_flow(one_site, changing(), "start", "--max-num-splits", "2")
    assert "--max-num-splits" in refused.failed().stderr, "the foreach is opened anew"


def test_a_finished_step_that_goes_elsewhere_now_says_why_it_runs(one_site: Site) -> None:
    one_site.run_flow(changing(), "run", env={"FAILS": "1"}).failed()
    changed = changing().replace(
        "def other(self):\n        self.next(self.end)", "def other(self):\n        self.next(self.third)"
    )
    changed = changed.replace(
        "    @step\n    def end",
        "    @step\n    def third(self):\n        self.next(self.end)\n\n    @step\n    def end",
    )
    finished = resumed_flow(one_site, changed).succeeded()
    (remark,) = [line for line in finished.stdout.splitlines() if "runs again" in line]
    assert "The step other had finished and runs again" in remark
    assert "it went on to end" in remark
    assert finished.stdout.count("Task taken over") == 5


def test_a_run_whose_engine_was_killed_before_its_first_task(one_site: Site) -> None:
    one_site.run_flow("linear.py", "run").succeeded()
    run = LocalMetadata(str(one_site.root), "tester").new_run("LinearFlow", tags=[], system_tags=[])
    resumed = one_site.run_flow("linear.py", "resume", "--origin-run-id", run).failed()
    assert f"The run {run} ended before its first task: it has nothing to resume." in resumed.stderr
