"""What a step asks of the place it runs at: one value, which every backend and every deployment reads.

It is computed once, by `request_of`, from the step's decorators and the settings. Pure: no disk, clock or network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


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
    disk : int or None
        MB; None: the backend's own.
    gpu : int or None
        Number of GPUs; None if nothing was said, and 0 if none are wanted.
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
    disk: int | None = None
    gpu: int | None = None
    gpu_vendor: str | None = None
    shared_memory: int | None = None
    image: str | None = None
    options: Mapping[str, Any] = {}
    sources: Mapping[str, str] = {}


LOCAL = ResourceRequest()
"""Of a step that runs on this machine, where nothing is asked for."""
