"""`@card`: a page that shows what a step did, kept with its task; a step may have several.

The pages are made by `metaflow.cards`, which a task loads only if its step has a card.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, overload

from metaflow import registry
from metaflow.flow.current import current
from metaflow.flow.decorator import StepContext, StepDecorator
from metaflow.flow.notes import note_on_step
from metaflow.settings.kinds import amount, shown

Function = TypeVar("Function")

_CARDS = "cards"
_NAME = re.compile(r"\w+")


class CardDecorator(StepDecorator):
    name = "card"
    is_repeatable = True
    is_used_by_code = True
    defaults: ClassVar[dict[str, Any]] = {
        "type": "default",
        "options": {},
        "scope": "task",
        "rank": None,
        "timeout": 45,
        "id": None,
        "save_errors": True,
        "customize": False,
        "refresh_interval": 5,
    }

    def check(self) -> None:
        given = self.attributes
        if not isinstance(given["type"], str) or not _NAME.fullmatch(given["type"]):
            raise self.error(f"@card(type={shown(given['type'])}): expected the name of a type of cards, as 'blank'.")
        if given["id"] is not None and not (isinstance(given["id"], str) and _NAME.fullmatch(given["id"])):
            raise self.error(
                f"@card(id={shown(given['id'])}): expected letters, digits and underscores.",
                hint="the id is what current.card[…] calls the card, and part of a file's name",
            )
        if not isinstance(given["options"], Mapping):
            raise self.error(f"@card(options={shown(given['options'])}): expected a dictionary.")
        for name in ("timeout", "refresh_interval"):
            seconds = amount(given[name])
            if not seconds >= 0:
                raise self.error(f"@card({name}={shown(given[name])}): expected a number of seconds.")

    def around(self, context: StepContext, run: Callable[[], None]) -> None:
        cards = context.kept.get(_CARDS)
        if cards is None:
            cards = context.kept[_CARDS] = registry.load("cards", "TaskCards")(
                context.pathspec,
                context.flow,
                context.storage,
                makes_pages=context.has_own_process and context.storage.kind != "scratch",  # where nobody finds them
            )
            current._set({"card": cards.current})
        given = self.attributes
        cards.add(
            type=given["type"],
            id=given["id"],
            options=given["options"],
            timeout=amount(given["timeout"]),
            save_errors=bool(given["save_errors"]),
            customize=bool(given["customize"]),
            refresh_interval=amount(given["refresh_interval"]),
        )
        run()

    def after(self, context: StepContext) -> None:
        cards = context.kept.pop(_CARDS, None)
        if cards is not None:  # the first of the step's cards finishes all of them
            cards.finish(context.attempt)


@overload
def card(function: Function) -> Function: ...
@overload
def card(
    *,
    type: str = "default",
    id: str | None = None,
    options: Mapping[str, Any] = ...,
    timeout: float = 45,
    refresh_interval: float = 5,
    save_errors: bool = True,
    customize: bool = False,
) -> Callable[[Function], Function]: ...
def card(function: Any = None, **attributes: Any) -> Any:
    """Make a page that shows what a step did, and keep it with the task.

    Parameters
    ----------
    type : str
        Kind of page: ``default`` shows the task, its artifacts and its code; ``blank`` only what the step appends to
        `current.card`; others come from packages, or from ``CARDS`` in the flow file.
    id : str, optional
        What ``current.card["id"]`` calls it, if the step has several.
    options : mapping of str to object
        For the class of the card; ``{"title": …}`` for ``blank``.
    timeout : float
        Seconds that a card of another package may take.
    refresh_interval : float
        Least number of seconds between two updates of a card that is shown while the step runs.
    save_errors : bool
        Whether a page that says why takes the place of a card that could not be made.
    customize : bool
        Whether ``current.card`` means this one, if the step has several.

    Raises
    ------
    InvalidDecoratorAttribute
        An attribute is unknown or makes no sense.
    """
    return note_on_step(CardDecorator, function, attributes)
