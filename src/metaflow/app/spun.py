"""What a spun task is, for its launcher and its own process: which decorators it has, what replaces its inputs."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from metaflow.app.parameters import parameter_values
from metaflow.app.workspace import Workspace
from metaflow.compute.command import TaskOptions
from metaflow.compute.report import TaskReport
from metaflow.exception import CommandException
from metaflow.flow.config_value import plain
from metaflow.flow.decorator import StepDecorator
from metaflow.flow.spec import constants_of
from metaflow.flow.user_decorators import UserStep
from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.metadata_provider.local import SpinMetadata
from metaflow.metadata_provider.protocol import Recorder
from metaflow.runtime.inputs import is_storable
from metaflow.runtime.spun_task import SpunTask
from metaflow.runtime.task import TaskPlan
from metaflow.settings import table
from metaflow.store import internals
from metaflow.store.artifacts import read_parameters
from metaflow.store.protocol import Storage
from metaflow.store.spin import ScratchStorage, SpinStorage, SpunStorage

_NAME = "ARTIFACTS"


def applied(workspace: Workspace, step: str, *, skip_decorators: bool) -> tuple[Workspace, list[str]]:
    """Return the flow with those decorators of a step that spin applies, and the names of the others.

    Raises
    ------
    CommandException
        One of them is in METAFLOW_SPIN_DISALLOWED_DECORATORS.
    """
    values = workspace.settings.values
    allowed = () if skip_decorators else values[table.SPIN_ALLOWED_DECORATORS]
    decorators = workspace.plan.steps[step].decorators
    for decorator in decorators:
        if decorator.name in values[table.SPIN_DISALLOWED_DECORATORS]:
            raise CommandException(
                f"The step '{step}' has @{decorator.name}, which spin cannot run.",
                hint=f"`{workspace.invocation} resume {step}` runs the step as it is",
            )

    def is_applied(decorator: StepDecorator) -> bool:
        return isinstance(decorator, UserStep) or decorator.name in allowed

    left_out = [decorator.name for decorator in decorators if not is_applied(decorator)]
    return workspace.with_plan(workspace.plan.keeping(step, is_applied)), left_out


def run_spun_task(
    workspace: Workspace, task: TaskPlan, options: TaskOptions, report: Callable[[TaskReport], None]
) -> int:
    """Run a spun task; return the exit status of the process.

    Raises
    ------
    MetaflowException
        What replaces its inputs cannot be used, or it could not begin or end.
    """
    root, user = options.spin_root or "", workspace.settings.user
    results: Storage = SpinStorage(root) if root else ScratchStorage(workspace.settings.tempdir or "")
    recorder: Recorder = SpinMetadata(root, user) if root else DeferredMetadata()
    replaced = read_artifacts(options.artifacts_module, workspace) if options.artifacts_module is not None else {}
    added = _new_since(workspace, options.input_paths.partition("/")[0], replaced)
    storage = SpunStorage(workspace.storage, results)
    return SpunTask(
        workspace.plan, task, storage, recorder, report, replaced=replaced, added=added, keeps=bool(root)
    ).run()


def _new_since(workspace: Workspace, run: str, replaced: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the parameters and configs that the flow has got since a run, by attribute.

    Raises
    ------
    CommandException
        One of the parameters has no default, and nothing replaces it.
    """
    plan = workspace.plan
    index = read_parameters(workspace.storage, workspace.name, run)
    known = {*replaced, *(index.objects if index is not None else ())}
    new = {name: each for name, each in plan.parameters.items() if name not in known}
    for name, parameter in new.items():
        if parameter.required:
            raise CommandException(
                f"The run {run} has no parameter '{name}', which has no default.",
                hint=f"give it one, or a value: --artifacts-module FILE, with {_NAME} = {{'{name}': …}} in it",
            )
    values = parameter_values(workspace, {}, print, only=new) if new else {}
    configs = {name: plain(value) for name, value in plan.configs.values.items() if name not in known}
    return {**values, **configs}


def read_artifacts(path: str, workspace: Workspace) -> dict[str, Any]:
    """Return the dictionary ARTIFACTS of a Python file.

    Raises
    ------
    CommandException
        The file fails, has no such dictionary, or one that names what cannot be replaced.
    """
    module = _executed(path)
    values = getattr(module, _NAME, None)
    if not hasattr(module, _NAME):
        near = get_close_matches(_NAME, [name.upper() for name in vars(module)], n=1, cutoff=0.8)
        found = next((name for name in vars(module) if near and name.upper() == near[0]), None)
        raise CommandException(
            f"{path} has no {_NAME}.",
            hint=f"rename '{found}' to {_NAME}" if found else f"write {_NAME} = {{'name': value}}",
        )
    if not isinstance(values, Mapping):
        raise CommandException(
            f"{_NAME} in {path} is a {type(values).__name__}, not a dictionary.",
            hint=f"write {_NAME} = {{'name': value}}",
        )
    constants = constants_of(workspace.flow_class)
    for name in values:
        if not isinstance(name, str) or not is_storable(name) or internals.find(name) is not None:
            raise CommandException(f"{_NAME} in {path}: {name!r} is not the name of an artifact.")
        if name in workspace.flow_class._steps:
            raise CommandException(f"{_NAME} in {path}: '{name}' is a step of {workspace.name}.")
        if name in constants:
            raise CommandException(
                f"{_NAME} in {path}: '{name}' is an attribute of the class {workspace.name}.",
                hint="change it in the class: spin runs the source as it is now",
            )
    return dict(values)


def _executed(path: str) -> Any:
    name = Path(path).stem
    spec = spec_from_file_location(name if name.isidentifier() else _NAME.lower(), path)
    if spec is None or spec.loader is None:
        raise CommandException(f"--artifacts-module {path} is not a Python file.", hint="its name must end in .py")
    module = module_from_spec(spec)
    sys.modules.setdefault(spec.name, module)  # so that what its classes make can be pickled
    try:
        if isinstance(spec.loader, SourceFileLoader):
            # Not by the compiled file beside it: it counts as fresh if the source was edited within the same second.
            exec(spec.loader.source_to_code(spec.loader.get_data(path), path), vars(module))
        else:
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = next(
            (each.lineno for each in traceback.extract_tb(error.__traceback__)[::-1] if each.filename == path), None
        )
        failure = CommandException(f"The file of --artifacts-module fails: {type(error).__name__}: {error}.")
        failure.source_file, failure.line_no = path, getattr(error, "lineno", None) or line
        raise failure from error
    return module
