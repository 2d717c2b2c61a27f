"""`@trigger_on_finish`: flows whose successful runs start a deployed flow. Stands on the class.

On this machine ``--trigger Flow/Run`` plays it through: `current.trigger` is then as if that run had started this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar, overload

from metaflow.decorators.trigger import check_keys, checked_options, one_or_several
from metaflow.exception import CommandException
from metaflow.flow import events
from metaflow.flow.flow_decorator import Contribution, FlowDecorator, RunContext
from metaflow.flow.notes import note_on_flow
from metaflow.settings.kinds import shown

Flow = TypeVar("Flow", bound=type)

_KEYS = ("name", "project", "project_branch")
_FORM = "write 'FlowName', 'project.branch.FlowName', or {'name': …, 'project': …, 'project_branch': …}"


class Upstream(NamedTuple):
    """A flow whose end is waited for.

    Attributes
    ----------
    flow : str
        Its name.
    project, branch : str or None
        Where it belongs; None: as the flow that waits.
    """

    flow: str
    project: str | None = None
    branch: str | None = None


class TriggerOnFinish(NamedTuple):
    """What starts a flow: successful runs of all of these.

    Attributes
    ----------
    flows : tuple of Upstream or callable
        In the user's order; a function returns when the flow is deployed what could be written in its place.
    options : mapping of str to object
        For what the flow is deployed to.
    """

    flows: tuple[Upstream | Callable[..., Any], ...]
    options: Mapping[str, Any]


class TriggerOnFinishDecorator(FlowDecorator):
    name = "trigger_on_finish"
    defaults: ClassVar[dict[str, Any]] = {"flow": None, "flows": [], "options": {}}

    trigger: TriggerOnFinish

    def check(self) -> None:
        flows = tuple(self._upstream(each) for each in one_or_several(self, "flow", "flows"))
        self.trigger = TriggerOnFinish(flows, checked_options(self))

    def check_run(self, run: RunContext, has_run: Callable[[str, str], bool]) -> None:
        for pathspec in run.options.get("trigger", ()):
            flow, slash, run_id = pathspec.partition("/")
            if not (flow and slash and run_id) or "/" in run_id:
                raise CommandException(
                    f"--trigger {pathspec}: expected a flow and the id of a run.", hint="write --trigger FlowName/1234"
                )
            if not has_run(flow, run_id):
                raise CommandException(f"--trigger {pathspec}: there is no such run.")

    def contribute(self, run: RunContext) -> Contribution:
        pathspecs = run.options.get("trigger", ())
        return Contribution({"trigger": events.Trigger(pathspecs)} if pathspecs else {})

    def _upstream(self, given: Any) -> Upstream | Callable[..., Any]:
        if callable(given):
            return given  # type: ignore[no-any-return]
        flow: Any
        if isinstance(given, str):
            project, branch, flow = self._parts(given)
        elif isinstance(given, Mapping):
            check_keys(self, given, _KEYS, "flow")
            flow, project, branch = (given.get(key) for key in _KEYS)
        else:
            raise self.error(f"@trigger_on_finish: {shown(given)} is not a flow.", hint=_FORM)
        if not isinstance(flow, str) or not flow.isidentifier():
            raise self.error(f"@trigger_on_finish: {shown(flow)} is not a valid flow name.", hint=_FORM)
        for key, value in (("project", project), ("project_branch", branch)):
            if value is not None and (not isinstance(value, str) or not value):
                raise self.error(f"@trigger_on_finish: {key} is {shown(value)}, not a string.", hint=_FORM)
        return Upstream(flow, project, branch)

    def _parts(self, name: str) -> tuple[str | None, str | None, str]:
        rest, _, flow = name.rpartition(".")
        project, _, branch = rest.partition(".")
        if rest and not (project and branch):
            raise self.error(f"@trigger_on_finish: {shown(name)} has a project without a branch.", hint=_FORM)
        return project or None, branch or None, flow


@overload
def trigger_on_finish(flow_class: Flow, /) -> Flow: ...
@overload
def trigger_on_finish(
    *,
    flow: str | Mapping[str, str] | Callable[..., Any] | None = None,
    flows: Sequence[str | Mapping[str, str] | Callable[..., Any]] = (),
    options: Mapping[str, Any] | None = None,
) -> Callable[[Flow], Flow]: ...
def trigger_on_finish(flow_class: Any = None, /, **attributes: Any) -> Any:
    """Start a flow when others have ended successfully, once it is deployed.

    Parameters
    ----------
    flow : str or dict, optional
        Its name, ``project.branch.Name``, or ``{"name": …, "project": …, "project_branch": …}``; what is not said is as
        for the flow that waits. Also a function that returns this when the flow is deployed.
    flows : list, optional
        Several: all of them must have ended.
    options : dict, optional
        For what the flow is deployed to.

    Raises
    ------
    InvalidDecoratorAttribute
        When the flow is used: there is no flow, or one cannot be.
    InvalidFlow
        It stands on something else than a flow.
    """
    return note_on_flow(TriggerOnFinishDecorator, flow_class, attributes)
