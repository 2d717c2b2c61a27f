"""`@exit_hook`: functions that run when the flow has ended, well or not. Stands on the class."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from metaflow.exception import InvalidDecoratorAttribute
from metaflow.flow.spec import FlowSpec

Flow = TypeVar("Flow", bound=type[FlowSpec])
Hook = Callable[..., Any]


class ExitHook:
    """The functions of one `@exit_hook`."""

    name = "exit_hook"

    def __init__(self, on_success: Sequence[Hook], on_error: Sequence[Hook]) -> None:
        self._functions = {True: list(on_success), False: list(on_error)}

    def run(self, ok: bool, open_run: Callable[[], Any]) -> list[tuple[str, Exception]]:
        """Call the functions for this end of the run; return the names of those that raised, and what.

        Parameters
        ----------
        ok : bool
            Whether the run succeeded.
        open_run : callable
            Returns the run as a client object, for functions that take one.
        """
        failures = []
        for function in self._functions[ok]:
            try:
                function(open_run()) if function.__code__.co_argcount else function()
            except Exception as error:  # noqa: BLE001 - a hook must not change how the run ended
                failures.append((function.__name__, error))
        return failures


def exit_hook(
    on_success: Sequence[Hook] = (), on_error: Sequence[Hook] = (), options: dict[str, Any] | None = None
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
        A hook is not a function, or there is none.
    """
    frame = sys._getframe(1)
    hooks = [*on_success, *on_error]
    wrong = [hook for hook in hooks if not hasattr(hook, "__code__")]
    if wrong or not hooks:
        raise InvalidDecoratorAttribute(
            f"@exit_hook: {wrong[0]!r} is not a function." if wrong else "@exit_hook has no function.",
            frame.f_lineno,
            frame.f_code.co_filename,
            hint="write @exit_hook(on_success=[function], on_error=[function])",
        )

    def decorate(flow_class: Flow) -> Flow:
        flow_class._flow_decorators = (*flow_class._flow_decorators, ExitHook(on_success, on_error))
        return flow_class

    return decorate
