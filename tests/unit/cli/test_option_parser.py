"""The command line of a task: what the engine writes is read without click, everything else is not; both agree."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metaflow.cli import commands
from metaflow.cli.option_parser import values_of
from metaflow.cli.step import step
from metaflow.compute.command import FlowCommand, FlowOptions, TaskOptions, read_task
from metaflow.flow.spec import FlowSpec

TEXT = st.text(st.characters(exclude_characters="\0"), max_size=20) | st.text("a=,-: \"'{}[]/\\")
NUMBERS = st.integers(0, 10**9)
FLOW = st.builds(
    FlowOptions,
    quiet=st.booleans(),
    metadata=st.none() | TEXT,
    environment=st.none() | TEXT,
    datastore=st.none() | TEXT,
    datastore_root=st.none() | TEXT,
    decospecs=st.lists(TEXT, max_size=3).map(tuple),
    without=st.lists(TEXT, max_size=3).map(tuple),
    package_suffixes=st.none(),  # these are not forwarded
    branch=st.none() | TEXT,
    production=st.booleans(),
    trigger=st.lists(TEXT, max_size=3).map(tuple),
    pylint=st.just(True),
    config=st.just(()),  # tasks have the configs of their run
    config_value=st.just(()),
    event_logger=st.none(),
    monitor=st.none(),
)


def by_click(words: list[str]) -> tuple[FlowOptions, str, TaskOptions]:
    """Take a command line apart as the commands do, without running anything."""
    command: Any = commands._top_level(FlowSpec)
    context = command.make_context("flow.py", list(words), resilient_parsing=False)
    state: dict[str, Any] = vars(context)  # what follows the options of the group has had two names in click 8
    protected: list[str] = state.get("_protected_args") or state.get("protected_args") or []
    arguments: list[str] = context.args
    name, *rest = [*protected, *arguments]
    assert name == "step"
    inner = step.make_context("step", rest, parent=context)
    return values_of(FlowOptions, context.params), inner.params["step_name"], values_of(TaskOptions, inner.params)


def command(options: FlowOptions = FlowOptions(), **values: Any) -> FlowCommand:  # noqa: B008
    defaults: dict[str, Any] = {"run": "7", "namespace": None, "tags": ()}
    return FlowCommand("flow.py", "/flow.py", options, **{**defaults, **values})


PLAIN = ["step", "work", "--run-id=7", "--task-id=1", "--input-paths=7/start/1"]


@given(
    FLOW,
    TEXT,
    st.none() | TEXT,
    st.lists(TEXT, max_size=3),
    TEXT,
    NUMBERS,
    NUMBERS,
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.none() | TEXT,
)
@example(FlowOptions(quiet=True, decospecs=("a=b",)), "7", "", ["", "=", ","], "7/a/1,7/b/2", 0, 0, 0, 0, "")
def test_what_the_engine_writes_is_read_and_click_reads_the_same(
    options: FlowOptions,
    run: str,
    namespace: str | None,
    tags: list[str],
    paths: str,
    task: int,
    attempt: int,
    split_index: int | None,
    max_splits: int | None,
    origin: str | None,
) -> None:
    flow = command(options, run=run, namespace=namespace, tags=tuple(tags))
    task_command = flow.step(
        "work",
        task,
        attempt=attempt,
        retries=attempt + 1,
        input_paths=paths,
        split_index=split_index,
        max_splits=max_splits,
        origin_run=origin,
    )
    words = list(task_command.arguments)
    expected = TaskOptions(
        run, str(task), paths, split_index, max_splits, attempt, attempt + 1, namespace, tuple(tags), origin
    )
    assert read_task(words) == (options, "work", expected)
    assert by_click(words) == (options, "work", expected)


def test_what_is_left_out_has_the_defaults_of_click() -> None:
    assert read_task(PLAIN) == by_click(PLAIN)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["run"],
        ["step"],
        ["step", "work"],
        PLAIN[:1] + PLAIN[2:],
        PLAIN[:-1],
        [*PLAIN[:2], "--run-id", "7", *PLAIN[3:]],
        [*PLAIN, "--retry-count", "1"],
        [*PLAIN, "--retry-count=one"],
        [*PLAIN, "--retry-count=-1"],
        [*PLAIN, "--retry-count="],
        [*PLAIN, "--retry-count=²"],
        [*PLAIN, "--retry-count"],
        [*PLAIN, "--unknown=1"],
        [*PLAIN, "--quiet"],
        [*PLAIN, "--help"],
        [*PLAIN, "-h"],
        [*PLAIN, "extra"],
        [*PLAIN, "--"],
        [*PLAIN, "--=x"],
        [*PLAIN, "--tags=t"],
        [*PLAIN, "--run_id=8"],
        [*PLAIN, "--step-name=other"],
        ["--quiet=1", *PLAIN],
        ["--not-quiet", *PLAIN],
        ["--metadata", "local", *PLAIN],
        ["--decospecs=retry", *PLAIN],
        ["--datastore_root=/data", *PLAIN],
        ["--tag=t", *PLAIN],
        ["run", "--tag", *PLAIN],
        ["run", *PLAIN],
        ["step", "--work", *PLAIN[2:]],
    ],
    ids=" ".join,
)
def test_everything_else_is_left_to_click(words: list[str]) -> None:
    assert read_task(words) is None


@given(
    st.lists(
        st.sampled_from(
            [*PLAIN, "--quiet", "--tag=a", "--tag", "a", "--with=x", "--retry-count=3", "--task-id=2", "--namespace="]
        ),
        max_size=9,
    )
)
def test_what_is_read_at_all_is_read_as_click_does(words: list[str]) -> None:
    read = read_task(words)
    try:
        by = by_click(words)
    except (click.UsageError, AssertionError, ValueError):
        assert read is None
        return
    assert read in (None, by)
