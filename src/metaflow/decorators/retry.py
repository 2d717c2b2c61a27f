"""`@retry`: run the step again when its task failed.

Beyond Metaflow, and off unless asked for: a waiting time that grows (`backoff`), and a filter by class of failure
(`only`), the names of `metaflow.exception.FAILURE_KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar, overload

from metaflow.exception import FAILURE_KINDS
from metaflow.flow.decorator import Attempts, StepDecorator
from metaflow.flow.notes import note_on_step
from metaflow.settings.kinds import amount, shown

Function = TypeVar("Function")

MOST_TIMES = 10_000
"""Above which the number is taken for a mistake; METAFLOW_MAX_ATTEMPTS sets the limit that holds."""


class RetryDecorator(StepDecorator):
    name = "retry"
    defaults: ClassVar[dict[str, Any]] = {
        "times": 3, "minutes_between_retries": 2, "backoff": None, "max_minutes": 60, "only": (),
    }  # fmt: skip

    def check(self) -> None:
        times, backoff = self.attributes["times"], self.attributes["backoff"]
        if not (0 <= amount(times) <= MOST_TIMES and amount(times).is_integer()):
            raise self.error(f"@retry(times={shown(times)}): expected a whole number from 0 to {MOST_TIMES}.")
        for name in ("minutes_between_retries", "max_minutes"):
            minutes = self.attributes[name]
            if not amount(minutes) >= 0:
                raise self.error(f"@retry({name}={shown(minutes)}): expected a number of minutes, 0 or more.")
        if backoff is not None and not amount(backoff) >= 1:
            raise self.error(
                f"@retry(backoff={shown(backoff)}): expected a factor, 1 or more.",
                hint="backoff=2 waits twice as long before each further attempt, up to max_minutes",
            )
        for kind in self._only():
            if kind not in FAILURE_KINDS:
                raise self._unknown(kind)

    def _only(self) -> tuple[Any, ...]:
        only = self.attributes["only"]
        if isinstance(only, str):
            return tuple(kind.strip() for kind in only.split(",") if kind.strip())
        if isinstance(only, Sequence):
            return tuple(only)
        raise self.error(f"@retry(only={shown(only)}): expected a list of classes of failure.", hint=_KNOWN)

    def _unknown(self, kind: Any) -> Exception:
        import difflib

        near = difflib.get_close_matches(kind, FAILURE_KINDS, n=1) if isinstance(kind, str) else []
        return self.error(
            f"@retry(only=…): there is no class of failure {shown(kind)}.",
            hint=f"did you mean '{near[0]}'?" if near else _KNOWN,
        )

    def attempts(self) -> Attempts:
        backoff = self.attributes["backoff"]
        return Attempts(
            retries=int(amount(self.attributes["times"])),
            delay=60 * amount(self.attributes["minutes_between_retries"]),
            backoff=amount(backoff) if backoff is not None else 0.0,
            longest_delay=60 * amount(self.attributes["max_minutes"]) if backoff is not None else float("inf"),
            only=frozenset(self._only()) | (_GONE if "lost" in self._only() else frozenset()),
        )


_GONE = frozenset({"preempted"})
"""Classes that "lost" stands for too: whether a service says that it took a machine away depends on the service."""

_KNOWN = f"there are: {', '.join(FAILURE_KINDS)}"


@overload
def retry(function: Function) -> Function: ...
@overload
def retry(
    *,
    times: int = 3,
    minutes_between_retries: float = 2,
    backoff: float | None = None,
    max_minutes: float = 60,
    only: Sequence[str] = (),
) -> Callable[[Function], Function]: ...
def retry(function: Any = None, **attributes: Any) -> Any:
    """Run a step again when its task failed.

    Parameters
    ----------
    times : int, default 3
        Attempts after the first; 0 protects a step from ``--with retry``.
    minutes_between_retries : float, default 2
        Minutes to wait before each; on this machine the step is tried again at once, unless `backoff` is given.
    backoff : float, optional
        Factor, 1 or more, by which the waiting time grows from each further attempt to the next. Not in Metaflow.
    max_minutes : float, default 60
        Minutes to wait at most, if `backoff` is given. Not in Metaflow.
    only : sequence of str, optional
        Classes of failure after which to try again, such as ``["memory", "lost"]``
        (`metaflow.exception.FAILURE_KINDS`); "lost" includes "preempted". After others the step fails at once. By
        default all. Not in Metaflow.

    Raises
    ------
    InvalidDecoratorAttribute
        An attribute is unknown, or its value makes no sense.
    """
    return note_on_step(RetryDecorator, function, attributes)
