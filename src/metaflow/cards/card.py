"""What a kind of card is: a class that turns a task into a page of HTML. Users subclass `MetaflowCard`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from metaflow.client import Task


class MetaflowCard:
    """A kind of card.

    Parameters
    ----------
    options : mapping of str to object
        ``@card(options=…)``.
    components : sequence of dict or str
        What was appended in the step, rendered; only if `ALLOW_USER_COMPONENTS`.
    graph : mapping
        Each step's ``type``, ``next`` and ``doc`` by its name.
    flow : FlowSpec, optional
        Not given here.

    Attributes
    ----------
    type : str
        What ``@card(type=…)`` calls it.
    ALLOW_USER_COMPONENTS : bool
        Whether steps may append to it.
    RUNTIME_UPDATABLE : bool
        Whether `render_runtime` and `refresh` show it while its step runs.
    RELOAD_POLICY : str
        When a page that is shown has to be loaded anew: ``never``, ``always``, or ``onchange``, of its components.
    runtime_data : mapping
        What the last `refresh` in the step has given, as `render_runtime` gets it; without a refresh ``user`` is None.
    """

    type: ClassVar[str | None] = None
    ALLOW_USER_COMPONENTS: ClassVar[bool] = False
    RUNTIME_UPDATABLE: ClassVar[bool] = False
    RELOAD_POLICY_NEVER: ClassVar[str] = "never"
    RELOAD_POLICY_ALWAYS: ClassVar[str] = "always"
    RELOAD_POLICY_ONCHANGE: ClassVar[str] = "onchange"
    RELOAD_POLICY: ClassVar[str] = RELOAD_POLICY_NEVER
    scope: ClassVar[str] = "task"
    runtime_data: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        components: Sequence[Any] = (),
        graph: Mapping[str, Any] | None = None,
        flow: Any = None,
    ) -> None:
        self._options = options or {}
        self._components = components
        self._graph = graph or {}
        self._flow = flow

    def render(self, task: Task) -> str:
        """Return the page of a task that has ended.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        str
            A whole HTML document that needs no other file.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define render(task)")

    def render_runtime(self, task: Task, data: Mapping[str, Any]) -> str:
        """Return the page of a task that runs.

        Parameters
        ----------
        task : Task
            The task.
        data : mapping
            ``user``: what was given to ``current.card.refresh``; ``components``: the components, by id.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define render_runtime(task, data)")

    def refresh(self, task: Task, data: Mapping[str, Any]) -> Any:
        """Return what a page that is shown needs in order to be up to date, as JSON can hold it.

        The page gets it as the argument of its function ``metaflow_card_update``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define refresh(task, data)")

    def reload_content_token(self, task: Task, data: Mapping[str, Any]) -> str:
        """Return a text that differs from the last one if a page that is shown has to be loaded anew."""
        match self.RELOAD_POLICY:
            case self.RELOAD_POLICY_ALWAYS:
                return os.urandom(8).hex()
            case self.RELOAD_POLICY_ONCHANGE:
                ids = "\n".join(map(str, data.get("components", ())))
                return hashlib.sha1(ids.encode(), usedforsecurity=False).hexdigest()
            case _:
                return "never"


def graph_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the graph of a flow in the form that cards get: of each step type, successors and docstring.

    Parameters
    ----------
    info : mapping
        The artifact ``_graph_info``.
    """
    return {
        name: {
            "type": step.get("type"),
            "next": list(step.get("next") or ()),
            "doc": step.get("doc") or "",
            "box_next": step.get("type") not in ("linear", "join"),
            "box_ends": step.get("matching_join") or None,
        }
        for name, step in (info.get("steps") or {}).items()
    }
