"""Parsers for `Config` that come with the product: YAML, and the files in which projects list their packages.

Those of packages return ``{"packages": {name: version}, "python": version or None}``, as `@pypi_base` and `@conda_base`
take it: a version is a specifier such as ``">=1.0"``, without ``==`` if it is exact, and empty if there is none.
"""

from __future__ import annotations

from typing import Any


def yaml_parser(content: str) -> Any:
    """Parse YAML, plain data only.

    Raises
    ------
    yaml.YAMLError
        It is not YAML; the error has a ``problem_mark``.
    """
    import yaml

    return yaml.safe_load(content)


def requirements_txt_parser(content: str) -> dict[str, Any]:
    """Parse a ``requirements.txt`` that consists of requirements; a line for ``python`` gives the version of Python.

    Raises
    ------
    ValueError
        A line is an option of pip, is no requirement (PEP 508), or has an environment marker; the error's ``lineno``
        is the line.
    """
    found: dict[str, Any] = {"packages": {}, "python": None}
    for number, line in enumerate(content.splitlines(), 1):
        text = line.partition(" #")[0].strip()
        if text and not text.startswith("#"):
            _add(found, text, number)
    return found


def pyproject_toml_parser(content: str) -> dict[str, Any]:
    """Parse the dependencies of ``[project]``, and its ``requires-python``, of a ``pyproject.toml``.

    Raises
    ------
    tomllib.TOMLDecodeError
        It is not TOML.
    ValueError
        A dependency is no requirement (PEP 508), or has an environment marker.
    """
    import tomllib

    project = tomllib.loads(content).get("project", {})
    dependencies = project.get("dependencies", [])
    if not isinstance(dependencies, list):
        raise ValueError(f"project.dependencies is {dependencies!r}, not a list")
    found: dict[str, Any] = {"packages": {}, "python": project.get("requires-python")}
    for text in dependencies:
        _add(found, text)
    return found


def conda_environment_yml_parser(content: str) -> dict[str, Any]:
    """Parse the dependencies of a ``environment.yml`` of conda.

    Raises
    ------
    yaml.YAMLError
        It is not YAML.
    ValueError
        A dependency is no conda package, or is one of a channel of its own or of pip.
    """
    import re

    found: dict[str, Any] = {"packages": {}, "python": None}
    environment = yaml_parser(content)
    dependencies = environment.get("dependencies") if isinstance(environment, dict) else None
    for spec in dependencies or []:
        if not isinstance(spec, str):
            raise ValueError(
                f"{next(iter(spec), spec)!r} is a section of its own, and only conda packages are accepted"
            )
        parts = re.fullmatch(r"\s*([A-Za-z0-9_.\-]+)\s*(?:(==?)\s*([^=<>!~\s].*)|([<>!~].*))?", spec)
        if parts is None:
            raise ValueError(f"{spec!r} is not a conda package: write NAME, NAME=VERSION or NAME>=VERSION")
        name, _, exact, specifier = parts.groups()
        _enter(found, name, (exact or specifier or "").strip())
    return found


class RequirementError(ValueError):
    """A line is not accepted; `lineno` is its number, if it has one."""

    def __init__(self, sentence: str, line: int | None) -> None:
        super().__init__(sentence)
        self.lineno = line


def _add(found: dict[str, Any], text: str, line: int | None = None) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise RequirementError(f"{text!r} is not a requirement (PEP 508)", line) from None
    if requirement.marker is not None:
        raise RequirementError(f"{text!r} has an environment marker, which is not supported", line)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    address = f"@{requirement.url}" if requirement.url else ""
    _enter(found, f"{requirement.name}{extras}{address}", str(requirement.specifier).removeprefix("=="))


def _enter(found: dict[str, Any], name: str, version: str) -> None:
    if name.lower() == "python":
        found["python"] = version
    else:
        found["packages"][name] = version
