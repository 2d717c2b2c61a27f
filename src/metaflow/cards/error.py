"""The page that stands where a card could not be made: it says so, and why."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from metaflow.cards.card import MetaflowCard
from metaflow.cards.page import page

if TYPE_CHECKING:
    from metaflow.client import Task


class ErrorCard(MetaflowCard):
    """Why a card could not be made.

    Parameters
    ----------
    options : mapping
        ``stack_trace``: text; ``type``: the card that failed.
    """

    type = "error"

    def render(self, task: Task, stack_trace: str | None = None) -> str:
        """Return the page."""
        return error_page(
            task.pathspec, str(self._options.get("type", "")), stack_trace or str(self._options.get("stack_trace", ""))
        )


def error_page(pathspec: str, kind: str, text: str) -> str:
    """Return the page of a card that could not be made.

    Parameters
    ----------
    pathspec : str
        The task.
    kind : str
        The type of the card.
    text : str
        Why: a message or a traceback.
    """
    return page(
        pathspec,
        f"<h1>{escape(pathspec)}</h1><p>The card of the type <code>{escape(kind or 'default')}</code> could not be "
        f"made. The step itself is not affected.</p><pre>{escape(text)}</pre>",
        footer=escape(pathspec),
    )
