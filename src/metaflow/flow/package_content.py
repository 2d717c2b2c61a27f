"""What decorators add to the code package: files and modules that the flow's own directory has not.

Pure: whether there is such a file is known where the package is made (`metaflow.compute.package`).
"""

from __future__ import annotations

import os
from enum import Enum
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any, NamedTuple

_FORM = "yield (path, name in the package), or (path, name, ContentType.…)"


class ContentType(Enum):
    """Where something goes in the code package."""

    USER_CONTENT = 1
    """Where the flow file is."""
    CODE_CONTENT = 2
    """Where modules from elsewhere are, which tasks have on their path."""
    MODULE_CONTENT = 4
    """A module, which tasks can import; it has no name in the package."""
    OTHER_CONTENT = 8
    """Where the description of the package is."""


class Addition(NamedTuple):
    """A file, a directory or a module that goes into the code package; or more of the flow's own directory.

    Attributes
    ----------
    source : str or module
        Its path, relative ones from the working directory; for MODULE_CONTENT the module; empty, with
        `suffixes`: further endings of files that go in of the flow's own directory.
    name : str
        In the package, relative to the place of its type.
    type : ContentType
        Where it goes.
    suffixes : tuple of str or None
        Endings of the files that are taken of a directory, in any case of letters; None: all.
    """

    source: str | ModuleType
    name: str = ""
    type: ContentType = ContentType.CODE_CONTENT
    suffixes: tuple[str, ...] | None = None

    @property
    def is_suffixes(self) -> bool:
        """Whether it is only about what goes in of the flow's own directory."""
        return self.source == "" and self.suffixes is not None


def addition_of(given: Any) -> Addition:
    """Return what a user's `add_to_package` has yielded.

    Raises
    ------
    ValueError
        It cannot be; the text says why and what to write.
    """
    if isinstance(given, Addition):
        return given
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        raise ValueError(f"it yields {given!r}: {_FORM}")
    source, name, type_ = given if len(given) == 3 else (*given, ContentType.CODE_CONTENT)
    if not isinstance(type_, ContentType):
        raise ValueError(f"it yields {given!r}: {_FORM}")
    if type_ is ContentType.MODULE_CONTENT:
        if not isinstance(source, ModuleType):
            raise ValueError(f"it yields {source!r} as a module: yield the module itself, after `import`")
        return Addition(source, type=type_)
    if not isinstance(source, str | os.PathLike):
        raise ValueError(f"it yields {given!r}: {_FORM}")
    return Addition(os.fspath(source), name_in_package(name), type_)


def name_in_package(name: Any) -> str:
    """Return a name that a file can have in the package.

    Raises
    ------
    ValueError
        It leads out of the package, or nowhere.
    """
    text = os.fspath(name) if isinstance(name, str | os.PathLike) else ""
    path = PurePosixPath(text)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} is not a name in the package: write a relative path without '..'")
    return str(path)
