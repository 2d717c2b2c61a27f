"""What a decorator of a whole flow is: like one of a step, with hooks of a run instead of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.flow.decorator import Decorator

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph


class RunContext(NamedTuple):
    """What a flow decorator is told of a run.

    Attributes
    ----------
    flow : str
        Name of the flow.
    user : str
        Who runs it.
    options : mapping of str to object
        Values of the options that need a flow decorator, by name.
    """

    flow: str
    user: str
    options: Mapping[str, Any] = MappingProxyType({})


class Contribution(NamedTuple):
    """What a flow decorator adds to a run.

    Attributes
    ----------
    current : mapping of str to object
        Attributes of `metaflow.current` in the run's tasks.
    system_tags : tuple of str
        Tags of the run and its tasks.
    remark : str
        What a person should know when the run starts.
    """

    current: Mapping[str, Any] = MappingProxyType({})
    system_tags: tuple[str, ...] = ()
    remark: str = ""


class FlowDecorator(Decorator):
    """One decorator of one flow; subclasses override the hooks that they need.

    One that is not repeatable replaces those of its name on base classes.
    """

    def check_flow(self, graph: Graph) -> None:
        """Check that it may stand on this flow, before a run; raise `error(…)` if not."""

    def check_run(self, run: RunContext, has_run: Callable[[str, str], bool]) -> None:
        """Check what the options say, before a run; raise `CommandException` if that cannot be.

        Parameters
        ----------
        run : RunContext
            The run.
        has_run : callable
            Given a flow and an id, tells whether there is this run.
        """

    def contribute(self, run: RunContext) -> Contribution:
        """Return what it adds to a run; in the launcher's process and in that of each task."""
        return Contribution()

    def after_run(self, ok: bool, open_run: Callable[[], Any]) -> list[tuple[str, BaseException]]:
        """Act when a run has ended; in the launcher's process.

        Parameters
        ----------
        ok : bool
            Whether the run succeeded.
        open_run : callable
            Returns the run as a client object.

        Returns
        -------
        list of (str, BaseException)
            What failed of it, by name: a run stays as it ended.
        """
        return []
