"""Where a card is made."""

from __future__ import annotations

import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from metaflow.cards import surroundings as module


def test_packages_are_those_that_are_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for directory, package in (("first", "odd-1.0.dist-info"), ("second", "odd-2.0.dist-info"), ("second", "other.py")):
        (tmp_path / directory / package).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / each) for each in ("first", "second", "gone")])
    assert module._packages() == {"odd": "1.0"}


def test_what_is_told_of_this_process() -> None:
    here = module.surroundings.__wrapped__()
    assert here.executable == sys.executable
    assert {name.replace("_", "-").lower() for name, _ in here.packages} == {
        each.name.replace("_", "-").lower()
        for each in distributions()
        if "dist-info" in str(each._path)  # type: ignore[attr-defined]
    }
