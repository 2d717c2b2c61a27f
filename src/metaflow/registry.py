"""The one table of everything that is found by name: kind and name → ``module:attribute``.

Strings keep heavy modules unloaded until somebody asks. To add a backend, write its module and a row here; nothing
else in the house changes. A name that has no row may be that of an extension (`metaflow.extensions`), which never takes
the name of a row. Start reading at `_TABLE`, then `load`.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any

from metaflow.exception import CommandException

_TABLE: dict[str, dict[str, str]] = {
    "datastore": {
        "azure": "metaflow.store.objects.storage:AzureStorage",
        "gs": "metaflow.store.objects.storage:GoogleStorage",
        "local": "metaflow.store.local:LocalStorage",
        "s3": "metaflow.store.objects.storage:S3Storage",
        "spin": "metaflow.store.spin:SpinStorage",
    },
    "metadata": {
        "deferred": "metaflow.metadata_provider.deferred:DeferredMetadata",
        "local": "metaflow.metadata_provider.local:LocalMetadata",
        "reported": "metaflow.metadata_provider.service.reported:ReportedMetadata",
        "service": "metaflow.metadata_provider.service.metadata:ServiceMetadata",
        "spin": "metaflow.metadata_provider.local:SpinMetadata",
    },
    "launcher": {
        "local": "metaflow.compute.local.launcher:LocalLauncher",
    },
    "job backend": {
        "batch": "metaflow.compute.batch.backend:BatchBackend",
        "kubernetes": "metaflow.compute.kubernetes.backend:KubernetesBackend",
    },
    "environment": {
        "local": "metaflow.compute.command:PlainEnvironment",
    },
    "step decorator": {
        "batch": "metaflow.decorators.batch:BatchDecorator",
        "card": "metaflow.decorators.card:CardDecorator",
        "catch": "metaflow.decorators.catch:CatchDecorator",
        "environment": "metaflow.decorators.environment:EnvironmentDecorator",
        "kubernetes": "metaflow.decorators.kubernetes:KubernetesDecorator",
        "resources": "metaflow.decorators.resources:ResourcesDecorator",
        "retry": "metaflow.decorators.retry:RetryDecorator",
        "timeout": "metaflow.decorators.timeout:TimeoutDecorator",
    },
    "flow decorator": {
        "exit_hook": "metaflow.decorators.exit_hook:ExitHookDecorator",
        "project": "metaflow.decorators.project:ProjectDecorator",
        "schedule": "metaflow.decorators.schedule:ScheduleDecorator",
        "trigger": "metaflow.decorators.trigger:TriggerDecorator",
        "trigger_on_finish": "metaflow.decorators.trigger_on_finish:TriggerOnFinishDecorator",
    },
    "card": {
        "blank": "metaflow.cards.blank:BlankCard",
        "default": "metaflow.cards.default:DefaultCard",
        "error": "metaflow.cards.error:ErrorCard",
    },
    "cards": {
        "TaskCards": "metaflow.cards.in_task:TaskCards",
    },
    "lease": {
        "database": "metaflow.metadata_provider.service.lease:DatabaseLease",
        "local": "metaflow.metadata_provider.lease:LocalLease",
        "service": "metaflow.metadata_provider.service.lease:ServiceLease",
    },
    "client object": {
        "Run": "metaflow.client:Run",
        "Task": "metaflow.client:Task",
    },
    "language": {
        "FlowGraph": "metaflow.flow.flow_graph:FlowGraph",
        "FlowSpec": "metaflow.flow.spec:FlowSpec",
        "current": "metaflow.flow.current:current",
    },
}

# Names that users of Metaflow know and that this version does not have yet: the answer says so.
_PLANNED: dict[str, tuple[str, ...]] = {
    "environment": ("conda", "pypi", "uv"),
    "step decorator": ("conda", "parallel", "pypi", "pytorch_parallel", "secrets"),
    "flow decorator": ("conda_base", "pypi_base"),
}


def names(kind: str) -> list[str]:
    """Return the names of `kind` in the table, sorted; those of extensions are not looked for."""
    return sorted(_TABLE[kind])


def names_with_extensions(kind: str) -> list[str]:
    """Return all names of `kind`, sorted; looks through what is installed."""
    from metaflow import installed

    return sorted({*_TABLE[kind], *(each.name for each in installed.every() if each.kind == kind)})


def register(kind: str, name: str, target: str) -> str | None:
    """Add a row and return the target that it replaces; `target` is ``module:attribute`` and is not imported here."""
    replaced = _TABLE[kind].get(name)
    _TABLE[kind][name] = target
    return replaced


def module(kind: str, name: str) -> str:
    """Return the module of a registered name, without importing it."""
    return _TABLE[kind][name].partition(":")[0]


def load(kind: str, name: str) -> Any:
    """Import and return what `name` stands for.

    Parameters
    ----------
    kind : str
        A kind of the table: ``"datastore"``, ``"step decorator"``, …
    name : str
        The name that a user wrote.

    Raises
    ------
    CommandException
        Nothing of this kind has this name; the nearest name is the hint.
    InvalidExtension
        It is the name of an extension that cannot be used.
    """
    if name in _TABLE[kind]:
        module, _, attribute = _TABLE[kind][name].partition(":")
        return getattr(import_module(module), attribute)
    from metaflow import extensions  # a task that needs none does not load it

    found = extensions.load(kind, name)
    if found is None:
        raise unknown(kind, name) from None
    return found


def unknown(kind: str, name: str) -> CommandException:
    """Return the error for a name that is not in the table."""
    if name in _PLANNED.get(kind, ()):
        return CommandException(f"The {kind} '{name}' is not available in this version of Millrace.")
    if kind == "step decorator" and (name in _TABLE["flow decorator"] or name in _PLANNED["flow decorator"]):
        missing = "" if name in _TABLE["flow decorator"] else " It is not available in this version of Millrace."
        hint = "write it above the class of the flow" if not missing else None
        return CommandException(f"'{name}' is a decorator of flows, not of steps.{missing}", hint=hint)
    all_names = names_with_extensions(kind)
    near = difflib.get_close_matches(name, all_names, n=1)
    known = ", ".join(all_names) or "none"
    return CommandException(
        f"There is no {kind} '{name}'.",
        hint=f"did you mean '{near[0]}'?" if near else f"known names: {known}",
    )
