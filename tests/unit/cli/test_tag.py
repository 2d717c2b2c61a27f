"""``tag`` over runs written by hand."""

from __future__ import annotations

import click
import pytest

from metaflow.cli.tag import tag
from metaflow.client import Run
from metaflow.exception import CommandException, MetaflowTaggingError

from ..client.written import Place
from .session import invoke


def test_tags_are_added_removed_and_replaced(place: Place) -> None:
    run = place.run(tags=["first"])
    assert invoke(place, tag, "add", "--run-id", run.id, "b c", "a").results == ["a", "b c", "first"]
    assert invoke(place, tag, "remove", "--run-id", run.path, "a", "unknown").results == ["b c", "first"]
    words = ["replace", "--run-id", run.id, "--add", "x", "--add", "y", "--remove", "first", "--remove", "b c"]
    assert invoke(place, tag, *words).results == ["x", "y"]
    assert Run(run.path).user_tags == {"x", "y"}


def test_tags_of_others_need_their_namespace(place: Place) -> None:
    run = place.run(user="bob")
    with pytest.raises(CommandException, match="not in the namespace 'user:ann'") as caught:
        invoke(place, tag, "add", "--run-id", run.id, "a")
    assert "--namespace=user:bob" in str(caught.value.hint)
    invoke(place, tag, "add", "--run-id", run.id, "a", "--namespace", "user:bob")
    invoke(place, tag, "add", "--run-id", run.id, "b", "--namespace=")
    assert Run(run.path).user_tags == {"a", "b"}


def test_what_cannot_be_tagged(place: Place) -> None:
    with pytest.raises(CommandException) as caught:
        invoke(place, tag, "add", "a")
    assert caught.value.hint == "the flow has no runs yet"
    run = place.run()
    with pytest.raises(CommandException) as caught:
        invoke(place, tag, "add", "a")
    assert run.id in str(caught.value.hint)
    with pytest.raises(CommandException, match="no run '7'"):
        invoke(place, tag, "add", "--run-id", "7", "a")
    with pytest.raises(CommandException, match="not the id of a run"):
        invoke(place, tag, "add", "--run-id", "a/b", "a")
    with pytest.raises(MetaflowTaggingError, match="system tag"):
        invoke(place, tag, "remove", "--run-id", run.id, "user:ann")
    with pytest.raises(MetaflowTaggingError, match="empty"):
        invoke(place, tag, "add", "--run-id", run.id, "")
    with pytest.raises(CommandException, match="--add and --remove"):
        invoke(place, tag, "replace", "--run-id", run.id, "--add", "a")
    with pytest.raises(click.UsageError):
        invoke(place, tag, "add", "--run-id", run.id)
    with pytest.raises(click.UsageError, match="Missing command"):
        invoke(place, tag)


def test_tags_are_listed(place: Place) -> None:
    mine, theirs = place.run(tags=["a", "b"]), place.run(user="bob", tags=["b"])
    system = ["runtime:dev", "user:ann"]
    assert invoke(place, tag, "list", mine.id).results == ["a", "b", *system]
    assert invoke(place, tag, "list", "--run-id", mine.id, "--hide-system-tags").results == ["a", "b"]
    everything = ["a", "b", *system, "user:bob"]
    for words in ([], ["--all"], ["--flat"]):
        assert invoke(place, tag, "list", *words).results == everything
    assert invoke(place, tag, "list", "--flat").remarks == []
    assert invoke(place, tag, "list", "--my-runs").results == ["a", "b", *system]
    by_tag = invoke(place, tag, "list", "--group-by-tag", "--hide-system-tags").results
    assert by_tag == ["a:", f"    {mine.path}", "b:", f"    {mine.path}", f"    {theirs.path}"]
    by_run = invoke(place, tag, "list", "--group-by-run", "--hide-system-tags").results
    assert by_run == [f"{theirs.path}:", "    b", f"{mine.path}:", "    a", "    b"]
    assert invoke(place, tag, "list", flow="Unknown").results == []


@pytest.mark.parametrize(
    "words", [("7", "--all"), ("--all", "--my-runs"), ("--run-id", "7", "8"), ("--group-by-tag", "--group-by-run")]
)
def test_options_that_exclude_one_another(place: Place, words: tuple[str, ...]) -> None:
    with pytest.raises(CommandException, match="together"):
        invoke(place, tag, "list", *words)
