"""The groups of settings that one part of the house reads."""

from __future__ import annotations

import pytest

from metaflow.exception import SettingsError
from metaflow.settings.groups import BatchSettings, KubernetesSettings, PackageSettings, RunSettings
from metaflow.settings.values import Values


def test_runs() -> None:
    assert RunSettings.of(Values({})) == RunSettings((), "warn", 101, 0, 5, 15)
    names = {
        "METAFLOW_DEFAULT_DECOSPECS": " retry:times=3  kubernetes ",
        "METAFLOW_PREFLIGHT": "FAIL",
        "METAFLOW_MAX_ATTEMPTS": "7",
        "METAFLOW_PREEMPTION_RETRIES": "2",
        "METAFLOW_LOCAL_GRACE": "0",
        "METAFLOW_REMOTE_GRACE": "25",
    }
    assert RunSettings.of(Values(names)) == RunSettings(("retry:times=3", "kubernetes"), "fail", 7, 2, 0, 25)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFLIGHT", "loud"),
        ("MAX_ATTEMPTS", "0"),
        ("MAX_ATTEMPTS", "1.5"),
        ("PREEMPTION_RETRIES", "-1"),
        ("REMOTE_GRACE", "26"),
    ],
)
def test_what_runs_cannot_be(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"METAFLOW_{name} in the environment is '{value}': expected "):
        RunSettings.of(Values({f"METAFLOW_{name}": value}))


def test_packages() -> None:
    assert PackageSettings.of(Values({})) == PackageSettings((".py", ".R", ".RDS"), 100.0, "linux/amd64")
    names = {
        "METAFLOW_DEFAULT_PACKAGE_SUFFIXES": ".py, .sql",
        "METAFLOW_CODE_PACKAGE_LIMIT": "1.5",
        "METAFLOW_REMOTE_PLATFORM": " Linux/ARM64/musl ",
    }
    assert PackageSettings.of(Values(names)) == PackageSettings((".py", ".sql"), 1.5, "linux/arm64/musl")


@pytest.mark.parametrize("value", ["windows/amd64", "linux", "linux/sparc", "linux/amd64/uclibc", "amd64"])
def test_what_is_not_a_platform(value: str) -> None:
    with pytest.raises(SettingsError, match="METAFLOW_REMOTE_PLATFORM"):
        PackageSettings.of(Values({"METAFLOW_REMOTE_PLATFORM": value}))


def test_kubernetes() -> None:
    assert KubernetesSettings.of(Values({})) == KubernetesSettings(None, "default", None, 604800)
    names = {
        "METAFLOW_KUBERNETES_CONTEXT": "stack",
        "METAFLOW_KUBERNETES_NAMESPACE": "ml",
        "METAFLOW_KUBERNETES_PENDING_DEADLINE": "0.5",
        "METAFLOW_KUBERNETES_JOB_TTL_SECONDS_AFTER_FINISHED": "60",
    }
    assert KubernetesSettings.of(Values(names)) == KubernetesSettings("stack", "ml", 0.5, 60)


def test_batch() -> None:
    assert BatchSettings.of(Values({})) == BatchSettings({}, None, None, False)
    names = {
        "METAFLOW_BATCH_CLIENT_PARAMS": '{"region_name": "eu-west-1"}',
        "METAFLOW_BATCH_PENDING_DEADLINE": "90",
        "METAFLOW_BATCH_JOB_QUEUE": "q",
        "METAFLOW_BATCH_EMIT_TAGS": "True",
    }
    assert BatchSettings.of(Values(names)) == BatchSettings({"region_name": "eu-west-1"}, 90, "q", True)


@pytest.mark.parametrize("text", ["-1", "soon", "nan", "inf", "0"])
def test_a_deadline_is_a_number_of_seconds(text: str) -> None:
    with pytest.raises(SettingsError, match=f"PENDING_DEADLINE in the environment is '{text}': expected a number of s"):
        BatchSettings.of(Values({"METAFLOW_BATCH_PENDING_DEADLINE": text}))


@pytest.mark.parametrize("text", ["[]", "{", "eu-west-1"])
def test_parameters_are_an_object_whose_text_is_not_shown(text: str) -> None:
    with pytest.raises(SettingsError, match=r"CLIENT_PARAMS in the environment is \*\*\*: ") as caught:
        BatchSettings.of(Values({"METAFLOW_BATCH_CLIENT_PARAMS": text}))
    assert caught.value.hint == """write METAFLOW_BATCH_CLIENT_PARAMS={"region_name": "eu-west-1"}"""
