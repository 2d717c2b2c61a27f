"""Where the steps of a run go: the storage that all of them reach, and a launcher for each backend they ask for.

Start reading at `choose_storage`, which a run calls before anything is written, then at `make_places`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from metaflow import registry
from metaflow.cli import early
from metaflow.cli.session import CODE_PACKAGE, LOCAL_ROOT, Session
from metaflow.compute.command import FlowCommand
from metaflow.exception import CommandException

if TYPE_CHECKING:
    from metaflow.compute.jobs.packages import TaskPackages
    from metaflow.compute.jobs.protocol import JobBackend
    from metaflow.compute.resources import ResourceRequest
    from metaflow.runtime.engine import Place

_REGION = ("AWS_DEFAULT_REGION", "AWS_REGION")


def choose_storage(session: Session, requests: Mapping[str, ResourceRequest]) -> None:
    """See to it that remote steps, if there are any, share an object store with the local ones.

    Raises
    ------
    CommandException
        There is none, or more than one to choose from.
    """
    remote = {step: request.backend for step, request in requests.items() if request.backend != "local"}
    if not remote or session.datastore != "local":
        return
    step, backend = next(iter(remote.items()))
    if session.options.get("datastore") == "local":
        raise CommandException(
            f"The step '{step}' runs on {backend}, where the local datastore cannot be reached.",
            hint="leave out --datastore=local, or take --datastore=s3, gs or azure",
        )
    there = list(session.object_stores.roots)
    if not there:
        raise CommandException(
            f"The step '{step}' runs on {backend}, and no object store is configured that it shares with this machine.",
            hint="set METAFLOW_DATASTORE_SYSROOT_S3 (or _GS, _AZURE) to a place such as s3://BUCKET/PREFIX",
        )
    if len(there) > 1:
        raise CommandException(
            f"The step '{step}' runs on {backend}, and several object stores are configured: {', '.join(there)}.",
            hint=f"choose one: --datastore={there[0]}, or METAFLOW_DEFAULT_DATASTORE={there[0]}",
        )
    session.options["datastore"] = there[0]
    session.say(f"Steps run on {', '.join(sorted(set(remote.values())))}: the data of this run is in {session.root}.")


class RunFrame(NamedTuple):
    """What the places of a run have in common.

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


def make_places(session: Session, frame: RunFrame, requests: Mapping[str, ResourceRequest]) -> dict[str, Place]:
    """Return where the steps of the run go, by backend."""
    backends = sorted({request.backend for request in requests.values()})
    packages = _packages(session) if backends != ["local"] else None
    places = {}
    for backend in backends:
        if packages is None or backend == "local":
            places[backend] = _local(session, frame, packages)
        else:
            places[backend] = _remote(session, frame, packages, backend)
    if "local" not in backends:
        early.stop()
    return places


def _packages(session: Session) -> TaskPackages:
    from metaflow.cli.package import task_packages

    return task_packages(session)


def _local(session: Session, frame: RunFrame, packages: TaskPackages | None) -> Place:
    from metaflow.runtime.engine import Place

    command = FlowCommand(
        session.script,
        session.path,
        _options(session, session.options["metadata"]),
        session.flow_name,
        frame.run,
        frame.namespace,
        frame.tags,
        ((LOCAL_ROOT, session.local_root), *(((CODE_PACKAGE, packages.fact),) if packages is not None else ())),
    )
    return Place(registry.load("launcher", "local")(early.take(session)), command)


def _remote(session: Session, frame: RunFrame, packages: TaskPackages, backend: str) -> Place:
    from metaflow.compute.jobs.launcher import RemoteLauncher, RunLabels
    from metaflow.runtime.engine import Place

    script = os.path.basename(session.path)
    carries = session.metadata.kind == "local"
    options = _options(session, "deferred" if carries else session.metadata.kind)
    command = FlowCommand(script, script, options, session.flow_name, frame.run, frame.namespace, frame.tags)
    jobs: JobBackend = registry.load("job backend", backend)(session.settings.values, say=session.say)
    launcher = RemoteLauncher(
        jobs,
        session.storage,
        RunLabels(session.flow_name, frame.run, session.settings.user),
        packages.links,
        {**_environment(session), **_spot(session, backend), CODE_PACKAGE: packages.fact},
        log_bytes=frame.log_bytes,
    )
    return Place(launcher, command, carries)


def _spot(session: Session, backend: str) -> dict[str, str]:
    """Return what makes a task listen for the notice that its machine is taken away: where that may be one of AWS."""
    may_be = backend == "batch" or (session.datastore == "s3" and session.object_stores.s3_endpoint is None)
    from metaflow.compute.jobs.entry import SPOT

    return {SPOT: "aws"} if may_be else {}


def _options(session: Session, metadata: str | None) -> tuple[str, ...]:
    """Return the top-level options of a task."""
    given = {
        "metadata": metadata,
        "environment": session.options["environment"],
        "datastore": session.datastore,
    }
    return (
        "--quiet",
        f"--datastore-root={session.root}",
        *(f"--{name}={value}" for name, value in given.items() if value is not None),
        *(f"--without={name}" for name in session.options["without"]),
        *(f"--with={spec}" for spec in session.options["decospecs"]),
    )


def _environment(session: Session) -> dict[str, str]:
    """Return the variables of every remote task: the settings that hold there too, and who runs it."""
    region = {name: session.environ[name] for name in _REGION if session.environ.get(name)}
    return {**region, **session.settings.values.for_tasks(), "METAFLOW_USER": session.settings.user}
