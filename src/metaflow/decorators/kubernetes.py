"""`@kubernetes`: run a step in a pod.

The table says what each attribute takes; what becomes of it in a pod is told in `metaflow.compute.kubernetes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, overload

from metaflow.decorators.amounts import amount, shown
from metaflow.decorators.attributes import (
    SWITCH,
    Attribute,
    Kind,
    number,
    one_of,
    pairs,
    parsed,
    quantity,
    text,
    texts,
    whole,
)
from metaflow.decorators.container import DEFAULT_IMAGE, IMAGE, TMPFS, ContainerDecorator, is_absolute
from metaflow.flow.notes import note_on_step

Function = TypeVar("Function")

# --- names, as Kubernetes allows them --------------------------------------------------------------------------------


def is_label(value: str) -> bool:
    """Tell whether a text can be the value of a label, or the name in its key."""
    inside = value.replace("-", "").replace("_", "").replace(".", "")
    ends = value[:1] + value[-1:]
    return not value or (len(value) <= 63 and value.isascii() and ends.isalnum() and (inside or ends).isalnum())


def is_label_key(key: str) -> bool:
    """Tell whether a text can be the key of a label: ``name`` or ``example.org/name``."""
    prefix, slash, name = key.rpartition("/")
    return bool(name) and is_label(name) and (not slash or is_domain(prefix))


def is_domain(name: str) -> bool:
    """Tell whether a text can be the name of an object: a DNS subdomain, in lower case."""
    return 0 < len(name) <= 253 and all(map(_is_part, name.split(".")))


def _is_part(name: str) -> bool:
    inside = name.replace("-", "")
    ends = name[:1] + name[-1:]
    return len(name) <= 63 and name.isascii() and name == name.lower() and ends.isalnum() and inside.isalnum()


# --- kinds that only Kubernetes has ----------------------------------------------------------------------------------

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_SECONDS = ("tolerationSeconds", "toleration_seconds")


def _tolerations(value: Any) -> list[dict[str, Any]]:
    value = parsed(value)
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list | tuple):
        raise ValueError
    return [_toleration(item) for item in items]


def _toleration(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise ValueError
    out: dict[str, Any] = {}
    for key, value in item.items():
        if key in _SECONDS and amount(value) >= 0:
            out["tolerationSeconds"] = int(amount(value))
        elif key in ("key", "operator", "value", "effect") and isinstance(value, str):
            out[key] = value
        elif value is not None:
            raise ValueError(
                f"a toleration cannot have {shown(key)}: {shown(value)}; it has key, operator, value, effect (texts) "
                "and toleration_seconds (a number)"
            )
    operator = out.get("operator", "Equal")
    if operator not in ("Equal", "Exists"):
        raise ValueError(f"the operator of a toleration is {shown(operator)}; it can be Equal or Exists")
    if operator == "Exists" and out.get("value"):
        raise ValueError("a toleration with the operator Exists has no value")
    if operator == "Equal" and not out.get("key"):
        raise ValueError("a toleration without a key needs the operator Exists")
    if out.get("effect", "") not in ("", *_EFFECTS):
        raise ValueError(f"the effect of a toleration is {shown(out['effect'])}; it can be {', '.join(_EFFECTS)}")
    if "tolerationSeconds" in out and out.get("effect") != "NoExecute":
        raise ValueError("a toleration with toleration_seconds needs the effect NoExecute")
    return out


_FLAGS = frozenset({"privileged", "allow_privilege_escalation", "run_as_non_root"})
_IDS = frozenset({"run_as_user", "run_as_group"})


def _security_context(value: Any) -> dict[str, Any]:
    value = parsed(value)
    if not isinstance(value, Mapping):
        raise ValueError
    for key, item in value.items():
        if key in _FLAGS and not isinstance(item, bool):
            raise ValueError(f"{key} is {shown(item)}; it can be True or False")
        if key in _IDS and not (amount(item) >= 0 and amount(item).is_integer()):
            raise ValueError(f"{key} is {shown(item)}; it can be a whole number, 0 or more")
        if key not in _FLAGS | _IDS:
            raise ValueError(f"a security context has no {shown(key)}; it has {', '.join(sorted(_FLAGS | _IDS))}")
    out = {key: int(item) if key in _IDS else item for key, item in value.items()}
    if out.get("run_as_non_root") and out.get("run_as_user") == 0:
        raise ValueError("run_as_non_root and run_as_user=0 contradict each other")
    if out.get("privileged") and out.get("allow_privilege_escalation") is False:
        raise ValueError("privileged and allow_privilege_escalation=False contradict each other")
    return out


def _is_count(value: str) -> bool:
    return value.isdecimal()


def _is_claim(name: str) -> bool:
    return is_domain(name)


def _name(of: str, is_right: Callable[[str], bool] = is_domain) -> Kind:
    return text(f"the name of a {of}, in lower case", is_right)


class KubernetesDecorator(ContainerDecorator):
    name = "kubernetes"
    backend = "kubernetes"
    # Defaults in the form in which Metaflow writes them into `_graph_info`.
    table: ClassVar[dict[str, Attribute]] = {
        "cpu": Attribute("1", number("cores"), ("METAFLOW_KUBERNETES_CPU",)),
        "memory": Attribute("4096", quantity("MB", 1), ("METAFLOW_KUBERNETES_MEMORY",)),
        "disk": Attribute("10240", quantity("MB", 1), ("METAFLOW_KUBERNETES_DISK",)),
        "image": Attribute(None, IMAGE, ("METAFLOW_KUBERNETES_CONTAINER_IMAGE", DEFAULT_IMAGE)),
        "image_pull_policy": Attribute(
            None, one_of("Always", "IfNotPresent", "Never"), ("METAFLOW_KUBERNETES_IMAGE_PULL_POLICY",)
        ),
        "image_pull_secrets": Attribute(
            None, texts("names of secrets", is_domain), ("METAFLOW_KUBERNETES_IMAGE_PULL_SECRETS",)
        ),
        "service_account": Attribute(None, _name("service account"), ("METAFLOW_KUBERNETES_SERVICE_ACCOUNT",)),
        "secrets": Attribute(None, texts("names of secrets", is_domain), ("METAFLOW_KUBERNETES_SECRETS",), joined=True),
        "node_selector": Attribute(
            None, pairs("labels of nodes", is_label_key, is_label), ("METAFLOW_KUBERNETES_NODE_SELECTOR",)
        ),
        "namespace": Attribute("default", _name("namespace", _is_part), ("METAFLOW_KUBERNETES_NAMESPACE",)),
        "gpu": Attribute(None, whole("GPUs", 0)),
        "gpu_vendor": Attribute(
            "nvidia", text("a vendor, as in the resource nvidia.com/gpu", _is_part), ("METAFLOW_KUBERNETES_GPU_VENDOR",)
        ),
        "tolerations": Attribute(
            None, Kind("a list of dictionaries, or its JSON", _tolerations), ("METAFLOW_KUBERNETES_TOLERATIONS",)
        ),
        "labels": Attribute({}, pairs("labels", is_label_key, is_label), ("METAFLOW_KUBERNETES_LABELS",), joined=True),
        "annotations": Attribute(
            {}, pairs("annotations", is_label_key), ("METAFLOW_KUBERNETES_ANNOTATIONS",), joined=True
        ),
        "use_tmpfs": Attribute(None, SWITCH),
        **TMPFS,
        "persistent_volume_claims": Attribute(
            None,
            pairs("claims and the absolute paths where they are mounted", is_domain, is_absolute),
            ("METAFLOW_KUBERNETES_PERSISTENT_VOLUME_CLAIMS",),
        ),
        "shared_memory": Attribute(None, quantity("MiB", 0), ("METAFLOW_KUBERNETES_SHARED_MEMORY",)),
        "port": Attribute(None, whole("a port", 1, 65535), ("METAFLOW_KUBERNETES_PORT",)),
        "compute_pool": Attribute(None, text("the name of a compute pool", is_label)),
        "executable": Attribute(None, text("the path of a Python in the image")),
        "hostname_resolution_timeout": Attribute(600, whole("seconds", 1)),
        "qos": Attribute("burstable", one_of("Burstable", "Guaranteed", "BestEffort"), ("METAFLOW_KUBERNETES_QOS",)),
        "extended_resources": Attribute({}, pairs("resources and their counts", is_label_key, _is_count)),
        "security_context": Attribute(None, Kind("a dictionary", _security_context)),
    }

    def check_together(self, given: Mapping[str, Any]) -> None:
        figures = {name: given[name] for name in ("cpu", "memory") if name in given}
        if given.get("qos") == "BestEffort" and figures:
            self.refuse(
                "a pod of the class BestEffort asks for no cores and no memory",
                "leave out qos, or the figures",
                qos="BestEffort",
                **figures,
            )


@overload
def kubernetes(function: Function) -> Function: ...
@overload
def kubernetes(
    *,
    cpu: float | str = 1,
    memory: int | str = 4096,
    disk: int | str = 10240,
    image: str | None = None,
    image_pull_policy: str | None = None,
    image_pull_secrets: list[str] | str | None = None,
    service_account: str | None = None,
    secrets: list[str] | str | None = None,
    node_selector: dict[str, str] | str | None = None,
    namespace: str | None = None,
    gpu: int | str | None = None,
    gpu_vendor: str | None = None,
    tolerations: list[dict[str, Any]] | str | None = None,
    labels: dict[str, str] | str | None = None,
    annotations: dict[str, str] | str | None = None,
    use_tmpfs: bool = False,
    tmpfs_tempdir: bool = True,
    tmpfs_size: int | str | None = None,
    tmpfs_path: str | None = "/metaflow_temp",
    persistent_volume_claims: dict[str, str] | str | None = None,
    shared_memory: int | str | None = None,
    port: int | str | None = None,
    compute_pool: str | None = None,
    executable: str | None = None,
    hostname_resolution_timeout: int = 600,
    qos: str = "Burstable",
    extended_resources: dict[str, str] | None = None,
    security_context: dict[str, Any] | None = None,
) -> Callable[[Function], Function]: ...
def kubernetes(function: Any = None, **attributes: Any) -> Any:
    """Run a step in a pod of a Kubernetes cluster.

    Where `@resources` states a figure too, the larger one wins. An attribute that is not given has the value of its
    setting, where there is one: ``METAFLOW_KUBERNETES_`` and its name in capitals.

    Parameters
    ----------
    cpu : float, default 1
        Cores.
    memory : int, default 4096
        Memory in MB.
    disk : int, default 10240
        Disk in MB.
    image : str, optional
        Container image; by default that of METAFLOW_KUBERNETES_CONTAINER_IMAGE or METAFLOW_DEFAULT_CONTAINER_IMAGE,
        else ``python:`` with the version of the Python that launches the run.
    image_pull_policy : str, optional
        ``Always``, ``IfNotPresent`` or ``Never``.
    image_pull_secrets : list of str, optional
        Secrets for the image's registry.
    service_account : str, optional
        The pod's service account.
    secrets : list of str, optional
        Secrets whose entries become environment variables; those of METAFLOW_KUBERNETES_SECRETS are added.
    node_selector : dict of str to str, optional
        Labels that a node must have; also as the text ``a=b,c=d``.
    namespace : str, optional
        The pod's namespace, ``default`` unless set.
    gpu : int, optional
        Number of GPUs; 0 asks for a node without.
    gpu_vendor : str, default "nvidia"
        Whose GPUs, as in the resource ``nvidia.com/gpu``.
    tolerations : list of dict, optional
        Taints to tolerate, each with ``key``, ``operator``, ``value``, ``effect``, ``toleration_seconds``.
    labels, annotations : dict of str to str, optional
        For the pod; those of the settings are added.
    use_tmpfs : bool, default False
        Whether to mount a file system in memory.
    tmpfs_tempdir : bool, default True
        Whether temporary files of Metaflow go there.
    tmpfs_size : int, optional
        Its size in MB, half of the memory unless given; stands for ``use_tmpfs=True``.
    tmpfs_path : str, default "/metaflow_temp"
        Where it is mounted.
    persistent_volume_claims : dict of str to str, optional
        Names of claims, and the paths where they are mounted.
    shared_memory : int, optional
        Size of ``/dev/shm`` in MiB.
    port : int, optional
        A port of the container, from 1 to 65535.
    compute_pool : str, optional
        Name of a pool of nodes.
    executable : str, optional
        The Python of the image that runs the task.
    hostname_resolution_timeout : int, default 600
        Seconds that the tasks of a gang wait for the name of the first.
    qos : str, default "Burstable"
        Class of service: ``Guaranteed``, ``Burstable``, or ``BestEffort``, which asks for no cores and no memory.
    extended_resources : dict of str to str, optional
        Further resources by name, and how many of each.
    security_context : dict, optional
        ``privileged``, ``allow_privilege_escalation``, ``run_as_user``, ``run_as_group``, ``run_as_non_root``.

    Raises
    ------
    InvalidDecoratorAttribute
        An attribute is unknown, its value cannot be, or the step is sent elsewhere too.
    """
    return note_on_step(KubernetesDecorator, function, attributes)
