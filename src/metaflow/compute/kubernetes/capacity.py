"""Whether nodes, limits and quotas of a cluster can ever take what a step asks for. Pure.

Only what a node has in all counts, not what is free on it now: that is for the scheduler to say while a pod waits.
Start reading at `mismatches`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metaflow.compute.jobs.preflight import Mismatch
from metaflow.compute.kubernetes.description import amounts, devices_of
from metaflow.compute.kubernetes.names import POOL
from metaflow.compute.resources import ResourceRequest

Object = Mapping[str, Any]


_SUFFIXES = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


def quantity(text: str | int | float) -> float:
    """Return the number that a quantity such as ``1500m``, ``4Gi`` or ``2e3`` stands for.

    Raises
    ------
    ValueError
        It stands for none.
    """
    words = str(text)
    digits = words.rstrip("KMGTPEinumk")
    try:
        return float(digits) * _SUFFIXES[words[len(digits) :]]
    except (KeyError, ValueError):
        return float(words)


def needs(request: ResourceRequest) -> dict[str, float]:
    """Return what a pod asks for: names of resources, as a node has them, to amounts; none that are 0."""
    asked = amounts(request)
    found = {**(asked.get("requests") or {}), **devices_of(request)}
    return {name: amount for name, amount in ((name, quantity(text)) for name, text in found.items()) if amount}


def shown(name: str, amount: float) -> str:
    """Return an amount of a resource for people."""
    if name == "cpu":
        return f"{amount:g} {'core' if amount == 1 else 'cores'}"
    if name in ("memory", "ephemeral-storage"):
        return f"{amount / 1e6:.0f} MB of {'memory' if name == 'memory' else 'disk'}"
    return f"{amount:g} {name}"


# --- nodes -----------------------------------------------------------------------------------------------------------


def mismatches(nodes: Sequence[Object], request: ResourceRequest) -> list[Mismatch]:
    """Return why none of a cluster's nodes can take a request. An autoscaler may add others: nothing is certain."""
    if not nodes:
        return [Mismatch("the cluster has no nodes now", "an autoscaler may add some", certain=False)]
    selector = _selector(request)
    selected = [node for node in nodes if _has_labels(node, selector)]
    if not selected:
        labels = ", ".join(f"{name}={value}" for name, value in selector.items())
        return [Mismatch(f"no node has the labels {labels}", _HINTS["selector"], certain=False)]
    open_ones = [node for node in selected if not _taints(node, request.options.get("tolerations") or ())]
    if not open_ones:
        taints = sorted(
            {taint for node in selected for taint in _taints(node, request.options.get("tolerations") or ())}
        )
        return [Mismatch(f"all nodes have taints that are not tolerated: {', '.join(taints)}", _HINTS["taints"], False)]
    wanted = needs(request)
    if any(all(_has(node, name) >= amount for name, amount in wanted.items()) for node in open_ones):
        return []
    found = []
    for name, amount in wanted.items():
        largest = max(open_ones, key=lambda node: _has(node, name))
        most = _has(largest, name)
        if most < amount:
            where = (
                f"the largest, '{largest['metadata']['name']}', has {shown(name, most)}" if most else "no node has any"
            )
            hint = _HINTS.get(name, "") if most else _HINTS["device"]
            found.append(
                Mismatch(f"{shown(name, amount)} {_is(name, amount)} more than any node has: {where}", hint, False)
            )
    if found:
        return found
    together = ", ".join(shown(name, amount) for name, amount in wanted.items())
    return [Mismatch(f"no single node has {together}", "ask for less of one of them", certain=False)]


_HINTS = {
    "selector": "check node_selector and compute_pool; an autoscaler may add such a node",
    "taints": "@kubernetes(tolerations=[…]) or METAFLOW_KUBERNETES_TOLERATIONS",
    "cpu": "ask for fewer: @resources(cpu=…)",
    "memory": "ask for less: @resources(memory=…), in MB",
    "ephemeral-storage": "ask for less: @kubernetes(disk=…), in MB",
    "device": "check gpu_vendor; an autoscaler may add such a node",
}
_LIMIT_HINTS = {
    "cpu": "@kubernetes(qos='Guaranteed') or METAFLOW_KUBERNETES_QOS=Guaranteed sets it",
    "memory": "@resources(memory_limit=…) or METAFLOW_KUBERNETES_MEMORY_LIMIT=request sets it",
}
# Taints of nodes that are in trouble for the moment.
_PASSING = "node.kubernetes.io/"
_CORDONED = "node.kubernetes.io/unschedulable"


def _is(name: str, amount: float) -> str:
    return "is" if name in ("memory", "ephemeral-storage") or amount == 1 else "are"


def _selector(request: ResourceRequest) -> dict[str, str]:
    selector = dict(request.options.get("node_selector") or {})
    if request.options.get("compute_pool"):
        selector[POOL] = request.options["compute_pool"]
    return selector


def _has_labels(node: Object, selector: Mapping[str, str]) -> bool:
    labels = node["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in selector.items())


def _has(node: Object, name: str) -> float:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    return quantity(allocatable.get(name, 0))


def _taints(node: Object, tolerations: Iterable[Object]) -> list[str]:
    """Return the taints of a node that keep the pod away."""
    tolerations = list(tolerations)
    return [
        f"{taint['key']}{'=' if taint.get('value') else ''}{taint.get('value') or ''}:{taint['effect']}"
        for taint in (node.get("spec") or {}).get("taints") or ()
        if taint.get("effect") in ("NoSchedule", "NoExecute")
        and (not taint["key"].startswith(_PASSING) or taint["key"] == _CORDONED)
        and not any(_tolerates(toleration, taint) for toleration in tolerations)
    ]


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (taint.get("value") or "")


# --- limits and quotas of a namespace --------------------------------------------------------------------------------


def over_limits(ranges: Iterable[Object], request: ResourceRequest) -> list[Mismatch]:
    """Return where a request is over, or under, what LimitRanges allow for one container or pod."""
    asked = amounts(request)
    most = {**(asked.get("requests") or {}), **(asked.get("limits") or {})}
    least = asked.get("requests") or {}
    found = []
    for each in ranges:
        where = f"the LimitRange '{each['metadata']['name']}' of the namespace"
        for limit in (each.get("spec") or {}).get("limits") or ():
            if limit.get("type") not in ("Container", "Pod"):
                continue
            for name, text in (limit.get("max") or {}).items():
                if name in most and quantity(most[name]) > quantity(text):
                    have, may = shown(name, quantity(most[name])), shown(name, quantity(text))
                    found.append(Mismatch(f"{have}: {where} allows {may} at most", _HINTS.get(name, "")))
            for name, text in (limit.get("min") or {}).items():
                if name in least and quantity(least[name]) < quantity(text):
                    have, must = shown(name, quantity(least[name])), shown(name, quantity(text))
                    found.append(Mismatch(f"{have}: {where} asks for {must} at least"))
    return found


def missing_limits(quotas: Iterable[Object], ranges: Iterable[Object], request: ResourceRequest) -> list[Mismatch]:
    """Return the limits that a ResourceQuota wants every pod to have, where neither request nor LimitRange sets one."""
    given = set(amounts(request).get("limits") or ())
    for each in ranges:
        for limit in (each.get("spec") or {}).get("limits") or ():
            if limit.get("type") == "Container":
                given |= {*(limit.get("default") or ()), *(limit.get("max") or ())}
    found = []
    for quota in quotas:
        for name in ("cpu", "memory"):
            if f"limits.{name}" in ((quota.get("spec") or {}).get("hard") or {}) and name not in given:
                where = f"the ResourceQuota '{quota['metadata']['name']}' of the namespace"
                found.append(Mismatch(f"{where} takes only pods with a limit of {name}", _LIMIT_HINTS[name]))
    return found


def over_quotas(quotas: Iterable[Object], request: ResourceRequest) -> list[Mismatch]:
    """Return where one pod alone is over a ResourceQuota."""
    asked = amounts(request)
    mine: dict[str, float] = {"pods": 1.0, "count/pods": 1.0, "count/jobs.batch": 1.0}
    mine |= {f"requests.{name}": quantity(text) for name, text in (asked.get("requests") or {}).items()}
    mine |= {f"limits.{name}": quantity(text) for name, text in (asked.get("limits") or {}).items()}
    mine |= {name: quantity(text) for name, text in (asked.get("requests") or {}).items()}
    mine |= {f"requests.{name}": quantity(text) for name, text in devices_of(request).items()}
    found = []
    for quota in quotas:
        for name, text in ((quota.get("spec") or {}).get("hard") or {}).items():
            if mine.get(name, 0.0) > quantity(text):
                resource = name.partition(".")[2] if name.startswith(("requests.", "limits.")) else name
                have, may = shown(resource, mine[name]), shown(resource, quantity(text))
                where = f"the ResourceQuota '{quota['metadata']['name']}' of the namespace allows {may} for all pods"
                found.append(Mismatch(f"{have}: {where}", _HINTS.get(resource, "")))
    return found
