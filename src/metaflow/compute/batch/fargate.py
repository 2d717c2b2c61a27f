"""What AWS Fargate offers: fixed pairs of cores and memory, and few of the options that EC2 has.

Source of the figures: the AWS Batch API reference, ``ResourceRequirement`` and ``EphemeralStorage``.
"""

from __future__ import annotations

from typing import NamedTuple

from metaflow.compute.resources import ResourceRequest

_SIZES: tuple[tuple[float, tuple[int, ...]], ...] = (
    (0.25, (512, 1024, 2048)),
    (0.5, tuple(range(1024, 4096 + 1, 1024))),
    (1, tuple(range(2048, 8192 + 1, 1024))),
    (2, tuple(range(4096, 16384 + 1, 1024))),
    (4, tuple(range(8192, 30720 + 1, 1024))),
    (8, tuple(range(16384, 61440 + 1, 4096))),
    (16, tuple(range(32768, 122880 + 1, 8192))),
)
LARGEST_CPU, LARGEST_MEMORY = _SIZES[-1][0], _SIZES[-1][1][-1]
EPHEMERAL_STORAGE = range(21, 201)
"""GiB."""

EC2_ONLY = {
    "shared_memory": "shared_memory",
    "gpu": "gpu",
    "max_swap": "max_swap",
    "swappiness": "swappiness",
    "use_tmpfs": "tmpfs",
    "tmpfs_size": "tmpfs",
    "inferentia": "inferentia",
    "trainium": "trainium",
    "efa": "efa",
    "host_volumes": "host_volumes",
    "privileged": "privileged",
}
"""Options that Fargate does not have, and what to call them."""


class Size(NamedTuple):
    """Cores, and memory in MB."""

    cpu: float
    memory: int


def size_for(cpu: float, memory: int) -> Size | None:
    """Return the smallest size with this many cores and MB, None if there is none."""
    for cores, memories in _SIZES:
        if cores >= cpu:
            for each in memories:
                if each >= memory:
                    return Size(cores, each)
    return None


def refused_options(request: ResourceRequest) -> list[str]:
    """Return what `request` asks for and Fargate does not have."""
    asked = {**request.options, "gpu": request.gpu, "shared_memory": request.shared_memory}
    return list(dict.fromkeys(name for option, name in EC2_ONLY.items() if asked.get(option)))
