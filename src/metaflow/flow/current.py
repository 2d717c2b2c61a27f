"""`current`: what a running step, or a library it calls, can ask about where it stands.

Outside a run every core attribute is None and `is_running_flow` is False. Attributes of decorators (``current.card``)
exist only where the decorator is, so that code can probe with ``hasattr``.

A task mostly has its process for itself, and then there is one place, that of the process. Where several tasks share
one (`metaflow.testing`), each has a place of its own (`Current._at`), which follows it into coroutines.
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


class Place:
    """What is known of where a task stands.

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
        self._process = Place()
        self._here: ContextVar[Place | None] = ContextVar("metaflow.current", default=None)
        self._sharing: list[Place] = []

    @property
    def _place(self) -> Place:
        """Where the code that asks stands.

        A thread that a step has started stands nowhere by itself; if one task shares this process, it is of that.
        """
        here = self._here.get()
        if here is not None:
            return here
        sharing = self._sharing[:2]
        return sharing[0] if len(sharing) == 1 else self._process

    @property
    def _values(self) -> dict[str, Any]:
        return self._place.values

    @contextmanager
    def _at(self, place: Place) -> Iterator[None]:
        """Have the code inside, and what it calls, stand at `place`, whatever runs in other threads."""
        before = self._here.get() or self._process
        self._here.set(place)
        self._sharing.append(place)
        try:
            yield
        finally:
            self._sharing.remove(place)
            self._here.set(before)  # not nowhere: this thread was not started by a step

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
        place = self._place if "_sharing" in self.__dict__ else Place()
        if name in place.values:
            return place.values[name]
        if name in place.lazy:
            place.values[name] = place.lazy[name]()
            return place.values[name]
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
            self._place.values[name] = value

    def __dir__(self) -> Iterator[str]:
        own = ("is_running_flow", "pathspec", "task", "run", "get")
        place = self._place
        return iter(sorted({*own, *_CORE, *place.values, *place.lazy}))

    def _set(self, values: Mapping[str, Any]) -> None:
        """Set attributes: the task's own place, then those of its decorators."""
        self._values.update(values)

    def _set_lazily(self, name: str, value: Callable[[], Any]) -> None:
        """Set an attribute that is computed when somebody asks."""
        self._place.lazy[name] = value


current = Current()
