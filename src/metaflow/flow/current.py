"""`current`: what a running step, or a library it calls, can ask about where it stands.

Outside a run every core attribute is None and `is_running_flow` is False. Attributes of decorators (``current.card``)
exist only where the decorator is, so that code can probe with ``hasattr``.

A task mostly has its process for itself, and all code there is of that task. Where several tasks share a process
(`metaflow.testing`), each says which code is its own (`Current._within`); that follows it into coroutines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from metaflow import registry

_CORE = (
    "flow_name", "run_id", "step_name", "task_id", "retry_count", "origin_run_id", "namespace", "username",
    "parameter_names", "tempdir", "graph", "tags",
)  # fmt: skip


class CurrentTask:
    """What `current` knows of one task.

    Attributes
    ----------
    values : dict of str to object
        Attributes of `current`.
    lazy : dict of str to callable
        Those that are computed when somebody asks.
    """

    __slots__ = ("lazy", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.lazy: dict[str, Callable[[], Any]] = {}


class Current:
    """The place of the running task; one object, `metaflow.current`."""

    def __init__(self) -> None:
        self._process = CurrentTask()
        self._here: ContextVar[CurrentTask | None] = ContextVar("metaflow.current", default=None)
        self._sharing: list[CurrentTask] = []

    @property
    def _running(self) -> CurrentTask:
        """The task of the code that asks.

        A thread that a step has started does not say whose it is; if one task shares this process, it is of that.
        """
        here = self._here.get()
        if here is not None:
            return here
        sharing = self._sharing[:2]
        return sharing[0] if len(sharing) == 1 else self._process

    @property
    def _values(self) -> dict[str, Any]:
        return self._running.values

    @contextmanager
    def _within(self, task: CurrentTask) -> Iterator[None]:
        """Have the code inside, and what it calls, be of `task`, whatever runs in other threads."""
        before = self._here.get() or self._process
        self._here.set(task)
        self._sharing.append(task)
        try:
            yield
        finally:
            self._sharing.remove(task)
            self._here.set(before)  # so that this thread does not count as one that a step has started

    @property
    def is_running_flow(self) -> bool:
        """Whether a step runs here."""
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
        task = self._running if "_sharing" in self.__dict__ else CurrentTask()
        if name in task.values:
            return task.values[name]
        if name in task.lazy:
            task.values[name] = task.lazy[name]()
            return task.values[name]
        if name in _CORE:
            return None
        raise AttributeError(
            f"'current' has no attribute '{name}' here; the attributes of a decorator exist only in steps that have it"
        )

    def __setattr__(self, name: str, value: object) -> None:
        if name in _CORE:
            raise AttributeError(f"current.{name} says where the task stands, and cannot be set")
        if name.startswith("_") or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            self._running.values[name] = value

    def __dir__(self) -> Iterator[str]:
        own = ("is_running_flow", "pathspec", "task", "run", "get")
        task = self._running
        return iter(sorted({*own, *_CORE, *task.values, *task.lazy}))

    def _set(self, values: Mapping[str, Any]) -> None:
        """Set attributes: the task's own place, then those of its decorators."""
        self._values.update(values)

    def _set_lazily(self, name: str, value: Callable[[], Any]) -> None:
        """Set an attribute that is computed when somebody asks."""
        self._running.lazy[name] = value


current = Current()
