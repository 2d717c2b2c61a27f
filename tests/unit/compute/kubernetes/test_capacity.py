"""What nodes, limits and quotas cannot take is named, with the figures."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.compute.kubernetes.capacity import mismatches, missing_limits, over_limits, over_quotas, quantity
from metaflow.compute.resources import ResourceRequest


def node(name: str = "n1", cpu: str = "4", memory: str = "8Gi", **fields: Any) -> dict[str, Any]:
    has = {"cpu": cpu, "memory": memory, "ephemeral-storage": "100Gi", **fields.pop("has", {})}
    metadata = {"name": name, "labels": fields.pop("labels", {})}
    return {"metadata": metadata, "spec": {"taints": fields.pop("taints", [])}, "status": {"allocatable": has}}


def request(**fields: Any) -> ResourceRequest:
    return ResourceRequest("kubernetes", **fields)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1500m", 1.5), ("4Gi", 4 * 2**30), ("2e3", 2000), ("1E", 1e18), ("10k", 1e4), (3, 3), ("100u", 1e-4)],
)
def test_quantities(text: Any, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


def test_what_fits_on_one_node_fits() -> None:
    assert mismatches([node(), node("n2", cpu="1")], request(cpu=4, memory=8000)) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cpu": 5}, "5 cores are more than any node has: the largest, 'n1', has 4 cores"),
        ({"memory": 60000}, "60000 MB of memory is more than any node has: the largest, 'n1', has 8590 MB of memory"),
        ({"disk": 200000}, "200000 MB of disk is more"),
        ({"gpu": 1}, "1 nvidia.com/gpu is more than any node has: no node has any"),
    ],
)
def test_too_large(fields: dict[str, Any], words: str) -> None:
    (found,) = mismatches([node()], request(**fields))
    assert words in found.message
    assert not found.certain, "clusters grow"
    assert found.hint


def test_gpus() -> None:
    nodes = [node(has={"nvidia.com/gpu": "4"})]
    assert mismatches(nodes, request(gpu=4)) == []
    assert mismatches(nodes, request(gpu=0)) == []
    assert "has 4 nvidia.com/gpu" in mismatches(nodes, request(gpu=5))[0].message


def test_no_single_node_has_it_all() -> None:
    nodes = [node("wide", cpu="64", memory="4Gi"), node("tall", cpu="2", memory="64Gi")]
    assert "no single node has 32 cores" in mismatches(nodes, request(cpu=32, memory=32000))[0].message


def test_selectors() -> None:
    nodes = [node(labels={"kind": "a"}), node("big", cpu="64", labels={"kind": "b"})]
    assert mismatches(nodes, request(cpu=10, options={"node_selector": {"kind": "b"}})) == []
    assert "'n1', has 4" in mismatches(nodes, request(cpu=10, options={"node_selector": {"kind": "a"}}))[0].message
    assert "kind=c" in mismatches(nodes, request(options={"node_selector": {"kind": "c"}}))[0].message
    assert "compute-pool=p" in mismatches(nodes, request(options={"compute_pool": "p"}))[0].message


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "is_enough"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "value": "yes"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "cpu", "operator": "Exists"}, False),
    ],
)
def test_taints(toleration: dict[str, str], is_enough: bool) -> None:
    found = mismatches([node(taints=[TAINT])], request(options={"tolerations": [toleration]}))
    assert [each.message for each in found] == (
        [] if is_enough else ["all nodes have taints that are not tolerated: gpu=yes:NoSchedule"]
    )


def test_taints_of_the_moment_do_not_count() -> None:
    assert mismatches([node(taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}])], request()) == []
    cordoned = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    assert mismatches([node(taints=[cordoned])], request())
    assert mismatches([node(taints=[{**TAINT, "effect": "PreferNoSchedule"}])], request()) == []


def test_a_cluster_without_nodes() -> None:
    assert not mismatches([], request())[0].certain


def test_limit_ranges() -> None:
    limit = {"type": "Container", "max": {"memory": "2Gi", "cpu": "8"}, "min": {"cpu": "2"}}
    ranges = [{"metadata": {"name": "small"}, "spec": {"limits": [limit, {"type": "PersistentVolumeClaim"}]}}]
    messages = [each.message for each in over_limits(ranges, request())]
    assert messages == [
        "4096 MB of memory: the LimitRange 'small' of the namespace allows 2147 MB of memory at most",
        "1 core: the LimitRange 'small' of the namespace asks for 2 cores at least",
    ]


def test_a_quota_that_wants_limits() -> None:
    quotas = [{"metadata": {"name": "q"}, "spec": {"hard": {"limits.memory": "100Gi"}}}]
    (found,) = missing_limits(quotas, [], request())
    assert found.message == "the ResourceQuota 'q' of the namespace takes only pods with a limit of memory"
    assert "METAFLOW_KUBERNETES_MEMORY_LIMIT=request" in found.hint
    by_default = [
        {"metadata": {"name": "r"}, "spec": {"limits": [{"type": "Container", "default": {"memory": "1Gi"}}]}}
    ]
    for ranges, asked in (([], request(memory_limit=4096)), (by_default, request())):
        assert missing_limits(quotas, ranges, asked) == []


def test_quotas() -> None:
    hard = {"requests.memory": "1Gi", "limits.memory": "100Gi", "requests.nvidia.com/gpu": "1", "pods": "0", "cpu": "2"}
    quotas = [{"metadata": {"name": "q"}, "spec": {"hard": hard}}]
    messages = [each.message for each in over_quotas(quotas, request(gpu=2))]
    assert [message.partition(":")[0] for message in messages] == ["4096 MB of memory", "2 nvidia.com/gpu", "1 pods"]
