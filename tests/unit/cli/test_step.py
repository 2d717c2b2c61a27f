"""The command line of a task: what the engine writes is read without click, everything else is not; both agree."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metaflow.cli import commands
from metaflow.cli.step import read_plain, step
from metaflow.compute.command import FlowCommand

TEXT = st.text(st.characters(exclude_characters="\0"), max_size=20) | st.text("a=,-: \"'{}[]/\\")
NUMBERS = st.integers(0, 10**9)
TOP_LEVEL = st.fixed_dictionaries(
    {},
    optional={
        "--quiet": st.none(),
        "--metadata": TEXT,
        "--environment": TEXT,
        "--datastore": TEXT,
        "--datastore-root": TEXT,
    },
)


def by_click(words: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take a command line apart as the commands do, without running anything."""
    command: Any = commands._top_level()
    context = command.make_context("flow.py", list(words), resilient_parsing=False)
    state: dict[str, Any] = vars(context)  # what follows the options of the group has had two names in click 8
    names: list[str] = state.get("_protected_args") or state.get("protected_args") or []
    name, *rest = [*names, *list[str](context.args)]
    assert name == "step"
    inner = step(None).make_context("step", rest, parent=context)  # type: ignore[arg-type]
    return context.params, inner.params


def top_level_words(options: dict[str, str | None], specs: list[str]) -> tuple[str, ...]:
    words = [name if value is None else f"{name}={value}" for name, value in options.items()]
    return (*words, *(f"--{option}={spec}" for spec in specs for option in ("with", "without")))


def command(options: tuple[str, ...] = (), **values: Any) -> FlowCommand:
    defaults: dict[str, Any] = {"flow": "F", "run": "7", "namespace": None, "tags": ()}
    return FlowCommand("flow.py", "/flow.py", options, **{**defaults, **values})


PLAIN = ["step", "work", "--run-id=7", "--task-id=1", "--input-paths=7/start/1"]


@given(
    TOP_LEVEL,
    st.lists(TEXT, max_size=3),
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
@example({"--quiet": None}, ["a=b"], "7", "", ["", "=", ","], "7/a/1,7/b/2", 0, 0, 0, 0, "")
def test_what_the_engine_writes_is_read(
    options: dict[str, str | None],
    specs: list[str],
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
    flow = command(top_level_words(options, specs), run=run, namespace=namespace, tags=tuple(tags))
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
    read = read_plain(words)
    assert read is not None
    top_level, found = read
    assert found == {
        "step_name": "work",
        "run_id": run,
        "task_id": str(task),
        "input_paths": paths,
        "split_index": split_index,
        "max_num_splits": max_splits,
        "retry_count": attempt,
        "max_user_code_retries": attempt + 1,
        "namespace": namespace or "",
        "tags": tuple(tags),
        "clone_run_id": origin,
    }
    assert top_level == {
        "quiet": "--quiet" in options,
        "metadata": options.get("--metadata"),
        "environment": options.get("--environment"),
        "datastore": options.get("--datastore"),
        "datastore_root": options.get("--datastore-root"),
        "decospecs": tuple(specs),
        "without": tuple(specs),
    }


@given(TOP_LEVEL, st.lists(TEXT, max_size=2), TEXT, st.none() | TEXT, st.lists(TEXT, max_size=2), TEXT, NUMBERS)
def test_click_reads_the_same(
    options: dict[str, str | None],
    specs: list[str],
    run: str,
    namespace: str | None,
    tags: list[str],
    paths: str,
    number: int,
) -> None:
    flow = command(top_level_words(options, specs), run=run, namespace=namespace, tags=tuple(tags))
    task_command = flow.step("work", number, attempt=number, retries=0, input_paths=paths, split_index=number)
    words = list(task_command.arguments)
    read = read_plain(words)
    assert read is not None
    top_level, found = by_click(words)
    assert read[1] == found
    assert read[0] == {name: top_level[name] for name in read[0]}
    assert top_level.keys() - read[0].keys() == {"package_suffixes", "pylint", "event_logger", "monitor"}


def test_what_is_left_out_has_the_defaults_of_click() -> None:
    read = read_plain(PLAIN)
    assert read is not None
    top_level, found = by_click(PLAIN)
    assert read[1] == found
    assert read[0] == {name: top_level[name] for name in read[0]}


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
        ["--pylint", *PLAIN],
        ["run", "--tag", *PLAIN],
        ["run", *PLAIN],
        ["step", "--work", *PLAIN[2:]],
    ],
    ids=" ".join,
)
def test_everything_else_is_left_to_click(words: list[str]) -> None:
    assert read_plain(words) is None


@given(
    st.lists(
        st.sampled_from(
            [*PLAIN, "--quiet", "--tag=a", "--tag", "a", "--with=x", "--retry-count=3", "--task-id=2", "--namespace="]
        ),
        max_size=9,
    )
)
def test_what_is_read_at_all_is_read_as_click_does(words: list[str]) -> None:
    read = read_plain(words)
    try:
        top_level, found = by_click(words)
    except (click.UsageError, AssertionError, ValueError):
        assert read is None
        return
    if read is not None:
        assert read[1] == found
        assert read[0] == {name: top_level[name] for name in read[0]}
