"""`@resources`: what a step needs, wherever it runs. Without effect locally."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, overload

from metaflow.decorators.attributes import Attribute, TypedDecorator
from metaflow.flow.notes import note_on_step
from metaflow.settings.kinds import cores, limit, quantity, whole

Function = TypeVar("Function")


class ResourcesDecorator(TypedDecorator):
    name = "resources"
    table: ClassVar[dict[str, Attribute]] = {
        "cpu": Attribute(1, cores(zero=True)),
        "gpu": Attribute(None, whole("GPUs", 0)),
        "disk": Attribute(None, quantity("MB", 0)),
        # The string is how Metaflow writes this default into `_graph_info`.
        "memory": Attribute("4096", quantity("MB", 0)),
        "memory_limit": Attribute(None, limit("MB")),
        "shared_memory": Attribute(None, quantity("MiB", 0)),
    }


@overload
def resources(function: Function) -> Function: ...
@overload
def resources(
    *,
    cpu: float | str = 1,
    gpu: int | str | None = None,
    disk: int | str | None = None,
    memory: int | str = 4096,
    memory_limit: int | str | None = None,
    shared_memory: int | str | None = None,
) -> Callable[[Function], Function]: ...
def resources(function: Any = None, **attributes: Any) -> Any:
    """State what a step needs, independently of where it runs.

    Locally the decorator has no effect; together with a compute backend, such as ``--with kubernetes``, it sizes the
    instance. What is given here counts more than a default of the backend; where the backend's decorator is given a
    value too, the larger one wins.

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
    memory_limit : int or str, optional
        Most memory in MB that the step may use; ``"request"`` for as much as it requests, ``"none"`` for no limit.
        Kubernetes only: a job of AWS Batch can never use more than it requests.
    shared_memory : int, optional
        Size of ``/dev/shm`` in MiB.

    Raises
    ------
    InvalidDecoratorAttribute
        An attribute is unknown, or its value is not a number.
    """
    return note_on_step(ResourcesDecorator, function, attributes)
