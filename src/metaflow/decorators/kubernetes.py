"""`@kubernetes`: run a step in a pod.

The table says what each attribute takes; what becomes of it in a pod is told in `metaflow.compute.kubernetes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, overload

from metaflow.decorators.attributes import Attribute, attribute_of
from metaflow.decorators.container import TMPFS, ContainerDecorator
from metaflow.flow.notes import note_on_step
from metaflow.settings import table as settings
from metaflow.settings.kinds import AS_REQUESTED, SWITCH, pairs, string, whole
from metaflow.settings.kubernetes_kinds import SECURITY_CONTEXT, is_label, is_label_key

Function = TypeVar("Function")


class KubernetesDecorator(ContainerDecorator):
    name = "kubernetes"
    backend = "kubernetes"
    # Defaults in the form in which Metaflow writes them into `_graph_info`.
    table: ClassVar[dict[str, Attribute]] = {
        "cpu": attribute_of("1", settings.KUBERNETES_CPU),
        "memory": attribute_of("4096", settings.KUBERNETES_MEMORY),
        "memory_limit": attribute_of(None, settings.KUBERNETES_MEMORY_LIMIT),
        "disk": attribute_of("10240", settings.KUBERNETES_DISK),
        "image": attribute_of(None, settings.KUBERNETES_CONTAINER_IMAGE, settings.DEFAULT_CONTAINER_IMAGE),
        "image_pull_policy": attribute_of(None, settings.KUBERNETES_IMAGE_PULL_POLICY),
        "image_pull_secrets": attribute_of(None, settings.KUBERNETES_IMAGE_PULL_SECRETS),
        "service_account": attribute_of(None, settings.KUBERNETES_SERVICE_ACCOUNT),
        "secrets": attribute_of(None, settings.KUBERNETES_SECRETS, joined=True),
        "node_selector": attribute_of(None, settings.KUBERNETES_NODE_SELECTOR),
        "namespace": attribute_of("default", settings.KUBERNETES_NAMESPACE),
        "gpu": Attribute(None, whole("GPUs", 0)),
        "gpu_vendor": attribute_of("nvidia", settings.KUBERNETES_GPU_VENDOR),
        "tolerations": attribute_of(None, settings.KUBERNETES_TOLERATIONS),
        "labels": attribute_of({}, settings.KUBERNETES_LABELS, joined=True),
        "annotations": attribute_of({}, settings.KUBERNETES_ANNOTATIONS, joined=True),
        "use_tmpfs": Attribute(None, SWITCH),
        **TMPFS,
        "persistent_volume_claims": attribute_of(None, settings.KUBERNETES_PERSISTENT_VOLUME_CLAIMS),
        "shared_memory": attribute_of(None, settings.KUBERNETES_SHARED_MEMORY),
        "port": attribute_of(None, settings.KUBERNETES_PORT),
        "compute_pool": Attribute(None, string("the name of a compute pool", is_label)),
        "executable": Attribute(None, string("the path of a Python in the image")),
        "hostname_resolution_timeout": Attribute(600, whole("seconds", 1)),
        "qos": attribute_of("burstable", settings.KUBERNETES_QOS),
        "extended_resources": Attribute({}, pairs("resources and their counts", is_label_key, str.isdecimal)),
        "security_context": Attribute(None, SECURITY_CONTEXT),
    }

    def check_together(self, given: Mapping[str, Any]) -> None:
        figures = {name: given[name] for name in ("cpu", "memory", "memory_limit") if name in given}
        if given.get("qos") == "BestEffort" and figures:
            self.refuse(
                "a pod of the class BestEffort asks for no cores and no memory",
                "leave out qos, or the figures",
                qos="BestEffort",
                **figures,
            )
        most, memory = given.get("memory_limit", AS_REQUESTED), given.get("memory", 0)
        if most != AS_REQUESTED and given.get("qos") == "Guaranteed":
            self.refuse(
                "the limits of a pod of the class Guaranteed are what it requests",
                "leave out one of them",
                qos="Guaranteed",
                memory_limit=most,
            )
        if AS_REQUESTED < most < memory:
            self.refuse("the limit is less than the request", "raise memory_limit", memory=memory, memory_limit=most)


@overload
def kubernetes(function: Function) -> Function: ...
@overload
def kubernetes(
    *,
    cpu: float | str = 1,
    memory: int | str = 4096,
    memory_limit: int | str | None = None,
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

    Where `@resources` is given a figure too, the larger one wins. An attribute that is not given has the value of its
    setting, where there is one: ``METAFLOW_KUBERNETES_`` and its name in capitals.

    Parameters
    ----------
    cpu : float, default 1
        Cores.
    memory : int, default 4096
        Memory in MB: a node that has less left is not taken.
    memory_limit : int or str, optional
        Most memory in MB that the pod may use, ``"request"`` for as much as it requests, ``"none"`` for no limit, which
        is the default: a step may use what its node has left.
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
        Number of GPUs; 0 is the same as none.
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
        Class of service: ``Guaranteed``, whose limits are its requests, so that it is the last to be evicted;
        ``Burstable``; or ``BestEffort``, which asks for no cores and no memory.
    extended_resources : dict of str to str, optional
        Further resources by name, and how many of each.
    security_context : dict, optional
        That of the container, as in the Kubernetes API: ``privileged``, ``allow_privilege_escalation``,
        ``read_only_root_filesystem``, ``run_as_user``, ``run_as_group``, ``run_as_non_root``, ``capabilities``,
        ``seccomp_profile``, ``app_armor_profile``, ``se_linux_options``, ``proc_mount``, ``windows_options``; in this
        form or in the API's own (``runAsUser``).

    Raises
    ------
    InvalidDecoratorAttribute
        An attribute is unknown, its value cannot be, or the step is sent elsewhere too.
    """
    return note_on_step(KubernetesDecorator, function, attributes)
