"""The command line of a task: what is in it, and what its words may hold."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metaflow.compute.command import FlowCommand, FlowOptions, PlainEnvironment, TaskCommand

COMMAND = FlowCommand(
    "flow.py",
    "/home/ada/flow.py",
    FlowOptions(quiet=True, decospecs=("retry",), package_suffixes=".r"),
    "7",
    "user:ada",
    ("a", "b"),
    (("X", "1"),),
)


def step(command: FlowCommand = COMMAND, **changes: Any) -> TaskCommand:
    options: dict[str, Any] = {"attempt": 0, "retries": 0, "input_paths": "7/start/1", "split_index": None}
    return command.step("work", 2, **{**options, **changes})


def test_the_words_of_a_task() -> None:
    assert step().arguments == (
        "--quiet",
        "--with=retry",
        "step",
        "work",
        "--run-id=7",
        "--task-id=2",
        "--input-paths=7/start/1",
        "--namespace=user:ada",
        "--tag=a",
        "--tag=b",
    )
    assert step().script == "flow.py"
    assert step().path == "/home/ada/flow.py"


def test_what_only_some_tasks_have() -> None:
    plain = step(COMMAND._replace(tags=(), namespace=None)).arguments
    assert plain[-1] == "--input-paths=7/start/1"
    assert not [word for word in plain if word.startswith(("--tag", "--split-index", "--clone-run-id"))]
    full = step(attempt=2, retries=3, split_index=0, origin_run="5").arguments
    assert {"--retry-count=2", "--max-user-code-retries=3", "--split-index=0", "--clone-run-id=5"} <= set(full)


def test_the_environment_of_a_task() -> None:
    assert step().environment == {"METAFLOW_RUN_ID": "7", "X": "1"}
    assert step(COMMAND._replace(environment=())).environment == {"METAFLOW_RUN_ID": "7"}


@given(st.text(), st.text(), st.lists(st.text()))
def test_a_value_is_one_word_whatever_is_in_it(namespace: str, paths: str, tags: list[str]) -> None:
    words = step(COMMAND._replace(namespace=namespace, tags=tuple(tags)), input_paths=paths).arguments
    assert f"--namespace={namespace}" in words
    assert f"--input-paths={paths}" in words
    assert [word for word in words if word.startswith("--tag=")] == [f"--tag={tag}" for tag in tags]
    assert words.index("step") == 2


def test_the_environment_that_is_there() -> None:
    assert PlainEnvironment.kind == "local"
