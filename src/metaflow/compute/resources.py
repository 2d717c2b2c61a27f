"""What a step asks of the place it runs at: one value, which every backend and every deployment reads.

It is computed once, by `request_of`, from the step's decorators and the settings. Pure: no disk, clock or network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.settings import table
from metaflow.settings.kinds import NO_LIMIT

if TYPE_CHECKING:
    from metaflow.flow.decorator import Resolved
    from metaflow.flow.plan import StepPlan
    from metaflow.settings.values import Values


class ResourceRequest(NamedTuple):
    """Where a step's tasks go, and what they need there.

    Attributes
    ----------
    backend : str
        Name of a launcher in the registry: ``local``, ``kubernetes``, ``batch``.
    cpu : float
        Cores.
    memory : int
        MB, as ``@resources`` means them.
    memory_limit : int or None
        MB that it may use, at least `memory`; None: the backend's own.
    disk : int or None
        MB; None: the backend's own.
    gpu : int or None
        Number of GPUs; None if nothing was said, and 0 if somebody said that none are wanted.
    gpu_vendor : str or None
        As in the resource name ``nvidia.com/gpu``.
    shared_memory : int or None
        MiB of ``/dev/shm``.
    image : str or None
        Container image; None for local tasks.
    options : mapping of str to object
        The backend's further attributes, checked, with the settings' values where the user gave none.
    sources : mapping of str to str
        For people: field or option to where its value came from, such as ``@resources (flow.py:12)``.
    """

    backend: str = "local"
    cpu: float = 1
    memory: int = 4096
    memory_limit: int | None = None
    disk: int | None = None
    gpu: int | None = None
    gpu_vendor: str | None = None
    shared_memory: int | None = None
    image: str | None = None
    options: Mapping[str, Any] = {}
    sources: Mapping[str, str] = {}


LOCAL = ResourceRequest()
"""Of a step that runs on this machine, where nothing is asked for."""

_FIGURES = ("cpu", "memory", "memory_limit", "disk", "gpu", "shared_memory")
_NEVER_NONE = frozenset({"cpu", "memory", "disk"})
"""Figures of which 0 is no request, but says that there is none."""


def request_of(step: StepPlan, values: Values, *, python: str) -> ResourceRequest:
    """Return what a step asks for.

    What somebody has written counts more than a default or a setting; where both `@resources` and the backend's
    decorator are given a figure, the larger one counts. With METAFLOW_RESOURCES_RULE=maximum defaults are figures too,
    as in Metaflow.

    Parameters
    ----------
    step : StepPlan
        The step with its decorators.
    values : Values
        Settings.
    python : str
        Version of the Python that launches the run, such as ``3.12``: the image that is taken if nobody names one.

    Raises
    ------
    SettingsError
        A setting has a value that its attribute cannot have.
    """
    stated = step.find("resources")
    wanted = stated.resolve(values) if stated is not None else {}
    sender = step.sender
    if sender is None or sender.backend is None:
        return _local(wanted)
    found = sender.resolve(values)
    choose = _larger if values[table.RESOURCES_RULE] == "maximum" else _explicit
    found |= {name: choose(name, found[name], wanted.get(name)) for name in _FIGURES if name in found}
    if "memory_limit" in found:
        found["memory_limit"] = _limit(found["memory_limit"], found["memory"])
    found["image"] = _image(sender.backend, found["image"], values, python)
    fields = {name: value.value for name, value in found.items() if name in ResourceRequest._fields}
    return ResourceRequest(
        backend=sender.backend,
        **fields,
        options={name: value.value for name, value in found.items() if name not in fields},
        sources={name: value.source for name, value in found.items() if value.value is not None},
    )


def _local(wanted: Mapping[str, Resolved]) -> ResourceRequest:
    """Return the request of a step that stays here: what `@resources` says is kept for people to see."""
    stated = {name: value for name, value in wanted.items() if value.stated and value.value is not None}
    if "memory_limit" in stated:
        stated["memory_limit"] = _limit(stated["memory_limit"], wanted["memory"])
    return LOCAL._replace(
        **{name: value.value for name, value in stated.items()},
        sources={name: value.source for name, value in stated.items()},
    )


def _explicit(name: str, own: Resolved, other: Resolved | None) -> Resolved:
    """Return what somebody has written, the larger one of two; else the backend's default, or that of `@resources`."""
    written = [each for each in (own, other) if each is not None and each.stated and _is_figure(name, each)]
    if written:
        return max(written, key=lambda each: each.value)
    return next((each for each in (own, other) if each is not None and each.value), own._replace(value=None))


def _larger(name: str, own: Resolved, other: Resolved | None) -> Resolved:
    """Return the larger of two figures; of equal ones the one that somebody has written. A default of 0 is none."""
    figures = [each for each in (own, other) if each is not None and each.value is not None]
    figures = [each for each in figures if each.value or each.stated]
    return max(figures, key=lambda each: (each.value, each.stated), default=own._replace(value=None))


def _is_figure(name: str, found: Resolved) -> bool:
    return found.value is not None and (found.value > 0 or name not in _NEVER_NONE)


def _limit(limit: Resolved, memory: Resolved) -> Resolved:
    """Return the limit in MB that a word or a number of MB means where this much memory is requested."""
    if limit.value is None or limit.value == NO_LIMIT:
        return limit._replace(value=None)
    return limit._replace(value=max(int(limit.value), memory.value))


_REGISTRIES = {"kubernetes": table.KUBERNETES_CONTAINER_REGISTRY, "batch": table.BATCH_CONTAINER_REGISTRY}


def _image(backend: str, image: Resolved, values: Values, python: str) -> Resolved:
    """Return the image's full name: in the configured registry, unless it names one itself."""
    name, source = image.value, image.source
    if name is None:
        name, source = f"python:{python}", "the Python of this launcher"
    rows = (_REGISTRIES.get(backend, table.DEFAULT_CONTAINER_REGISTRY), table.DEFAULT_CONTAINER_REGISTRY)
    registry = next(filter(None, map(values.find, rows)), None)
    if registry is None or registry.value is None or _has_registry(name):
        return image._replace(value=name, source=source)
    return image._replace(value=f"{registry.value.rstrip('/')}/{name}", source=f"{source}, {registry.source}")


def _has_registry(image: str) -> bool:
    """Tell whether an image's name begins with a host, as Docker reads it."""
    first, slash, _ = image.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")
