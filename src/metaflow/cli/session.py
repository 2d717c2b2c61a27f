"""What every command works with: the flow, the settings, where data and facts are kept, and a voice.

Everything but the flow's class is made when it is first asked for, so that a task pays only for what it uses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from metaflow import registry

if TYPE_CHECKING:
    from metaflow.flow.plan import FlowPlan
    from metaflow.flow.spec import FlowSpec
    from metaflow.metadata_provider.protocol import Provider
    from metaflow.settings import Settings
    from metaflow.settings.datastores import Datastores
    from metaflow.store.protocol import Storage

LOCAL_ROOT = "MILLRACE_LOCAL_ROOT"
"""Set for tasks: the root of local metadata, wherever the flow file changes directory to."""

CODE_PACKAGE = "MILLRACE_CODE_PACKAGE"
"""Set for tasks of a run that has a code package: the fact about it. Not for what the tasks themselves start."""


class Session:
    """One invocation of a flow's command line.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The user's flow.
    environ : mutable mapping
        Environment variables.

    Attributes
    ----------
    environ : mutable mapping
        As given.
    options : dict
        The top-level options, as parsed.
    code_package : str or None
        The fact about the code that this task runs.
    """

    def __init__(self, flow_class: type[FlowSpec], environ: MutableMapping[str, str]) -> None:
        from metaflow import settings

        self.environ = environ
        self.flow_class = flow_class
        self.flow_name = flow_class.__name__
        self.settings: Settings = settings.load(environ)
        self.local_root = environ.pop(LOCAL_ROOT, self.settings.local_root)
        self.code_package = environ.pop(CODE_PACKAGE, None)
        self.options: dict[str, Any] = {}
        self.script = sys.argv[0]
        self.path = _flow_file(self.script)

    @cached_property
    def plan(self) -> FlowPlan:
        """The flow as it will run; asked for when the options are complete."""
        from metaflow.flow import plan

        return plan.read(self.flow_class, with_=self.options["decospecs"], without=self.options["without"])

    @property
    def datastore(self) -> str:
        """Which kind of storage has the data."""
        return self.options.get("datastore") or self.settings.default_datastore

    @cached_property
    def root(self) -> str:
        """Directory or URL of the data.

        Raises
        ------
        metaflow.exception.CommandException
            It is in an object store, and nothing says where.
        """
        given: str | None = self.options.get("datastore_root")
        if self.datastore == "local":
            return os.path.abspath(given or self.local_root)
        return given or self.object_stores.root(self.datastore)

    @cached_property
    def storage(self) -> Storage:
        """Where bytes are kept."""
        storage: Storage = registry.load("datastore", self.datastore)(self.root)
        return storage

    @cached_property
    def files_storage(self) -> Storage:
        """Where included files are kept."""
        root = self.settings.local_files_root
        if self.datastore != "local":
            root = self.object_stores.file_roots.get(self.datastore, f"{self.root.rstrip('/')}/data")
        storage: Storage = registry.load("datastore", self.datastore)(root)
        return storage

    @cached_property
    def object_stores(self) -> Datastores:
        """How object stores are reached."""
        return self.settings.datastores

    @cached_property
    def metadata(self) -> Provider:
        """Where facts are kept."""
        kind = self.options.get("metadata") or self.settings.default_metadata
        root = self.root if self.options.get("datastore_root") and self.datastore == "local" else self.local_root
        provider: Provider = registry.load("metadata", kind)(root, self.settings.user)
        return provider

    @property
    def quiet(self) -> bool:
        """Whether to leave out what is not asked for."""
        return bool(self.options.get("quiet"))

    def echo(self, text: str = "") -> None:
        """Print a result."""
        sys.stdout.write(f"{text}\n")

    def say(self, text: str, *, always: bool = False) -> None:
        """Print a remark, to stderr, unless the session is quiet."""
        if always or not self.quiet:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def _flow_file(script: str) -> str:
    """Return the absolute path of the flow file, which `sys.argv` calls `script`.

    Mostly it is the main program, whose path holds also after a change of directory. Where a profiler or a debugger is
    the main program (``python -m cProfile flow.py run``), `sys.argv` is the flow's nevertheless.
    """
    main = getattr(sys.modules["__main__"], "__file__", None) or script
    driven = os.path.basename(main) != os.path.basename(script) and os.path.isfile(script)
    return os.path.abspath(script if driven else main)
