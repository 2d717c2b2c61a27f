"""The commands beside `run`: show, check, dump, logs, tag, and what help says."""

from __future__ import annotations

import pickle
import re

import pytest

from support.site import Finished, Site


@pytest.fixture
def talked(one_site: Site) -> Finished:
    return one_site.run_flow("talking.py", "run", "--tag", "first").succeeded()


@pytest.mark.ours
def test_show_draws_the_steps_in_order(one_site: Site) -> None:
    shown = one_site.run_flow("talking.py", "show").succeeded()
    lines = [line.lstrip("│├ ") for line in shown.stdout.splitlines()]
    steps = [line.split()[0] for line in lines if line.split() and line.split()[0] in ("start", "work", "join", "end")]
    assert steps == ["start", "work", "join", "end"]
    assert "Say hello." in next(line for line in lines if line.startswith("start"))
    assert "A flow that talks." in shown.output


def test_show_names_the_decorators(one_site: Site) -> None:
    source = """
        from metaflow import FlowSpec, resources, step

        class DecoratedFlow(FlowSpec):
            @resources(memory=100)
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            DecoratedFlow()
    """
    assert "@resources" in one_site.run_flow(source, "show").succeeded().stdout


@pytest.mark.parametrize("arguments", [["check"], []])
def test_check_is_what_a_flow_file_does_alone(one_site: Site, arguments: list[str]) -> None:
    checked = one_site.run_flow("talking.py", *arguments).succeeded()
    assert "TalkingFlow" in checked.output
    assert "Traceback" not in checked.output


@pytest.mark.ours
@pytest.mark.parametrize("arguments", [["show"], ["check"], ["--help"], ["run", "--help"], ["version"]])
def test_looking_leaves_nothing_behind(one_site: Site, arguments: list[str]) -> None:
    one_site.run_flow("talking.py", *arguments).succeeded()
    assert not one_site.root.exists()


def test_dump_prints_artifacts_of_a_step_or_task(talked: Finished) -> None:
    site, run = talked.site, talked.run_id
    step = site.run_flow("talking.py", "dump", f"{run}/work").succeeded()
    assert len(re.findall(r"^doubled\b", step.stdout, re.M)) == 2
    for words in ("aa", "bb", "answer", "42"):
        assert words in step.stdout
    assert "_foreach_stack" not in step.stdout

    task = site.run_flow("talking.py", "dump", f"{run}/start/1").succeeded()
    assert "letters" in task.stdout
    assert "doubled" not in task.stdout

    private = site.run_flow("talking.py", "dump", "--private", f"{run}/start/1").succeeded()
    assert "_foreach_stack" in private.stdout

    included = site.run_flow("talking.py", "dump", "--include", "answer", f"{run}/start/1").succeeded()
    assert "answer" in included.stdout
    assert "letters" not in included.stdout

    small = site.run_flow("talking.py", "dump", "--max-value-size", "0", f"{run}/start/1").succeeded()
    assert "answer" in small.stdout
    assert "42" not in small.stdout


def test_dump_into_a_file(talked: Finished) -> None:
    path = talked.site.directory / "dumped.pickle"
    talked.site.run_flow("talking.py", "dump", "--file", str(path), f"{talked.run_id}/end").succeeded()
    assert "words" in str(pickle.loads(path.read_bytes()))


def test_logs_prints_streams_apart_or_together(talked: Finished) -> None:
    site, run = talked.site, talked.run_id
    assert site.run_flow("talking.py", "logs", f"{run}/start").succeeded().stdout.splitlines() == [
        "hello from start",
        "a complaint",
    ]
    assert site.run_flow("talking.py", "logs", "--stdout", f"{run}/start").succeeded().stdout == "hello from start\n"
    assert site.run_flow("talking.py", "logs", "--stderr", f"{run}/start/1").succeeded().stdout == "a complaint\n"
    both = site.run_flow("talking.py", "logs", f"{run}/work").succeeded()
    assert sorted(both.stdout.splitlines()) == ["letter a", "letter b"]
    shown = site.run_flow("talking.py", "logs", "show", f"{run}/end").succeeded()
    assert shown.stdout.splitlines() == ["grüße ☃", "no newline at the end"]


def test_logs_with_timestamps(talked: Finished) -> None:
    stamped = talked.site.run_flow(
        "talking.py", "logs", "--timestamps", "--stdout", f"{talked.run_id}/start"
    ).succeeded()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} hello from start\n", stamped.stdout)


def test_logs_of_what_is_not_there(talked: Finished) -> None:
    for path in ("99/start", f"{talked.run_id}/nowhere", f"{talked.run_id}/start/99"):
        missing = talked.site.run_flow("talking.py", "logs", path).failed()
        assert missing.stdout == ""
        assert "Traceback" not in missing.stderr


def test_tags(talked: Finished) -> None:
    site, run = talked.site, str(talked.run_id)

    def tags() -> set[str]:
        return set(talked.run.user_tags)

    assert tags() == {"first"}
    site.run_flow("talking.py", "tag", "add", "--run-id", run, "second", "third").succeeded()
    assert tags() == {"first", "second", "third"}
    site.run_flow("talking.py", "tag", "remove", "--run-id", run, "second", "unknown").succeeded()
    assert tags() == {"first", "third"}
    site.run_flow("talking.py", "tag", "replace", "--run-id", run, "--add", "last", "--remove", "first").succeeded()
    assert tags() == {"third", "last"}

    listed = site.run_flow("talking.py", "tag", "list", "--run-id", run).succeeded()
    for tag in ("third", "last", "user:tester", "runtime:dev"):
        assert tag in listed.output
    hidden = site.run_flow("talking.py", "tag", "list", "--run-id", run, "--hide-system-tags").succeeded()
    assert "third" in hidden.output
    assert "runtime:dev" not in hidden.output
    everything = site.run_flow("talking.py", "tag", "list", "--all", "--group-by-tag").succeeded()
    assert "third" in everything.output


def test_system_tags_and_unknown_runs_cannot_be_tagged(talked: Finished) -> None:
    site, run = talked.site, str(talked.run_id)
    refused = site.run_flow("talking.py", "tag", "remove", "--run-id", run, "user:tester").failed()
    assert "user:tester" in refused.output
    unknown = site.run_flow("talking.py", "tag", "add", "--run-id", "999", "x").failed()
    assert "999" in unknown.output
    assert set(talked.run.user_tags) == {"first"}


def test_help_says_what_exists(one_site: Site) -> None:
    overview = one_site.run_flow("talking.py", "--help").succeeded()
    for word in ("run", "show", "check", "dump", "logs", "tag", "--with", "--metadata", "--datastore", "--quiet"):
        assert re.search(rf"(^|\s){word}\b", overview.output, re.M), word
    of_run = one_site.run_flow("talking.py", "run", "--help").succeeded()
    options = ("--tag", "--max-workers", "--max-num-splits", "--max-log-size", "--with", "--run-id-file", "--namespace")
    for option in options:
        assert option in of_run.output, option


def test_version(one_site: Site) -> None:
    assert re.search(r"\d+\.\d+", one_site.run_flow("talking.py", "version").succeeded().output)
