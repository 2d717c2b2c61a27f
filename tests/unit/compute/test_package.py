from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from zipfile import ZipFile

import pytest

from metaflow.compute.package import Manifest, archive, gather, suffixes_of
from metaflow.exception import CommandException
from metaflow.flow.package_content import Addition, ContentType

SUFFIXES = (".py", ".R", ".RDS")


class Tree:
    """A directory with a flow in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.flow = self.write("project/flow.py", "")

    def write(self, name: str, text: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def gather(self, *more: str, limit_mb: float = 1.0) -> Manifest:
        return gather(str(self.flow), (*SUFFIXES, *more), limit_mb)

    def names(self, *more: str) -> list[str]:
        return [file.name for file in self.gather(*more).files]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    tree = Tree(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "project"), *(path for path in sys.path if path)])
    return tree


# --- what decorators add ---------------------------------------------------------------------------------------------


def added(tree: Tree, *additions: Addition) -> list[str]:
    found = gather(str(tree.flow), SUFFIXES, 1.0, additions=additions)
    return [file.name for file in found.files if file.name != "flow.py"]


def test_additions_go_to_their_places(tree: Tree) -> None:
    for name in ("a.py", "b.JSON", "c.txt", "sub/d.py", ".hidden.py", "key.pem"):
        tree.write(f"shared/{name}")
    shared, user = str(tree.root / "shared"), ContentType.USER_CONTENT
    assert added(tree, Addition(f"{shared}/c.txt", "c/d.txt")) == [".mf_code/c/d.txt"]
    assert added(tree, Addition(f"{shared}/c.txt", "d.txt", ContentType.OTHER_CONTENT)) == [".mf_meta/d.txt"]
    assert added(tree, Addition(shared, "x", user)) == ["x/a.py", "x/b.JSON", "x/c.txt", "x/sub/d.py"]
    assert added(tree, Addition(shared, "x", user, (".py", ".json"))) == ["x/a.py", "x/b.JSON", "x/sub/d.py"]
    assert added(tree, Addition(shared, "x", user, ())) == []
    found = gather(str(tree.flow), SUFFIXES, 1.0, additions=[Addition(shared, "x", user)])
    assert [os.path.basename(path) for path in found.secrets] == ["key.pem"]


def test_a_module_is_added_whole_and_once(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("__init__.py", "part/deep.py"):
        tree.write(f"elsewhere/addedpackage/{name}")
    tree.write("elsewhere/addedmodule.py")
    monkeypatch.syspath_prepend(str(tree.root / "elsewhere"))
    modules = [import_module(name) for name in ("addedpackage", "addedmodule", "addedpackage")]
    names = added(tree, *(Addition(module, type=ContentType.MODULE_CONTENT) for module in modules))
    expected = ("addedmodule.py", "addedpackage/__init__.py", "addedpackage/part/deep.py")
    assert names == [f".mf_code/{name}" for name in expected]


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        (Addition("nothing.txt", "x"), "There is no file .*nothing.txt"),
        (Addition("other.py", "flow.py", ContentType.USER_CONTENT), "Two files would be flow.py"),
    ],
)
def test_additions_that_cannot_be(tree: Tree, monkeypatch: pytest.MonkeyPatch, addition: Addition, said: str) -> None:
    tree.write("other.py")
    monkeypatch.chdir(tree.root)
    with pytest.raises(CommandException, match=said):
        added(tree, addition)


def test_the_same_file_may_be_added_where_it_is(tree: Tree) -> None:
    assert added(tree, Addition(str(tree.flow), "flow.py", ContentType.USER_CONTENT)) == []


# --- beside the flow -------------------------------------------------------------------------------------------------


def test_sources_of_all_depths_keep_their_places(tree: Tree) -> None:
    for name in ("helper.py", "a/b/deep.py", "a/model.R", "a/data.RDS", "a/notes.txt", "py"):
        tree.write(f"project/{name}")
    assert tree.names() == ["a/b/deep.py", "a/data.RDS", "a/model.R", "flow.py", "helper.py"]


@pytest.mark.parametrize(
    ("text", "configured", "expected"),
    [
        (None, SUFFIXES, SUFFIXES),
        (".sql,.csv", SUFFIXES, (".py", ".R", ".RDS", ".sql", ".csv")),
        ("sql, .csv,,", SUFFIXES, (".py", ".R", ".RDS", "sql", ".csv")),
        (None, (".py",), (".py",)),
        (".py,.sql", (".py", ".R"), (".py", ".R", ".sql")),
    ],
)
def test_endings(text: str | None, configured: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert suffixes_of(text, configured) == expected


def test_further_endings(tree: Tree) -> None:
    for name in ("query.sql", "a/table.csv", "notes.txt", "Makefile"):
        tree.write(f"project/{name}")
    assert tree.names(".sql", ".csv", "file") == ["Makefile", "a/table.csv", "flow.py", "query.sql"]


def test_the_flow_file_goes_in_whatever_its_ending(tree: Tree) -> None:
    tree.flow = tree.write("project/flow_without_ending")
    assert "flow_without_ending" in tree.names()


def test_hidden_files_environments_and_compiled_code_do_not(tree: Tree) -> None:
    for name in (
        ".hidden.py",
        ".git/hook.py",
        ".metaflow/Flow/x.py",
        "venv/pyvenv.cfg",
        "venv/lib/python3.11/site-packages/x.py",
        "conda/conda-meta/history",
        "conda/lib/x.py",
        "__pycache__/x.py",
        "a/__pycache__/x.py",
    ):
        tree.write(f"project/{name}")
    assert tree.names() == ["flow.py"]


def test_links_are_followed(tree: Tree) -> None:
    tree.write("shared/lib/module.py", "x = 1")
    tree.write("shared/single.py")
    (tree.root / "project/lib").symlink_to("../shared/lib")
    (tree.root / "project/one.py").symlink_to("../shared/single.py")
    (tree.root / "project/gone.py").symlink_to("nothing.py")
    assert tree.names() == ["flow.py", "lib/module.py", "one.py"]


def test_links_that_lead_back_end(tree: Tree) -> None:
    tree.write("project/a/module.py")
    (tree.root / "project/here").symlink_to(".")
    (tree.root / "project/a/up").symlink_to("../../project")
    (tree.root / "project/a/itself").symlink_to("itself")
    (tree.root / "other").mkdir()
    (tree.root / "other/back").symlink_to("../project")
    (tree.root / "project/other").symlink_to("../other")
    assert tree.names() == ["a/module.py", "flow.py"]


def test_a_flow_file_that_is_a_link(tree: Tree) -> None:
    tree.write("project/helper.py")
    link = tree.root / "elsewhere.py"
    link.symlink_to("project/flow.py")
    manifest = gather(str(link), SUFFIXES, 1.0)
    assert manifest.script == "elsewhere.py"
    assert [file.name for file in manifest.files] == ["elsewhere.py", "flow.py", "helper.py"]


def test_a_flow_file_that_was_started_as_a_module(tree: Tree) -> None:
    flow = tree.write("project/company/team/flow.py", "import beside\nfrom ..shared import words")
    for name in ("__init__.py", "shared/words.py", "unused.py"):
        tree.write(f"project/company/{name}")
    tree.write("project/beside.py")
    manifest = gather(str(flow), SUFFIXES, 1.0, "company.team.flow")
    assert manifest.script == "company/team/flow.py"
    assert manifest.directory == str(tree.root / "project")
    assert [file.name for file in manifest.files] == [
        ".mf_code/beside.py",
        "company/__init__.py",
        "company/shared/words.py",
        "company/team/flow.py",
        "company/unused.py",
    ]
    assert gather(str(tree.flow), SUFFIXES, 1.0, "flow").files == tree.gather().files


def test_the_suffixes_of_what_is_left_out_are_known(tree: Tree) -> None:
    for name in ("data/x.csv", "a.tar.gz", "Makefile", ".hidden", "model.R", "venv/pyvenv.cfg", "venv/x.so"):
        tree.write(f"project/{name}")
    assert tree.gather().other_suffixes == (".csv", ".gz")
    assert tree.gather(".csv").other_suffixes == (".gz",)


def test_what_is_to_be_ignored(tree: Tree) -> None:
    tree.write("project/.metaflowignore", "# big things\n/data/\n*_test.py\n!keep_test.py\n")
    for name in ("data/x.py", "a/data/x.py", "a/x_test.py", "keep_test.py"):
        tree.write(f"project/{name}")
    assert tree.names() == ["a/data/x.py", "flow.py", "keep_test.py"]


def test_secrets_are_left_out_and_told(tree: Tree) -> None:
    for name in (".env", "prod.env", "key.pem", "a/credentials.json", "a/secrets.yaml", "id_rsa.txt", "settings.json"):
        tree.write(f"project/{name}", "secret")
    for name in ("secrets.py", "credentials.py"):
        tree.write(f"project/{name}")
    manifest = tree.gather(".env", ".pem", ".json", ".yaml", ".txt")
    assert [file.name for file in manifest.files] == ["credentials.py", "flow.py", "secrets.py", "settings.json"]
    assert [os.path.relpath(path, manifest.directory) for path in manifest.secrets] == [
        ".env", "a/credentials.json", "a/secrets.yaml", "id_rsa.txt", "key.pem", "prod.env",
    ]  # fmt: skip


def test_what_looks_like_a_secret_and_is_none(tree: Tree) -> None:
    tree.write("project/public.pem")
    tree.write("project/.metaflowignore", "!public.pem")
    manifest = tree.gather(".pem")
    assert [file.name for file in manifest.files] == ["flow.py", "public.pem"]
    assert manifest.secrets == []


def test_too_much(tree: Tree) -> None:
    tree.write("project/data/big.csv", "x" * 900_000)
    tree.write("project/small.csv", "x" * 200_000)
    with pytest.raises(CommandException) as raised:
        tree.gather(".csv")
    assert "3 files of 1 MB" in raised.value.message
    assert raised.value.message.index("0.9 MB  data/big.csv") < raised.value.message.index("small.csv")
    assert ".metaflowignore" in (raised.value.hint or "")
    assert len(tree.gather(".csv", limit_mb=1.2).files) == 3


# --- from elsewhere --------------------------------------------------------------------------------------------------


def elsewhere(tree: Tree) -> list[str]:
    return [name for name in tree.names() if name.startswith(".mf_code/")]


@pytest.fixture
def source_path(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda name: sys.path.append(str(tree.root / name))


def test_a_package_is_taken_whole(tree: Tree, source_path: Callable[[str], None]) -> None:
    for name in ("__init__.py", "used.py", "not_imported.py", "sub/deep.py", "data.txt", "__pycache__/x.py"):
        tree.write(f"src/mine/{name}")
    tree.write("src/stranger.py")
    source_path("src")
    tree.flow.write_text("def step():\n    from mine.used import something")
    assert elsewhere(tree) == [
        ".mf_code/mine/__init__.py",
        ".mf_code/mine/not_imported.py",
        ".mf_code/mine/sub/deep.py",
        ".mf_code/mine/used.py",
    ]


def test_modules_that_modules_import(tree: Tree, source_path: Callable[[str], None]) -> None:
    tree.write("project/helper.py", "import first")
    tree.write("one/first.py", "import second")
    tree.write("two/second/__init__.py", "from . import part")
    tree.write("two/second/part.py", "import third")
    tree.write("two/third.py")
    source_path("one")
    source_path("two")
    tree.flow.write_text("import helper")
    assert elsewhere(tree) == [
        ".mf_code/first.py",
        ".mf_code/second/__init__.py",
        ".mf_code/second/part.py",
        ".mf_code/third.py",
    ]


def test_of_a_package_without_init_only_what_is_imported(tree: Tree, source_path: Callable[[str], None]) -> None:
    for name in ("team/wanted/__init__.py", "team/wanted/x.py", "team/single.py", "team/other/y.py"):
        tree.write(f"src/{name}")
    source_path("src")
    tree.flow.write_text("import team.wanted\nfrom team import single")
    assert elsewhere(tree) == [
        ".mf_code/team/single.py",
        ".mf_code/team/wanted/__init__.py",
        ".mf_code/team/wanted/x.py",
    ]


def test_nested_packages_without_init(tree: Tree, source_path: Callable[[str], None]) -> None:
    tree.write("src/team/deep/deeper/m.py", "from team.deep import other")
    tree.write("src/team/deep/other.py")
    tree.write("src/team/deep/unused.py")
    source_path("src")
    tree.flow.write_text("from team.deep.deeper.m import V")
    assert elsewhere(tree) == [".mf_code/team/deep/deeper/m.py", ".mf_code/team/deep/other.py"]


def test_modules_in_a_zip_file(tree: Tree, source_path: Callable[[str], None]) -> None:
    with ZipFile(tree.root / "lib.zip", "w") as zipped:
        zipped.writestr("below/single.py", "import mine.used")
        zipped.writestr("below/mine/__init__.py", "x = 1")
        zipped.writestr("below/mine/deep/other.py", "")
        zipped.writestr("below/mine/used.py", "")
        zipped.writestr("below/mine/data.bin", "")
        zipped.writestr("below/stranger.py", "")
    source_path("lib.zip/below")
    tree.flow.write_text("import single")
    assert elsewhere(tree) == [
        ".mf_code/mine/__init__.py",
        ".mf_code/mine/deep/other.py",
        ".mf_code/mine/used.py",
        ".mf_code/single.py",
    ]
    with tarfile.open(fileobj=io.BytesIO(archive(tree.gather(), {}))) as tar:
        member = tar.extractfile(".mf_code/mine/__init__.py")
        assert member is not None
        assert member.read() == b"x = 1"


def test_what_lies_beside_the_flow_goes_in_once(tree: Tree, source_path: Callable[[str], None]) -> None:
    tree.write("project/helper.py")
    tree.write("project/mine/__init__.py")
    tree.flow.write_text("import helper, mine")
    assert elsewhere(tree) == []


def test_a_source_directory_below_the_flow(tree: Tree, source_path: Callable[[str], None]) -> None:
    tree.write("project/src/mine/__init__.py")
    source_path("project/src")
    tree.flow.write_text("import mine")
    assert tree.names() == [".mf_code/mine/__init__.py", "flow.py", "src/mine/__init__.py"]


def test_installed_and_standard_modules_are_not_the_user_s(tree: Tree, source_path: Callable[[str], None]) -> None:
    tree.write("lib/site-packages/installed/__init__.py")
    source_path("lib/site-packages")
    tree.flow.write_text("import installed, json, sys, metaflow, pytest, nothing_of_this_name")
    assert elsewhere(tree) == []


def test_an_editable_install_with_a_finder_of_its_own(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.util import spec_from_file_location

    package = tree.write("far/away/__init__.py", "raise RuntimeError('imported')")
    tree.write("far/away/x.py")

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object, target: object = None) -> object:
            return spec_from_file_location(name, package) if name == "renamed" else None

    class Broken:
        @staticmethod
        def find_spec(name: str, path: object, target: object = None) -> object:
            raise RuntimeError("a bug of a finder")

    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path, Finder])
    tree.flow.write_text("import renamed")
    assert elsewhere(tree) == [".mf_code/renamed/__init__.py", ".mf_code/renamed/x.py"]


# --- the archive -----------------------------------------------------------------------------------------------------


def test_the_same_files_make_the_same_bytes(tree: Tree) -> None:
    tree.write("project/a.py", "x = 1")
    first = archive(tree.gather(), {"username": "ann"})
    os.utime(tree.flow, (1, 1))
    assert archive(tree.gather(), {"username": "ann"}) == first
    tree.write("project/a.py", "x = 2")
    assert archive(tree.gather(), {"username": "ann"}) != first


def test_the_form_of_the_archive(tree: Tree) -> None:
    script = tree.write("project/run.py", "print('☃')")
    script.chmod(0o755)
    with tarfile.open(fileobj=io.BytesIO(archive(tree.gather(), {"username": "ann"})), mode="r:gz") as tar:
        members = {member.name: member for member in tar}
        info = tar.extractfile(".mf_meta/INFO")
        content = tar.extractfile("run.py")
        assert info is not None
        assert content is not None
        assert json.loads(info.read()) == {"username": "ann", "script": "flow.py"}
        assert content.read().decode() == "print('☃')"
    assert list(members) == [
        ".mf_meta/INFO",
        ".mf_meta/CONFIG",
        ".mf_meta/DIST_INFO",
        ".mf_install",
        "flow.py",
        "run.py",
    ]
    assert (members["run.py"].mode, members["flow.py"].mode) == (0o755, 0o644)
    assert {(member.uid, member.uname, member.mtime) for member in members.values()} == {(0, "", 1_000_000_000)}


def test_a_file_that_cannot_be_read(tree: Tree) -> None:
    manifest = tree.gather()
    tree.flow.unlink()
    with pytest.raises(CommandException, match=r"flow\.py belongs to the code package and cannot be read"):
        archive(manifest, {})
