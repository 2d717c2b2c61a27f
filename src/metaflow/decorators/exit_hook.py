"""`@exit_hook`: functions that run when the flow has ended, well or not. Stands on the class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar, cast

from metaflow.flow.flow_decorator import FlowDecorator
from metaflow.flow.notes import note_on_flow

Flow = TypeVar("Flow", bound=type)
Hook = Callable[..., Any]

_FORM = "write @exit_hook(on_success=[function], on_error=[function])"


class ExitHookDecorator(FlowDecorator):
    name = "exit_hook"
    defaults: ClassVar[dict[str, Any]] = {"on_success": (), "on_error": (), "options": None}
    is_repeatable = True

    def check(self) -> None:
        for name in ("on_success", "on_error"):
            functions = self.attributes[name]
            if not isinstance(functions, (list, tuple)):
                raise self.error(f"@exit_hook({name}={functions!r}): expected a list of functions.", hint=_FORM)
            for function in functions:
                if not callable(function):
                    raise self.error(f"@exit_hook({name}=[{function!r}]): this is not a function.", hint=_FORM)
        if not (self.attributes["on_success"] or self.attributes["on_error"]):
            raise self.error("@exit_hook has no function.", hint=_FORM)

    def recorded(self) -> dict[str, Any]:
        hooks = {name: [_name(each) for each in self.attributes[name]] for name in ("on_success", "on_error")}
        return {**hooks, "options": self.attributes["options"] or {}}

    def after_run(self, ok: bool, open_run: Callable[[], Any]) -> list[tuple[str, BaseException]]:
        """Call the functions for this end of the run; return the names of those that raised, and what."""
        failures: list[tuple[str, BaseException]] = []
        for function in self.attributes["on_success" if ok else "on_error"]:
            try:
                _call(function, open_run)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a hook must not change how the run ended
                failures.append((_name(function), error))
        return failures


def _name(function: Hook) -> str:
    return getattr(function, "__name__", repr(function))


def _call(function: Hook, open_run: Callable[[], Any]) -> None:
    """Call a hook with the run if it takes one: as an argument called ``run``, or as one that it must get."""
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some built-in functions do not say
        function()
        return
    if any(parameter.name == "run" and parameter.kind != parameter.POSITIONAL_ONLY for parameter in parameters):
        function(run=open_run())
    elif any(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
        for parameter in parameters
    ):
        function(open_run())
    else:
        function()


def exit_hook(on_success: Sequence[Hook] = (), on_error: Sequence[Hook] = (), **attributes: Any) -> Any:
    """Run functions when the flow has ended.

    Parameters
    ----------
    on_success, on_error : sequence of callable
        Functions for each end, called in order, with the `metaflow.Run` if they take an argument.
    options : dict, optional
        For deployments; without effect on this machine.

    Raises
    ------
    InvalidDecoratorAttribute
        When the flow is used: a hook is not a function, or there is none.
    InvalidFlow
        It stands on something else than a flow.
    """
    if isinstance(on_success, type):  # `@exit_hook` without a call
        return cast(Callable[[Flow], Flow], note_on_flow(ExitHookDecorator, on_success, {}))
    given = {"on_success": on_success or (), "on_error": on_error or ()}
    return cast(Callable[[Flow], Flow], note_on_flow(ExitHookDecorator, None, {**given, **attributes}))
