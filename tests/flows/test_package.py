"""`package list|info|save`: what goes to tasks on other machines."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from support.site import Finished, Site


@pytest.fixture
def project(one_site: Site) -> Site:
    """A flow among other files."""
    for name in ("helper.py", "lib/deep.py", "lib/query.sql", "notes.txt", "home/hidden/.x.py", ".venv/x.py"):
        path = one_site.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return one_site


def command(site: Site, *words: str, before: tuple[str, ...] = (), env: dict[str, str] | None = None) -> Finished:
    return site.run_flow("linear.py", *before, "package", *words, env=env or {})


def names(listed: Finished) -> set[str]:
    lines = listed.succeeded().output.splitlines()
    return {line for line in lines if line.endswith((".py", ".sql", ".txt")) and "/metaflow/" not in f"/{line}"}


def test_list_gives_paths(project: Site) -> None:
    found = names(command(project, "list"))
    flow = "linear.py"
    assert found == {str(project.directory / name) for name in (flow, "helper.py", "lib/deep.py")}


def test_list_gives_names_in_the_archive(project: Site) -> None:
    listed = command(project, "list", "--archive")
    assert names(listed) == {"linear.py", "helper.py", "lib/deep.py"}
    assert ".mf_meta/INFO" in listed.output


def test_endings_by_option_variable_and_setting(project: Site) -> None:
    option = names(command(project, "list", "--archive", before=("--package-suffixes", ".sql,.txt")))
    assert option == {"linear.py", "helper.py", "lib/deep.py", "lib/query.sql", "notes.txt"}
    variable = names(command(project, "list", "--archive", env={"METAFLOW_PACKAGE_SUFFIXES": ".sql"}))
    assert variable == {"linear.py", "helper.py", "lib/deep.py", "lib/query.sql"}
    setting = names(command(project, "list", "--archive", env={"METAFLOW_DEFAULT_PACKAGE_SUFFIXES": ".sql"}))
    assert "lib/query.sql" in setting
    assert "helper.py" not in setting


def test_save_writes_what_list_lists(project: Site, tmp_path: Path) -> None:
    path = tmp_path / "saved.tar.gz"
    command(project, "save", str(path)).succeeded()
    with tarfile.open(path) as tar:
        assert {name for name in tar.getnames() if "/" not in name and name.endswith(".py")} == {
            "helper.py",
            "linear.py",
        }
        member = tar.extractfile("helper.py")
        assert member is not None
        assert member.read() == b"# helper.py\n"


@pytest.mark.ours
def test_saving_twice_gives_the_same_bytes(project: Site, tmp_path: Path) -> None:
    for name in ("one", "two"):
        command(project, "save", str(tmp_path / name)).succeeded()
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.ours
def test_info(project: Site) -> None:
    text = command(project, "info").succeeded().stdout
    assert str(project.directory) in text
    assert "3, " in text
    assert "linear.py" in text


@pytest.mark.ours
def test_modules_from_a_path(project: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "shared"
    (elsewhere / "common_code").mkdir(parents=True)
    (elsewhere / "common_code/__init__.py").touch()
    (project.directory / "helper.py").write_text("import common_code")
    project.write(
        "imports.py", "import helper\n" + Path(__file__).with_name("sources").joinpath("linear.py").read_text()
    )
    listed = project.run_flow("imports.py", "package", "list", "--archive", env={"PYTHONPATH": str(elsewhere)})
    assert ".mf_code/common_code/__init__.py" in names(listed)


@pytest.mark.ours
def test_a_secret_is_left_out_and_told(project: Site) -> None:
    (project.directory / ".env").write_text("TOKEN=abc")
    listed = command(project, "list", "--archive", before=("--package-suffixes", ".env"))
    assert ".env" not in listed.stdout
    assert "look like secrets: .env" in listed.stderr


@pytest.mark.ours
def test_a_package_that_is_too_large(project: Site) -> None:
    (project.directory / "big.py").write_bytes(b"#" * 2_000_000)
    refused = command(project, "list", env={"METAFLOW_CODE_PACKAGE_LIMIT": "1.5"}).failed()
    assert "2.0 MB  big.py" in refused.stderr
    assert "METAFLOW_CODE_PACKAGE_LIMIT" in refused.stderr


@pytest.mark.ours
@pytest.mark.parametrize("limit", ["much", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_none(project: Site, limit: str) -> None:
    refused = command(project, "list", env={"METAFLOW_CODE_PACKAGE_LIMIT": limit}).failed()
    assert f"METAFLOW_CODE_PACKAGE_LIMIT in the environment is '{limit}'" in refused.stderr


@pytest.mark.ours
def test_a_file_that_cannot_be_written(project: Site) -> None:
    refused = command(project, "save", "/nowhere/at/all").failed()
    assert "cannot be written to /nowhere/at/all" in refused.stderr


def test_a_saved_package_is_a_tar_of_plain_names(project: Site, tmp_path: Path) -> None:
    command(project, "save", str(tmp_path / "x")).succeeded()
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "x").read_bytes())) as tar:
        assert not [name for name in tar.getnames() if name.startswith(("/", ".."))]


ADDING = """
    import os
    from metaflow import FlowMutator, FlowSpec, StepMutator, package_sources, step
    from metaflow.packaging_sys import ContentType
    from metaflow.plugins.package_suffixes_mutator import package_suffixes

    class Queries(FlowMutator):
        def add_to_package(self):
            yield os.path.abspath("shared/query.sql"), "queries/{name}", ContentType.USER_CONTENT

    class Model(StepMutator):
        def add_to_package(self):
            yield "shared/model.bin", "models/model.bin"

    @Queries
    @package_sources({sources})
    @package_suffixes("yaml,.YML")
    class AddingFlow(FlowSpec):
        @Model
        @step
        def start(self):
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        AddingFlow()
"""


SUFFIXED = ("flows/notes.yaml", "flows/deep/x.YML", "flows/not.yml")


@pytest.fixture
def adding(one_site: Site) -> Site:
    """Files beside the directory of a flow."""
    for name in (
        "shared/query.sql",
        "shared/model.bin",
        "src/forecasting/__init__.py",
        "src/forecasting/x.json",
        *SUFFIXED,
    ):
        path = one_site.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return one_site


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("'../src/forecasting'", {"forecasting/__init__.py"}),
        ("[('../src/forecasting', 'vendor/fc')], suffixes='json'", {"vendor/fc/x.json"}),
        ("('../src/forecasting', 'fc'), suffixes=['.JSON', '.py']", {"fc/x.json", "fc/__init__.py"}),
        ("['../shared/query.sql', '../src/forecasting']", {"query.sql", "forecasting/__init__.py"}),
        ("'../src', arcname='lib'", {"lib/forecasting/__init__.py"}),
    ],
)
def test_decorators_add_to_the_package(adding: Site, sources: str, expected: set[str]) -> None:
    adding.write("flows/adding.py", ADDING.format(sources=sources, name="q.sql"))
    listed = adding.run_flow("flows/adding.py", "package", "list", "--archive").succeeded().stdout.split()
    mine = {name for name in listed if not name.startswith((".mf_meta", ".mf_install"))}
    assert mine == {"adding.py", "notes.yaml", "deep/x.YML", "queries/q.sql", ".mf_code/models/model.bin", *expected}


@pytest.mark.parametrize(
    ("sources", "name", "said", "where"),
    [
        ("'../nothing'", "q", "there is no file or directory ../nothing", "adding.py:15"),
        ("'../src', arcname='/x'", "q", "'/x' is not a name in the package", "adding.py:15"),
        ("['a', 'b'], arcname='x'", "q", "has arcname= for 2 sources", "adding.py:15"),
        ("3", "q", "is given 3", "adding.py:15"),
        ("[3]", "q", "is given 3", "adding.py:15"),
        ("", "q", "does not accept what it is given", "adding.py:15"),
        ("'../src', suffixes=3", "q", "suffixes=3", "adding.py:15"),
        ("'../src')\n    @package_suffixes([3]", "q", "@package_suffixes([3]): expected a list", "adding.py:16"),
        ("'../src'", "../q", "add_to_package of Queries: 'queries/../q' is not a name in the package", "adding.py:7"),
    ],
)
def test_what_decorators_cannot_add(adding: Site, sources: str, name: str, said: str, where: str) -> None:
    adding.write("flows/adding.py", ADDING.format(sources=sources, name=name))
    refused = adding.run_flow("flows/adding.py", "package", "list").failed().output
    assert said in refused
    assert where in refused
