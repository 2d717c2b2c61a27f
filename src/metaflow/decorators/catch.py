"""`@catch`: let the run go on when a step has failed for good, with the exception as an artifact.

It acts in the last attempt in which the step's code runs. Where that attempt dies without an exception (killed, out of
memory), one more attempt follows in which only this decorator runs; it raises the stored failure of the attempt before.
What the step had assigned before it raised is kept; of a task that was killed nothing is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from metaflow.exception import MetaflowExceptionWrapper
from metaflow.flow.decorator import Attempts, StepContext, StepDecorator
from metaflow.flow.failure import describe_failure, failure_of_error
from metaflow.flow.notes import note_on_step
from metaflow.flow.spec import FlowSpec
from metaflow.settings.kinds import shown

if TYPE_CHECKING:
    from metaflow.flow.node import Node

Function = TypeVar("Function")


class CatchDecorator(StepDecorator):
    name = "catch"
    defaults = {"var": None, "print_exception": True}
    catches = True
    rank = 1  # around @timeout and all others: it takes what they raise

    def check(self) -> None:
        var = self.attributes["var"]
        if var is not None and not (isinstance(var, str) and var.isidentifier() and not hasattr(FlowSpec, var)):
            raise self.error(f"@catch(var={shown(var)}): expected the name of an artifact, such as var='failure'.")

    def check_step(self, node: Node) -> None:
        if node.kind in ("foreach", "switch"):
            raise self.error(
                f"@catch stands on the step '{node.name}', whose {node.kind} could not go on after a failure.",
                hint="move what may fail into a step of its own, before it",
            )

    def assigns(self) -> str | None:
        var: str | None = self.attributes["var"]
        return var

    def attempts(self) -> Attempts:
        return Attempts(fallbacks=1)

    def around(self, context: StepContext, run: Callable[[], None]) -> None:
        var = self.attributes["var"]
        try:
            run()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also sys.exit, and what libraries derive from BaseException
            failure = failure_of_error(error, context.step)
            if context.is_tried_again(failure):
                raise
            context.failure = failure
            context.caught = MetaflowExceptionWrapper(error, describe_failure(error, context.step))
            if var is not None:
                setattr(context.flow, var, context.caught)
            if self.attributes["print_exception"]:
                lines = (context.caught.stacktrace or "").splitlines()
                text = "".join(f">  {line}\n" for line in lines)
                print(
                    f"@catch: the step '{context.step}' failed, and the run goes on.\n{text}", end="", file=sys.stderr
                )
        else:
            if var is not None:
                setattr(context.flow, var, None)


@overload
def catch(function: Function) -> Function: ...
@overload
def catch(*, var: str | None = None, print_exception: bool = True) -> Callable[[Function], Function]: ...
def catch(function: Any = None, **attributes: Any) -> Any:
    """Let the run go on when a step has failed, after all its retries.

    Parameters
    ----------
    var : str, optional
        Artifact that gets the exception, as `metaflow.exception.MetaflowExceptionWrapper`; None if nothing failed.
    print_exception : bool, default True
        Whether to print it.

    Raises
    ------
    InvalidDecoratorAttribute
        An attribute is unknown or makes no sense, or the step ends with a foreach or a switch.
    """
    return note_on_step(CatchDecorator, function, attributes)
