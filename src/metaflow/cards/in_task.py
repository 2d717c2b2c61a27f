"""The cards of a running task: what `current.card` is, and who makes the pages.

Our own kinds of cards are drawn in the task's process. Those of others run in a process of their own, which may fail,
hang or exit. Nothing here fails the step: what goes wrong is one line on its error stream, and an error card.

While the step runs, `refresh` takes a picture of the components, which the step may change at once, and leaves it to a
thread to draw and store it; a picture that comes while the thread is busy takes the place of one that waits. Start
reading at `TaskCards`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.cards.component import MetaflowCardComponent
from metaflow.cards.components import rendered
from metaflow.cards.error import error_page
from metaflow.cards.kinds import card_class, is_ours
from metaflow.cards.process import CardProcess, make_card, shown_now, time_limit
from metaflow.client import Task
from metaflow.client.site import of_directory
from metaflow.store.layout import CardName, card_data, card_page

if TYPE_CHECKING:
    from metaflow.store.protocol import Storage

_LAST_WAIT = 5.0
"""Seconds that the end of a task waits for a refresh that is being stored."""


def _complain(sentence: str) -> None:
    try:
        print(sentence, file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):  # the step has closed it
        pass


class CardRequest(NamedTuple):
    """What a decorator asks for.

    Attributes
    ----------
    type, id : str
        Kind, and what the step calls it.
    options : mapping
        For its class.
    timeout : float
        Seconds that one page may take.
    save_errors : bool
        Whether an error card takes the place of one that failed.
    customize : bool
        Whether `current.card` means this one, if there are several.
    refresh_interval : float
        Least number of seconds between two refreshes.
    """

    type: str = "default"
    id: str | None = None
    options: Mapping[str, Any] = {}
    timeout: float = 45
    save_errors: bool = True
    customize: bool = False
    refresh_interval: float = 5


class TaskCards:
    """The cards of one attempt of a task.

    Parameters
    ----------
    pathspec : str
        ``Flow/run/step/task``.
    flow : FlowSpec
        The instance that the step runs on.
    storage : Storage
        Where pages go.
    makes_pages : bool
        Whether there are any; in a test of a step components are taken and nothing is made of them.
    complain : callable
        Takes a sentence for the task's error stream.
    clock : callable
        Returns seconds that only grow.
    """

    def __init__(
        self,
        pathspec: str,
        flow: Any,
        storage: Storage,
        *,
        makes_pages: bool = True,
        complain: Callable[[str], None] = _complain,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pathspec = pathspec
        self.flow = flow
        self.storage = storage
        self.makes_pages = makes_pages
        self.complain = complain
        self.clock = clock
        self._cards: list[TaskCard] = []

    def add(self, **request: Any) -> None:
        """Add a card, as `CardRequest` has it; called for all of them before the step's code runs."""
        card = TaskCard(self, CardRequest(**request), len(self._cards))
        if self.makes_pages:
            card.begin()
        self._cards.append(card)

    @property
    def current(self) -> CurrentCards:
        """What the step sees as `current.card`."""
        return CurrentCards(self._cards, self.complain)

    def task(self, attempt: int | None = None) -> Task:
        """Return the task, as the client sees it: a spun one is not among the runs."""
        if self.storage.kind != "spin":
            return Task(self.pathspec, attempt=attempt, _namespace_check=False)
        task = object.__new__(Task)
        task._place(tuple(self.pathspec.split("/")), of_directory("spin", self.storage.root), None)
        task._attempt = attempt
        return task

    def finish(self, attempt: int) -> None:
        """Store the final page of each card; the attempt has been stored before."""
        if self.makes_pages:
            task = self.task(attempt)
            for card in self._cards:
                card.finish(task)


class TaskCard:
    """One card of a running task."""

    def __init__(self, cards: TaskCards, request: CardRequest, number: int) -> None:
        self.request = request
        self.components: dict[str, Any] = {}
        text = f"{cards.pathspec}\n{number}\n{request.type}\n{request.id}"
        # The same in each attempt: a later one takes the place of what an earlier one has shown.
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:32]
        self.name = CardName(request.type, request.id, digest)
        self._cards = cards
        self._publisher: _Publisher | None = None
        self._process: CardProcess | None = None
        self._refreshed: float | None = None
        self._token = ""
        self._user: Any = None

    def begin(self) -> None:
        """Get ready, before the step's code runs."""
        if not is_ours(self.request.type):
            cards, request = self._cards, self.request
            self._process = CardProcess(cards.task, request.type, request.options, cards.flow)
            self._process.start()

    @property
    def is_editable(self) -> bool:
        """Whether steps may append to it."""
        if is_ours(self.request.type):
            return True
        try:
            return card_class(self.request.type).ALLOW_USER_COMPONENTS
        except Exception:  # noqa: BLE001 - told when the page is made
            return False

    def rendered(self) -> dict[str, Any]:
        """Return what is on it now, as plain data by id."""
        return {name: rendered(component) for name, component in list(self.components.items())}

    # --- while the step runs ----------------------------------------------------------------------------------------

    def refresh(self, user: Any, force: bool) -> None:
        """Show the components as they are now; too soon after the last time this does nothing."""
        now = self._cards.clock()
        if not self._cards.makes_pages:
            return
        if not force and self._refreshed is not None and now - self._refreshed < self.request.refresh_interval:
            return
        self._refreshed, self._user = now, user
        if self._publisher is None:
            self._publisher = _Publisher(self._show, self._cards.complain)
        self._publisher.put({"user": user, "components": self.rendered(), "mode": "refresh"})

    def _show(self, data: Mapping[str, Any]) -> None:
        """Store a picture: the data, and the page too if one that is shown has to be loaded anew."""
        cards, request = self._cards, self.request
        if self._process is not None:
            now = self._process.ask({**data, "token": self._token}, request.timeout)
        else:
            task = cards.task()
            card = make_card(request.type, request.options, data, cards.flow, task)
            now = shown_now(card, task, data, self._token)
        if now["page"] is not None:
            cards.storage.put([(card_page(cards.pathspec, self.name), now["page"].encode())], overwrite=True)
        self._token = now["token"]
        self._put_data(self._token, now["data"])

    def _put_data(self, token: str, data: Any) -> None:
        document = {"reload_token": token, "data": data, "created_on": time.time()}
        content = json.dumps(document, default=str).encode()
        self._cards.storage.put([(card_data(self._cards.pathspec, self.name), content)], overwrite=True)

    # --- at the end -------------------------------------------------------------------------------------------------

    def finish(self, task: Task) -> None:
        """Store the final page, or an error card; nothing is raised."""
        cards, request = self._cards, self.request
        if self._publisher is not None:
            self._publisher.close()
        try:
            page = self._page(task)
        except Exception as error:  # noqa: BLE001 - a card never fails its step
            text = getattr(error, "message", None) or "".join(traceback.format_exception(error))
            last = text.strip().splitlines()[-1]
            cards.complain(f"@card: the card of the type '{request.type}' could not be made: {last}")
            if not request.save_errors:
                return
            page = error_page(cards.pathspec, request.type, text)
        finally:
            if self._process is not None:
                self._process.close()
        try:
            cards.storage.put([(card_page(cards.pathspec, self.name), page.encode())], overwrite=True)
            if self._publisher is not None:
                self._put_data("final", {})
        except Exception as error:  # noqa: BLE001 - neither does a storage that is away
            cards.complain(f"@card: the card could not be stored: {error}")

    def _page(self, task: Task) -> str:
        request = self.request
        data = {"user": self._user, "components": self.rendered(), "mode": "render"}
        if self._process is not None:
            page: str = self._process.ask(data, request.timeout)
            return page
        with time_limit(request.timeout):  # for what users' objects do when they are asked for their repr
            return make_card(request.type, request.options, data, self._cards.flow, task).render(task)


class _Publisher:
    """A thread that carries out the latest of what it is given."""

    def __init__(self, show: Callable[[Mapping[str, Any]], None], complain: Callable[[str], None]) -> None:
        self._show = show
        self._complain = complain
        self._waiting: Mapping[str, Any] | None = None
        self._is_closed = False
        self._has_complained = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="card", daemon=True)
        self._thread.start()

    def put(self, data: Mapping[str, Any]) -> None:
        with self._wake:
            self._waiting = data
            self._wake.notify()

    def close(self) -> None:
        """Drop what waits, and wait a moment for what is being stored: the final page comes after it."""
        with self._wake:
            self._waiting, self._is_closed = None, True
            self._wake.notify()
        self._thread.join(_LAST_WAIT)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting is not None or self._is_closed)
                data, self._waiting = self._waiting, None
            if data is None:
                return
            try:
                self._show(data)
            except Exception as error:  # noqa: BLE001 - the step goes on
                if not self._has_complained:
                    self._complain(f"@card: a refresh failed: {error}")
                self._has_complained = True


class CardComponents(Mapping[str, Any]):
    """The components of a card by their id; one that is not there takes updates and does nothing."""

    def __init__(self, card: TaskCard, complain: Callable[[str], None]) -> None:
        self._card = card
        self._complain = complain

    def __getitem__(self, name: str) -> Any:
        if name not in self._card.components:
            self._complain(f"@card: there is no component with the id '{name}' on this card.")
            return _Nowhere()
        return self._card.components[name]

    def __contains__(self, name: object) -> bool:
        return name in self._card.components

    def get(self, name: str, default: Any = None) -> Any:
        """Return a component, `default` if there is none."""
        return self._card.components.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._card.components)

    def __len__(self) -> int:
        return len(self._card.components)

    def __repr__(self) -> str:
        return f"<components: {', '.join(self) or 'none'}>"


class _Nowhere(MetaflowCardComponent):
    """Stands for a component that is not there."""

    def render(self) -> dict[str, Any]:
        return {"type": "text", "text": ""}

    def update(self, *args: Any, **kwargs: Any) -> None:
        pass


class EditableCard:
    """One card, as a step sees it: ``current.card["id"]``.

    Parameters
    ----------
    card : TaskCard or None
        The card; None for one that is not there, which takes everything and shows nothing.
    """

    def __init__(self, card: TaskCard | None, complain: Callable[[str], None]) -> None:
        self._card = card
        self._complain = complain

    def append(self, component: Any, id: str | None = None) -> None:
        """Add a component at the end.

        Parameters
        ----------
        component : MetaflowCardComponent or object
            What is shown; any other object as an `Artifact`.
        id : str, optional
            A name for ``components``.
        """
        if self._card is None:
            return
        if not isinstance(component, MetaflowCardComponent):
            from metaflow.cards.components import Artifact

            component = Artifact(component)
        if id is not None:
            component.component_id = id
        self._card.components[component.component_id] = component

    def extend(self, components: Iterable[Any]) -> None:
        """Add components at the end."""
        for component in components:
            self.append(component)

    def clear(self) -> None:
        """Remove all components."""
        if self._card is not None:
            self._card.components.clear()

    def refresh(self, data: Any = None, force: bool = False) -> None:
        """Show the card as it is now to those who look at it while the step runs.

        Parameters
        ----------
        data : object, optional
            For cards of users: what JSON can hold; it comes to their `render_runtime` and `refresh`.
        force : bool
            Whether to do it even sooner than ``refresh_interval`` seconds after the last time.
        """
        if self._card is not None:
            try:
                self._card.refresh(data, force)
            except Exception as error:  # noqa: BLE001 - a card never fails its step
                self._complain(f"@card: a refresh failed: {error}")

    @property
    def components(self) -> CardComponents:
        """The components by their id."""
        return CardComponents(self._card or _no_card(), self._complain)


def _no_card() -> TaskCard:
    return TaskCard(TaskCards("", None, None), CardRequest(), 0)  # type: ignore[arg-type]


class CurrentCards:
    """`current.card`: the cards of this step; itself that one which is meant if no id is given."""

    def __init__(self, cards: list[TaskCard], complain: Callable[[str], None]) -> None:
        self._cards = cards
        self._told: set[str] = set()
        self._complain_always = complain

    def _complain(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._complain_always(sentence)

    def __getitem__(self, id: str) -> EditableCard:
        card = next((card for card in self._cards if card.request.id == id), None)
        if card is None:
            known = ", ".join(repr(card.request.id) for card in self._cards if card.request.id) or "none"
            self._complain(f"@card: this step has no card with the id {id!r}; ids here: {known}. Nothing is shown.")
        elif not card.is_editable:
            self._complain(f"@card: cards of the type '{card.request.type}' take no components. Nothing is shown.")
            card = None
        return EditableCard(card, self._complain)

    def __setitem__(self, id: str, components: Iterable[Any]) -> None:
        card = self[id]
        card.clear()
        card.extend(components)

    def __contains__(self, id: object) -> bool:
        return any(card.request.id == id for card in self._cards)

    def get(self, id: str | None = None, default: Any = None) -> Any:
        """Return the card with an id, `default` if there is none."""
        return self[id] if id is not None and id in self else default

    def _meant(self) -> EditableCard:
        """Return the card that is meant where no id is given."""
        editable = [card for card in self._cards if card.is_editable]
        customized = [card for card in editable if card.request.customize]
        unnamed = [card for card in editable if card.request.id is None]
        for found in (customized, editable, unnamed):
            if len(found) == 1:
                return EditableCard(found[0], self._complain)
        if editable:
            self._complain(
                "@card: this step has several cards, and current.card does not say which. Nothing is shown. "
                "Give them ids, @card(id='a'), and write current.card['a']."
            )
        else:
            self._complain("@card: no card of this step takes components. Nothing is shown.")
        return EditableCard(None, self._complain)

    def append(self, component: Any, id: str | None = None) -> None:
        """Add a component to the card: see `EditableCard.append`."""
        self._meant().append(component, id)

    def extend(self, components: Iterable[Any]) -> None:
        """Add components to the card."""
        self._meant().extend(components)

    def clear(self) -> None:
        """Remove all components of the card."""
        self._meant().clear()

    def refresh(self, data: Any = None, force: bool = False) -> None:
        """Show the card as it is now: see `EditableCard.refresh`."""
        self._meant().refresh(data, force)

    @property
    def components(self) -> CardComponents:
        """The components of the card by their id."""
        return self._meant().components
