"""`spin`: one step with the inputs that it had in an earlier run, which stays as it is.

Every flow is `sources/spun.py`. Most tests share one run of it, and spin its steps.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from metaflow import Flow, Task, inspect_spin, metadata, namespace
from support import processes
from support.present import present
from support.processes import eventually
from support.site import Finished, Site

pytestmark = pytest.mark.ours

ADDED = {
    '    kind = "first"': '    kind = "edited"\n    beta = Parameter("beta", default=44)',
    'getattr(self, "beta", None))\n        self.next(self.end)': "self.beta)\n        self.next(self.added)\n\n"
    '    @step\n    def added(self):\n        print("added", self.zs, self.beta)\n        self.next(self.end)',
}
"""An edit after the run: a step, a parameter, another plain value."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """A run of the flow; the tests spin its steps."""
    site = Site(tmp_path_factory.mktemp("spin"), "fork", warm=True)
    yield site.run_flow("spun.py", "run", "--tag", "first").succeeded()
    processes.assert_gone(site.mark)


def spin(ran: Finished, *words: str, env: Mapping[str, str | None] | None = None, cwd: Path | None = None) -> Finished:
    return ran.site.run_flow("spun.py", "spin", *words, env=env, cwd=cwd)


def printed(finished: Finished) -> list[str]:
    """Return what the spun step has printed, without what stands before each line."""
    lines = (line.partition(") ] " if ") ] " in line else ")] ")[2] for line in finished.stdout.splitlines())
    return [line for line in lines if line and not line.startswith(("Task starts", "Task done", "Task failed"))]


def files(directory: Path) -> dict[str, tuple[int, int]]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


# --- which task, which inputs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "lines"),
    [
        ("start", ["start 3 1"]),
        ("left", []),
        ("meet", ["meet [11, 12] 11 first"]),
        ("work", ["work 0 a work red 0"]),
        ("gather", ["gather ['aa', 'bb', 'cc']"]),
        ("loop", ["loop 1"]),
        ("last", ["last 3 ['aa', 'bb', 'cc'] None None"]),
        ("end", ["end 3"]),
    ],
)
def test_a_step_has_the_inputs_that_it_had(ran: Finished, step: str, lines: list[str]) -> None:
    before = files(ran.root)
    finished = spin(ran, step).succeeded()
    assert printed(finished) == lines
    assert files(ran.root) == before, "the run was written to"
    assert not (ran.site.directory / ".metaflow_spin").exists()
    assert list((ran.site.directory / "tmp").iterdir()) == []


def test_every_form_of_a_path(ran: Finished) -> None:
    ids = sorted(int(task.id) for task in ran.run["work"])
    paths = {f"{ran.run_id}/work": "0 a", f"Spun/{ran.run_id}/work": "0 a", f"{ran.run_id}/work/{ids[2]}": "2 c"}
    for path, element in paths.items():
        assert printed(spin(ran, path).succeeded()) == [f"work {element} work red 0"], path
    second = sorted(int(task.id) for task in ran.run["loop"])[1]
    assert printed(spin(ran, f"Spun/{ran.run_id}/loop/{second}").succeeded()) == ["loop 2"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("strat", "did you mean 'start'?"),
        ("RUN", "The flow Spun has no step 'RUN'"),
        ("RUN/strat", "did you mean 'start'?"),
        ("RUN/work/999", "The step 'work' has no task '999'"),
        ("Other/RUN/work/1", "a task of the flow Other, not of Spun"),
        ("1/work", "The flow Spun has no run '1' here"),
        ("Spun/RUN/work/1/x", "is not the path of a step or a task"),
        ("", "is not the path of a step or a task"),
    ],
)
def test_paths_that_are_none(ran: Finished, path: str, said: str) -> None:
    finished = spin(ran, path.replace("RUN", str(ran.run_id))).failed()
    assert said.replace("RUN", str(ran.run_id)) in finished.stderr
    assert "Traceback" not in finished.output


def test_namespaces(ran: Finished) -> None:
    other: dict[str, str | None] = {"METAFLOW_USER": "other"}
    refused = spin(ran, "end", env=other).failed()
    assert "no run in the namespace 'user:other'" in refused.stderr
    assert f"spin {ran.run_id}/end" in refused.stderr
    spin(ran, f"{ran.run_id}/end", env=other).succeeded()
    spin(ran, "end", "--namespace", "user:tester", env=other).succeeded()


def test_a_failed_run_is_spun_where_it_failed(one_site: Site) -> None:
    run = one_site.run_flow(
        "spun.py", "run", "--max-workers", "1", "--without", "catch", "--without", "retry", env={"FAILS": "b"}
    ).failed()
    again = spin(run, "work", env={"FAILS": "b"}).failed()
    assert again.returncode == 1
    assert "ValueError: no b" in again.stderr
    assert "spun.py:" in again.stderr
    assert printed(spin(run, "work").succeeded()) == ["work 1 b work red 0"]
    not_reached = spin(run, "gather").failed()
    assert f"The run {run.run_id} has not reached the step 'gather'" in not_reached.stderr
    assert "only 1 of the 3 tasks before it finished there" in not_reached.stderr


def test_a_step_that_was_not_reached_starts_from_what_is_there(one_site: Site) -> None:
    assert "`python spun.py run` makes one" in one_site.run_flow("spun.py", "spin", "work").failed().stderr
    run = one_site.run_flow("spun.py", "run", env={"FAILS": "LAST"}).failed()
    assert "The run" in spin(run, "end").failed().stderr
    assert printed(spin(run, "last").succeeded()) == ["last 3 ['aa', 'bb', 'cc'] None None"]


def test_the_source_is_as_it_is_now(one_site: Site) -> None:
    run = one_site.run_flow("spun.py", "run").succeeded()
    path = one_site.directory / "spun.py"
    text = path.read_text()
    for old, new in ADDED.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    assert printed(spin(run, "meet").succeeded()) == ["meet [11, 12] 11 edited"]
    assert printed(spin(run, "last").succeeded()) == ["last 3 ['aa', 'bb', 'cc'] None 44"]
    assert printed(spin(run, "added").succeeded()) == ["added ['aa', 'bb', 'cc'] 44"], "the run had no such step"
    path.write_text(text.replace('"added", self.zs', '"added", self.unknown_to_all'))
    assert "hint: the past run has no such artifact: --artifacts-module FILE" in spin(run, "added").failed().stdout
    path.write_text(text.replace('"beta", default=44', '"beta", type=int, required=True'))
    demanding = spin(run, "last").failed()
    assert "has no parameter 'beta', which has no default" in demanding.output
    assert "--artifacts-module FILE" in demanding.output
    one_site.write("given.py", "ARTIFACTS = {'beta': 5}")
    given = spin(run, "last", "--artifacts-module", "given.py").succeeded()
    assert printed(given) == ["last 3 ['aa', 'bb', 'cc'] None 5"]


def test_branches_that_a_step_does_not_tell(one_site: Site) -> None:
    source = """
        from metaflow import FlowSpec, step

        class Meeting(FlowSpec):
            @step
            def start(self):
                self.next(self.a, self.b)

            @step
            def a(self):
                self.come, self.way = "from a", "shared"
                self.next({"shared": self.shared, "own": self.c}, condition="way")

            @step
            def b(self):
                self.come, self.way = "from b", "shared"
                self.next({"shared": self.shared, "own": self.d}, condition="way")

            @step
            def c(self):
                self.next(self.join)

            @step
            def d(self):
                self.next(self.join)

            @step
            def shared(self):
                print("shared", self.come)
                self.next(self.more)

            @step
            def more(self):
                print("more", self.come)
                self.next({"both": [self.x, self.y], "one": [self.x]}, condition="choice")

            @step
            def x(self):
                self.next(self.inner)

            @step
            def y(self):
                self.next(self.inner)

            @step
            def inner(self, inputs):
                self.come = inputs[0].come
                print("inner", [each.come for each in inputs])
                self.next(self.join)

            @step
            def join(self, inputs):
                print("join", [each.come for each in inputs])
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            Meeting()
        """
    source = source.replace('print("more", self.come)', 'self.choice = "both" if self.come == "from a" else "one"')
    run = one_site.run_flow(source, "run").succeeded()
    tasks = {
        (step.id, task["come"].data): f"{run.run_id}/{step.id}/{task.id}"
        for step in run.run
        for task in step
        if "come" in task and step.id in ("shared", "inner")
    }
    for way in ("from a", "from b"):
        assert printed(one_site.run_flow(source, "spin", tasks["shared", way]).succeeded()) == [f"shared {way}"]
        inner = printed(one_site.run_flow(source, "spin", tasks["inner", way]).succeeded())
        assert inner == [f"inner {[way] * (2 if way == 'from a' else 1)}"]
    assert printed(one_site.run_flow(source, "spin", "join").succeeded()) == ["join ['from a', 'from b']"]


# --- other inputs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "artifacts", "lines"),
    [
        ("start", "{'alpha': 9, 'settings': {'depth': 7}}", ["start 9 7"]),
        ("last", "{'rounds': 0, 'extra': range(2)}", ["last 0 ['aa', 'bb', 'cc'] range(0, 2) None"]),
        ("meet", "{'y': 5}", ["meet [5, 5] 5 first"]),
        ("work", "{'items': ('p', 'q')}", ["work 0 p work red 0"]),
        ("gather", "{'z': None}", ["gather [None, None, None]"]),
    ],
)
def test_artifacts_that_are_given_come_first(ran: Finished, step: str, artifacts: str, lines: list[str]) -> None:
    ran.site.write("given.py", f"ARTIFACTS = {artifacts}")
    assert printed(spin(ran, step, "--artifacts-module", "given.py").succeeded()) == lines


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("X = 1", "has no ARTIFACTS"),
        ("artifacts = {}", "rename 'artifacts' to ARTIFACTS"),
        ("ARTIFACTS = [1]", "is a list, not a dictionary"),
        ("ARTIFACTS = {1: 2}", "1 is not the name of an artifact"),
        ("ARTIFACTS = {'_foreach_stack': 2}", "'_foreach_stack' is not the name of an artifact"),
        ("ARTIFACTS = {'kind': 2}", "'kind' is an attribute of the class Spun"),
        ("ARTIFACTS = {'work': 2}", "'work' is a step of Spun"),
        ("ARTIFACTS = {'x': (i for i in ())}", "'x'"),
        ("x = 0\n1 / x", "given.py:2"),
        ("ARTIFACTS = {", "given.py:1"),
    ],
)
def test_artifacts_that_cannot_be_used(ran: Finished, source: str, said: str) -> None:
    ran.site.write("given.py", source + "\n")
    finished = spin(ran, "left", "--artifacts-module", "given.py").failed()
    assert said in finished.output
    assert "Traceback" not in finished.output


def test_an_artifacts_module_that_was_edited_within_a_second_is_read_anew(ran: Finished) -> None:
    for name in ("kind", "work"):  # of one length: a compiled file beside it would count as fresh
        path = ran.site.write("given.py", f"ARTIFACTS = {{'{name}': 2}}\n")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        assert f"'{name}' is" in spin(ran, "left", "--artifacts-module", "given.py").failed().output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("spin", "end", "--artifacts-module", "nowhere.py"), "nowhere.py: there is no such file"),
        (("--config-value", "settings", "{}", "spin", "end"), "its configs are those of the past run"),
        (("spin", "end", "--alpha", "3"), "--alpha cannot be given to spin: its parameters are those of the past run."),
        (("spin", "end", "--run-id-file", "no/file"), "--run-id-file"),
        (("spin",), "STEP"),
        (("--mode", "spni", "spin", "end"), "There is no mode 'spni'"),
    ],
)
def test_options_that_cannot_be(ran: Finished, words: tuple[str, ...], said: str) -> None:
    assert said in ran.site.run_flow("spun.py", *words).failed().stderr


# --- decorators ------------------------------------------------------------------------------------------------------


def test_which_decorators_are_applied(ran: Finished) -> None:
    assert "Not applied by spin: @retry, @catch." in spin(ran, "work").succeeded().stderr
    assert spin(ran, "work", env={"FAILS": "a"}).failed().stdout.count("ValueError: no a") == 1, "it is not tried again"
    assert printed(spin(ran, "work", "--skip-decorators").succeeded()) == ["work 0 a work None 0"]
    allowed = spin(ran, "work", env={"FAILS": "a", "METAFLOW_SPIN_ALLOWED_DECORATORS": '["catch"]'}).succeeded()
    assert "work 0 a work None 0" in printed(allowed)
    refused = spin(ran, "work", env={"METAFLOW_SPIN_DISALLOWED_DECORATORS": "retry"}).failed()
    assert "has @retry, which spin cannot run" in refused.stderr
    elsewhere = ran.site.run_flow("spun.py", "--with", "kubernetes:cpu=2", "spin", "end").succeeded()
    assert "Not applied by spin: @kubernetes." in elsewhere.stderr


# --- results that are kept -------------------------------------------------------------------------------------------


def test_results_that_are_kept(ran: Finished) -> None:
    directory = ran.site.directory
    names, id_file = directory / "names.json", directory / "spin_id"
    words = ("--persist", "--runner-attribute-file", str(names), "--run-id-file", str(id_file))
    finished = spin(ran, "meet", *words).succeeded()
    said = json.loads(names.read_text())
    spin_id = id_file.read_text()
    assert said == {
        "task_id": "0",
        "step_name": "meet",
        "run_id": spin_id,
        "flow_name": "Spun",
        "metadata": f"spin@{directory}",
    }
    assert f"Results: inspect_spin('.'), then Task('Spun/{spin_id}/meet/0')." in finished.stderr
    try:
        namespace(None)
        inspect_spin(str(directory))
        task = present(present(Flow("Spun").latest_run)["meet"].task)
        assert task.pathspec == f"Spun/{spin_id}/meet/0"
        assert (task.successful, task.finished) == (True, True)
        assert (task.data.ys, task.data.x, task.data.kind, task.data.alpha) == ([11, 12], 10, "first", 3)
        assert task.data.big == "big" * 200_000, "what the step did not touch is there too"
        assert task.stdout == "meet [11, 12] 11 first\n"
        assert task.metadata_dict["ds-type"] == "spin"
        metadata(said["metadata"])
        assert Task(f"Spun/{spin_id}/meet/0").data.x == 10
    finally:
        ran.site.look()
    assert present(ran.run).id == ran.run_id
    assert printed(spin(ran, "end").succeeded()) == ["end 3"], "the newest run is still the run"
    logs = ran.site.run_flow("spun.py", "--mode", "spin", "logs", f"{spin_id}/meet/0").succeeded()
    assert "meet [11, 12] 11 first" in logs.stdout


def test_where_they_are_kept(ran: Finished, tmp_path: Path) -> None:
    env = {"METAFLOW_DATASTORE_SYSROOT_SPIN": str(tmp_path / "there"), "METAFLOW_SPIN_PERSIST": "1"}
    failed = spin(ran, "work", env={**env, "FAILS": "a"}).failed()
    assert "ValueError: no a" in failed.stderr
    try:
        inspect_spin(str(tmp_path / "there"))
        namespace(None)
        task = present(present(Flow("Spun").latest_run)["work"].task)
        assert (task.successful, task.finished, task.index) == (False, False, 0)
        assert "ValueError: no a" in str(task.exception)
        assert "ValueError: no a" in task.stderr
    finally:
        ran.site.look()
    before = files(tmp_path)
    spin(ran, "end", "--no-persist", env=env).succeeded()
    assert files(tmp_path) == before


def test_cards_are_kept_with_the_results(one_site: Site) -> None:
    source = """
        from metaflow import FlowSpec, card, current, step
        from metaflow.cards import Markdown

        class Carded(FlowSpec):
            @card(type="blank")
            @step
            def start(self):
                current.card.append(Markdown("a card"))
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            Carded()
        """
    run = one_site.run_flow(source, "run").succeeded()
    before = files(run.root)
    assert printed(one_site.run_flow(source, "spin", "start").succeeded()) == []
    assert printed(one_site.run_flow(source, "spin", "start", "--persist").succeeded()) == []
    assert files(run.root) == before
    (page,) = (one_site.directory / ".metaflow_spin").rglob("*.html")
    assert "a card" in page.read_text()


def test_there_must_be_results(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="There is no directory"):
        inspect_spin(str(tmp_path))


# --- its end ---------------------------------------------------------------------------------------------------------


def test_a_spun_task_that_is_interrupted_or_dies(one_site: Site) -> None:
    source = """
        import os, time
        from metaflow import FlowSpec, step

        class Ends(FlowSpec):
            @step
            def start(self):
                open("began", "w").close()
                if os.environ.get("HOW") == "dies":
                    os.kill(os.getpid(), 11)
                if os.environ.get("HOW") == "waits":
                    time.sleep(60)
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            Ends()
        """
    one_site.run_flow(source, "run").succeeded()
    died = one_site.run_flow(source, "spin", "start", env={"HOW": "dies"}).failed()
    assert died.returncode == 1
    assert "SIGSEGV" in died.stderr
    (one_site.directory / "began").unlink()
    running = one_site.start_flow(source, "spin", "start", env={"HOW": "waits"})
    eventually((one_site.directory / "began").exists, "the step begins")
    running.interrupt(group=True)
    interrupted = running.wait().failed()
    assert interrupted.returncode == 128 + signal.SIGINT
    assert "resume" not in interrupted.stderr, "there is nothing to resume"
