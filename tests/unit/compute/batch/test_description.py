"""What Batch is told of a job."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from metaflow.compute.batch.description import describe, job_name, labels_of, log_group, tag_value
from metaflow.compute.resources import ResourceRequest
from metaflow.version import __version__

from .asked import ROLE, job, request


def container(resources: ResourceRequest, *, on_fargate: bool = False) -> dict[str, Any]:
    return dict(describe(job(resources=resources), on_fargate=on_fargate).definition["containerProperties"])


def overrides(resources: ResourceRequest, *, on_fargate: bool = False) -> dict[str, Any]:
    return dict(describe(job(resources=resources), on_fargate=on_fargate).submission["containerOverrides"])


def figures(resources: ResourceRequest, *, on_fargate: bool = False) -> dict[str, str]:
    found = overrides(resources, on_fargate=on_fargate)["resourceRequirements"]
    return {each["type"]: each["value"] for each in found}


NEURON = {"hostPath": "/dev/neuron0", "containerPath": "/dev/neuron0", "permissions": ["READ", "WRITE"]}


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        ({}, "image", "python:3.11"),
        ({}, "jobRoleArn", ROLE),
        ({}, "command", ["python", "-c", "print()"]),
        ({"execution_role": ROLE}, "executionRoleArn", ROLE),
        ({"privileged": True}, "privileged", True),
        ({"max_swap": 100}, "linuxParameters", {"maxSwap": 100}),
        ({"swappiness": 0, "max_swap": 5}, "linuxParameters", {"maxSwap": 5, "swappiness": 0}),
        ({"shared_memory": 64}, "linuxParameters", {"sharedMemorySize": 64}),
        ({"inferentia": 1}, "linuxParameters", {"devices": [NEURON]}),
        ({"trainium": 1, "inferentia": 0}, "linuxParameters", {"devices": [NEURON]}),
        (
            {"use_tmpfs": True},
            "linuxParameters",
            {"tmpfs": [{"containerPath": "/metaflow_temp", "size": 256, "mountOptions": ["defaults"]}]},
        ),
        (
            {"tmpfs_size": 77, "tmpfs_path": "/scratch"},
            "linuxParameters",
            {"tmpfs": [{"containerPath": "/scratch", "size": 77, "mountOptions": ["defaults"]}]},
        ),
        ({"log_driver": "none"}, "logConfiguration", {"logDriver": "none"}),
        (
            {"log_driver": "awslogs", "log_options": ["awslogs-group:a:b", "mode:non-blocking"]},
            "logConfiguration",
            {"logDriver": "awslogs", "options": {"awslogs-group": "a:b", "mode": "non-blocking"}},
        ),
        (
            {"host_volumes": ["/mnt", "/opt/x:/data"]},
            "mountPoints",
            [
                {"sourceVolume": "_mnt", "containerPath": "/mnt", "readOnly": False},
                {"sourceVolume": "_opt_x", "containerPath": "/data", "readOnly": False},
            ],
        ),
        ({"host_volumes": "/mnt"}, "volumes", [{"name": "_mnt", "host": {"sourcePath": "/mnt"}}]),
        (
            {"efs_volumes": ["fs-1", "fs-2:/data"]},
            "mountPoints",
            [
                {"sourceVolume": "efs_fs-1", "containerPath": "/mnt/fs-1", "readOnly": False},
                {"sourceVolume": "efs_fs-2", "containerPath": "/data", "readOnly": False},
            ],
        ),
        (
            {"efs_volumes": ["fs-1"]},
            "volumes",
            [
                {
                    "name": "efs_fs-1",
                    "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryption": "ENABLED"},
                }
            ],
        ),
    ],
)
def test_what_each_attribute_is_in_a_definition(options: dict[str, Any], key: str, value: object) -> None:
    assert container(request(**options))[key] == value


def test_a_plain_definition_has_nothing_more() -> None:
    assert set(container(request())) == {"image", "command", "jobRoleArn", "resourceRequirements"}


def test_devices_are_counted() -> None:
    devices = container(request(inferentia=2, efa=2))["linuxParameters"]["devices"]
    assert [each["hostPath"] for each in devices] == [
        "/dev/neuron0",
        "/dev/neuron1",
        "/dev/infiniband/uverbs0",
        "/dev/infiniband/uverbs1",
    ]


def test_figures_are_told_at_submission() -> None:
    assert figures(request(0.5, 100)) == {"VCPU": "1", "MEMORY": "100"}
    assert figures(request(2.5, 100, gpu=3)) == {"VCPU": "3", "MEMORY": "100", "GPU": "3"}
    assert container(request(16, 999, gpu=3)) == container(request())


def test_fargate() -> None:
    asked = request(1, 3000, ephemeral_storage=30, execution_role=ROLE, shared_memory=64)
    found = container(asked, on_fargate=True)
    assert found["networkConfiguration"] == {"assignPublicIp": "ENABLED"}
    assert found["fargatePlatformConfiguration"] == {"platformVersion": "LATEST"}
    assert found["ephemeralStorage"] == {"sizeInGiB": 30}
    assert "linuxParameters" not in found
    described = describe(job(resources=asked), on_fargate=True)
    assert described.definition["platformCapabilities"] == ["FARGATE"]
    assert described.granted == {"image": "python:3.11", "vcpu": "1", "memory-mb": "3072"}
    assert "asks for 1 cores and 3000 MB, and gets 1 and 3072." in described.rounded
    assert describe(job(resources=request(1, 3072)), on_fargate=True).rounded == ""
    assert describe(job(), on_fargate=False).rounded == ""
    assert figures(request(0.3, 100), on_fargate=True) == {"VCPU": "0.5", "MEMORY": "1024"}


def test_a_job_runs_once_and_not_for_ever() -> None:
    described = describe(job(time_limit=90.2), on_fargate=False)
    assert described.definition["retryStrategy"] == described.submission["retryStrategy"] == {"attempts": 1}
    assert described.definition["platformCapabilities"] == ["EC2"]
    assert described.submission["timeout"] == {"attemptDurationSeconds": 91}
    assert describe(job(time_limit=3), on_fargate=False).submission["timeout"] == {"attemptDurationSeconds": 60}


def test_definitions_are_named_by_their_content() -> None:
    names = [
        describe(each, on_fargate=False).definition["jobDefinitionName"]
        for each in (
            job(),
            job(2, run="8", resources=request(8, 2000, gpu=1), environment={"A": "b"}),
            job(resources=request(shared_memory=1)),
            job(flow="Other"),
        )
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert re.fullmatch(r"millrace-Hello-[0-9a-f]{16}", names[0])


def test_labels_are_tags_and_parameters() -> None:
    described = describe(
        job(flow="Héllo", user="ann@x.org", resources=request(aws_batch_tags={"team": "a#b"})),
        on_fargate=False,
        emits_tags=True,
    )
    assert described.submission["parameters"] == {
        "metaflow.flow_name": "Héllo",
        "metaflow.run_id": "7",
        "metaflow.step_name": "start",
        "metaflow.task_id": "1",
        "metaflow.retry_count": "0",
        "metaflow.user": "ann@x.org",
    }
    assert described.submission["tags"] == {
        "metaflow.flow_name": described.submission["parameters"]["metaflow.flow_name"],
        "metaflow.run_id": "7",
        "metaflow.step_name": "start",
        "metaflow.user": "ann@x.org",
        "metaflow.version": __version__,
        "team": "a-b",
        "app": "metaflow",
    }
    assert described.submission["propagateTags"] is True
    assert labels_of(described.submission) == job(flow="Héllo", user="ann@x.org").labels
    assert tag_value("x" * 300) == "x" * 256


@pytest.mark.parametrize("given", [{}, {"team": "blue"}])
def test_tags_that_take_a_right_are_only_those_that_are_asked_for(given: dict[str, str]) -> None:
    submission = describe(job(resources=request(aws_batch_tags=given)), on_fargate=False).submission
    assert submission.get("tags", {}) == given
    assert ("propagateTags" in submission) == bool(given)


def test_names_of_jobs() -> None:
    assert job_name(job().labels) == "ann-Hello-7-start-1-0"
    assert job_name({"user": "ann smith@x.org", "flow": "F"}) == "ann-smith-x-org-F----"
    assert job_name({"user": "_me"})[0].isalnum()
    long = [job_name(job(flow="F" * 200, task=task).labels) for task in (1, 2)]
    assert [len(each) for each in long] == [128, 128]
    assert long[0] != long[1]


def test_temporary_files_go_to_the_tmpfs_unless_told_otherwise() -> None:
    def temporary(**options: Any) -> str | None:
        pairs = overrides(request(**options))["environment"]
        return {each["name"]: each["value"] for each in pairs}.get("METAFLOW_TEMPDIR")

    assert temporary(use_tmpfs=True) == "/metaflow_temp"
    assert temporary(tmpfs_size=5, tmpfs_path="/x") == "/x"
    assert temporary(use_tmpfs=True, tmpfs_tempdir=False) is None
    assert temporary() is None


@pytest.mark.parametrize(
    ("environment", "held", "own"),
    [
        ({"MILLRACE_BOOT": "x" * 7000, "A": "b"}, [], ["MILLRACE_BOOT", "A"]),
        ({"MILLRACE_BOOT": "x" * 5000, "A": "y" * 5000}, ["A"], ["MILLRACE_BOOT"]),
        ({"MILLRACE_BOOT": "x" * 9000, "A": "b"}, ["A", "MILLRACE_BOOT"], []),
    ],
)
def test_what_is_too_long_for_a_submission_goes_into_the_definition(
    environment: dict[str, str], held: list[str], own: list[str]
) -> None:
    described = describe(job(environment=environment), on_fargate=False)
    properties, submission = described.definition["containerProperties"], described.submission["containerOverrides"]
    assert [each["name"] for each in properties.get("environment", [])] == held
    assert [each["name"] for each in submission["environment"]] == own
    assert len(json.dumps(submission)) < 8192


def test_where_the_log_goes() -> None:
    assert log_group(request()) == "/aws/batch/job"
    assert log_group(request(log_driver="awslogs", log_options=["awslogs-group:mine"])) == "mine"
    assert log_group(request(log_driver="splunk")) is None
