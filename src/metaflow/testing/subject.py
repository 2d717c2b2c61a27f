"""Which step of which flow a test means, and the flow as it is planned for the test.

A step is a function, which does not know the class that it is asked of: ``Child.train`` is ``Base.train``. Where
several flows have it, the call of `run_step` says which is meant; if it does not, the flow must be named, since a guess
could be wrong and nobody would notice. Start reading at `find_step`, then `plan_for_test`.
"""

from __future__ import annotations

import ast
import difflib
import linecache
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from metaflow import settings
from metaflow.app.configs import LoadedConfigs
from metaflow.app.parameters import parameter_values
from metaflow.app.workspace import Workspace
from metaflow.compute.command import FlowOptions
from metaflow.exception import CommandException, InvalidTestSetup
from metaflow.flow import graph
from metaflow.flow.decorator import StepDecorator
from metaflow.flow.graph import Graph
from metaflow.flow.included import IncludedFile
from metaflow.flow.parameters import check_parameters
from metaflow.flow.plan import FlowPlan
from metaflow.flow.spec import FlowSpec, initial_of
from metaflow.flow.user_decorators import UserStep
from metaflow.settings import Settings
from metaflow.store.memory import MemoryStorage

Decorators = bool | str | tuple[str, ...] | list[str]
"""Which decorators are wrapped around a step: all, none, or those of these names."""

_graphs: WeakKeyDictionary[type[FlowSpec], Graph] = WeakKeyDictionary()


def find_step(step: Any, name: str | None, caller: FrameType) -> tuple[type[FlowSpec], str]:
    """Return flow and name of the step that is meant by ``MyFlow.train``, or by ``MyFlow`` and ``"train"``.

    Parameters
    ----------
    step, name
        As given to `run_step`.
    caller : frame
        Of the code that has called `run_step`, and is doing so.

    Raises
    ------
    InvalidTestSetup
        There is no such step, or several flows have it.
    """
    if isinstance(step, type) and issubclass(step, FlowSpec):
        return step, _step_of(step, name)
    if name is not None:
        raise InvalidTestSetup(
            f"run_step() is given a step and the name '{name}'.",
            hint="write run_step(MyFlow.train) or run_step(MyFlow, 'train')",
        )
    owner = getattr(step, "__self__", None)
    if isinstance(owner, FlowSpec):
        return type(owner), _step_of(type(owner), step.__name__)
    found = [(flow, name) for flow in _flows(FlowSpec) for name, member in flow._steps.items() if member is step]
    if not found:
        raise InvalidTestSetup(
            f"run_step() takes a step such as MyFlow.train, and {_shown(step)} is none.",
            hint="a step is a method of a FlowSpec with @step directly above it",
        )
    if len(found) == 1:
        return found[0]
    written = _class_in_call(caller)
    for flow, name in found:
        if flow is written:
            return flow, name
    names = ", ".join(dict.fromkeys(flow.__name__ for flow, _ in found))
    raise InvalidTestSetup(
        f"Several flows have this step '{found[0][1]}': {names}.",
        hint=f"name the flow: run_step({found[0][0].__name__}, '{found[0][1]}')",
    )


def _class_in_call(caller: FrameType) -> Any:
    """Return what stands before the last dot of the first argument, in the call that a frame is making; else None."""
    line, end, column, end_column = list(caller.f_code.co_positions())[caller.f_lasti // 2]
    if line is None or end is None or column is None or end_column is None:
        return None
    lines = [each.encode() for each in linecache.getlines(caller.f_code.co_filename, caller.f_globals)[line - 1 : end]]
    try:
        lines[-1] = lines[-1][:end_column]
        lines[0] = lines[0][column:]
        call = ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except (IndexError, SyntaxError):
        return None
    if not isinstance(call, ast.Call) or not call.args or not isinstance(call.args[0], ast.Attribute):
        return None
    names = ast.unparse(call.args[0].value).split(".")
    value = {**caller.f_builtins, **caller.f_globals, **caller.f_locals}.get(names[0])
    for name in names[1:]:
        value = getattr(value, name, None)
    return value


def _step_of(flow: type[FlowSpec], name: Any) -> str:
    if isinstance(name, str) and name in flow._steps:
        return name
    known = f"its steps: {', '.join(flow._steps) or 'none'}"
    if name is None:
        raise InvalidTestSetup(f"run_step({flow.__name__}) names no step.", hint=known)
    if not isinstance(name, str):
        raise InvalidTestSetup(f"{_shown(name)} is not the name of a step of the flow {flow.__name__}.", hint=known)
    near = difflib.get_close_matches(name, flow._steps, n=1)
    raise InvalidTestSetup(
        f"The flow {flow.__name__} has no step '{name}'.", hint=f"did you mean '{near[0]}'?" if near else known
    )


def _flows(parent: type[FlowSpec]) -> Iterator[type[FlowSpec]]:
    seen = set()
    todo = [parent]
    for flow in todo:
        for child in flow.__subclasses__():
            if child not in seen:
                seen.add(child)
                todo.append(child)
                yield child


def _shown(value: Any) -> str:
    return getattr(value, "__qualname__", None) or repr(value)


def workspace_for_test(
    flow_class: type[FlowSpec],
    config: Mapping[str, Any],
    *,
    earlier: LoadedConfigs | None = None,
    home: str | os.PathLike[str] | None = None,
) -> Workspace:
    """Return the flow with the configs of a test, without the settings of this installation, in an own storage.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The flow.
    config : mapping of str to object
        By name: the path of a file, as a `pathlib.Path`; a text for the parser; or a dictionary.
    earlier : LoadedConfigs, optional
        Those of the steps before, if there are; they stand unless `config` has any.
    home : str or path, optional
        Directory in which the run is kept; in memory if not given.
    """
    files = {name: os.fspath(value) for name, value in config.items() if isinstance(value, os.PathLike)}
    values = {name: value for name, value in config.items() if name not in files}
    options = FlowOptions(config=tuple(files.items()), config_value=tuple(values.items()))
    workspace = Workspace(
        flow_class,
        options,
        settings=_no_settings(os.path.abspath(home) if home is not None else ""),
        initial=initial_of(flow_class),
        storage=MemoryStorage() if home is None else None,
    )
    return workspace if earlier is None or config else workspace.with_configs(earlier)


@cache
def _no_settings(home: str) -> Settings:
    places = {"METAFLOW_HOME": os.devnull, "METAFLOW_DATASTORE_SYSROOT_LOCAL": home}
    return settings.load({"METAFLOW_USER": "tester", **places}, os.devnull)


def plan_for_test(workspace: Workspace, decorators: Decorators, step: str | None = None) -> FlowPlan:
    """Return the plan of a flow whose steps have only those decorators that a test wants.

    Parameters
    ----------
    workspace : Workspace
        The flow.
    decorators : bool or str or tuple of str
        Which.
    step : str, optional
        The step that has them; any if not given.

    Raises
    ------
    InvalidTestSetup
        None of the steps has a decorator of this name.
    MetaflowException
        The flow cannot be planned.
    """
    plan = workspace.plan
    wanted: Callable[[StepDecorator], bool]
    if isinstance(decorators, bool):
        wanted = lambda decorator: decorators  # noqa: E731
    else:
        names = {decorators} if isinstance(decorators, str) else set(decorators)
        _check_names(names, plan, step)
        wanted = lambda decorator: not names.isdisjoint(_names(decorator))  # noqa: E731
    steps = {
        name: each._replace(decorators=tuple(one for one in each.decorators if one.is_used_by_code or wanted(one)))
        for name, each in plan.steps.items()
    }
    return FlowPlan(
        plan.flow_class, steps, plan.decorators, plan.parameters, plan.configs, {}, plan.initial, graph_of(plan)
    )


def _check_names(names: set[str], plan: FlowPlan, step: str | None) -> None:
    steps = [plan.steps[step]] if step is not None else list(plan.steps.values())
    known = {name for each in steps for decorator in each.decorators for name in _names(decorator)}
    for name in sorted(names - known):
        where = f"step '{step}'" if step is not None else f"flow {plan.name}"
        raise InvalidTestSetup(
            f"The {where} has no decorator '{name}'.", hint=f"there are: {', '.join(sorted(known)) or 'none'}"
        )


def _names(decorator: StepDecorator) -> tuple[str, ...]:
    return (decorator.name, decorator.user_name) if isinstance(decorator, UserStep) else (decorator.name,)


def graph_of(plan: FlowPlan) -> Graph:
    """Return the structure of a flow, its source read once in this process.

    Raises
    ------
    InvalidFlow
        The source of a step is not to be found.
    """
    found = _graphs.get(plan.flow_class)
    if found is None:
        found = _graphs[plan.flow_class] = graph.read(plan.flow_class)
    return found


def parameters_for_test(
    workspace: Workspace, params: Mapping[str, Any], *, defaults: bool = True, required: bool = False
) -> dict[str, Any]:
    """Return values of parameters by attribute, checked and converted as for a run.

    Parameters
    ----------
    workspace : Workspace
        The flow.
    params : mapping of str to object
        By name or attribute of the parameter: a string, as on a command line, or a value of its type.
    defaults : bool
        Whether those that are not given have their defaults.
    required : bool
        Whether it is an error if one is required that is not given; else a step that asks for it fails.

    Raises
    ------
    MetaflowException
        There is no such parameter, it cannot have this value, or one is missing.
    """
    declared = workspace.parameters
    check_parameters(declared)
    given = {declared[name].name if name in declared else name: value for name, value in params.items()}
    missing = [
        attribute
        for attribute, parameter in declared.items()
        if parameter.required and parameter.default is None and parameter.name not in given
    ]
    wanted = [
        attribute
        for attribute, parameter in declared.items()
        if parameter.name in given or (defaults and attribute not in missing)
    ]
    try:
        values = parameter_values(workspace, given, lambda sentence: None, only=wanted)
    except CommandException as error:
        if error.hint is not None and workspace.invocation in error.hint:
            error.hint = None  # nobody has typed a command
        raise
    if missing and required:
        raise InvalidTestSetup(
            f"The parameter '{declared[missing[0]].name}' is required and has no default.",
            hint=f"give it in params={{'{missing[0]}': …}}",
        )
    storage = workspace.files_storage
    return {
        name: value.decode(lambda kind, root: storage) if isinstance(value, IncludedFile) else value
        for name, value in values.items()
    }
