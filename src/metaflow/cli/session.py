"""What every command of a flow works with: the workspace, and a voice."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from metaflow import settings
from metaflow.app.driver import driver
from metaflow.app.early import EarlyZygote
from metaflow.app.workspace import Workspace
from metaflow.client.scope import scope
from metaflow.client.site import Site
from metaflow.compute.command import CODE_PACKAGE, LOCAL_ROOT

if TYPE_CHECKING:
    from metaflow.flow.spec import FlowSpec

_NONE: Mapping[str, Any] = MappingProxyType({})


class Session:
    """One invocation of a flow's command line.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The user's flow.
    environ : mutable mapping
        Environment variables; what is meant for this process alone is taken out.
    initial : mapping of str to object
        What the flow's own ``__init__`` has assigned on self.

    Attributes
    ----------
    workspace : Workspace
        The flow, with the options that have been read so far.
    zygote : EarlyZygote
        Of the run that may be about to start.
    driver : Driver
        The program that drives this process, if one does.
    environ : mutable mapping
        As given.
    code_package : str or None
        The fact about the code that this task runs.
    """

    def __init__(
        self, flow_class: type[FlowSpec], environ: MutableMapping[str, str], initial: Mapping[str, Any] = _NONE
    ) -> None:
        self.environ = environ
        self.code_package = environ.pop(CODE_PACKAGE, None)
        script = sys.argv[0]
        path, module = _flow_file(script)
        self.workspace = Workspace(
            flow_class,
            script=script,
            path=path,
            module=module,
            settings=settings.load(environ),
            local_root=environ.pop(LOCAL_ROOT, None),
            initial=initial,
        )
        self.zygote = EarlyZygote()
        self.driver = driver()

    def echo(self, text: str = "") -> None:
        """Print a result."""
        sys.stdout.write(f"{text}\n")

    def say(self, text: str) -> None:
        """Print a remark, to stderr, unless the session is quiet."""
        if not self.workspace.options.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Print what a person should see, to stderr."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def look_at(workspace: Workspace) -> None:
    """Have the client look where a workspace keeps its runs, in the global namespace."""
    scope.adopt(Site(workspace.metadata, workspace.storage), None)


def _flow_file(script: str) -> tuple[str, str]:
    """Return the absolute path of the flow file, and the dotted name that it was started by; empty if by its path.

    Mostly it is the main program, whose path holds also after a change of directory. Where a profiler or a debugger is
    the main program (``python -m cProfile flow.py run``, ``… -m package.flow run``), `script`, of `sys.argv`, is the
    flow's nevertheless.
    """
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None) or script
    spec = getattr(main, "__spec__", None)
    if os.path.basename(path) != os.path.basename(script):
        if os.path.isfile(script):
            return os.path.abspath(script), ""
        driven = _spec_of(script)
        if driven is not None and driven.origin:
            spec, path = driven, driven.origin
    path = os.path.abspath(path)
    if spec is None or spec.name == "__main__" or os.path.abspath(spec.origin or "") != path:
        return path, ""
    return path, str(spec.name)


def _spec_of(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, ValueError):  # it is no name of a module
        return None
