"""`@kubernetes` and `@batch`: what each attribute takes, in which forms, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.decorators.attributes import TypedDecorator
from metaflow.decorators.batch import BatchDecorator
from metaflow.decorators.container import ContainerDecorator
from metaflow.decorators.kubernetes import KubernetesDecorator
from metaflow.decorators.resources import ResourcesDecorator
from metaflow.exception import InvalidDecoratorAttribute
from metaflow.flow.with_option import parse_with
from metaflow.settings.kubernetes_kinds import is_domain, is_label, is_label_key
from metaflow.settings.values import Values

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers() | st.text()),
    st.dictionaries(st.text(), st.none() | st.text()), st.lists(st.dictionaries(st.text(), st.integers())),
    st.just(10**400), st.just(10**5000), st.just("9" * 5000), st.just("[" * 3000), st.just('{"a": [1e999]}'),
)  # fmt: skip


def values(decorator: TypedDecorator) -> dict[str, Any]:
    return {name: resolved.value for name, resolved in decorator.resolve(Values({})).items()}


@given(st.sampled_from([KubernetesDecorator, BatchDecorator, ResourcesDecorator]), st.data())
def test_whatever_is_given_is_taken_or_refused_in_one_way(decorator: Any, data: st.DataObject) -> None:
    attributes = data.draw(st.dictionaries(st.sampled_from(list(decorator.defaults)), ANYTHING, max_size=3))
    try:
        made = decorator(attributes)
    except InvalidDecoratorAttribute as error:
        refusal = error.message
    else:
        _, again = parse_with("d:" + ",".join(f"{key}={json.dumps(value)}" for key, value in attributes.items()))
        assert values(decorator(again)) == values(made)
        return
    assert f"@{decorator.name}(" in refusal
    assert len(refusal) < 1000


# --- what is taken, in the forms of source, --with and settings ------------------------------------------------------

TAKEN: list[tuple[type[ContainerDecorator], str, list[Any], Any]] = [
    (KubernetesDecorator, "cpu", [0.25, "0.25"], 0.25),
    (KubernetesDecorator, "memory", [16000, "16000", 16000.0, 15999.2], 16000),
    (KubernetesDecorator, "disk", [5, "5"], 5),
    (KubernetesDecorator, "gpu", [0, "0"], 0),
    (KubernetesDecorator, "gpu_vendor", ["amd", " amd "], "amd"),
    (KubernetesDecorator, "image", ["repo/image:tag"], "repo/image:tag"),
    (KubernetesDecorator, "image", ["", " ", None], None),
    (KubernetesDecorator, "image_pull_policy", ["Never", "never"], "Never"),
    (KubernetesDecorator, "image_pull_secrets", [["a", "b"], ("a", "b"), "a,b", '["a", "b"]'], ["a", "b"]),
    (KubernetesDecorator, "secrets", [["a"], "a", " a ,", '["a"]'], ["a"]),
    (KubernetesDecorator, "secrets", [[], "", "[]"], []),
    (KubernetesDecorator, "service_account", ["flows"], "flows"),
    (KubernetesDecorator, "namespace", ["jobs-2"], "jobs-2"),
    (KubernetesDecorator, "namespace", [7, "7"], "7"),
    (KubernetesDecorator, "node_selector", [{"a": "b"}, "a=b", '{"a": "b"}'], {"a": "b"}),
    (KubernetesDecorator, "node_selector", [{"a.io/b": True, "c": 1}, "a.io/b=true,c=1"], {"a.io/b": "true", "c": "1"}),
    (KubernetesDecorator, "labels", [{"a": ""}, "a="], {"a": ""}),
    (KubernetesDecorator, "annotations", [{"a": "x y!"}, "a=x y!"], {"a": "x y!"}),
    (KubernetesDecorator, "tolerations", [[{"operator": "Exists"}], {"operator": "Exists"}, '[{"operator": "Exists"}]'],
     [{"operator": "Exists"}]),
    (KubernetesDecorator, "tolerations", [
        [{"key": "a", "value": "b", "effect": "NoExecute", "toleration_seconds": 5}],
        [{"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": "5"}],
     ], [{"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5}]),
    (KubernetesDecorator, "persistent_volume_claims", [{"c": "/d"}, "c=/d", '{"c": "/d"}'], {"c": "/d"}),
    (KubernetesDecorator, "use_tmpfs", [True, "True", "true", 1, "1", "yes"], True),
    (KubernetesDecorator, "tmpfs_tempdir", [False, "False", 0, "no"], False),
    (KubernetesDecorator, "tmpfs_path", ["/x"], "/x"),
    (KubernetesDecorator, "shared_memory", [64, "64"], 64),
    (KubernetesDecorator, "port", [8080, "8080"], 8080),
    (KubernetesDecorator, "compute_pool", ["pool-1"], "pool-1"),
    (KubernetesDecorator, "executable", ["/opt/python3.12"], "/opt/python3.12"),
    (KubernetesDecorator, "hostname_resolution_timeout", [60, "60"], 60),
    (KubernetesDecorator, "qos", ["Guaranteed", "guaranteed"], "Guaranteed"),
    (KubernetesDecorator, "qos", ["BestEffort"], "BestEffort"),
    (KubernetesDecorator, "extended_resources", [{"a.io/b": 2}, {"a.io/b": "2"}, "a.io/b=2"], {"a.io/b": "2"}),
    (KubernetesDecorator, "security_context", [
        {"privileged": True, "run_as_user": 1000, "run_as_non_root": True},
        '{"privileged": true, "run_as_user": 1000, "run_as_non_root": true}',
        {"privileged": True, "runAsUser": "1000", "runAsNonRoot": True, "proc_mount": None},
     ], {"privileged": True, "runAsUser": 1000, "runAsNonRoot": True}),
    (KubernetesDecorator, "security_context", [{
        "allow_privilege_escalation": False,
        "read_only_root_filesystem": True,
        "run_as_group": 5,
        "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]},
        "seccomp_profile": {"type": "Localhost", "localhost_profile": "a.json"},
        "app_armor_profile": {"type": "RuntimeDefault"},
        "se_linux_options": {"level": "s0"},
        "proc_mount": "Unmasked",
        "windows_options": {"run_as_user_name": "ada", "host_process": False, "gmsaCredentialSpec": "x"},
    }], {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsGroup": 5,
        "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]},
        "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"},
        "appArmorProfile": {"type": "RuntimeDefault"},
        "seLinuxOptions": {"level": "s0"},
        "procMount": "Unmasked",
        "windowsOptions": {"runAsUserName": "ada", "hostProcess": False, "gmsaCredentialSpec": "x"},
    }),
    (BatchDecorator, "queue", ["arn:aws:batch:us-east-1:1:job-queue/q"], "arn:aws:batch:us-east-1:1:job-queue/q"),
    (BatchDecorator, "iam_role", ["arn:aws:iam::1:role/r"], "arn:aws:iam::1:role/r"),
    (BatchDecorator, "execution_role", ["r"], "r"),
    (BatchDecorator, "max_swap", [0, "0"], 0),
    (BatchDecorator, "inferentia", [2, "2"], 2),
    (BatchDecorator, "trainium", [16], 16),
    (BatchDecorator, "efa", [1], 1),
    (BatchDecorator, "ephemeral_storage", [21, "21"], 21),
    (BatchDecorator, "host_volumes", [["/a", "/b:/c"], "/a,/b:/c"], ["/a", "/b:/c"]),
    (BatchDecorator, "efs_volumes", [["fs-1", "fs-2:/x"], "fs-1,fs-2:/x"], ["fs-1", "fs-2:/x"]),
    (BatchDecorator, "aws_batch_tags", [{"a": "b c"}, "a=b c"], {"a": "b c"}),
    (BatchDecorator, "log_driver", ["awslogs"], "awslogs"),
    (BatchDecorator, "log_options", [["awslogs-group:a:b"], "awslogs-group:a:b"], ["awslogs-group:a:b"]),
    (BatchDecorator, "privileged", ["true"], True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("decorator", "name", "form", "expected"),
    [(decorator, name, form, expected) for decorator, name, forms, expected in TAKEN for form in forms],
)
def test_what_is_taken(decorator: type[ContainerDecorator], name: str, form: Any, expected: Any) -> None:
    found = values(decorator({name: form}))[name]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("decorator", [KubernetesDecorator, BatchDecorator])
def test_every_attribute_is_tried_above(decorator: type[ContainerDecorator]) -> None:
    elsewhere = {"cpu", "memory", "memory_limit", "gpu", "image", "shared_memory", "executable", "swappiness"}
    elsewhere |= {"use_tmpfs", "tmpfs_tempdir", "tmpfs_path", "tmpfs_size"}  # alike on both; the size with the requests
    tried = {name for made, name, *_ in TAKEN if made is decorator}
    assert decorator.defaults.keys() == tried | (elsewhere & decorator.defaults.keys())


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSED = [
    (KubernetesDecorator, {"cpu": 0}, "a number of cores above 0"),
    (KubernetesDecorator, {"memory": 0}, "a number of MB, 1 or more"),
    (KubernetesDecorator, {"memory": [1]}, "a number of MB, 1 or more"),
    (KubernetesDecorator, {"memory_limit": "much"}, "'request' for as much as is requested, or 'none'"),
    (KubernetesDecorator, {"gpu": 0.5}, "a whole number of GPUs, 0 or more"),
    (KubernetesDecorator, {"gpu": -1}, "a whole number of GPUs, 0 or more"),
    (KubernetesDecorator, {"gpu_vendor": "Nvidia Inc"}, "nvidia.com/gpu"),
    (KubernetesDecorator, {"image": "a b"}, "the name of an image"),
    (KubernetesDecorator, {"image_pull_policy": "Sometimes"}, "one of Always, IfNotPresent, Never"),
    (KubernetesDecorator, {"secrets": ["A_B"]}, "'A_B' is not one of names of secrets"),
    (KubernetesDecorator, {"secrets": [1]}, "a list of names of secrets"),
    (KubernetesDecorator, {"namespace": "a.b"}, "the name of a namespace"),
    (KubernetesDecorator, {"service_account": "Ada"}, "the name of a service account"),
    (KubernetesDecorator, {"node_selector": "abc"}, "'key=value,key=value'"),
    (KubernetesDecorator, {"node_selector": {"a": None}}, "as a dictionary"),
    (KubernetesDecorator, {"labels": {"a b": "c"}}, "'a b' cannot be the key"),
    (KubernetesDecorator, {"labels": {"a": "c!"}}, "'c!' cannot be the value"),
    (KubernetesDecorator, {"labels": {"a": "x" * 64}}, "cannot be the value"),
    (KubernetesDecorator, {"tolerations": "x"}, "a list of dictionaries"),
    (KubernetesDecorator, {"tolerations": [{"foo": 1}]}, "cannot have 'foo'"),
    (KubernetesDecorator, {"tolerations": [{"key": "a", "operator": "In"}]}, "Equal or Exists"),
    (KubernetesDecorator, {"tolerations": [{"value": "a"}]}, "needs the operator Exists"),
    (KubernetesDecorator, {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "has no value"),
    (KubernetesDecorator, {"tolerations": [{"key": "a", "effect": "No"}]}, "NoSchedule, PreferNoSchedule, NoExecute"),
    (KubernetesDecorator, {"tolerations": [{"key": "a", "toleration_seconds": 5}]}, "needs the effect NoExecute"),
    (KubernetesDecorator, {"tolerations": '[{"key"'}, "not valid JSON"),
    (KubernetesDecorator, {"persistent_volume_claims": {"c": "data"}}, "'data' cannot be the value"),
    (KubernetesDecorator, {"use_tmpfs": "maybe"}, "True or False"),
    (KubernetesDecorator, {"tmpfs_size": -1}, "a number of MB, 0 or more"),
    (KubernetesDecorator, {"tmpfs_path": "temp"}, "an absolute path"),
    (KubernetesDecorator, {"shared_memory": -1}, "a number of MiB, 0 or more"),
    (KubernetesDecorator, {"port": "http"}, "from 1 to 65535"),
    (KubernetesDecorator, {"qos": "Best"}, "one of Burstable, Guaranteed, BestEffort"),
    (KubernetesDecorator, {"qos": "BestEffort", "memory": 8000}, "asks for no cores and no memory"),
    (KubernetesDecorator, {"extended_resources": {"a/b": -1}}, "'-1' cannot be the value"),
    (KubernetesDecorator, {"security_context": {"nosuch": True}}, "has no 'nosuch'"),
    (KubernetesDecorator, {"security_context": {"readonly_root_filesystem": True}},
     "did you mean 'read_only_root_filesystem'?"),
    (KubernetesDecorator, {"security_context": {"runAsUsr": 5}}, "did you mean 'runAsUser'?"),
    (KubernetesDecorator, {"security_context": {"capabilities": {"ad": ["X"]}}}, "capabilities has no 'ad'; did you"),
    (KubernetesDecorator, {"security_context": {"capabilities": ["X"]}}, "it can be a dictionary"),
    (KubernetesDecorator, {"security_context": {"seccomp_profile": {"type": "x"}}}, "RuntimeDefault, Unconfined"),
    (KubernetesDecorator, {"security_context": "x"}, "expected a dictionary"),
    (KubernetesDecorator, {"security_context": {"privileged": 1}}, "True or False"),
    (KubernetesDecorator, {"security_context": {"run_as_user": -1}}, "0 or more"),
    (KubernetesDecorator, {"security_context": {"run_as_user": 0, "run_as_non_root": True}}, "contradict"),
    (KubernetesDecorator, {"security_context": {"privileged": True, "allow_privilege_escalation": False}}, "contrad"),
    (BatchDecorator, {"memory": 3}, "a number of MB, 4 or more"),
    (BatchDecorator, {"swappiness": 101, "max_swap": 1}, "from 0 to 100"),
    (BatchDecorator, {"swappiness": 50}, "swap space"),
    (BatchDecorator, {"inferentia": 2, "trainium": 2}, "two names of one thing"),
    (BatchDecorator, {"inferentia": 17}, "from 0 to 16"),
    (BatchDecorator, {"ephemeral_storage": 20}, "a whole number of GiB from 21 to 200"),
    (BatchDecorator, {"ephemeral_storage": 30, "use_tmpfs": True}, "on Fargate only, and use_tmpfs"),
    (BatchDecorator, {"ephemeral_storage": 30, "gpu": 1}, "on Fargate only, and gpu"),
    (BatchDecorator, {"host_volumes": ["a"]}, "absolute paths"),
    (BatchDecorator, {"efs_volumes": ["/x"]}, "file system ids"),
    (BatchDecorator, {"log_options": ["group"]}, "name:value"),
    (BatchDecorator, {"aws_batch_tags": "a"}, "'key=value,key=value'"),
]  # fmt: skip


@pytest.mark.parametrize(("decorator", "attributes", "words"), REFUSED)
def test_what_is_refused(decorator: type[ContainerDecorator], attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidDecoratorAttribute) as caught:
        decorator(attributes, ("flow.py", 3))
    assert caught.value.message.startswith(f"@{decorator.name}({next(iter(attributes))}=") or len(attributes) > 1
    assert words in caught.value.message
    assert caught.value.where == "flow.py:3"


@pytest.mark.parametrize(
    ("attributes", "hint"),
    [
        ({"memory": "8G"}, "write memory=8000"),
        ({"memory": "8 GiB"}, "write memory=8192"),
        ({"memory": "512mb"}, "write memory=512"),
        ({"disk": "1.5Ti"}, "write disk=1572864"),
        ({"cpu": "500m"}, "write cpu=0.5"),
        ({"cpu": "many"}, None),
        ({"gpu": "1G"}, None),
    ],
)
def test_a_figure_with_a_unit(attributes: dict[str, Any], hint: str | None) -> None:
    with pytest.raises(InvalidDecoratorAttribute) as caught:
        KubernetesDecorator(attributes)
    assert caught.value.hint == hint


def test_swappiness() -> None:
    assert values(BatchDecorator({"swappiness": "100", "max_swap": 1}))["swappiness"] == 100


def test_what_excludes_fargate_may_be_off() -> None:
    BatchDecorator({"ephemeral_storage": 30, "gpu": 0, "use_tmpfs": False, "privileged": False})


# --- names of Kubernetes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "a", "A", "a-b_c.D", "1", "x" * 63])
def test_labels(text: str) -> None:
    assert is_label(text)
    assert is_label_key(text) == bool(text)


@pytest.mark.parametrize("text", ["-a", "a-", ".", "-", "a b", "a/b/c", "é", "x" * 64, "a\n", "²"])
def test_no_labels(text: str) -> None:
    assert not is_label(text)
    assert not is_label_key(text)


def test_keys_with_a_domain() -> None:
    assert is_label_key("example.org/name")
    assert not any(map(is_label_key, ["/name", "example.org/", "Example.org/name", "example..org/name"]))


def test_names() -> None:
    assert all(map(is_domain, ["a", "a-b.c", "1", "x" * 63]))
    assert not any(map(is_domain, ["", "A", "a_b", "-a", "a-", "a..b", "x" * 64, ".".join(["x" * 60] * 5), "a\n", "²"]))
