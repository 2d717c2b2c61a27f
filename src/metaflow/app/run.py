"""Carrying out a run: `run` begins one, `resume` goes on from an earlier one; both return how it ended.

They can be called from a command, a program, a thread, or where an event loop is running, as often as one likes in one
process. They print nothing: what is worth knowing on the way goes to `RunCallbacks`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from metaflow import registry
from metaflow.app.check import check_flow
from metaflow.app.driver import StartedRun
from metaflow.app.early import EarlyZygote
from metaflow.app.facts import contributions, system_facts, system_tags
from metaflow.app.loops import has_running_loop
from metaflow.app.options import RunOptions
from metaflow.app.parameters import parameter_values
from metaflow.app.requests import resource_requests
from metaflow.app.targets import RunFrame, make_targets, shared_storage
from metaflow.app.watch import SourceWatch
from metaflow.app.workspace import Workspace
from metaflow.client.site import Site
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import CommandException, MetaflowException, TaskFailed, text_of
from metaflow.flow.config import configs_of
from metaflow.metadata_provider.lease import Lease, NoLease, RunStatus, lease_of
from metaflow.metadata_provider.tags import check_first_tags
from metaflow.options import check
from metaflow.runtime.begin import begin_run
from metaflow.runtime.console import Console, SilentConsole
from metaflow.runtime.engine import Engine, EngineOptions
from metaflow.runtime.events import Finish
from metaflow.runtime.policy import check_attempts, policy_of
from metaflow.runtime.resume import Origin, Resumption
from metaflow.runtime.run_status import status_after, status_of
from metaflow.store.layout import PARAMETERS

T = TypeVar("T")


_FAREWELL = 10.0
"""Seconds that a run which was ended early waits for what it has recorded to arrive."""


def _ignore(what: object) -> None:
    pass


class RunCallbacks(NamedTuple):
    """Who is told what while a run is carried out. All are called in the thread of the run.

    Attributes
    ----------
    remark : callable
        Takes a sentence that may interest a person.
    warning : callable
        Takes a sentence that a person should see.
    started : callable
        Takes the run, before its first task.
    console : callable
        Given the run's event loop, returns what shows tasks and their output.
    """

    remark: Callable[[str], None] = _ignore
    warning: Callable[[str], None] = _ignore
    started: Callable[[StartedRun], None] = _ignore
    console: Callable[[asyncio.AbstractEventLoop], Console] = SilentConsole


_AS_BY_DEFAULT = RunOptions()
_SILENT = RunCallbacks()


class FinishedRun(NamedTuple):
    """How a run ended.

    Attributes
    ----------
    id : str
        The run.
    status : RunStatus
        ``successful``, ``failed`` or ``interrupted``, and why.
    finish : Finish
        The scheduler's last word: the task that failed first.
    cause : TaskFailed or None
        Why that task failed.
    signal : int or None
        Number of the signal that interrupted the run.
    """

    id: str
    status: RunStatus
    finish: Finish
    cause: TaskFailed | None = None
    signal: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it was successful."""
        return self.finish.ok


def run(
    workspace: Workspace,
    parameters: Mapping[str, Any] | None = None,
    options: RunOptions = _AS_BY_DEFAULT,
    callbacks: RunCallbacks = _SILENT,
    *,
    zygote: EarlyZygote | None = None,
    handle_signals: bool = False,
) -> FinishedRun:
    """Run a flow to its end.

    Parameters
    ----------
    workspace : Workspace
        The flow.
    parameters : mapping of str to object, optional
        By name of the parameter: a string, as on a command line, or a value of the parameter's type.
    options : RunOptions, optional
        How.
    callbacks : RunCallbacks, optional
        Who is told what.
    zygote : EarlyZygote, optional
        One that may have been started.
    handle_signals : bool
        Whether SIGINT, SIGTERM and SIGHUP end the run in good order; possible in the main thread only, where no event
        loop is running.

    Returns
    -------
    FinishedRun
        Also if a task failed.

    Raises
    ------
    MetaflowException
        The run could not begin, or not go on: the flow, an option or a setting is wrong, or the storage is away.
    ValueError
        Signals cannot be handled here.
    """
    workspace, requests = _prepare(workspace, options, callbacks, handle_signals)
    values = parameter_values(workspace, parameters or {}, callbacks.warning)
    return _Run(workspace, requests, options, callbacks, zygote, handle_signals).carry_out(values)


def resume(
    workspace: Workspace,
    origin_run: str | None = None,
    step_to_rerun: str | None = None,
    options: RunOptions = _AS_BY_DEFAULT,
    callbacks: RunCallbacks = _SILENT,
    *,
    zygote: EarlyZygote | None = None,
    handle_signals: bool = False,
) -> FinishedRun:
    """Run a flow to its end, taking over what an earlier run had finished.

    Parameters
    ----------
    workspace, options, callbacks, zygote, handle_signals
        As for `run`.
    origin_run : str, optional
        Id of the earlier run, or ``Flow/id``; by default the latest one. The new run has its tags as well.
    step_to_rerun : str, optional
        A step that runs anew even if it had finished.

    Raises
    ------
    MetaflowException
        As for `run`; or there is no such run or step, or the flow has parameters without a default that
        the earlier run had not.
    """
    if workspace.options.config or workspace.options.config_value:
        raise CommandException(
            "--config and --config-value cannot be given to resume: its configs are those of the run that it resumes.",
            hint=f"`{workspace.invocation} run` starts a run with other values",
        )
    run = _origin_run(workspace, origin_run)
    workspace, requests = _prepare(_with_configs_of(workspace, run), options, callbacks, handle_signals)
    if step_to_rerun is not None and step_to_rerun not in workspace.plan.graph:
        raise CommandException(
            f"The flow {workspace.name} has no step '{step_to_rerun}' to rerun.",
            hint=f"its steps are: {', '.join(workspace.plan.graph)}",
        )
    origin = _origin(workspace, run)
    values = _new_parameters(workspace, origin, callbacks)
    tags = (workspace.metadata.get((workspace.name, origin.run)) or {}).get("tags", ())
    if tags:
        callbacks.remark(f"Tags of the run {origin.run} that this run has too: {', '.join(tags)}.")
    options = options._replace(tags=tuple(check_first_tags([*tags, *options.tags])))
    callbacks.remark(f"Looking for finished tasks of the run {origin.run}.")
    return _Run(workspace, requests, options, callbacks, zygote, handle_signals).carry_out(
        values, origin, step_to_rerun
    )


def _prepare(
    workspace: Workspace, options: RunOptions, callbacks: RunCallbacks, handle_signals: bool
) -> tuple[Workspace, dict[str, ResourceRequest]]:
    """Check options and flow, before anything is written; return where the run will be, and what its steps ask for."""
    check_signals(handle_signals)
    check(options)
    check_first_tags(options.tags)
    check_writable("--run-id-file", options.run_id_file)
    check_writable("--runner-attribute-file", options.runner_attribute_file)
    workspace = workspace.planned_with(options.run_decospecs, options.run_without)
    check_flow(workspace, callbacks.remark)
    for step in workspace.plan.steps.values():
        check_attempts(step, workspace.settings.runs.max_attempts)
    requests = resource_requests(workspace)
    return shared_storage(workspace, requests, callbacks.remark), requests


def check_signals(handle_signals: bool) -> None:
    """Refuse to handle signals where that cannot be.

    Raises
    ------
    ValueError
        Signals are to be handled, and this is not the main thread, or a loop is running here.
    """
    if handle_signals and (has_running_loop() or threading.current_thread() is not threading.main_thread()):
        raise ValueError("handle_signals: signals can be handled in the main thread only, and without a running loop")


def check_writable(word: str, path: str | None) -> None:
    """Refuse a file that cannot be written before there is a run that nobody would hear of."""
    if path == "":
        raise CommandException(f"{word} is empty.", hint="give it the path of a file, or leave it out")
    if path is not None and (os.path.isdir(path) or not os.path.isdir(os.path.dirname(path) or ".")):
        trouble = "is a directory" if os.path.isdir(path) else "is in a directory that does not exist"
        raise CommandException(f"{word} {shlex.quote(path)}: the file {trouble}.")


def write_documents(documents: Mapping[str | None, str]) -> None:
    """Write the files that options ask for; None stands for one that was not given.

    Raises
    ------
    CommandException
        One cannot be written.
    """
    for path, text in documents.items():
        if path is None:
            continue
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise CommandException(f"The file {path} cannot be written: {error.strerror}.") from error


def _new_parameters(workspace: Workspace, origin: Origin, callbacks: RunCallbacks) -> dict[str, Any]:
    """Return the values of those parameters that have been added to the flow since, by attribute: their defaults.

    Raises
    ------
    CommandException
        One of them has no default.
    """
    parameters = workspace.plan.parameters
    new = {name: parameters[name] for name in parameters if name not in origin.parameters.objects}
    for name, parameter in new.items():
        if parameter.required:
            raise CommandException(
                f"The run {origin.run} has no parameter {name}, which has no default, and a resumed run has the "
                "parameters of the run that it resumes.",
                hint=f"give it a default, or begin a run with it: `{workspace.invocation} run`",
            )
    values = parameter_values(workspace, {}, callbacks.warning, only=new)
    if values:
        callbacks.remark(f"New since the run {origin.run}, with their defaults: {', '.join(values)}.")
    return values


def _with_configs_of(workspace: Workspace, run: str) -> Workspace:
    """Return a workspace with the configs of an earlier run, in whichever storage that is."""
    if not configs_of(workspace.flow_class):
        return workspace
    places = [workspace]
    if workspace.datastore == "local":
        places += [workspace.with_options(datastore=kind) for kind in workspace.settings.datastores.roots]
    place = next((place for place in places if place.has_run(run)), workspace)
    return workspace.with_configs_of(run, place.storage)


def _origin_run(workspace: Workspace, given: str | None) -> str:
    flow, _, run = given.rpartition("/") if given is not None else ("", "", None)
    if flow not in ("", workspace.name):
        raise CommandException(f"--origin-run-id {given}: this is a run of {flow}, not of {workspace.name}.")
    if run == "":
        raise CommandException(f"--origin-run-id '{given}' is not the id of a run.")
    run = run or workspace.metadata.latest_run(workspace.name)
    if run is None:
        raise CommandException(
            f"The flow {workspace.name} has no run here to resume.",
            hint=f"`{workspace.invocation} run` starts one; use --origin-run-id to resume another user's run",
        )
    return run


def _origin(workspace: Workspace, run: str) -> Origin:
    """Return the run to resume; its data must be where that of its continuation will be."""
    try:
        return Origin(workspace.storage, workspace.name, run)
    except CommandException as error:
        if _has_begun(workspace, run):
            raise (_origin_elsewhere(workspace, run) or error) from None
    raise CommandException(
        f"The run {run} ended before its first task: it has nothing to resume.",
        hint=f"`{workspace.invocation} run` begins a new one",
    )


def _origin_elsewhere(workspace: Workspace, run: str) -> CommandException | None:
    """Return the error of a run whose data is in another storage; None if it is not known to be."""
    there = Site(workspace.metadata, workspace.storage).storage_of((workspace.name, run, PARAMETERS, "0"))
    if (there.kind, there.root) == (workspace.storage.kind, workspace.storage.root):
        return None
    hint = f"name its place: --datastore={there.kind} --datastore-root={there.root}"
    if there.kind == "local":
        hint = "resume it on this machine (`--without` takes a backend away), or start a new run there; with "
        hint += "METAFLOW_DEFAULT_DATASTORE=s3 (gs, azure) also local steps keep data where all steps reach them"
    return CommandException(
        f"The data of the run {run} is in {there.root}, and that of its continuation would be in "
        f"{workspace.storage.describe('')}: a run is resumed where its data is.",
        hint=hint,
    )


def _has_begun(workspace: Workspace, run: str) -> bool:
    """Tell whether a run came to its first task, or is not known here."""
    catalog, path = workspace.metadata, (workspace.name, run)
    parameters = ((*path, PARAMETERS, task) for task in catalog.names((*path, PARAMETERS)))
    return catalog.get(path) is None or any(catalog.facts(task, "attempt_ok") for task in parameters)


class _Run:
    """One run, from its registration to its end."""

    def __init__(
        self,
        workspace: Workspace,
        requests: Mapping[str, ResourceRequest],
        options: RunOptions,
        callbacks: RunCallbacks,
        zygote: EarlyZygote | None,
        handle_signals: bool,
    ) -> None:
        self._workspace = workspace
        self._requests = requests
        self._options = options
        self._tags = check_first_tags(options.tags)
        self._system_tags = system_tags(workspace.settings, contributions(workspace))
        self._callbacks = callbacks
        self._zygote = zygote or EarlyZygote()
        self._handle_signals = handle_signals

    def carry_out(
        self, values: Mapping[str, Any], origin: Origin | None = None, rerun: str | None = None
    ) -> FinishedRun:
        """Begin the run and bring it to its end.

        Parameters
        ----------
        values : mapping of str to object
            Attribute name to value of each parameter; empty for a run that has those of its origin.
        origin : Origin, optional
            The run to go on from.
        rerun : str, optional
            The step to run anew.
        """
        workspace = self._workspace
        workspace.metadata.tell(self._callbacks.remark)
        source = SourceWatch(workspace.path)
        lease: Lease = NoLease()

        def claim(run: str) -> None:
            nonlocal lease
            lease = lease_of(workspace.metadata, workspace.name, run)
            lease.take()

        run_id = None
        try:
            run_id = self._register(values, origin, claim)
            started = self._started(run_id)
            self._write_files(started)
            self._callbacks.started(started)
            resumption = self._resumption(run_id, origin, rerun) if origin is not None else None
            engine = self._engine(run_id, resumption, lease)
            finish = to_its_end(
                lambda: engine.run(self._callbacks.console, handle_signals=self._handle_signals), engine.cancel
            )
        except BaseException as error:  # the engine could not go on, with a full disk for instance
            ended = status_after(error)
            lease.end(ended.state, ended.failure)
            if run_id is not None:
                with suppress(MetaflowException):  # it may be what has ended the run
                    self._deliver(_FAREWELL)
            if run_id is not None and isinstance(error, (MetaflowException, KeyboardInterrupt)):
                self._after_run(run_id, False)
            raise
        finally:
            self._zygote.stop()
            self._tell_changes(source.changed())
        cause = engine.failures.get(finish.culprit.id) if finish.culprit is not None else None
        status = status_of(finish, engine.interrupted, cause)
        lease.end(status.state, status.failure)
        self._deliver(None if engine.interrupted is None else _FAREWELL)
        self._after_run(run_id, finish.ok)
        return FinishedRun(run_id, status, finish, cause, engine.interrupted)

    def _deliver(self, seconds: float | None) -> None:
        """Wait until all that was recorded is where others can read it, for some seconds at most."""
        metadata = self._workspace.metadata
        if not metadata.flush(seconds):
            self._callbacks.warning(f"Not all of the run is recorded: {metadata.root} gives no answers.")

    def _register(self, values: Mapping[str, Any], origin: Origin | None, claim: Callable[[str], None]) -> str:
        workspace = self._workspace
        return begin_run(
            workspace.plan,
            values,
            workspace.storage,
            workspace.metadata,
            tags=self._tags,
            system_tags=self._system_tags,
            facts=system_facts(workspace.settings, workspace.script),
            origin=origin.parameters if origin is not None else None,
            claim=claim,
        )

    def _tell_changes(self, files: list[str]) -> None:
        if files:
            names = [os.path.relpath(file, os.path.dirname(self._workspace.path)) for file in files]
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            have = "has" if len(names) == 1 else "have"
            self._callbacks.warning(
                f"{shown} {have} changed since this run began; its local tasks ran the source as it was then."
            )

    def _started(self, run_id: str) -> StartedRun:
        workspace = self._workspace
        metadata, storage = workspace.metadata, workspace.storage
        return StartedRun(workspace.name, run_id, metadata.kind, metadata.root, storage.kind, storage.root)

    def _write_files(self, run: StartedRun) -> None:
        """Write the files that the options ask for."""
        attributes = {
            "run_id": run.id,
            "flow_name": run.flow,
            "metadata": Site(self._workspace.metadata, self._workspace.storage).address,
        }
        write_documents(
            {self._options.run_id_file: run.id, self._options.runner_attribute_file: json.dumps(attributes)}
        )

    def _resumption(self, run_id: str, origin: Origin, rerun: str | None) -> Resumption:
        workspace = self._workspace
        return Resumption(
            origin,
            workspace.plan.graph,
            rerun,
            workspace.metadata,
            run_id,
            tags=self._tags,
            system_tags=self._system_tags,
        )

    def _engine(self, run_id: str, resumption: Resumption | None, lease: Lease) -> Engine:
        workspace, options = self._workspace, self._options
        settings = workspace.settings
        log_bytes = options.max_log_size * 1_000_000
        frame = RunFrame(run_id, tuple(self._tags), self._namespace(), log_bytes)
        targets = make_targets(workspace, frame, self._requests, self._zygote, self._callbacks.remark)
        limits = EngineOptions(
            options.max_workers, options.max_num_splits, log_bytes, self._system_tags, settings.runs.preflight
        )
        policies = {
            name: policy_of(step, self._requests[name], preemption_retries=settings.runs.preemption_retries)
            for name, step in workspace.plan.steps.items()
        }
        return Engine(
            workspace.name,
            run_id,
            workspace.plan.graph,
            targets,
            workspace.storage,
            workspace.metadata,
            limits,
            policy=policies.__getitem__,
            reuse=resumption,
            lease=lease,
        )

    def _namespace(self) -> str | None:
        """Return the namespace for the client in the tasks; None for the global one."""
        if self._options.namespace is None:
            return f"user:{self._workspace.settings.user}"
        return self._options.namespace or None

    def _after_run(self, run_id: str, ok: bool) -> None:
        def open_run() -> Any:
            return registry.load("client object", "Run")(f"{self._workspace.name}/{run_id}", _namespace_check=False)

        for decorator in self._workspace.plan.decorators:
            for name, error in decorator.after_run(ok, open_run):
                self._callbacks.warning(f"The exit hook {name} failed: {type(error).__name__}: {text_of(error)}")


def to_its_end(work: Callable[[], Coroutine[Any, Any, T]], cancel: Callable[[str], None]) -> T:
    """Run a coroutine to its end; in a thread of its own where this one has a running loop, as in a notebook."""
    if not has_running_loop():
        return asyncio.run(work())
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(lambda: asyncio.run(work()))
        while True:
            try:
                return future.result()
            except KeyboardInterrupt:
                if future.done():
                    raise
                cancel("Ctrl-C")  # and wait for its end in good order
