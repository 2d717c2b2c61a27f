"""Every attribute of a request is seen in the Job's object."""

from __future__ import annotations

import re
from typing import Any

import pytest

from metaflow.compute.jobs.protocol import Job
from metaflow.compute.kubernetes.description import GRACE, manifest
from metaflow.compute.resources import ResourceRequest

LABELS = {"flow": "MyFlow", "run": "12", "step": "my_step", "task": "3", "attempt": "1", "user": "ann@example.org"}


def made(options: dict[str, Any] | None = None, *, ttl: int = 60, **fields: Any) -> dict[str, Any]:
    argv = fields.pop("argv", ("python", "-c", "print('$(date)')"))
    environment = fields.pop("environment", {})
    time_limit = fields.pop("time_limit", 100.5)
    request = ResourceRequest("kubernetes", **{"image": "python:3.12", **fields}, options=options or {})
    job = Job(3, 1, "my_step", argv, environment, LABELS, request, time_limit)
    return manifest(job, launch="abc", ttl=ttl)


def pod(*args: Any, **fields: Any) -> dict[str, Any]:
    spec: dict[str, Any] = made(*args, **fields)["spec"]["template"]["spec"]
    return spec


def container(*args: Any, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = pod(*args, **fields)["containers"][0]
    return found


def test_one_pod_that_is_never_started_again() -> None:
    job = made()
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["ttlSecondsAfterFinished"] == 60
    assert pod()["restartPolicy"] == "Never"
    assert pod()["terminationGracePeriodSeconds"] == GRACE


def test_labels_fit_and_annotations_are_true() -> None:
    job = made({"labels": {"team": "x", "metaflow/run_id": "mine"}, "annotations": {"note": "a b"}})
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert metadata["labels"]["team"] == "x"
        assert metadata["labels"]["millrace/launch"] == "abc"
        assert metadata["labels"]["metaflow/run_id"] == "12", "ours are not overwritten"
        assert re.fullmatch("ann-example.org-[0-9a-f]{8}", metadata["labels"]["metaflow/user"])
        assert metadata["annotations"] == {
            "note": "a b",
            "metaflow/flow_name": "MyFlow",
            "metaflow/run_id": "12",
            "metaflow/step_name": "my_step",
            "metaflow/task_id": "3",
            "metaflow/attempt": "1",
            "metaflow/user": "ann@example.org",
        }


def test_the_time_limit_is_the_pods_and_does_not_count_waiting() -> None:
    assert pod(time_limit=100.5)["activeDeadlineSeconds"] == 101
    assert "activeDeadlineSeconds" not in made()["spec"]


@pytest.mark.parametrize(
    ("option", "value", "field", "expected"),
    [
        ("service_account", "flows", "serviceAccountName", "flows"),
        ("node_selector", {"a": "b"}, "nodeSelector", {"a": "b"}),
        ("compute_pool", "big", "nodeSelector", {"outerbounds.co/compute-pool": "big"}),
        ("tolerations", [{"key": "k", "operator": "Exists"}], "tolerations", [{"key": "k", "operator": "Exists"}]),
        ("image_pull_secrets", ["r"], "imagePullSecrets", [{"name": "r"}]),
    ],
)
def test_attributes_of_the_pod(option: str, value: Any, field: str, expected: Any) -> None:
    assert pod({option: value})[field] == expected
    assert field not in pod()


@pytest.mark.parametrize(
    ("option", "value", "field", "expected"),
    [
        ("image_pull_policy", "Never", "imagePullPolicy", "Never"),
        ("secrets", ["a", "b"], "envFrom", [{"secretRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]),
        ("port", 8080, "ports", [{"containerPort": 8080, "protocol": "TCP"}]),
        (
            "security_context",
            {"privileged": True, "capabilities": {"add": ["SYS_PTRACE"]}},
            "securityContext",
            {"privileged": True, "capabilities": {"add": ["SYS_PTRACE"]}},
        ),
    ],
)
def test_attributes_of_the_container(option: str, value: Any, field: str, expected: Any) -> None:
    assert container({option: value})[field] == expected
    assert field not in container()


def test_namespace_and_image() -> None:
    assert made({"namespace": "there"})["metadata"]["namespace"] == "there"
    assert made()["metadata"]["namespace"] == "default"
    assert container(image="me/mine:1")["image"] == "me/mine:1"


def test_the_command_is_literal() -> None:
    assert container()["command"] == ["python", "-c", "print('$$(date)')"]
    assert container({"executable": "/opt/python"})["command"][0] == "/opt/python"


def test_variables_are_literal_and_the_pod_knows_itself() -> None:
    variables = {each["name"]: each for each in container(environment={"A": "$(B) $C"})["env"]}
    assert variables["A"]["value"] == "$$(B) $C"
    paths = {
        name: each["valueFrom"]["fieldRef"]["fieldPath"] for name, each in variables.items() if "valueFrom" in each
    }
    assert paths["METAFLOW_KUBERNETES_POD_NAME"] == "metadata.name"
    assert paths["METAFLOW_KUBERNETES_NODE_NAME"] == "spec.nodeName"
    assert paths["METAFLOW_KUBERNETES_NAMESPACE"] == "metadata.namespace"
    assert paths["METAFLOW_KUBERNETES_POD_IP"] == "status.podIP"


ASKED = {"cpu": "500m", "memory": "300M", "ephemeral-storage": "2000M"}


@pytest.mark.parametrize(
    ("qos", "expected"),
    [
        ("Burstable", {"requests": ASKED}),
        ("Guaranteed", {"requests": ASKED, "limits": ASKED}),
        ("guaranteed", {"requests": ASKED, "limits": ASKED}),
        ("BestEffort", {"requests": {"ephemeral-storage": "2000M"}}),
    ],
)
def test_classes_of_service(qos: str, expected: dict[str, Any]) -> None:
    assert container({"qos": qos}, cpu=0.5, memory=300, disk=2000)["resources"] == expected


def test_a_limit_of_memory() -> None:
    limited = container(cpu=0.5, memory=300, disk=2000, memory_limit=400)["resources"]
    assert limited == {"requests": ASKED, "limits": {"memory": "400M"}}


def test_amounts_by_default() -> None:
    assert container()["resources"] == {
        "requests": {"cpu": "1", "memory": "4096M", "ephemeral-storage": "10240M"},
    }


@pytest.mark.parametrize(("cpu", "text"), [(2, "2"), (2.0, "2"), (0.1, "100m"), (0.0001, "1m"), (1.2345, "1235m")])
def test_cores(cpu: float, text: str) -> None:
    assert container(cpu=cpu)["resources"]["requests"]["cpu"] == text


@pytest.mark.parametrize(
    ("fields", "devices"),
    [
        ({"gpu": 2}, {"nvidia.com/gpu": "2"}),
        ({"gpu": 0}, {}),
        ({"gpu": 1, "gpu_vendor": "amd"}, {"amd.com/gpu": "1"}),
        ({"options": {"extended_resources": {"example.org/fpga": "1"}}}, {"example.org/fpga": "1"}),
        ({"gpu": None, "gpu_vendor": "nvidia"}, {}),
    ],
)
def test_devices(fields: dict[str, Any], devices: dict[str, str]) -> None:
    assert container(**fields)["resources"].get("limits", {}) == devices


def mounted(**fields: Any) -> dict[str, dict[str, Any]]:
    """Return volumes by the path where they are mounted."""
    volumes = {each["name"]: each for each in pod(**fields).get("volumes", [])}
    return {each["mountPath"]: volumes[each["name"]] for each in container(**fields).get("volumeMounts", [])}


def in_memory(size: str) -> dict[str, str]:
    return {"medium": "Memory", "sizeLimit": size}


@pytest.mark.parametrize(
    ("options", "path", "size"),
    [
        ({"use_tmpfs": True}, "/metaflow_temp", "150Mi"),
        ({"use_tmpfs": True, "tmpfs_size": 77, "tmpfs_path": "/t"}, "/t", "77Mi"),
        ({"tmpfs_size": 77}, "/metaflow_temp", "77Mi"),
    ],
)
def test_a_file_system_in_memory(options: dict[str, Any], path: str, size: str) -> None:
    assert mounted(options=options, memory=300)[path]["emptyDir"] == in_memory(size)
    for is_tempdir in (True, False):
        variables = {each["name"] for each in container({**options, "tmpfs_tempdir": is_tempdir}, memory=300)["env"]}
        assert ("METAFLOW_TEMPDIR" in variables) == is_tempdir


def test_no_file_system_in_memory() -> None:
    assert mounted(options={"use_tmpfs": False, "tmpfs_size": 77, "tmpfs_path": "/t"}) == {}
    assert mounted() == {}


def test_shared_memory() -> None:
    assert mounted(shared_memory=64)["/dev/shm"]["emptyDir"] == in_memory("64Mi")


def test_claims() -> None:
    found = mounted(options={"persistent_volume_claims": {"a": "/a", "b": "/b/c"}})
    assert {path: each["persistentVolumeClaim"]["claimName"] for path, each in found.items()} == {
        "/a": "a",
        "/b/c": "b",
    }
