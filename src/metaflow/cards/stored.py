"""Cards that are stored: found by their task, read, shown in a notebook or a browser."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, overload

from metaflow.cards.charts import with_charts
from metaflow.client import Task
from metaflow.exception import CommandException, MetaflowNotFound
from metaflow.store.layout import CardName, card_data, card_page, cards, parse_card

if TYPE_CHECKING:
    from metaflow.store.protocol import Storage


class Card:
    """A card of a task.

    Attributes
    ----------
    type : str
        Kind.
    id : str or None
        What the step calls it.
    hash : str
        Tells the cards of a task apart.
    path : str
        Where its page is, in the storage.
    origin_pathspec : str or None
        The task that it was made by, if a resumed run has taken that over.
    """

    def __init__(self, storage: Storage, pathspec: str, name: CardName, origin: str | None = None) -> None:
        self._storage = storage
        self._pathspec = pathspec
        self._name = name
        self.type = name.type
        self.id = name.id
        self.hash = name.hash
        self.path = card_page(pathspec, name)
        self.origin_pathspec = origin

    def get(self) -> str:
        """Return the page: a whole HTML document.

        Raises
        ------
        MetaflowNotFound
            It is not there any more.
        """
        content = next(iter(self._storage.get([self.path])))[1]
        if content is None:
            raise MetaflowNotFound(f"The card {self.path} is not there any more.")
        return content.decode("utf-8", "replace")

    def shown(self) -> str:
        """Return the page as it is shown: also with charts that its task could not draw, or not yet. Not in Metaflow.

        That needs ``pip install 'millrace[charts]'`` here.
        """
        return with_charts(self.get())

    def get_data(self) -> dict[str, Any] | None:
        """Return what the card showed last while its step ran: ``reload_token``, ``data``, ``created_on``."""
        content = next(iter(self._storage.get([card_data(self._pathspec, self._name)])))[1]
        return None if content is None else json.loads(content)

    def view(self) -> None:
        """Open the page in a browser."""
        import webbrowser

        webbrowser.open(f"file://{self.saved()}")

    def saved(self) -> str:
        """Return the path of a temporary file with the page."""
        import tempfile

        file, path = tempfile.mkstemp(prefix=f"{self._name}-", suffix=".html")
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(self.shown())
        return path

    def _repr_html_(self) -> str:
        # In a frame of its own: neither styles nor scripts of the card reach the notebook.
        return (
            f'<iframe title="Card {escape(str(self._name), quote=True)}" sandbox="allow-scripts" width="100%" '
            f'height="720" style="border: 0" srcdoc="{escape(self.shown(), quote=True)}"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<Card at '{self.path}'>"


class CardContainer(Sequence[Card]):
    """The cards of a task; an immutable sequence, which a notebook shows."""

    def __init__(self, found: Sequence[Card]) -> None:
        self._cards = tuple(found)

    @overload
    def __getitem__(self, index: int) -> Card: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Card]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._cards[index]

    def __len__(self) -> int:
        return len(self._cards)

    def __iter__(self) -> Iterator[Card]:
        return iter(self._cards)

    def _repr_html_(self) -> str:
        return "".join(
            f"<p><b>{escape(card.type)}{f' {escape(card.id)}' if card.id else ''}</b></p>{card._repr_html_()}"
            for card in self
        )

    def __repr__(self) -> str:
        return f"<CardContainer of {len(self)}>"


def get_cards(
    task: Task | str,
    id: str | None = None,
    type: str | None = None,
    follow_resumed: bool = True,
) -> CardContainer:
    """Return the cards of a task.

    Parameters
    ----------
    task : Task or str
        A task, or its path ``Flow/run/step/task``.
    id : str, optional
        Only the card that its step calls so.
    type : str, optional
        Only cards of this kind.
    follow_resumed : bool
        Whether a task that a resumed run has taken over has the cards of the task that ran.

    Returns
    -------
    CardContainer
        By type and id.

    Raises
    ------
    CommandException
        It is neither a task nor the path of one.
    MetaflowNotFound
        There is no such task.
    """
    if isinstance(task, str):
        if task.count("/") != 3:
            raise CommandException(
                f"'{task}' is not the path of a task.", hint="the form is Flow/run/step/task, as Task(…).pathspec"
            )
        task = Task(task, _namespace_check=False)
    elif not isinstance(task, Task):
        raise CommandException(f"get_cards() takes a task or its path, not a {_type(task)}.")
    found = stored_cards(task._attempts().storage, task.pathspec, task.origin_pathspec if follow_resumed else None)
    return CardContainer(
        [card for card in found if (id is None or card.id == id) and (type is None or card.type == type)]
    )


def stored_cards(storage: Storage, pathspec: str, origin: str | None = None) -> list[Card]:
    """Return the cards of a task by type and id: those of `origin`, if a resumed run has taken that over."""
    pathspec = origin or pathspec
    names = sorted(
        (name for entry in storage.list(cards(pathspec)) if entry.is_object and (name := parse_card(entry.key))),
        key=lambda name: (name.type, name.id or "", name.hash),
    )
    return [Card(storage, pathspec, name, origin) for name in names]


def _type(value: object) -> str:
    return value.__class__.__name__
