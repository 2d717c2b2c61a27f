"""`current`: what a running step, or a library it calls, can ask about where it stands.

Outside a run every core attribute is None and `is_running_flow` is False. Attributes of decorators (``current.card``)
exist only where the decorator is, so that code can probe with ``hasattr``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from metaflow import registry

_CORE = (
    "flow_name", "run_id", "step_name", "task_id", "retry_count", "origin_run_id", "namespace", "username",
    "parameter_names", "tempdir", "graph", "tags",
)  # fmt: skip


class Current:
    """The place of the running task; one object, `metaflow.current`."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._lazy: dict[str, Callable[[], Any]] = {}

    @property
    def is_running_flow(self) -> bool:
        """Whether this process runs a step."""
        return "run_id" in self._values

    @property
    def pathspec(self) -> str | None:
        """``flow/run/step/task`` of the running task, None outside a run."""
        values = self._values
        if not self.is_running_flow:
            return None
        return f"{values['flow_name']}/{values['run_id']}/{values['step_name']}/{values['task_id']}"

    @property
    def task(self) -> Any:
        """The running task as a client object, None outside a run."""
        return registry.load("client object", "Task")(self.pathspec, _namespace_check=False) if self.pathspec else None

    @property
    def run(self) -> Any:
        """The run that this task belongs to, as a client object, None outside a run."""
        if not self.is_running_flow:
            return None
        run = f"{self._values['flow_name']}/{self._values['run_id']}"
        return registry.load("client object", "Run")(run, _namespace_check=False)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, `default` if it is not there."""
        value = getattr(self, name, None)
        return default if value is None else value

    def __contains__(self, name: str) -> bool:
        return getattr(self, name, None) is not None

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        if name in self.__dict__.get("_lazy", {}):
            values[name] = self._lazy[name]()
            return values[name]
        if name in _CORE:
            return None
        raise AttributeError(
            f"'current' has no attribute '{name}' here; the attributes of a decorator exist only in steps that have it"
        )

    def __setattr__(self, name: str, value: object) -> None:
        if name in _CORE:
            raise AttributeError(f"current.{name} says where the task stands, and cannot be set")
        super().__setattr__(name, value)

    def __dir__(self) -> Iterator[str]:
        own = ("is_running_flow", "pathspec", "task", "run", "get")
        return iter(sorted({*own, *_CORE, *self._values, *self._lazy}))

    def _set(self, values: Mapping[str, Any]) -> None:
        """Set attributes: the task's own place, then those of its decorators."""
        self._values.update(values)

    def _set_lazily(self, name: str, value: Callable[[], Any]) -> None:
        """Set an attribute that is computed when somebody asks."""
        self._lazy[name] = value


current = Current()
