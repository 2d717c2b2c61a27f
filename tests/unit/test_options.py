"""Tables of options: rows from annotations, words from values, values from words."""

from typing import Annotated, NamedTuple

import pytest

from metaflow.app.options import DecoratorOptions, ResumeOptions, RunOptions
from metaflow.compute.command import FlowOptions, TaskOptions
from metaflow.exception import CommandException
from metaflow.options import Option, check, read, rows, write


class Sample(NamedTuple):
    name: Annotated[str, Option("A name.")]
    color: Annotated[bool, Option("Whether in color.", negative="plain", is_forwarded=True)] = True
    depth: Annotated[int | None, Option("How deep.", least=1, is_forwarded=True)] = None
    marks: Annotated[tuple[str, ...], Option("Marks.", word="mark")] = ()


def test_rows() -> None:
    name, color, depth, marks = rows(Sample)
    assert (name.word, name.kind, name.is_required) == ("--name", str, True)
    assert (color.word, color.kind, color.default) == ("--color", bool, True)
    assert (depth.word, depth.kind, depth.option.least) == ("--depth", int, 1)
    assert (marks.word, marks.kind, marks.default) == ("--mark", tuple, ())


def test_what_is_as_by_default_is_left_out() -> None:
    assert write(Sample("x")) == ["--name=x"]
    assert write(Sample("", False, 3, ("a", ""))) == ["--name=", "--plain", "--depth=3", "--mark=a", "--mark="]
    assert write(Sample("x", False, 3, ("a",)), only_forwarded=True) == ["--plain", "--depth=3"]


@pytest.mark.parametrize("values", [Sample("x"), Sample("", True, 3, ("a", "b=c", ""))])
def test_words_are_read_again(values: Sample) -> None:
    assert read(Sample, write(values)) == values


@pytest.mark.parametrize(
    "words",
    [[], ["--color"], ["--name"], ["--name", "x"], ["--name=x", "--depth=-1"], ["--name=x", "--depth="],
     ["--name=x", "--color=1"], ["--name=x", "extra"], ["--name=x", "--marks=a"], ["--name=x", "--plain"]],
)  # fmt: skip
def test_other_words_are_not_read(words: list[str]) -> None:
    assert read(Sample, words) is None


def test_values_of_a_python_caller_are_checked() -> None:
    check(RunOptions())
    with pytest.raises(CommandException, match="max_workers is 0, and must be at least 1"):
        check(RunOptions(max_workers=0))


@pytest.mark.parametrize("table", [FlowOptions, TaskOptions, RunOptions, ResumeOptions, DecoratorOptions])
def test_every_option_has_a_sentence_and_a_word_of_its_own(table: type[tuple[object, ...]]) -> None:
    words = [row.word for row in rows(table)]
    assert len(set(words)) == len(words)
    for row in rows(table):
        assert row.option.help.endswith((".", ".b", "azure.", "last],…")), row
        assert not row.option.least or row.kind is int
