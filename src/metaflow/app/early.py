"""The zygote, the process that local tasks come from, started as early as possible: its imports take as long as ours.

Whoever carries out the run takes it over; if nobody does, it is stopped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection

from metaflow import registry
from metaflow.app.workspace import Workspace
from metaflow.compute.finding import import_root
from metaflow.compute.local.proven import candidates
from metaflow.compute.local.zygote_process import ZygoteProcess
from metaflow.settings import table
from metaflow.store.objects import KINDS, PRELOADED


class EarlyZygote:
    """A zygote that may have been started, and may have been taken over."""

    def __init__(self) -> None:
        self._process: ZygoteProcess | None = None
        # Before a command imports what it needs itself, these are what the flow file has imported.
        self._imported = dict(sys.modules)

    def start(self, workspace: Workspace, *, object_store: bool | None = None, attached: Collection[str] = ()) -> None:
        """Start it.

        Parameters
        ----------
        workspace : Workspace
            Whose tasks they will be.
        object_store : bool, optional
            Whether their data is in an object store; by default as the workspace's is.
        attached : collection of str
            Names of decorators that they have although the flow file may not import them; others are ignored.
        """
        if object_store is None:
            object_store = workspace.datastore in KINDS
        isolation = workspace.settings.local_isolation or ("fork" if sys.platform == "linux" else "exec")
        decorators = {name for name in self._imported if name.startswith("metaflow.decorators.")}
        known = registry.names("step decorator")
        decorators.update(registry.module("step decorator", name) for name in attached if name in known)
        cards = ["metaflow.cards.warm"] if registry.module("step decorator", "card") in decorators else []
        if cards and "metaflow.cards.components" in self._imported:
            cards.append("metaflow.cards.warm_markdown")
        self._process = ZygoteProcess(
            workspace.script,
            workspace.path,
            fork=isolation == "fork",
            modules=[*sorted(decorators), *(PRELOADED if object_store else ()), *cards],
            libraries=candidates(self._imported, workspace.settings.values[table.LOCAL_PRELOAD]),
            module=workspace.module,
            directory=_directory(workspace) if workspace.module else None,
        )

    def take(self, workspace: Workspace) -> ZygoteProcess:
        """Hand over the process, starting it if need be; the taker stops it."""
        if self._process is None:
            self.start(workspace)
        process, self._process = self._process, None
        assert process is not None
        return process

    def stop(self) -> None:
        """Stop the process, if nobody took it."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()


def _directory(workspace: Workspace) -> str:
    """Return what ``python -m`` has put first on the path: where it was started, which the flow may have left since."""
    here = os.getcwd()
    return here if here in sys.path else import_root(workspace.path, workspace.module)
