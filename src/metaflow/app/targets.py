"""Where the steps of a run go: the storage that all of them reach, and a launcher for each backend they ask for.

Start reading at `shared_storage`, which a run calls before anything is written, then at `make_targets`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from metaflow import extensions, registry
from metaflow.app.early import EarlyZygote
from metaflow.app.packages import task_packages
from metaflow.app.workspace import Workspace
from metaflow.compute.command import CODE_PACKAGE, LOCAL_ROOT, FlowCommand, FlowOptions
from metaflow.compute.jobs.certificates import carried
from metaflow.compute.jobs.entry import CERTIFICATES
from metaflow.compute.jobs.launcher import RemoteLauncher, RunLabels
from metaflow.compute.jobs.packages import TaskPackages
from metaflow.compute.jobs.protocol import JobBackend
from metaflow.compute.jobs.spot import spot_variables
from metaflow.compute.package import name_in_package
from metaflow.compute.report import OTHER_SUFFIXES
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import CommandException
from metaflow.runtime.engine import Target
from metaflow.settings.table import S3_VERIFY_CERTIFICATE, SERVICE_URL


class RunFrame(NamedTuple):
    """What all targets of a run have in common.

    Attributes
    ----------
    run : str
        Its id.
    tags : tuple of str
        The user's.
    namespace : str or None
        For the client inside the tasks.
    log_bytes : int
        Most bytes kept of each stream of a task.
    """

    run: str
    tags: tuple[str, ...]
    namespace: str | None
    log_bytes: int


def shared_storage(
    workspace: Workspace, requests: Mapping[str, ResourceRequest], remark: Callable[[str], None]
) -> Workspace:
    """Return a workspace whose storage is shared by local and remote steps, if there are remote ones.

    Raises
    ------
    CommandException
        There is no object store, or more than one to choose from.
    """
    remote = {step: request.backend for step, request in requests.items() if request.backend != "local"}
    if not remote or workspace.datastore != "local":
        return workspace
    step, backend = next(iter(remote.items()))
    if workspace.options.datastore == "local":
        raise CommandException(
            f"The step '{step}' runs on {backend}, where the local datastore cannot be reached.",
            hint="leave out --datastore=local, or use --datastore=s3, gs or azure",
        )
    configured = list(workspace.settings.datastores.roots)
    if not configured:
        raise CommandException(
            f"The step '{step}' runs on {backend}, but no object store that both sides can reach is configured.",
            hint="set METAFLOW_DATASTORE_SYSROOT_S3 (or _GS, _AZURE) to an address such as s3://BUCKET/PREFIX",
        )
    if len(configured) > 1:
        raise CommandException(
            f"The step '{step}' runs on {backend}, but several object stores are configured: {', '.join(configured)}.",
            hint=f"choose one: --datastore={configured[0]}, or METAFLOW_DEFAULT_DATASTORE={configured[0]}",
        )
    shared = workspace.with_options(datastore=configured[0])
    remark(f"Steps run on {', '.join(sorted(set(remote.values())))}: the data of this run is in {shared.root}.")
    return shared


def make_targets(
    workspace: Workspace,
    frame: RunFrame,
    requests: Mapping[str, ResourceRequest],
    zygote: EarlyZygote,
    remark: Callable[[str], None],
) -> dict[str, Target]:
    """Return where the steps of the run go, by backend."""
    backends = sorted({request.backend for request in requests.values()})
    if "local" not in backends:
        zygote.stop()
    packages = task_packages(workspace, remark) if backends != ["local"] else None
    return {
        backend: local_target(workspace, frame, packages, zygote, remark)
        if packages is None or backend == "local"
        else _remote(workspace, frame, packages, backend, remark)
        for backend in backends
    }


def local_target(
    workspace: Workspace,
    frame: RunFrame,
    packages: TaskPackages | None,
    zygote: EarlyZygote,
    remark: Callable[[str], None],
) -> Target:
    """Return where tasks of this machine run; `packages` are those of the run, if other tasks run elsewhere."""
    environment = {LOCAL_ROOT: workspace.local_root, **extensions.for_tasks()}
    is_shared = workspace.metadata.kind == "service"
    if packages is not None:
        environment[CODE_PACKAGE] = packages.fact
    command = FlowCommand(
        workspace.script,
        workspace.path,
        _options(workspace, "reported" if is_shared else workspace.options.metadata),
        frame.run,
        frame.namespace,
        frame.tags,
        tuple(environment.items()),
        workspace.module,
    )
    grace = workspace.settings.runs.local_grace
    launcher = registry.load("launcher", "local")(zygote.take(workspace), remark, grace=grace)
    return Target(launcher, command, defers_metadata=is_shared)


def _remote(
    workspace: Workspace, frame: RunFrame, packages: TaskPackages, backend: str, remark: Callable[[str], None]
) -> Target:
    script = name_in_package(workspace.path, workspace.module)
    kind = workspace.metadata.kind
    metadata = {"local": "deferred", "service": "reported"}.get(kind, kind)
    options = _options(workspace, metadata)
    command = FlowCommand(script, script, options, frame.run, frame.namespace, frame.tags, module=workspace.module)
    jobs: JobBackend = registry.load("job backend", backend)(workspace.settings.values, say=remark)
    launcher = RemoteLauncher(
        jobs,
        workspace.storage,
        RunLabels(workspace.name, frame.run, workspace.settings.user),
        packages.links,
        {
            **_environment(workspace),
            **_certificates(workspace),
            **extensions.for_tasks(),
            **spot_variables(backend, workspace.datastore, workspace.settings.datastores.s3_endpoint),
            CODE_PACKAGE: packages.fact,
            OTHER_SUFFIXES: json.dumps(packages.other_suffixes),
        },
        grace=workspace.settings.runs.remote_grace,
        log_bytes=frame.log_bytes,
    )
    return Target(launcher, command, defers_metadata=metadata != kind)


def _options(workspace: Workspace, metadata: str | None) -> FlowOptions:
    """Return the options of a task."""
    return workspace.options._replace(
        quiet=True, metadata=metadata, datastore=workspace.datastore, datastore_root=workspace.root
    )


def _environment(workspace: Workspace) -> dict[str, str]:
    """Return the variables of every remote task: the settings that hold there too, and who runs it."""
    settings = workspace.settings
    region = {name: value for name, value in settings.sdk.items() if name in ("AWS_DEFAULT_REGION", "AWS_REGION")}
    travels = settings.values.for_tasks()
    if settings.datastores.s3_verify:
        travels.pop(S3_VERIFY_CERTIFICATE.name, None)  # a path here is none there
    if settings.service.internal_url is not None:
        travels[SERVICE_URL.name] = settings.service.internal_url
    return {**region, **travels, "METAFLOW_USER": settings.user}


def _certificates(workspace: Workspace) -> dict[str, str]:
    """Return the variable with the certificates that this launcher trusts for its store."""
    stores = workspace.settings.datastores
    found = carried(stores.s3_certificates) if workspace.datastore == "s3" and stores.s3_verify else ""
    return {CERTIFICATES: found} if found else {}
