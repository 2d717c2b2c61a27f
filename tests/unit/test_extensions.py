"""What other distributions add: found by name, checked when it arrives, and in nobody's way."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

import metaflow
from metaflow import extensions, installed, registry
from metaflow.exception import CommandException, InvalidExtension
from metaflow.flow import plan
from metaflow.flow.user_decorators import step_decorator
from metaflow.store.local import LocalStorage
from support.distributions import install
from support.sketch import flow_class

SOURCE = """
    from metaflow import FlowMutator, user_step_decorator
    from metaflow.flow.decorator import StepDecorator
    from metaflow.flow.flow_decorator import FlowDecorator
    from metaflow.store.local import LocalStorage


    class Shout(StepDecorator):
        name = "shout"
        defaults = {"word": "hey"}

    class LowVoice(StepDecorator):
        name = "low-voice"

    class Labelled(FlowDecorator):
        name = "labelled"
        defaults = {"label": ""}

    class Sized(FlowMutator):
        pass

    @user_step_decorator
    def whisper(step_name, flow, inputs=None, attributes=None):
        yield

    class Disk(LocalStorage):
        kind = "disk"

    class Half:
        kind = "half"

    class Narrow(LocalStorage):
        kind = "narrow"

        def put(self, items):
            pass

    nothing = 1
"""
POINTS = {
    "millrace.step_decorators": {
        "shout": "shouting:Shout",
        "whisper": "shouting:whisper",
        "loud": "shouting:Shout",
        "low-voice": "shouting:LowVoice",
        "retry": "shouting:Shout",
        "half": "shouting:Half",
        "gone": "shouting:Gone",
        "lost": "no_such_module_at_all",
        "nothing": "shouting:nothing",
    },
    "millrace.flow_decorators": {"labelled": "shouting:Labelled", "sized": "shouting:Sized"},
    "millrace.datastores": {"disk": "shouting:Disk", "half": "shouting:Half", "narrow": "shouting:Narrow"},
}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    install(tmp_path / "site", "shouting", "1.2", SOURCE, POINTS)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    _forget()
    yield tmp_path / "site"
    _forget()
    for name in ("low_voice", "shout", "whisper", "labelled", "sized"):
        vars(metaflow).pop(name, None)


def _forget() -> None:
    installed.scan.cache_clear()
    extensions._used.clear()
    for name in ("shouting", "other"):
        sys.modules.pop(name, None)


def test_a_name_that_is_ours_looks_for_none() -> None:
    registry.load("step decorator", "retry")
    registry.load("datastore", "local")
    assert not installed.scan.cache_info().misses
    assert "shouting" not in sys.modules
    assert registry.load("step decorator", "retry").__module__ == "metaflow.decorators.retry"


def test_each_kind_is_found_by_name() -> None:
    assert registry.load("step decorator", "shout").defaults == {"word": "hey"}
    assert registry.load("flow decorator", "labelled").name == "labelled"
    assert issubclass(registry.load("datastore", "disk"), LocalStorage)
    assert step_decorator("shout").name == "shout"
    assert step_decorator("whisper").__name__
    assert {each.name for each in extensions.used()} >= {"shout", "labelled", "disk"}


def test_python_code_writes_a_hyphen_as_an_underscore(monkeypatch: pytest.MonkeyPatch) -> None:
    from metaflow import low_voice

    assert low_voice is not None
    assert step_decorator("low-voice") is registry.load("step decorator", "low_voice")
    monkeypatch.setenv(*extensions.for_tasks().popitem())
    _forget()
    monkeypatch.setattr(installed, "every", lambda: ())
    assert extensions.load("step decorator", "low_voice").name == "low-voice"


def test_decorators_are_imported_from_metaflow(tmp_path: Path) -> None:
    text = """
from metaflow import FlowSpec, labelled, shout, sized, step, whisper

@labelled(label="x")
@sized
class Decorated(FlowSpec):
    @shout(word="ho")
    @whisper
    @step
    def start(self):
        self.next(self.end)

    @shout
    @step
    def end(self):
        pass
"""
    planned = plan.read(flow_class(tmp_path, text))
    assert {decorator.name for decorator in planned.decorators} >= {"labelled"}
    words = {name: [each.attributes.get("word") for each in step.decorators] for name, step in planned.steps.items()}
    assert ("ho" in words["start"], words["end"]) == (True, ["hey"])
    origin = next(each.origin for each in planned.steps["end"].decorators)
    assert origin is not None
    assert origin[1] == 13


def test_other_names_of_metaflow_are_as_they_were() -> None:
    assert not hasattr(metaflow, "no_such_thing")
    with pytest.raises(ImportError, match=r"'Deployer' is not available"):
        exec("from metaflow import Deployer")


BROKEN = [
    ("step decorator", "loud", "has no `name = 'loud'`"),
    ("step decorator", "half", "does not derive from StepDecorator or UserStepDecorator or StepMutator"),
    ("step decorator", "nothing", "does not derive from"),
    ("step decorator", "gone", "cannot be imported: AttributeError: module 'shouting' has no attribute 'Gone'"),
    ("step decorator", "lost", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    ("datastore", "half", "has no method 'put'"),
    ("datastore", "narrow", "has a method 'put' that does not take the argument 'overwrite'"),
]


@pytest.mark.parametrize(("kind", "name", "what"), BROKEN)
def test_what_is_wrong_is_told_of_whom(kind: str, name: str, what: str) -> None:
    with pytest.raises(InvalidExtension) as caught:
        registry.load(kind, name)
    assert str(caught.value).startswith(f"The {kind} '{name}' of shouting 1.2 {what}")
    assert caught.value.hint is not None
    assert f"uninstall shouting, which declares it as `{name} = " in caught.value.hint
    assert registry.load("step decorator", "shout"), "the others work"


def test_two_of_one_name_are_both_named(site: Path) -> None:
    install(site, "other", "3", "from shouting import *", {"millrace.step_decorators": {"shout": "other:Shout"}})
    with pytest.raises(InvalidExtension, match=r"in several distributions: other 3, shouting 1\.2"):
        registry.load("step decorator", "shout")
    assert registry.load("flow decorator", "labelled")


def test_a_wrong_name_gets_the_nearest_one_of_all() -> None:
    with pytest.raises(CommandException) as caught:
        registry.load("step decorator", "shuot")
    assert caught.value.hint == "did you mean 'shout'?"


def test_a_task_finds_what_its_run_has_found_and_scans_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert extensions.for_tasks() == {}
    registry.load("step decorator", "shout")
    variables = extensions.for_tasks()
    row = ["step decorator", "shout", "shouting:Shout", "shouting 1.2"]
    assert json.loads(variables["MILLRACE_EXTENSIONS"]) == [row]
    _forget()
    monkeypatch.setenv(*next(iter(variables.items())))
    assert registry.load("step decorator", "shout").name == "shout"
    assert not installed.scan.cache_info().misses


def test_its_package_goes_along(site: Path) -> None:
    registry.load("step decorator", "shout")
    registry.load("flow decorator", "labelled")
    (module,) = extensions.modules()
    assert module.__file__ == str(site / "shouting" / "__init__.py")


NAMESPACE = {
    "plugins/mfextinit_acme.py": """
        STEP_DECORATORS_DESC = [("hooked", ".deep.hooked.Hooked"), ("gang", ".gang.Gang")]
        FLOW_DECORATORS_DESC = [("of_flow", ".deep.hooked.OfFlow")]
        raise RuntimeError("tables are read and not run")
    """,
    "plugins/deep/hooked.py": """
        from metaflow.decorators import FlowDecorator, StepDecorator

        class Hooked(StepDecorator):
            name = "hooked"
            defaults = {"level": 1}

        class OfFlow(FlowDecorator):
            name = "of_flow"
    """,
    "plugins/gang.py": "from metaflow.plugins.parallel_decorator import ParallelDecorator",
    "toplevel/toplevel.py": "from ..plugins.deep.hooked import Hooked as Promoted",
    "toplevel/__init__.py": "toplevel = 'toplevel'",
}


def test_packages_made_for_metaflow(site: Path) -> None:
    for name, text in NAMESPACE.items():
        file = site / "metaflow_extensions" / "acme" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    try:
        assert registry.load("step decorator", "hooked").defaults == {"level": 1}
        assert extensions.public("Promoted") is registry.load("step decorator", "hooked")
        (module,) = extensions.modules()
        assert module.__name__ == "metaflow_extensions.acme"
        assert [each.name for each in extensions.used()] == ["hooked", "Promoted"]
        with pytest.raises(InvalidExtension, match=r"of metaflow_extensions\.acme cannot be imported: ImportError"):
            registry.load("step decorator", "gang")
        with pytest.raises(InvalidExtension, match="is a decorator of flows for Metaflow's own runtime"):
            registry.load("flow decorator", "of_flow")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "metaflow_extensions"]:
            del sys.modules[name]


def test_every_group_has_a_kind_of_the_table() -> None:
    assert set(installed.GROUPS) <= set(registry._TABLE)


def test_registering_says_what_it_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._TABLE, "thing", {})
    assert registry.register("thing", "a", "json:loads") is None
    assert registry.register("thing", "a", "json:dumps") == "json:loads"


def test_a_distribution_that_cannot_be_read_hides_no_other(site: Path) -> None:
    damaged = site / "damaged-3.dist-info"
    damaged.mkdir()
    (damaged / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 3\n")
    (damaged / "entry_points.txt").write_text("[console_scripts]\nno value\n")
    assert registry.load("step decorator", "shout").name == "shout"
    assert [each.distribution for each in installed.unreadable()] == ["damaged 3"]
    assert not hasattr(metaflow, "nothing_of_this_name")


def test_a_module_that_leaves_the_process_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"millrace.step_decorators": {"leave": "leaving:Leave"}}
    install(tmp_path, "leaving", "1", "import sys; sys.exit(0)", points)
    monkeypatch.syspath_prepend(str(tmp_path))
    _forget()
    with pytest.raises(InvalidExtension, match="cannot be imported: SystemExit: 0"):
        registry.load("step decorator", "leave")
    _forget()
