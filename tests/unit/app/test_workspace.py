"""A flow with its options and settings, and what a run adds to them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from metaflow import settings
from metaflow.app.workspace import Workspace
from metaflow.compute.command import FlowOptions
from metaflow.exception import SettingsError
from metaflow.flow.spec import FlowSpec
from metaflow.flow.step import step
from metaflow.store.memory import MemoryStorage


class Sample(FlowSpec):
    @step
    def start(self) -> None: ...


def workspace(options: FlowOptions = FlowOptions(), **environ: str) -> Workspace:  # noqa: B008
    return Workspace(Sample, options, settings=settings.load(environ, "/"))


def test_the_flow_file_is_that_of_the_class() -> None:
    assert workspace().path == workspace().script == os.path.abspath(str(sys.modules[__name__].__file__))


def test_other_options_make_another_workspace(tmp_path: Path) -> None:
    here = workspace()
    there = here.with_options(datastore_root=str(tmp_path), decospecs=("retry",))
    assert (here.options.decospecs, there.options.decospecs) == ((), ("retry",))
    assert there.root == str(tmp_path)
    assert here.root != there.root
    assert [each.name for each in there.plan.steps["start"].decorators] == ["retry"]
    assert here.plan.steps["start"].decorators == ()


def test_default_decorators_come_last_but_for_what_is_removed() -> None:
    given = workspace(FlowOptions(decospecs=("catch",)), METAFLOW_DEFAULT_DECOSPECS="retry:times=2 kubernetes")
    assert given.planned_with(("timeout:seconds=5",)).options.decospecs == (
        "catch",
        "timeout:seconds=5",
        "retry:times=2",
        "kubernetes",
    )
    assert given.planned_with(without=("kubernetes",)).options.decospecs == ("catch", "retry:times=2")


@pytest.mark.parametrize("value", ["retyr", "retry:times", ":times=2", "retry:tmies=2"])
def test_default_decorators_that_cannot_be(value: str) -> None:
    with pytest.raises(SettingsError, match="METAFLOW_DEFAULT_DECOSPECS in the environment: ") as caught:
        workspace(METAFLOW_DEFAULT_DECOSPECS=value).planned_with()
    assert caught.value.hint


def test_a_storage_that_is_given_holds_all_bytes() -> None:
    storage = MemoryStorage()
    given = Workspace(Sample, settings=settings.load({}, "/"), storage=storage).with_options(quiet=True)
    assert given.storage is given.files_storage is storage
