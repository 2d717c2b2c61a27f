"""Which files of the user a flow consists of: the flow file, and what is imported with it by statements.

What only a step imports is not part of it, but noted: an earlier step may write it.

Start reading at `take`.
"""

from __future__ import annotations

import os

from metaflow.compute.finding import is_own, way_to
from metaflow.compute.local.imports import UNSAFE, imported_names
from metaflow.compute.local.snapshot import File, Snapshot

_MOST_FILES = 2000


def take(path: str, module: str = "") -> Snapshot:
    """Read a flow file and the user's modules that it imports.

    Parameters
    ----------
    path : str
        The flow file.
    module : str, optional
        Its dotted name, if ``python -m`` has started it.
    """
    files = _reached(path, module, at_once=True)
    late = {file: each.mtime for file, each in _reached(path, module, at_once=False).items() if file not in files}
    return Snapshot(files, late)


def _reached(path: str, module: str, *, at_once: bool) -> dict[str, File]:
    files: dict[str, File] = {}
    package = module.rpartition(".")[0]
    todo = [(path, package)]
    known: set[str] = set()
    while todo and len(files) < _MOST_FILES:
        file, package = todo.pop()
        if file in files:
            continue
        try:
            with open(file, "rb") as opened:
                files[file] = File(opened.read(), os.fstat(opened.fileno()).st_mtime)
        except OSError:
            continue
        for name in (*([package] if package else ()), *imported_names(file, package, at_once=at_once)):
            if name in known or name.partition(".")[0] in UNSAFE:
                continue
            known.add(name)
            for spec in way_to(name):
                if not is_own(spec):
                    break
                if spec.origin and spec.origin.endswith(".py"):
                    is_package = spec.submodule_search_locations is not None
                    todo.append((spec.origin, spec.name if is_package else spec.name.rpartition(".")[0]))
    return files
