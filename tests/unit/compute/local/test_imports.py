"""What a flow imports, read from source: named if it is third-party or standard, followed if it is the user's own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from metaflow.compute.local.imports import preload, third_party_imports


class Project:
    """A directory with first-party files, and one with installed packages; both on the path, as in the zygote."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory / "project"
        self.installed = directory / "env" / "lib" / "site-packages"
        for path in (self.installed, self.directory):
            path.mkdir(parents=True)
            monkeypatch.syspath_prepend(str(path))

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the user; a top line makes it plain if one of them is ever run."""
        for name, source in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))

    def install(self, *names: str) -> None:
        for name in names:
            path = self.installed / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")

    def imports(self, flow: str = "flow.py") -> list[str]:
        return third_party_imports(str(self.directory / flow))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


def test_standard_modules_in_order_of_first_mention(project: Project) -> None:
    project.write({"flow.py": "import sys, os.path\nfrom collections import abc\nimport os\nimport sys\n"})
    assert [name for name in project.imports() if not name.startswith("collections.")] == [
        "sys", "os.path", "collections", "os",
    ]  # fmt: skip


def test_third_party_packages_modules_and_members(project: Project) -> None:
    project.install("pandaz/__init__.py", "pandaz/io.py", "single.py", "google_/cloud/storage/__init__.py")
    project.write(
        {
            "flow.py": """
                import pandaz as pd
                import single
                from pandaz import DataFrame, io
                from pandaz.io import read
                from google_.cloud import storage
                from single import *
            """
        }
    )
    assert project.imports() == [
        "pandaz", "single", "pandaz.DataFrame", "pandaz.io", "pandaz.io.read", "google_.cloud", "google_.cloud.storage",
    ]  # fmt: skip


def test_imports_anywhere_in_the_file_count(project: Project) -> None:
    project.install("a.py", "b.py", "c.py", "d.py", "e.py")
    project.write(
        {
            "flow.py": """
                class F:
                    import a
                    def start(self):
                        import b
                        try:
                            import c
                        except ImportError:
                            from d import thing
                async def later():
                    with open("x"):
                        import e
            """
        }
    )
    assert {name for name in project.imports() if "." not in name} == {"a", "b", "c", "d", "e"}


def test_what_only_type_checkers_import_does_not(project: Project) -> None:
    project.install("a.py", "b.py", "c.py", "d.py", "e.py")
    project.write(
        {
            "flow.py": """
                from typing import TYPE_CHECKING
                import typing as t
                if TYPE_CHECKING:
                    import a
                    if True:
                        import b
                else:
                    import c
                if t.TYPE_CHECKING:
                    from a import x
                if not TYPE_CHECKING:
                    import d
                if len("TYPE_CHECKING"):
                    import e
            """
        }
    )
    assert [name for name in project.imports() if name in "abcde"] == ["c", "d", "e"]


def test_files_of_the_user_are_followed_and_not_named(project: Project) -> None:
    project.install("a.py", "b.py", "c.py", "d.py")
    project.write(
        {
            "flow.py": "import model\nfrom parts import first\nimport parts.deep.second as s",
            "model.py": "import a, model, flow",
            "parts/__init__.py": "",
            "parts/first.py": "from b import x\nimport model",
            "parts/deep/__init__.py": "import c",
            "parts/deep/second.py": "import d",
            "parts/unused.py": "import unused",
        }
    )
    assert {name for name in project.imports() if "." not in name} == {"a", "b", "c", "d"}
    assert not any(name.partition(".")[0] in ("model", "parts", "flow") for name in project.imports())


def test_relative_imports(project: Project) -> None:
    project.install(*(f"{name}.py" for name in "abcdef"))
    project.write(
        {
            "flow.py": "import parts.deep.inner",
            "parts/__init__.py": "from . import here\nfrom .there import x",
            "parts/here.py": "import a",
            "parts/there.py": "import b",
            "parts/deep/__init__.py": "from .own import y",
            "parts/deep/own.py": "import c",
            "parts/deep/inner.py": "from .. import up\nfrom ..aside.far import z\nfrom .sibling import *",
            "parts/up.py": "import d",
            "parts/aside/__init__.py": "",
            "parts/aside/far.py": "import e",
            "parts/deep/sibling.py": "import f",
        }
    )
    assert {name for name in project.imports() if "." not in name} == set("abcdef")


def test_packages_of_the_user_without_init(project: Project) -> None:
    project.install("a.py")
    project.write({"flow.py": "import space.module\nfrom space import module", "space/module.py": "import a"})
    assert project.imports() == ["a"]


def test_nested_packages_of_the_user_without_init(project: Project) -> None:
    """The usual monorepo: an import finds `ns2.deeper` through `ns2`, which nobody has imported here."""
    project.install("a.py", "b.py")
    project.write(
        {
            "flow.py": "from ns2.deeper.m import V\nfrom ns2.deeper.still.further import m",
            "ns2/deeper/m.py": "import a",
            "ns2/deeper/still/further/m.py": "import b",
        }
    )
    assert set(project.imports()) == {"a", "b"}
    assert "ns2" not in sys.modules


def test_modules_of_the_user_in_a_zip_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.install("a.py", "b.py")
    path = project.directory / "lib.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("single.py", "import a")
        archive.writestr("parts/deep/m.py", "import b")
        archive.writestr("parts/__init__.py", "")
        archive.writestr("parts/deep/__init__.py", "")
    monkeypatch.syspath_prepend(str(path))
    project.write({"flow.py": "import single, parts.deep.m"})
    assert set(project.imports()) == {"a", "b"}


def test_a_file_of_the_user_hides_a_module_of_its_name(project: Project) -> None:
    """The directory of the flow comes first on the path, before installed packages and the standard library."""
    project.install("a.py", "pandaz/__init__.py")
    project.write(
        {
            "flow.py": "import pandaz, calendar, queue.thing",
            "pandaz.py": "import a",
            "calendar.py": "raise SystemExit('run')",
            "queue/__init__.py": "import json",
            "queue/thing.py": "",
        }
    )
    assert set(project.imports()) == {"a", "json"}


@pytest.mark.parametrize(
    "source",
    ["def broken(:\n", "import a\n\0", "# coding: no-such-coding\nimport a", "import a\n" + "(" * 1000, "\xff"],
)
def test_a_file_that_cannot_be_read_has_no_imports(source: str, project: Project) -> None:
    project.install("b.py")
    project.write({"flow.py": "import other, b"})
    (project.directory / "other.py").write_bytes(source.encode("latin-1"))
    assert project.imports() == ["b"]
    assert project.imports("other.py") == []
    assert project.imports("missing.py") == []


def test_what_does_not_exist_or_must_not_be_imported_here(project: Project) -> None:
    project.write(
        {"flow.py": "import nowhere, this, metaflow, metaflow.client\nfrom . import x\nfrom __main__ import y"}
    )
    assert project.imports() == []


def test_packages_whose_path_is_odd(project: Project) -> None:
    project.write({"flow.py": "import odd.deeper\nimport odd.", "odd.py": ""})
    assert project.imports() == []
    project.write({"flow.py": "import odd.deeper", "odd.py": "import json"})
    assert project.imports() == ["json"]


def test_nothing_of_the_user_is_run(project: Project) -> None:
    """In a process of its own: neither reading nor preloading imports a first-party file."""
    project.install("good.py", "bad.py", "worse.py", "leaving.py")
    (project.installed / "bad.py").write_text("raise ValueError('broken')")
    (project.installed / "worse.py").write_text("class Worse(BaseException): ...\nraise Worse")
    (project.installed / "leaving.py").write_text("import sys; sys.exit(3)")
    mark = project.directory / "ran"
    tell = f"open({str(mark)!r}, 'a').write(__name__)\n"
    project.write(
        {
            "flow.py": tell + "import model, parts.deep, statistics, leaving, bad, worse, good, parts.missing",
            "model.py": tell + "import fractions",
            "parts/__init__.py": tell,
            "parts/deep.py": tell,
            "statistics.py": tell,
        }
    )
    script = textwrap.dedent("""
        import sys
        sys.path[:0] = sys.argv[2:]
        from metaflow.compute.local.imports import preload, third_party_imports
        preload(third_party_imports(sys.argv[1]))
        files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
        own = [name for name, file in files.items() if file.startswith(sys.argv[2])]
        print(own, "good" in sys.modules, "fractions" in sys.modules)
    """)
    words = [
        sys.executable,
        "-c",
        script,
        str(project.directory / "flow.py"),
        str(project.directory),
        str(project.installed),
    ]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout == "[] True True\n"
    assert not mark.exists()


def test_preload_forgives_what_is_not_there(project: Project) -> None:
    project.install("pack_a/__init__.py", "pack_a/part.py")
    names = ["pack_a", "pack_a.part", "pack_a.member", "pack_a.part.member", "nowhere", "nowhere.deep"]
    try:
        preload(names)
        assert "pack_a.part" in sys.modules
        assert not {"pack_a.member", "nowhere"} & set(sys.modules)
    finally:
        for name in names:
            sys.modules.pop(name, None)


def test_a_project_of_many_files_is_given_up_at_some_point(project: Project) -> None:
    project.write({f"m{n}.py": f"import m{n + 1}, m{n + 2}\nimport json" for n in range(1000)})
    project.write({"flow.py": "import m0"})
    assert project.imports() == ["json"]
