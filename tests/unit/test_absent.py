"""What Metaflow has and this version has not."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import metaflow
from metaflow import absent


@pytest.mark.parametrize("name", sorted(absent.NAMES))
def test_a_name_that_is_to_come_says_so(name: str) -> None:
    with pytest.raises(ImportError, match=f"'{name}' is not available in this version"):
        exec(f"from metaflow import {name}")
    assert not hasattr(metaflow, name)
    default: Any = getattr(metaflow, name, "default")
    assert default == "default"


@pytest.mark.parametrize("name", sorted(absent.MODULES - {"plugins", "runner"}))
def test_a_module_that_is_to_come_says_so(name: str) -> None:
    statements = (f"import metaflow.{name}", f"from metaflow import {name}", f"from metaflow.{name}.deep import Thing")
    for statement in statements:
        with pytest.raises(ImportError, match=f"'metaflow.{name}' is not available in this version"):
            exec(statement)
    assert not hasattr(metaflow, name)


@pytest.mark.parametrize("name", ["metaflow.plugins.argo", "metaflow.runner.deployer"])
def test_modules_that_are_not_here_in_packages_that_are_say_so(name: str) -> None:
    with pytest.raises(ImportError, match=f"'{name}' is not available in this version"):
        importlib.import_module(f"{name}.deep.module")


def test_what_nobody_has() -> None:
    assert absent.refusal("metaflow.nothing") is None
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'metaflow.nothing'"):
        importlib.import_module("metaflow.nothing")


def test_no_name_is_both_here_and_to_come() -> None:
    assert not (absent.NAMES | absent.MODULES) & set(metaflow.__all__)
