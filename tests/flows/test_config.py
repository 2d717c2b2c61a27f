"""Configs of real runs: from files and options to decorators, parameters, steps, resumed runs and the client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metaflow import Run
from support.present import present
from support.site import Site

CONFIG = {"size": 3, "name": "first", "odd key": 5, "nested": {"cpu": [1, 2]}, "retries": 1}


GROWN = """
    from metaflow import {names}FlowSpec, step


    class GrownFlow(FlowSpec):
        {config}

        @step
        def start(self):
            self.next(self.end)

        @step
        def end(self):
            self.seen = {seen}


    if __name__ == "__main__":
        GrownFlow()
"""


def test_a_config_that_was_added_since_has_its_default_in_a_resumed_run(one_site: Site) -> None:
    one_site.write("grown.py", GROWN.format(names="", config="", seen="1 / 0"))
    one_site.run_flow("grown.py", "run").failed()
    added = "added = Config('added', default_value={'x': 3})"
    one_site.write("grown.py", GROWN.format(names="Config, ", config=added, seen="self.added.x"))
    path = one_site.directory / "resumed"
    one_site.run_flow("grown.py", "resume", "--run-id-file", str(path)).succeeded()
    one_site.look()
    assert present(Run(f"GrownFlow/{path.read_text()}").data).seen == 3


EXEC = {"METAFLOW_LOCAL_ISOLATION": "exec"}


@pytest.fixture
def configured(one_site: Site) -> Site:
    one_site.write("config.json", json.dumps(CONFIG))
    return one_site


def test_a_config_everywhere(configured: Site) -> None:
    finished = configured.run_flow("configured.py", "run").succeeded()
    start = finished.values("start")
    assert start["seen"] == {
        "name": "first",
        "odd key": 5,
        "cpu": 1,
        "parsed": "x y",
        "lines": ["one", "two"],
        "nothing": None,
        "from": ["base", "derived"],
        "environment": ["3", "first"],
        "parameters": [3, "first-derived", 4],
        "json": '{"cpu": [1, 2]}',
    }
    assert finished.values("end")["found"] == [3, 3, [[1, 2], 3], "ConfigValue"]
    assert (configured.directory / "parsed.log").read_text() == "parsed\n", "parsed once, at the start"

    parameters = {artifact.id: artifact.data for artifact in finished.task("_parameters")}
    assert parameters["config"] == CONFIG
    assert type(parameters["config"]["nested"]) is dict
    assert (parameters["lines"], parameters["nothing"]) == (["one", "two"], None)
    assert finished.data.config == CONFIG
    graph = finished.task("_parameters")["_graph_info"].data
    assert {"name": "config", "type": "Config"} in graph["parameters"]
    attributes = {each["name"]: each["attributes"] for each in graph["steps"]["start"]["decorators"]}
    assert attributes["environment"]["vars"] == {"SIZE": "3", "NAME": "first"}
    assert (attributes["resources"]["cpu"], attributes["resources"]["memory"]) == (2, 600)


def test_the_values_are_those_of_the_start(configured: Site) -> None:
    """Tasks and a resumed run read no file, also in interpreters of their own, from another directory."""
    edited = {**CONFIG, "size": 9, "name": "second"}
    failed = configured.run_flow("configured.py", "--config-value", "parsed", "b=first\na=2", "run", "--size", "7")
    failed.succeeded()
    configured.write("config.json", json.dumps(edited))
    resumed = resume(configured, "work", env=EXEC)
    assert resumed["start"].task.data.seen["parsed"] == "first"
    assert resumed["end"].task.data.found == [3, 3, [[1, 2], 3], "ConfigValue"]
    (configured.directory / "config.json").unlink()
    again = resume(configured, "join").data
    assert again.config == CONFIG
    assert again.size == 7


def resume(site: Site, step: str, env: dict[str, str] | None = None) -> Any:
    path = site.directory / "resumed"
    site.run_flow("configured.py", "resume", step, "--run-id-file", str(path), env=env).succeeded()
    site.look()
    return Run(f"ConfiguredFlow/{path.read_text()}")


def test_given_from_outside(configured: Site) -> None:
    other = {**CONFIG, "size": 4, "name": "other"}
    configured.write("other.json", json.dumps(other))
    (configured.directory / "config.json").unlink()
    finished = configured.run_flow(
        "configured.py",
        *("--config", "config", "other.json", "--config-value", "not-given", '{"x": 1}', "run"),
        env={
            "METAFLOW_FLOW_CONFIG": '{"config": "gone.json"}',
            "METAFLOW_FLOW_CONFIG_VALUE": '{"base": {"from": "setting"}}',
        },
    ).succeeded()
    assert finished.data.size == 4, "also the defaults of parameters"
    seen = finished.values("start")["seen"]
    assert (seen["name"], seen["nothing"], seen["from"]) == ("other", {"x": 1}, ["setting", "derived"])


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--config", "config", "none.json", "run"), 2, ["Invalid config:", "none.json (--config)", "No such file"]),
        (("--config", "confg", "config.json", "run"), 2, ["did you mean 'config'?"]),
        (
            ("--config-value", "config", '{"size": 1}', "run"),
            1,
            ["has no key 'retries'", "its keys: size", "configured.py:"],
        ),
        (("--config-value", "parsed", "nothing", "show"), 2, ["'parsed'", "refused by its parser: ValueError"]),
        (("--config", "config", "config.json", "resume"), 2, ["cannot be given to resume"]),
        (("--config", "config"), 2, ["requires 2 arguments"]),
    ],
)
def test_what_cannot_be_is_one_error_before_anything_is_written(
    configured: Site, words: tuple[str, ...], status: int, said: list[str]
) -> None:
    finished = configured.run_flow("configured.py", *words)
    assert finished.returncode == status
    for part in said:
        assert part in finished.stderr
    assert "Traceback" not in finished.output
    assert not list(configured.root.glob("ConfiguredFlow/[0-9]*"))


def test_show_and_help_tell_about_configs(configured: Site) -> None:
    shown = configured.run_flow("configured.py", "--config-value", "base", "{}", "show").succeeded().stdout
    assert "config.json (its default)" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("  base ")] == [["base", "--config-value"]]
    assert "[default: 3]" in configured.run_flow("configured.py", "run", "--help").succeeded().stdout
    assert "What it is about." in configured.run_flow("configured.py", "--help").succeeded().stdout


def test_a_large_config_reaches_every_task(configured: Site, tmp_path: Path) -> None:
    large: dict[str, Any] = {**CONFIG, "blob": {str(number): "x" * 100 for number in range(30_000)}}
    configured.write("config.json", json.dumps(large))
    finished = configured.run_flow("configured.py", "run", env=EXEC).succeeded()
    assert len(finished.data.config["blob"]) == 30_000


def test_a_parser_that_leaves_the_process_is_an_error(one_site: Site) -> None:
    flow = """
        import sys

        from metaflow import Config, FlowSpec, step


        class Leaving(FlowSpec):
            config = Config("config", default_value="x", parser=lambda text: sys.exit(0))

            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass


        if __name__ == "__main__":
            Leaving()
    """
    assert "is refused by its parser: SystemExit: 0." in one_site.run_flow(flow, "run").failed().stderr
