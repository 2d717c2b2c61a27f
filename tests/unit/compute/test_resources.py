"""What a step asks for, from its decorators and the settings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.compute.resources import LOCAL, ResourceRequest, request_of
from metaflow.decorators.batch import BatchDecorator
from metaflow.decorators.kubernetes import KubernetesDecorator
from metaflow.decorators.resources import ResourcesDecorator
from metaflow.decorators.retry import RetryDecorator
from metaflow.exception import InvalidDecoratorAttribute, SettingsError
from metaflow.flow.decorator import StepDecorator
from metaflow.flow.plan import StepPlan
from metaflow.settings.config_file import ConfigFile
from metaflow.settings.values import Values

HERE = ("/home/ada/flow.py", 12)


def resources(**attributes: Any) -> ResourcesDecorator:
    return ResourcesDecorator(attributes, ("/home/ada/flow.py", 7))


def kubernetes(**attributes: Any) -> KubernetesDecorator:
    return KubernetesDecorator(attributes, HERE)


def batch(**attributes: Any) -> BatchDecorator:
    return BatchDecorator(attributes, HERE)


def request(*decorators: StepDecorator, **settings: str) -> ResourceRequest:
    values = Values({f"METAFLOW_{name}": value for name, value in settings.items()})
    return request_of(StepPlan("work", print, decorators), values, python="3.12")


def in_a_file(name: str, value: str) -> ResourceRequest:
    values = Values({}, [ConfigFile("config.json", {name: value}, f'{{\n\n "{name}": …}}')])
    return request_of(StepPlan("work", print, (batch(),)), values, python="3.12")


# --- figures ---------------------------------------------------------------------------------------------------------


def test_a_step_that_stays_here() -> None:
    assert request() == request(RetryDecorator({})) == LOCAL
    here = request(resources(memory=60000, gpu=2), KUBERNETES_CPU="9")
    assert here == ResourceRequest(memory=60000, gpu=2, sources=here.sources)
    assert here.sources == {"memory": "@resources (flow.py:7)", "gpu": "@resources (flow.py:7)"}


def test_what_kubernetes_gives_to_who_asks_for_nothing() -> None:
    found = request(kubernetes())
    assert (found.backend, found.cpu, found.memory, found.disk) == ("kubernetes", 1, 4096, 10240)
    assert (found.gpu, found.gpu_vendor, found.shared_memory, found.image) == (None, "nvidia", None, "python:3.12")
    assert {name: value for name, value in found.options.items() if value not in (None, {})} == {
        "namespace": "default", "use_tmpfs": False, "tmpfs_tempdir": True, "tmpfs_path": "/metaflow_temp",
        "hostname_resolution_timeout": 600, "qos": "Burstable",
    }  # fmt: skip
    assert found.sources["memory"] == "default of @kubernetes"
    assert found.sources["image"] == "the Python of this launcher"


def test_what_batch_gives_to_who_asks_for_nothing() -> None:
    found = request(batch())
    assert (found.backend, found.cpu, found.memory, found.disk) == ("batch", 1, 4096, None)
    assert (found.gpu, found.gpu_vendor, found.shared_memory, found.image) == (None, None, None, "python:3.12")
    assert {name: value for name, value in found.options.items() if value not in (None, {})} == {
        "use_tmpfs": False, "tmpfs_tempdir": True, "tmpfs_path": "/metaflow_temp", "privileged": False,
    }  # fmt: skip


@pytest.mark.parametrize("backend", [kubernetes, batch])
def test_all_that_is_no_field_is_an_option(backend: Any) -> None:
    decorator = backend()
    found = request(decorator)
    assert found.options.keys() == decorator.attributes.keys() - set(ResourceRequest._fields)


# The rule "maximum" is that of Metaflow 2.19. It differs for gpu and shared_memory: there Metaflow takes what
# @resources says, even if that is less, though its documents say that the larger counts.
ONE_IS_DEFAULT = [
    # @resources, @kubernetes, settings, rule explicit, rule maximum
    ({"cpu": 0.5, "memory": 256}, {}, {}, {"cpu": 0.5, "memory": 256}, {"cpu": 1, "memory": 4096}),
    ({}, {"memory": 2000}, {}, {"memory": 2000}, {"memory": 4096}),
    ({"disk": 2000}, {}, {}, {"disk": 2000}, {"disk": 10240}),
    ({"memory": 0, "cpu": 0}, {}, {}, {"memory": 4096, "cpu": 1}, {"memory": 4096, "cpu": 1}),
    ({"cpu": 0.5}, {}, {"KUBERNETES_MEMORY": "2000"}, {"memory": 2000}, {"memory": 4096}),
    ({"memory": 256}, {}, {"KUBERNETES_MEMORY": "2000"}, {"memory": 256}, {"memory": 2000}),
    ({"memory": 9000}, {}, {"KUBERNETES_MEMORY": "2000"}, {"memory": 9000}, {"memory": 9000}),
    ({"shared_memory": 0}, {}, {"KUBERNETES_SHARED_MEMORY": "64"}, {"shared_memory": 0}, {"shared_memory": 64}),
    ({}, {}, {"KUBERNETES_MEMORY_LIMIT": "request"}, {"memory_limit": 4096}, {"memory_limit": 4096}),
]


@pytest.mark.parametrize(("stated", "own", "settings", "explicit", "maximum"), ONE_IS_DEFAULT)
def test_what_is_written_counts_more_than_a_default(
    stated: dict[str, Any],
    own: dict[str, Any],
    settings: dict[str, str],
    explicit: dict[str, Any],
    maximum: dict[str, Any],
) -> None:
    for rule, figures in (("explicit", explicit), ("maximum", maximum)):
        found = request(resources(**stated), kubernetes(**own), RESOURCES_RULE=rule, **settings)
        assert {name: getattr(found, name) for name in figures} == figures, rule


def test_what_is_written_counts_more_than_a_default_of_batch() -> None:
    found = request(resources(cpu=0.5, memory=256), batch(gpu=1))
    assert (found.cpu, found.memory, found.gpu) == (0.5, 256, 1)
    assert request(resources(gpu=0), batch()).gpu == 0


@pytest.mark.parametrize(
    ("stated", "own", "limit"),
    [
        ({}, {}, None),
        ({"memory_limit": 500}, {"memory": 300}, 500),
        ({"memory_limit": 500, "memory": 300}, {"memory": 600}, 600),
        ({"memory_limit": "request"}, {"memory": 300}, 300),
        ({"memory_limit": "request"}, {"memory": 300, "memory_limit": 400}, 400),
        ({"memory_limit": 500}, {"memory": 300, "memory_limit": "none"}, None),
    ],
)
def test_the_limit_of_memory(stated: dict[str, Any], own: dict[str, Any], limit: int | None) -> None:
    assert request(resources(**stated), kubernetes(**own)).memory_limit == limit
    assert request(resources(**stated), batch()).memory_limit is None


@pytest.mark.parametrize("own", [{"memory": 300, "memory_limit": 200}, {"qos": "Guaranteed", "memory_limit": 900}])
def test_a_limit_that_cannot_be(own: dict[str, Any]) -> None:
    with pytest.raises(InvalidDecoratorAttribute, match="limit"):
        kubernetes(**own)


@pytest.mark.parametrize(
    ("stated", "own", "figures"),
    [
        ({"memory": 1000}, {"memory": 2000}, {"memory": 2000}),
        ({"memory": 3000}, {"memory": 2000}, {"memory": 3000}),
        ({"cpu": 0.5}, {"cpu": 0.3}, {"cpu": 0.5}),
        ({"cpu": "2", "memory": "5000"}, {"cpu": "0.5"}, {"cpu": 2, "memory": 5000}),
        ({"cpu": "10"}, {"cpu": 9}, {"cpu": 10}),
        ({"gpu": 0}, {}, {"gpu": 0}),
        ({"gpu": 2}, {"gpu": 1, "gpu_vendor": "amd"}, {"gpu": 2, "gpu_vendor": "amd"}),
        ({"gpu": 0}, {"gpu": 1}, {"gpu": 1}),
        ({}, {"gpu": 0}, {"gpu": 0}),
        ({"disk": 20000, "shared_memory": 64}, {}, {"disk": 20000, "shared_memory": 64}),
        ({"disk": 2000}, {"disk": 5000}, {"disk": 5000}),
        ({"shared_memory": 16}, {"shared_memory": 32}, {"shared_memory": 32}),
    ],
)
def test_the_larger_figure_counts(stated: dict[str, Any], own: dict[str, Any], figures: dict[str, Any]) -> None:
    found = request(resources(**stated), kubernetes(**own))
    assert {name: getattr(found, name) for name in figures} == figures


@given(st.floats(0.1, 64), st.floats(0.1, 64), st.integers(1, 10**6), st.integers(1, 10**6), st.booleans())
def test_neither_order_nor_text_changes_it(one: float, other: float, small: int, large: int, is_text: bool) -> None:
    def kind(value: float) -> Any:
        return str(value) if is_text else value

    decorators = [resources(cpu=kind(one), memory=kind(small)), kubernetes(cpu=kind(other), memory=kind(large))]
    found = request(*decorators)
    assert (found.cpu, found.memory) == (max(one, other), max(small, large))
    assert request(*reversed(decorators)) == found


def test_sources_say_who_won() -> None:
    found = request(resources(cpu=4, memory=4096), kubernetes(disk=20000), KUBERNETES_NAMESPACE="jobs")
    assert found.sources["cpu"] == "@resources (flow.py:7)"
    assert found.sources["memory"] == "@resources (flow.py:7)"  # as large as a default, and written
    assert found.sources["disk"] == "@kubernetes (flow.py:12)"
    assert found.sources["namespace"] == "METAFLOW_KUBERNETES_NAMESPACE in the environment"
    assert "gpu" not in found.sources
    assert request(KubernetesDecorator({"cpu": 2})).sources["cpu"] == "--with kubernetes"
    queue = in_a_file("METAFLOW_BATCH_JOB_QUEUE", "q").sources["queue"]
    assert queue == "METAFLOW_BATCH_JOB_QUEUE in config.json:3:2"


def test_disk_is_for_kubernetes_only() -> None:
    assert request(resources(disk=20000), batch()).disk is None


def test_a_size_stands_for_a_file_system_in_memory() -> None:
    assert request(kubernetes(tmpfs_size=100)).options["use_tmpfs"] is True
    assert request(batch(use_tmpfs=True, tmpfs_size=0)).options["tmpfs_size"] is None
    assert request(batch(tmpfs_size=0)).options["use_tmpfs"] is False


# --- settings --------------------------------------------------------------------------------------------------------


def test_settings_stand_in_for_what_is_not_given() -> None:
    settings = {
        "KUBERNETES_CPU": "2", "KUBERNETES_MEMORY": "7000", "KUBERNETES_DISK": "3000",
        "KUBERNETES_GPU_VENDOR": "amd", "KUBERNETES_SHARED_MEMORY": "99",
    }  # fmt: skip
    found = request(kubernetes(), **settings)
    assert (found.cpu, found.memory, found.disk, found.gpu_vendor, found.shared_memory) == (2, 7000, 3000, "amd", 99)
    found = request(kubernetes(cpu=1, memory=4096), **settings)
    assert (found.cpu, found.memory, found.disk) == (1, 4096, 3000)
    assert request(resources(cpu=3), kubernetes(), **settings).memory == 7000


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("QOS", "guaranteed", "Guaranteed"),
        ("PORT", "8080", 8080),
        ("IMAGE_PULL_POLICY", "always", "Always"),
        ("IMAGE_PULL_SECRETS", '["one", "two"]', ["one", "two"]),
        ("IMAGE_PULL_SECRETS", "one,two", ["one", "two"]),
        ("SERVICE_ACCOUNT", "flows", "flows"),
        ("SECRETS", " one , two", ["one", "two"]),
        ("NODE_SELECTOR", "a=b,example.org/c=d", {"a": "b", "example.org/c": "d"}),
        ("NODE_SELECTOR", '{"a": "b"}', {"a": "b"}),
        ("NAMESPACE", "jobs", "jobs"),
        ("LABELS", "a=b,c=d", {"a": "b", "c": "d"}),
        ("ANNOTATIONS", "a=b c", {"a": "b c"}),
        ("PERSISTENT_VOLUME_CLAIMS", '{"claim": "/data"}', {"claim": "/data"}),
        ("TOLERATIONS", '[{"key": "a", "operator": "Exists"}]', [{"key": "a", "operator": "Exists"}]),
        ("TOLERATIONS", "", None),
    ],
)
def test_settings_of_kubernetes(option: str, text: str, value: Any) -> None:
    assert request(kubernetes(), **{f"KUBERNETES_{option}": text}).options[option.lower()] == value


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        ("BATCH_JOB_QUEUE", "queue"),
        ("ECS_S3_ACCESS_IAM_ROLE", "iam_role"),
        ("ECS_FARGATE_EXECUTION_ROLE", "execution_role"),
    ],
)
def test_settings_of_batch(setting: str, option: str) -> None:
    assert request(batch(), **{setting: "thing"}).options[option] == "thing"
    assert request(batch(**{option: "own"}), **{setting: "thing"}).options[option] == "own"


def test_some_settings_are_added_to_what_is_given() -> None:
    found = request(
        kubernetes(secrets="s3,s1", labels={"a": "own"}, annotations={"p": "q"}, node_selector="q=r"),
        KUBERNETES_SECRETS="s1,s2",
        KUBERNETES_LABELS="a=b,c=d",
        KUBERNETES_ANNOTATIONS="x=y",
        KUBERNETES_NODE_SELECTOR="n=m",
    )
    assert found.options["secrets"] == ["s3", "s1", "s2"]
    assert found.options["labels"] == {"a": "own", "c": "d"}
    assert found.options["annotations"] == {"x": "y", "p": "q"}
    assert found.options["node_selector"] == {"q": "r"}
    assert found.sources["secrets"] == "@kubernetes (flow.py:12) and METAFLOW_KUBERNETES_SECRETS in the environment"
    tagged = request(batch(aws_batch_tags="a=b"), BATCH_DEFAULT_TAGS='{"a": "x", "c": "d"}')
    assert tagged.options["aws_batch_tags"] == {"a": "b", "c": "d"}


@pytest.mark.parametrize(
    ("setting", "text", "words"),
    [
        ("KUBERNETES_MEMORY", "8G", "expected a number of MB, 1 or more"),
        ("KUBERNETES_LABELS", "a", "key=value"),
        ("KUBERNETES_TOLERATIONS", "[", "JSON"),
        ("KUBERNETES_PORT", "70000", "from 1 to 65535"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        request(kubernetes(), **{setting: text})
    assert caught.value.message.startswith(f"METAFLOW_{setting} in the environment is {text!r}: ")
    assert words in caught.value.message
    request(resources(), **{setting: text})  # nobody asks for it


def test_a_wrong_setting_in_a_file() -> None:
    with pytest.raises(SettingsError, match=r"METAFLOW_BATCH_JOB_QUEUE in config\.json:3:2 is 'a\\n"):
        in_a_file("METAFLOW_BATCH_JOB_QUEUE", "a\nb")


# --- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "settings", "image"),
    [
        (None, {}, "python:3.12"),
        ("", {}, "python:3.12"),
        (None, {"DEFAULT_CONTAINER_IMAGE": "one"}, "one"),
        (None, {"DEFAULT_CONTAINER_IMAGE": "one", "KUBERNETES_CONTAINER_IMAGE": "two"}, "two"),
        ("own", {"KUBERNETES_CONTAINER_IMAGE": "two"}, "own"),
        (None, {"BATCH_CONTAINER_IMAGE": "two"}, "python:3.12"),
        (None, {"DEFAULT_CONTAINER_REGISTRY": "reg.io"}, "reg.io/python:3.12"),
        ("bar", {"DEFAULT_CONTAINER_REGISTRY": "reg.io/"}, "reg.io/bar"),
        ("foo/bar:1", {"KUBERNETES_CONTAINER_REGISTRY": "reg.io/x"}, "reg.io/x/foo/bar:1"),
        ("quay.io/foo/bar", {"DEFAULT_CONTAINER_REGISTRY": "reg.io"}, "quay.io/foo/bar"),
        ("host:5000/bar", {"DEFAULT_CONTAINER_REGISTRY": "reg.io"}, "host:5000/bar"),
        ("localhost/bar", {"DEFAULT_CONTAINER_REGISTRY": "reg.io"}, "localhost/bar"),
        (
            None,
            {"KUBERNETES_CONTAINER_IMAGE": "two", "KUBERNETES_CONTAINER_REGISTRY": "own.io",
             "DEFAULT_CONTAINER_REGISTRY": "reg.io"},
            "own.io/two",
        ),
    ],
)  # fmt: skip
def test_images(given: str | None, settings: dict[str, str], image: str) -> None:
    assert request(kubernetes(image=given), **settings).image == image


def test_the_source_of_an_image_names_the_registry_too() -> None:
    found = request(kubernetes(image="own"), DEFAULT_CONTAINER_REGISTRY="reg.io")
    assert found.sources["image"] == "@kubernetes (flow.py:12), METAFLOW_DEFAULT_CONTAINER_REGISTRY in the environment"
