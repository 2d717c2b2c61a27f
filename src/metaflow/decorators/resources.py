"""`@resources`: what a step needs, wherever it runs. Without effect locally."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from metaflow.decorators.amounts import amount, shown
from metaflow.flow.decorator import StepDecorator, attach

Function = TypeVar("Function")


class ResourcesDecorator(StepDecorator):
    name = "resources"
    # The text is how Metaflow writes this default into `_graph_info`.
    defaults = {"cpu": 1, "gpu": None, "disk": None, "memory": "4096", "shared_memory": None}

    def check(self) -> None:
        for key, value in self.attributes.items():
            if value is not None and not amount(value) >= 0:
                unit = {"cpu": "cores", "gpu": "GPUs"}.get(key, "MB")
                raise self.error(f"@resources({key}={shown(value)}): expected a number of {unit}, 0 or more.")


@overload
def resources(function: Function) -> Function: ...
@overload
def resources(
    *,
    cpu: float | str = 1,
    gpu: int | str | None = None,
    disk: int | str | None = None,
    memory: int | str = 4096,
    shared_memory: int | str | None = None,
) -> Any: ...
def resources(function: Any = None, **attributes: Any) -> Any:
    """State what a step needs, independently of where it runs.

    Locally the decorator has no effect; together with a compute backend, such as ``--with kubernetes``, it sizes the
    instance. Where the backend's decorator states a value too, the larger one wins.

    Parameters
    ----------
    cpu : float, default 1
        Cores.
    gpu : int, optional
        GPUs.
    disk : int, optional
        Disk in MB; Kubernetes only.
    memory : int, default 4096
        Memory in MB.
    shared_memory : int, optional
        Size of ``/dev/shm`` in MiB.

    Raises
    ------
    InvalidDecoratorAttribute
        An attribute is unknown, or its value is not a number.
    """
    return attach(ResourcesDecorator, function, attributes)
