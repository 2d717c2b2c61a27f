"""What `metaflow` offers, where each name lives, and what an import of it costs."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import metaflow
from metaflow import version

NAMES = sorted(metaflow._HOME)
HEAVY = {"asyncio", "click", "dataclasses", "inspect", "logging", "pathlib", "rich", "subprocess", "tempfile", "uuid"}


def loaded_by(code: str) -> tuple[set[str], set[str]]:
    """Return our modules and the heavy ones that a fresh interpreter has loaded after `code`."""
    code += "\nimport sys, json; print(json.dumps(list(sys.modules)))"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    modules = json.loads(done.stdout.splitlines()[-1])
    before = json.loads(
        subprocess.run(
            [sys.executable, "-c", "import sys, json; print(json.dumps(list(sys.modules)))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    new = set(modules) - set(before)
    return {name for name in new if name.partition(".")[0] == "metaflow"}, new & HEAVY


def test_the_lists_agree() -> None:
    assert sorted(metaflow.__all__) == sorted([*metaflow._HOME, "__version__"])
    assert list(metaflow._HOME) == sorted(metaflow._HOME)


def test_editors_see_the_same_names_at_the_same_places() -> None:
    """The imports that only type checkers run."""
    seen: dict[str, str] = {}
    for statement in ast.parse(Path(metaflow.__file__).read_text()).body:
        if isinstance(statement, ast.If):
            for line in statement.body:
                assert isinstance(line, ast.ImportFrom)
                seen |= {alias.name: str(line.module) for alias in line.names}
    assert seen == metaflow._HOME


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there(name: str) -> None:
    value: Any = getattr(metaflow, name)
    assert value is getattr(importlib.import_module(metaflow._HOME[name]), name)
    assert vars(metaflow)[name] is value
    assert value.__doc__


def test_names_are_listed() -> None:
    assert set(metaflow.__all__) <= set(dir(metaflow))
    assert dir(metaflow) == sorted(dir(metaflow))


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="'kubernetes_something'"):
        metaflow.kubernetes_something
    assert not hasattr(metaflow, "__path_of_no_one__")
    with pytest.raises(ImportError, match="kubernetes_something"):
        from metaflow import kubernetes_something  # noqa: F401


def test_a_star_brings_all_names() -> None:
    namespace: dict[str, Any] = {}
    exec("from metaflow import *", namespace)
    assert set(metaflow.__all__) <= namespace.keys()


def test_the_version_is_that_of_the_distribution() -> None:
    assert importlib.metadata.version("millrace") == version.MILLRACE
    assert metaflow.__version__ == version.__version__ == f"{version.API}+millrace.{version.MILLRACE}"
    assert re.fullmatch(r"\d+(\.\d+)+\+[a-z0-9]+(\.[a-z0-9]+)*", metaflow.__version__)


def test_types_ship() -> None:
    assert Path(metaflow.__file__).with_name("py.typed").exists()


def test_an_import_loads_next_to_nothing() -> None:
    own, heavy = loaded_by("import metaflow")
    assert own == {"metaflow", "metaflow.shadows", "metaflow.version"}
    assert heavy == set()


def test_a_flow_file_loads_the_language_only() -> None:
    own, heavy = loaded_by("from metaflow import FlowSpec, IncludeFile, Parameter, current, resources, step")
    assert heavy == set()
    rooms = {name.split(".")[1] for name in own - {"metaflow"}}
    assert rooms == {"decorators", "exception", "files", "flow", "registry", "settings", "shadows", "version"}
    assert len(own) < 35


def test_the_client_needs_no_click() -> None:
    _, heavy = loaded_by("from metaflow import Flow, Run, namespace")
    assert heavy & {"asyncio", "click", "rich"} == set()


def test_modules_can_be_reached_without_an_import_of_their_own() -> None:
    source = "import metaflow; print(metaflow.exception.MetaflowNotFound.__name__, metaflow.util.is_stringish(''))"
    told = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True).stdout
    assert told == "MetaflowNotFound True\n"


GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "compatibility.md"
KEPT = re.findall(r"^\| `(metaflow[a-z0-9_.]*)` \| (.*) \|$", GUIDE.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("module", "names"), KEPT)
def test_paths_that_are_kept(module: str, names: str) -> None:
    found = importlib.import_module(module)
    for name in re.findall(r"`([A-Za-z0-9_]+)`", names):
        assert hasattr(found, name) or name == "METAFLOW_", name


def test_every_module_that_only_keeps_a_path_is_in_the_guide() -> None:
    sources = Path(metaflow.__file__).parent
    files = {*sources.glob("*.py"), *sources.glob("plugins/**/*.py"), *sources.glob("datatools/*.py")}
    modules = {
        ".".join(path.with_suffix("").relative_to(sources.parent).parts).removesuffix(".__init__") for path in files
    }
    own = {"absent", "exception", "extensions", "files", "installed", "options", "registry", "shadows", "version"}
    packages = {
        "plugins",
        "plugins.aws",
        "plugins.aws.batch",
        "plugins.cards",
        "plugins.cards.card_modules",
        "plugins.kubernetes",
    }
    assert modules - {"metaflow", *(f"metaflow.{name}" for name in own | packages)} <= {module for module, _ in KEPT}
