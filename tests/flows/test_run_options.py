"""What the options of `run` do."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from support.present import present
from support.site import SOURCES, Site

TIMES = """
    import time
    from metaflow import FlowSpec, Parameter, step

    class TimesFlow(FlowSpec):
        wide = Parameter("wide", default=6)

        @step
        def start(self):
            self.items = list(range(self.wide))
            self.next(self.work, foreach="items")

        @step
        def work(self):
            begun = time.time()
            time.sleep(0.1)
            self.spell = (begun, time.time())
            self.next(self.join)

        @step
        def join(self, inputs):
            self.spells = [one.spell for one in inputs]
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        TimesFlow()
"""


def most_at_once(spells: list[tuple[float, float]]) -> int:
    """Return how many of the spells overlap at the busiest moment."""
    return max(sum(begun <= moment < ended for begun, ended in spells) for moment, _ in spells)


@pytest.mark.parametrize("workers", [1, 2])
def test_max_workers_is_never_exceeded(one_site: Site, workers: int) -> None:
    finished = one_site.run_flow(TIMES, "run", "--max-workers", str(workers)).succeeded()
    assert most_at_once(finished.values("join")["spells"]) == workers


def test_tasks_run_at_the_same_time(one_site: Site) -> None:
    finished = one_site.run_flow(TIMES, "run").succeeded()
    assert most_at_once(finished.values("join")["spells"]) >= 3


def test_max_num_splits(one_site: Site) -> None:
    refused = one_site.run_flow(TIMES, "run", "--max-num-splits", "5").failed()
    for word in ("start", "6", "5", "--max-num-splits"):
        assert word in refused.output
    assert "work" not in refused.run
    one_site.run_flow(TIMES, "run", "--max-num-splits", "6").succeeded()


def test_a_hundred_splits_are_the_limit_unless_said_otherwise(one_site: Site) -> None:
    refused = one_site.run_flow(TIMES, "run", "--wide", "101").failed()
    assert "101" in refused.output
    assert "100" in refused.output
    assert "--max-num-splits" in refused.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--run-id-file", ""), "--run-id-file is empty"),
        (("--run-id-file", "no where/id"), "--run-id-file 'no where/id': the file is in a directory that does not"),
        (("--runner-attribute-file", "."), "--runner-attribute-file .: the file is a directory"),
        (tuple(f"--tag=t{number}" for number in range(51)), "would have 51 tags; at most 50 are allowed"),
    ],
)
def test_what_is_refused_before_there_is_a_run(one_site: Site, words: tuple[str, ...], said: str) -> None:
    refused = one_site.run_flow("linear.py", "run", "--run-id-file", "id", *words).failed()
    assert said in refused.stderr
    assert not one_site.root.exists()


def test_commands_in_hints_can_be_pasted_into_a_shell(one_site: Site) -> None:
    directory = one_site.directory / "my flows"
    directory.mkdir()
    path = one_site.write("my flows/it's.py", (SOURCES / "linear.py").read_text())
    for words in (["run", "--no-such-option"], ["resume"], ["status"], ["no-such-command"], []):
        said = one_site.run_flow(str(path.relative_to(one_site.directory)), *words).stderr
        hint = present(re.search(r"`(python .*?)`", said))
        assert shlex.split(hint[1])[:2] == ["python", "my flows/it's.py"]


def test_tags_and_run_id_file(one_site: Site) -> None:
    path = one_site.directory / "deep" / "run_id"
    path.parent.mkdir()
    finished = one_site.run_flow(
        "linear.py", "run", "--tag", "a", "--tag", "b c", "--run-id-file", str(path)
    ).succeeded()
    run = one_site.flow("LinearFlow")[path.read_text()]
    assert run.user_tags == {"a", "b c"}
    assert {"user:tester", "runtime:dev"} <= run.system_tags
    assert run.tags == run.user_tags | run.system_tags
    assert present(run["start"].task).tags == run.tags
    assert finished.stdout.count(run.id) > 3


def test_the_run_id_is_in_the_file_before_the_first_task_ends(one_site: Site) -> None:
    source = """
        import pathlib
        from metaflow import FlowSpec, current, step

        class EarlyFlow(FlowSpec):
            @step
            def start(self):
                self.read = pathlib.Path("run_id").read_text()
                self.own = current.run_id
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            EarlyFlow()
    """
    one_site.run_flow(source, "run", "--run-id-file", "run_id").succeeded()
    run = present(one_site.flow("EarlyFlow").latest_run)
    assert present(run["start"].task).data.read == present(run["start"].task).data.own == run.id


def test_runner_attribute_file(one_site: Site) -> None:
    one_site.run_flow("linear.py", "run", "--runner-attribute-file", "attributes.json").succeeded()
    attributes = json.loads((one_site.directory / "attributes.json").read_text())
    assert attributes["flow_name"] == "LinearFlow"
    assert attributes["run_id"] == present(one_site.flow("LinearFlow").latest_run).id
    assert attributes["metadata"].startswith("local@")


WITH = """
    from metaflow import FlowSpec, resources, step

    class WithFlow(FlowSpec):
        @resources(cpu=7)
        @step
        def start(self):
            self.next(self.end)

        @step
        def end(self):
            self.steps = self._graph_info["steps"]

    if __name__ == "__main__":
        WithFlow()
"""


@pytest.mark.parametrize("before", [True, False])
def test_with_attaches_a_decorator_to_every_step(one_site: Site, before: bool) -> None:
    extra = ["--with", "resources:cpu=2,memory=100"]
    words = [*extra, "run"] if before else ["run", *extra]
    steps = one_site.run_flow(WITH, *words).succeeded().values("end")["steps"]
    attributes = {
        name: {one["name"]: one["attributes"] for one in steps[name]["decorators"]}["resources"] for name in steps
    }
    assert str(attributes["start"]["cpu"]) == "7", "a step that is decorated already stays as it is"
    assert (str(attributes["end"]["cpu"]), str(attributes["end"]["memory"])) == ("2", "100")


def test_a_setting_attaches_decorators_unless_the_command_line_says_otherwise(one_site: Site) -> None:
    words = ("run", "--with", "resources:cpu=3", "--without", "timeout")
    setting = {"METAFLOW_DEFAULT_DECOSPECS": "retry:times=1 resources:cpu=2 timeout:hours=1"}
    steps = one_site.run_flow(WITH, *words, env=setting).succeeded().values("end")["steps"]
    decorators = {one["name"]: one["attributes"] for one in steps["end"]["decorators"]}
    assert decorators.keys() == {"retry", "resources"}
    assert (str(decorators["retry"]["times"]), str(decorators["resources"]["cpu"])) == ("1", "3")


def test_a_setting_without_effect_is_named_once(one_site: Site) -> None:
    finished = one_site.run_flow(WITH, "run", env={"METAFLOW_OTEL_ENDPOINT": "http://traces"}).succeeded()
    sentence = "METAFLOW_OTEL_ENDPOINT in the environment has no effect: tracing is not supported."
    assert finished.output.count(sentence) == 1


def test_options_of_run_are_variables_too_by_the_names_of_metaflow(one_site: Site) -> None:
    setting = {
        "METAFLOW_RUN_DECOSPECS": "retry:times=1 catch",
        "METAFLOW_RUN_TAGS": "one two",
        "METAFLOW_RUN_USER_NAMESPACE": "elsewhere",
        "METAFLOW_RUN_TAG": "lost",
    }
    finished = one_site.run_flow(WITH, "run", env=setting).succeeded()
    steps = finished.values("end")["steps"]
    assert [one["name"] for one in steps["end"]["decorators"]] == ["retry", "catch"]
    assert finished.run.user_tags == {"one", "two"}
    sentence = "METAFLOW_RUN_TAG in the environment is not a known setting: did you mean METAFLOW_RUN_TAGS?"
    assert finished.stderr.count(sentence) == 1


@pytest.mark.parametrize("command", ["run", "resume", "check", "show"])
def test_an_environment_that_is_not_there_is_named_wherever_it_is_asked_for(one_site: Site, command: str) -> None:
    if command == "resume":
        one_site.run_flow(WITH, "run").succeeded()
    runs = [path.name for path in one_site.root.glob("*/*")]
    refused = one_site.run_flow(WITH, command, env={"METAFLOW_DEFAULT_ENVIRONMENT": "conda"}).failed()
    assert "METAFLOW_DEFAULT_ENVIRONMENT in the environment: The environment 'conda' is not available" in refused.stderr
    assert "--environment local" in refused.stderr
    assert [path.name for path in one_site.root.glob("*/*")] == runs
    said = one_site.run_flow(WITH, "--environment", "pypi", command).failed()
    assert "--environment pypi: The environment 'pypi' is not available" in said.stderr


def test_quiet_says_less_and_top_level_options_are_taken(one_site: Site) -> None:
    words = ("--metadata", "local", "--datastore", "local", "--environment", "local", "--no-pylint")
    loud = one_site.run_flow("talking.py", *words, "run").succeeded()
    noise = {"METAFLOW_OTEL_ENDPOINT": "http://traces"}
    quiet = one_site.run_flow("talking.py", *words, "--quiet", "run", env=noise).succeeded()
    assert quiet.stderr == loud.stderr.replace(loud.stderr.splitlines(keepends=True)[0], "")
    assert len(quiet.output) < len(loud.output)
    assert "hello from start" in quiet.stdout
    assert quiet.run.successful


def test_a_datastore_root_of_ones_own(one_site: Site) -> None:
    root = one_site.directory / "elsewhere" / ".metaflow"
    finished = one_site.run_flow("talking.py", "--datastore-root", str(root), "run").succeeded()
    assert not one_site.root.exists()
    read = one_site.python(
        f"""
        from metaflow import Run, metadata, namespace

        metadata("local@{root.parent}")
        namespace(None)
        print(Run("TalkingFlow/{finished.run_id}").data.words)
        """
    ).succeeded()
    assert read.stdout == "['aa', 'bb']\n"


def test_the_datastore_is_found_from_a_subdirectory(one_site: Site) -> None:
    first = one_site.run_flow("talking.py", "run").succeeded()
    below = one_site.directory / "a" / "b"
    below.mkdir(parents=True)
    second = one_site.run_flow("talking.py", "run", cwd=below).succeeded()
    assert not (below / ".metaflow").exists()
    assert {run.id for run in one_site.flow("TalkingFlow")} == {first.run_id, second.run_id}


def test_the_datastore_can_be_named_by_the_environment(one_site: Site) -> None:
    place = one_site.directory / "named"
    place.mkdir()
    one_site.run_flow("talking.py", "run", env={"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(place)}).succeeded()
    assert list((place / ".metaflow").glob("TalkingFlow/*/start/1/0.DONE.lock"))
    assert not one_site.root.exists()


def test_runs_at_the_same_time_do_not_meet(one_site: Site) -> None:
    runs = [one_site.start_flow("talking.py", "run", "--tag", str(number)) for number in range(4)]
    finished = [run.wait().succeeded() for run in runs]
    assert len({one.run_id for one in finished}) == 4
    for number, one in enumerate(finished):
        assert one.run.user_tags == {str(number)}
        assert one.data.words == ["aa", "bb"]
    assert present(one_site.flow("TalkingFlow").latest_run).id == max((one.run_id or "" for one in finished), key=int)
