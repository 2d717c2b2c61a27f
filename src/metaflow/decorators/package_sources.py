"""`@package_sources`: files and directories from elsewhere that go into the code package. Stands on the class.

They are looked for when a package is made, not in tasks, which have them already.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

from metaflow import settings
from metaflow.exception import InvalidFlow
from metaflow.flow.package_content import Addition, ContentType, name_in_package
from metaflow.flow.user_decorators import FlowMutator

if TYPE_CHECKING:
    from metaflow.flow.mutable import MutableFlow

PathLike: TypeAlias = str | os.PathLike[str]
Source: TypeAlias = PathLike | tuple[PathLike, PathLike]


class package_sources(FlowMutator):
    """Take files and directories from elsewhere along to remote tasks.

    Parameters
    ----------
    sources : path, (path, name) or sequence of these
        Files, and directories with all below them; relative ones from the directory of the flow file. In the package
        each is beside the flow file under its own name, ``../src/forecasting`` as ``forecasting``, or under the name
        that is paired with it. A tuple of two is a pair; two sources without names are a list.
    arcname : path, optional
        The name in the package, if there is one source.
    suffixes : sequence of str, or str with commas, optional
        Endings of the files that are taken of directories, in place of METAFLOW_DEFAULT_PACKAGE_SUFFIXES.

    Raises
    ------
    InvalidFlow
        When the flow is used: a name leads out of the package, or `arcname` is given for several. When a package is
        made: there is no such file or directory.

    Examples
    --------
    >>> @package_sources(["../src/forecasting", ("../generated/client", "vendor/client")])
    ... class TrainFlow(FlowSpec): ...
    """

    def init(
        self,
        sources: Source | Sequence[Source],
        arcname: PathLike | None = None,
        suffixes: Sequence[str] | None = None,
    ) -> None:
        """Check what the decorator was given."""
        pairs = [_pair(each) for each in _listed(sources)]
        if arcname is not None and len(pairs) != 1:
            raise InvalidFlow(
                f"@package_sources has arcname= for {len(pairs)} sources.", hint="write pairs: [('../src/a', 'a'), …]"
            )
        self._sources = [(path, _name(arcname if arcname is not None else name)) for path, name in pairs]
        self._suffixes = None if suffixes is None else suffixes_given("@package_sources(suffixes=", suffixes)
        self._directory = ""

    def pre_mutate(self, mutable_flow: MutableFlow) -> None:
        """Note where the flow is."""
        module = sys.modules.get(mutable_flow._draft.flow_class.__module__)
        self._directory = os.path.dirname(os.path.realpath(getattr(module, "__file__", None) or ""))

    def add_to_package(self) -> Iterator[Addition]:
        """Yield the sources."""
        suffixes = settings.load().packages.suffixes if self._suffixes is None else self._suffixes
        for path, name in self._sources:
            source = os.path.normpath(os.path.join(self._directory, path))
            if not os.path.exists(source):
                raise InvalidFlow(
                    f"@package_sources: there is no file or directory {path}.",
                    hint=f"relative paths begin at the flow file, in {self._directory}",
                )
            name = name or name_in_package(os.path.basename(source))
            yield Addition(source, name, ContentType.USER_CONTENT, tuple(suffixes))


def _listed(sources: Source | Sequence[Source]) -> list[Source]:
    if isinstance(sources, (str, os.PathLike)) or _is_pair(sources):
        return [cast(Source, sources)]
    if not isinstance(sources, Sequence):
        raise InvalidFlow(f"@package_sources is given {sources!r}.", hint="write a path, or a list of paths")
    return list(sources)


def _is_pair(source: object) -> bool:
    return (
        isinstance(source, tuple) and len(source) == 2 and all(isinstance(each, (str, os.PathLike)) for each in source)
    )


def _pair(source: Source) -> tuple[str, PathLike | None]:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source), None
    if not _is_pair(source):
        raise InvalidFlow(f"@package_sources is given {source!r}.", hint="write a path, or (path, name in the package)")
    return os.fspath(source[0]), source[1]


def _name(name: PathLike | None) -> str | None:
    try:
        return None if name is None else name_in_package(name)
    except ValueError as error:
        raise InvalidFlow(f"@package_sources: {error}.") from None


def suffixes_given(where: str, given: Sequence[str]) -> tuple[str, ...]:
    """Return endings of files, each with its dot; `where` is what stands before them in the user's source.

    Raises
    ------
    InvalidFlow
        They are none.
    """
    words = given.split(",") if isinstance(given, str) else given
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise InvalidFlow(f"{where}{given!r}): expected a list of strings, ['.py', '.json'].")
    return tuple(f".{word.strip().lstrip('.')}" for word in words if word.strip())
