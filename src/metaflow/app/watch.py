"""Whether the files of a flow have changed since its run began."""

from __future__ import annotations

import os
import sys

from metaflow.compute.finding import is_own_file


class SourceWatch:
    """The flow file and the user's modules that this process has loaded, as their files are now.

    Parameters
    ----------
    path : str
        The flow file.
    """

    def __init__(self, path: str) -> None:
        loaded = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
        own = {file for file in loaded if isinstance(file, str) and is_own_file(file) and not file.startswith(ours)}
        self._before = {file: _state(file) for file in {path, *own}}

    def changed(self) -> list[str]:
        """Return the files that are other ones now, or gone."""
        return sorted(file for file, state in self._before.items() if _state(file) != state)


def _state(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
