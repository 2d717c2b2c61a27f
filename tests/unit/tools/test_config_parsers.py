"""Parsers of project files, held to what the original makes of the same text."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from metaflow import conda_environment_yml_parser, pyproject_toml_parser, requirements_txt_parser, yaml_parser
from metaflow.tools.config_parsers import RequirementError


def packages(python: str | None = None, **found: str) -> dict[str, Any]:
    return {"packages": found, "python": python}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "pandas>=1.0\nnumpy==1.2.3\n\n# c\nfoo # c2\nFoo_Bar",
            packages(pandas=">=1.0", numpy="1.2.3", foo="", Foo_Bar=""),
        ),
        ("requests[socks]>1,<2", packages(**{"requests[socks]": "<2,>1"})),
        ("python==3.9\nfoo @ git+https://x/y@v1", packages("3.9", **{"foo@git+https://x/y@v1": ""})),
        ("", packages()),
    ],
)  # fmt: skip
def test_requirements(text: str, found: dict[str, Any]) -> None:
    assert requirements_txt_parser(text) == found


@pytest.mark.parametrize("line", ["-r other.txt", "--pre", "==1", 'a==1 ; python_version>"3"'])
def test_lines_that_are_refused(line: str) -> None:
    with pytest.raises(RequirementError) as caught:
        requirements_txt_parser(f"numpy\n{line}")
    assert caught.value.lineno == 2
    assert repr(line) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            '[project]\ndependencies = ["a>=1", "b[c]==2", "d"]\nrequires-python = ">=3.8"',
            packages(">=3.8", a=">=1", **{"b[c]": "2"}, d=""),
        ),
        ("[tool]\nx = 1", packages()),
        ('[project]\nname = "x"', packages()),
    ],
)
def test_pyproject(text: str, found: dict[str, Any]) -> None:
    assert pyproject_toml_parser(text) == found


def test_pyproject_with_other_dependencies() -> None:
    with pytest.raises(ValueError, match="not a list"):
        pyproject_toml_parser('[project]\ndependencies = "a"')


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "name: x\nchannels: [c]\ndependencies:\n  - python=3.9\n  - pandas>=1\n  - numpy=1.2\n  - foo==3\n",
            packages("3.9", pandas=">=1", numpy="1.2", foo="3"),
        ),
        (
            "dependencies:\n  - foo=1=h123\n  - bar <3\n  - baz ~=2\n  - qux",
            packages(foo="1=h123", bar="<3", baz="~=2", qux=""),
        ),
        ("x: 1", packages()),
        ("- a", packages()),
    ],
)  # fmt: skip
def test_conda_environments(text: str, found: dict[str, Any]) -> None:
    assert conda_environment_yml_parser(text) == found


@pytest.mark.parametrize("spec", ["a::b=2", "pip: [x]", "'=1'"])
def test_conda_dependencies_that_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="conda package"):
        conda_environment_yml_parser(f"dependencies:\n  - {spec}")


def test_yaml() -> None:
    assert yaml_parser("a: 1\nb: [x, {y: 2}]\nd: 2020-01-01") == {
        "a": 1,
        "b": ["x", {"y": 2}],
        "d": datetime.date(2020, 1, 1),
    }
    assert yaml_parser("") is None
