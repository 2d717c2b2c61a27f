"""What of a program's modules may be imported once for all its tasks."""

from __future__ import annotations

import logging
import sys
from importlib.machinery import ModuleSpec
from multiprocessing import process
from types import ModuleType

import pytest

from metaflow.compute.local.proven import PROVEN, STANDARD, Candidate, candidates, is_standard, owner


def module(name: str, path: str | None) -> ModuleType:
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    if path is not None:
        made.__file__ = path
    return made


INSTALLED = "/env/lib/python3/site-packages"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{INSTALLED}/numpy/linalg/core.py", "numpy"),
        (f"{INSTALLED}/six.py", "six"),
        (f"{INSTALLED}/_yaml.cpython-311-x86_64-linux-gnu.so", "_yaml"),
        ("/usr/lib/python3/dist-packages/numpy/__init__.py", "numpy"),
        ("/home/me/numpy/__init__.py", None),
        ("/home/me/site-packages", None),
        (None, None),
    ],
)
def test_whose_a_module_is(path: str | None, expected: str | None) -> None:
    assert owner(module("any", path)) == expected


def test_candidates_are_proven_installed_and_as_they_were_imported() -> None:
    alias = module("numpy", f"{INSTALLED}/numpy/__init__.py")
    modules = {
        "json": sys.modules["json"],
        "this": module("this", "/python/this.py"),
        "calendar": module("calendar", "/home/me/calendar.py"),
        "numpy": alias,
        "numpy.linalg": module("numpy.linalg", f"{INSTALLED}/numpy/linalg/__init__.py"),
        "numpy.again": alias,
        "polars": module("polars", f"{INSTALLED}/polars/__init__.py"),
        "yaml": module("yaml", "/home/me/project/yaml.py"),
        "own": module("own", "/home/me/own.py"),
        "odd": object(),
    }
    assert candidates(modules, ["torch", "own.part"]) == [
        Candidate("", "", ("json",)),
        Candidate("numpy", f"{INSTALLED}/numpy/__init__.py", ("numpy", "numpy.linalg")),
        Candidate("torch", "", ("torch",)),
        Candidate("own.part", "", ("own.part",)),
    ]


def test_what_is_standard() -> None:
    assert is_standard("logging", logging)
    assert is_standard("sys", sys)
    assert not is_standard("pytest", pytest)
    assert not is_standard("own", module("own", "/home/me/own.py"))


def test_rows_name_modules_of_their_own() -> None:
    for name, library in PROVEN.items():
        assert all(place.partition(".")[0] == name for place in library.redo), name


def test_what_is_redone_for_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    started = vars(logging)["_startTime"]
    monkeypatch.setattr(logging, "_startTime", started)
    monkeypatch.setitem(process._current_process._config, "authkey", b"of the zygote")  # type: ignore[attr-defined]
    for name, redo in STANDARD.items():
        redo(sys.modules[name])
    now = vars(logging)["_startTime"]
    assert now > started
    assert type(now) is type(started)
    assert len(process.current_process().authkey) == 32
