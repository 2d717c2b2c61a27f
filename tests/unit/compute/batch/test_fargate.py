"""Fargate's sizes and what it lacks."""

from __future__ import annotations

import pytest

from metaflow.compute.batch.fargate import Size, refused_options, size_for

from .asked import request


@pytest.mark.parametrize(
    ("cpu", "memory", "size"),
    [
        (0.1, 100, Size(0.25, 512)),
        (0.25, 2048, Size(0.25, 2048)),
        (0.25, 2049, Size(0.5, 3072)),
        (1, 4096, Size(1, 4096)),
        (1, 4097, Size(1, 5120)),
        (3, 1000, Size(4, 8192)),
        (8, 20481, Size(8, 24576)),
        (1, 122880, Size(16, 122880)),
        (16.5, 1, None),
        (1, 122881, None),
    ],
)
def test_the_smallest_size_that_has_both(cpu: float, memory: int, size: Size | None) -> None:
    assert size_for(cpu, memory) == size


def test_what_it_does_not_have() -> None:
    assert refused_options(request()) == []
    asked = request(gpu=1, shared_memory=5, use_tmpfs=True, tmpfs_size=5, efa=0, privileged=True)
    assert refused_options(asked) == ["shared_memory", "gpu", "tmpfs", "privileged"]
