"""What a decorator of a whole flow is: like one of a step, with hooks of a run instead of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from metaflow.flow.decorator import Decorator

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph


class FlowDecorator(Decorator):
    """One decorator of one flow; subclasses override the hooks that they need.

    One that is not repeatable replaces those of its name on base classes.
    """

    def check_flow(self, graph: Graph) -> None:
        """Check that it may stand on this flow, before a run; raise `error(…)` if not."""

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
