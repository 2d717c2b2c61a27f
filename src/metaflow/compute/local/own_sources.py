"""Which files of the user a flow consists of: the flow file, and what is imported with it by statements.

What only a step imports is not part of it, but noted: an earlier step may write it.

Start reading at `take`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from metaflow.compute.local.imports import UNSAFE, imports_of, own_sources_of, package_of
from metaflow.compute.local.snapshot import File, Snapshot

_MOST_FILES = 2000

_Source = tuple[str, str]
"""A file, and the package that its statements are in."""


def take(path: str, module: str = "") -> Snapshot:
    """Read a flow file and the user's modules that it imports.

    Parameters
    ----------
    path : str
        The flow file.
    module : str, optional
        Its dotted name, if ``python -m`` has started it.
    """
    known: set[str] = set()
    files, called = _follow([(path, module.rpartition(".")[0])], known, {})
    late: dict[str, File] = {}
    while called and len(late) < _MOST_FILES:
        more, called = _follow(_sources(called, known), known, files | late)
        late |= more
    return Snapshot(files, {file: each.mtime for file, each in late.items()})


def _follow(todo: list[_Source], known: set[str], read: dict[str, File]) -> tuple[dict[str, File], list[str]]:
    """Read files and what is imported with them, but for what was read before; return them, and what functions import.

    Parameters
    ----------
    todo : list of (str, str)
        The files to begin with.
    known : set of str
        Names that have been looked for; what is looked for here is added.
    read : dict of str to File
        What was read before.
    """
    files: dict[str, File] = {}
    called: list[str] = []
    while todo and len(files) < _MOST_FILES:
        file, package = todo.pop()
        if file in files or file in read:
            continue
        try:
            with open(file, "rb") as opened:
                files[file] = File(opened.read(), os.fstat(opened.fileno()).st_mtime)
        except OSError:
            continue
        imports = list(imports_of(file, package))
        called += [each.name for each in imports if each.is_late]
        todo += _sources([package, *(each.name for each in imports if not each.is_late)], known)
    return files, called


def _sources(names: Iterable[str], known: set[str]) -> list[_Source]:
    """Return the user's files that importing these names would run, of names that are not known yet."""
    found = []
    for name in names:
        if name and name not in known and name.partition(".")[0] not in UNSAFE:
            known.add(name)
            found += [(spec.origin or "", package_of(spec)) for spec in own_sources_of(name)]
    return found
