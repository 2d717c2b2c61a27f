"""Where a name would be imported from: found without importing anything, in every way in which an import finds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from metaflow.compute.finding import is_own, place_of, read, way_to


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def write(directory: Path, name: str, text: str = "") -> str:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_the_way_leads_through_packages_with_and_without_a_file(directory: Path) -> None:
    package, module = write(directory, "space/deep/solid/__init__.py"), write(directory, "space/deep/solid/m.py")
    specs = list(way_to("space.deep.solid.m.member"))
    assert [spec.name for spec in specs] == ["space", "space.deep", "space.deep.solid", "space.deep.solid.m"]
    assert [place_of(spec) for spec in specs[1:]] == [str(directory / "space/deep"), package, module]
    assert all(is_own(spec) for spec in specs)
    assert "space" not in sys.modules


def test_a_package_without_a_file_has_all_its_portions(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(directory, "one/space/a/x.py")
    there = write(directory, "two/space/a/y.py")
    monkeypatch.setattr(sys, "path", [str(directory / "one"), str(directory / "two"), *sys.path])
    assert place_of(list(way_to("space.a.y"))[-1]) == there


def test_what_is_not_the_user_s_own(directory: Path) -> None:
    write(directory, "lib/site-packages/installed.py")
    sys.path.append(str(directory / "lib/site-packages"))
    for name in ("sys", "json.decoder", "installed", "os.path"):
        specs = list(way_to(name))
        assert specs
        assert not any(is_own(spec) for spec in specs), name
    assert list(way_to("nowhere.at.all")) == []


def test_a_module_in_a_zip_file_is_read(directory: Path) -> None:
    with ZipFile(directory / "lib.zip", "w") as archive:
        archive.writestr("below/m.py", "text")
    sys.path.append(str(directory / "lib.zip" / "below"))
    (spec,) = way_to("m")
    assert is_own(spec)
    assert read(place_of(spec)) == b"text"
    with pytest.raises(NotADirectoryError):
        read(os.path.join(write(directory, "file"), "inside.py"))
