"""`@batch`: run a step on AWS Batch.

The table says what each attribute takes; what becomes of it in a job is told in `metaflow.compute.batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, overload

from metaflow.decorators.attributes import Attribute, attribute_of
from metaflow.decorators.container import TMPFS, ContainerDecorator
from metaflow.flow.notes import note_on_step
from metaflow.settings import table as settings
from metaflow.settings.kinds import SWITCH, cores, is_absolute, quantity, string, strings, whole

Function = TypeVar("Function")

# Facts that only the container knows, as Metaflow names them, and the variables that Batch and ECS set there.
_PLACE = {"aws-batch-ce-name": "AWS_BATCH_CE_NAME", "aws-batch-execution-env": "AWS_EXECUTION_ENV"}

_NOT_ON_FARGATE = (
    "gpu", "shared_memory", "max_swap", "swappiness", "inferentia", "trainium", "efa", "host_volumes", "use_tmpfs",
    "tmpfs_size", "privileged",
)  # fmt: skip


def _is_mount(volume: str) -> bool:
    return all(map(is_absolute, volume.split(":"))) and volume.count(":") <= 1


def _is_file_system(volume: str) -> bool:
    name, colon, path = volume.partition(":")
    return bool(name) and "/" not in name and (not colon or is_absolute(path))


def _is_option(option: str) -> bool:
    return bool(option.partition(":")[0].strip()) and ":" in option


class BatchDecorator(ContainerDecorator):
    name = "batch"
    backend = "batch"
    # Defaults in the form in which Metaflow writes them into `_graph_info`.
    table: ClassVar[dict[str, Attribute]] = {
        "cpu": Attribute("1", cores()),
        "gpu": Attribute("0", whole("GPUs", 0)),
        "memory": Attribute("4096", quantity("MB", 4)),
        "image": attribute_of(None, settings.BATCH_CONTAINER_IMAGE, settings.DEFAULT_CONTAINER_IMAGE),
        "queue": attribute_of(None, settings.BATCH_JOB_QUEUE),
        "iam_role": attribute_of(None, settings.ECS_S3_ACCESS_IAM_ROLE),
        "execution_role": attribute_of(None, settings.ECS_FARGATE_EXECUTION_ROLE),
        "shared_memory": Attribute(None, quantity("MiB", 0)),
        "max_swap": Attribute(None, quantity("MiB", 0)),
        "swappiness": Attribute(None, whole("percent", 0, 100)),
        "inferentia": Attribute(None, whole("Inferentia devices", 0, 16)),
        "trainium": Attribute(None, whole("Trainium devices", 0, 16)),
        "efa": Attribute(None, whole("fabric adapters", 0)),
        "host_volumes": Attribute(None, strings("absolute paths, or host:container pairs of them", _is_mount)),
        "efs_volumes": Attribute(None, strings("file system ids, or id:path pairs", _is_file_system)),
        "use_tmpfs": Attribute(False, SWITCH),
        "aws_batch_tags": attribute_of({}, settings.BATCH_DEFAULT_TAGS, joined=True),
        **TMPFS,
        "ephemeral_storage": Attribute(None, whole("GiB", 21, 200)),
        "log_driver": Attribute(None, string("the name of a log driver")),
        "log_options": Attribute(None, strings("options of the form name:value", _is_option)),
        "executable": Attribute(None, string("the path of a Python in the image")),
        "privileged": Attribute(False, SWITCH),
    }

    def facts_of_place(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {fact: environ[variable] for fact, variable in _PLACE.items() if variable in environ}

    def check_together(self, given: Mapping[str, Any]) -> None:
        if given.get("inferentia") and given.get("trainium"):
            self.refuse(
                "these are two names of one thing",
                "give one of them",
                inferentia=given["inferentia"],
                trainium=given["trainium"],
            )
        if "swappiness" in given and "max_swap" not in given:
            self.refuse(
                "without a limit of swap space it has no effect",
                "add max_swap=…, in MiB",
                swappiness=given["swappiness"],
            )
        others = {name: given[name] for name in _NOT_ON_FARGATE if given.get(name)}
        if "ephemeral_storage" in given and others:
            name = next(iter(others))
            self.refuse(
                f"ephemeral_storage is there on Fargate only, and {name} everywhere else only",
                "leave out one of them",
                ephemeral_storage=given["ephemeral_storage"],
                **{name: others[name]},
            )


@overload
def batch(function: Function) -> Function: ...
@overload
def batch(
    *,
    cpu: float | str = 1,
    gpu: int | str = 0,
    memory: int | str = 4096,
    image: str | None = None,
    queue: str | None = None,
    iam_role: str | None = None,
    execution_role: str | None = None,
    shared_memory: int | str | None = None,
    max_swap: int | str | None = None,
    swappiness: int | str | None = None,
    inferentia: int | str = 0,
    trainium: int | str | None = None,
    efa: int | str = 0,
    host_volumes: list[str] | str | None = None,
    efs_volumes: list[str] | str | None = None,
    use_tmpfs: bool = False,
    aws_batch_tags: dict[str, str] | str | None = None,
    tmpfs_tempdir: bool = True,
    tmpfs_size: int | str | None = None,
    tmpfs_path: str | None = "/metaflow_temp",
    ephemeral_storage: int | str | None = None,
    log_driver: str | None = None,
    log_options: list[str] | str | None = None,
    executable: str | None = None,
    privileged: bool = False,
) -> Callable[[Function], Function]: ...
def batch(function: Any = None, **attributes: Any) -> Any:
    """Run a step as a job of AWS Batch.

    Where `@resources` is given a figure too, the larger one wins.

    Parameters
    ----------
    cpu : float, default 1
        Cores.
    gpu : int, default 0
        Number of GPUs.
    memory : int, default 4096
        Memory in MB, 4 or more.
    image : str, optional
        Container image; by default that of METAFLOW_BATCH_CONTAINER_IMAGE or METAFLOW_DEFAULT_CONTAINER_IMAGE, else
        ``python:`` with the version of the Python that launches the run.
    queue : str, optional
        Job queue; METAFLOW_BATCH_JOB_QUEUE unless given.
    iam_role : str, optional
        Role of the container; METAFLOW_ECS_S3_ACCESS_IAM_ROLE unless given.
    execution_role : str, optional
        Role with which Fargate starts it; METAFLOW_ECS_FARGATE_EXECUTION_ROLE unless given.
    shared_memory : int, optional
        Size of ``/dev/shm`` in MiB.
    max_swap : int, optional
        Swap space in MiB.
    swappiness : int, optional
        How readily memory is swapped out, from 0 to 100; needs `max_swap`.
    inferentia, trainium : int, optional
        Number of AWS accelerators, up to 16; two names of one thing.
    efa : int, optional
        Number of Elastic Fabric Adapters.
    host_volumes : list of str, optional
        Directories of the machine to mount: ``/path`` or ``/path:/path/in/container``.
    efs_volumes : list of str, optional
        Elastic File Systems to mount: an id, below ``/mnt``, or ``id:/path``.
    use_tmpfs : bool, default False
        Whether to mount a file system in memory; not on Fargate.
    aws_batch_tags : dict of str to str, optional
        Tags of the job; those of METAFLOW_BATCH_DEFAULT_TAGS are added.
    tmpfs_tempdir : bool, default True
        Whether temporary files of Metaflow go there.
    tmpfs_size : int, optional
        Its size in MB, half of the memory unless given; stands for ``use_tmpfs=True``.
    tmpfs_path : str, default "/metaflow_temp"
        Where it is mounted.
    ephemeral_storage : int, optional
        Disk in GiB, from 21 to 200; on Fargate only.
    log_driver : str, optional
        Docker's log driver; ``awslogs`` unless given.
    log_options : list of str, optional
        Its options, each of the form ``name:value``.
    executable : str, optional
        The Python of the image that runs the task.
    privileged : bool, default False
        Whether the container may do what root on its machine may.

    Raises
    ------
    InvalidDecoratorAttribute
        An attribute is unknown, its value cannot be, or the step is sent elsewhere too.
    """
    return note_on_step(BatchDecorator, function, attributes)
