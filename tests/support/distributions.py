"""Distributions for tests: a module and its entry points, as they lie in a directory on the path once installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent


def install(directory: Path, name: str, version: str, source: str, points: Mapping[str, Mapping[str, str]]) -> None:
    """Write a module called as the distribution, and its metadata.

    Parameters
    ----------
    directory : Path
        Has to be on the path of whoever shall see it.
    name, version : str
        Of the distribution.
    source : str
        Text of the module.
    points : mapping of str to mapping of str to str
        By group: name and target of each entry point.
    """
    (directory / name).mkdir(parents=True)
    (directory / name / "__init__.py").write_text(dedent(source))
    metadata = directory / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{point} = {target}\n" for point, target in rows.items())
            for group, rows in points.items()
        )
    )
