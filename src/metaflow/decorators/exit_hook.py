"""`@exit_hook`: functions that run when the flow has ended, well or not. Stands on the class."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from metaflow.exception import InvalidDecoratorAttribute
from metaflow.flow.failure import tell_plainly
from metaflow.flow.spec import FlowSpec

Flow = TypeVar("Flow", bound=type[FlowSpec])
Hook = Callable[..., Any]

_FORM = "write @exit_hook(on_success=[function], on_error=[function])"


class ExitHook:
    """The functions of one `@exit_hook`."""

    name = "exit_hook"

    def __init__(self, on_success: Sequence[Hook], on_error: Sequence[Hook]) -> None:
        self._functions = {True: list(on_success), False: list(on_error)}

    def run(self, ok: bool, open_run: Callable[[], Any]) -> list[tuple[str, BaseException]]:
        """Call the functions for this end of the run; return the names of those that raised, and what.

        Parameters
        ----------
        ok : bool
            Whether the run succeeded.
        open_run : callable
            Returns the run as a client object, for functions that take one.
        """
        failures: list[tuple[str, BaseException]] = []
        for function in self._functions[ok]:
            try:
                _call(function, open_run)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a hook must not change how the run ended
                failures.append((getattr(function, "__name__", repr(function)), error))
        return failures


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


def exit_hook(
    on_success: Sequence[Hook] = (),
    on_error: Sequence[Hook] = (),
    options: dict[str, Any] | None = None,
    **unknown: Any,
) -> Callable[[Flow], Flow]:
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
        A hook is not a function, there is none, or it stands on something else than a flow.
    """
    frame = sys._getframe(1)

    def refused(msg: str, hint: str = _FORM) -> InvalidDecoratorAttribute:
        error = InvalidDecoratorAttribute(msg, frame.f_lineno, frame.f_code.co_filename, hint=hint)
        tell_plainly(error)
        return error

    for name in unknown:
        near = difflib.get_close_matches(name, ("on_success", "on_error", "options"), n=1)
        raise refused(f"@exit_hook has no attribute '{name}'.", f"did you mean '{near[0]}'?" if near else _FORM)
    hooks = {"on_success": on_success or (), "on_error": on_error or ()}
    for name, functions in hooks.items():
        if not isinstance(functions, (list, tuple)):
            raise refused(f"@exit_hook({name}={functions!r}): expected a list of functions.")
        for function in functions:
            if not callable(function):
                raise refused(f"@exit_hook({name}=[{function!r}]): this is not a function.")
    if not any(hooks.values()):
        raise refused("@exit_hook has no function.")

    def decorate(flow_class: Flow) -> Flow:
        if not (isinstance(flow_class, type) and issubclass(flow_class, FlowSpec)):
            raise refused(f"@exit_hook stands on {flow_class!r}, which is not a flow.", "write it above the class")
        flow_class._flow_decorators = (*flow_class._flow_decorators, ExitHook(**hooks))
        return flow_class

    return decorate
