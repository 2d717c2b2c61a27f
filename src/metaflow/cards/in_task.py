"""The cards of a running task, and who makes their pages; `metaflow.cards.editing` is what the step does with them.

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
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.cards.component import rendered
from metaflow.cards.editing import CurrentCards
from metaflow.cards.error import error_page
from metaflow.cards.kinds import card_class, is_ours
from metaflow.cards.process import CardProcess, make_card, shown_now
from metaflow.cards.surroundings import surroundings
from metaflow.cards.time_limit import time_limit
from metaflow.client import Task
from metaflow.client.site import of_directory
from metaflow.store.layout import CardName, card_data, card_page

if TYPE_CHECKING:
    from metaflow.store.protocol import Storage

_LAST_WAIT = 5.0
"""Seconds that the final page waits for a refresh that is being stored."""

_FURTHER_WAIT = 20.0
"""Seconds that the end of a task waits, if that was not enough, to store the final page once more after it."""

_WORTH_SAYING = 5.0
"""Seconds from which on the log says how long the end of a task has waited for its cards."""

_ERROR_PATIENCE = 10.0
"""Seconds in which a page that only says what went wrong is stored."""

_FAILED = "failed"
"""Token of a page that says that a refresh has failed; each other one is loaded anew."""

_HINT = "@card(timeout=…) gives it more time"


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
        site = of_directory("spin", self.storage.root)
        return Task._at(tuple(self.pathspec.split("/")), site, attempt=attempt)

    def finish(self, attempt: int) -> None:
        """Store the final page of each card; the attempt has been stored before."""
        began = self.clock()
        self._finish(attempt)
        if (took := self.clock() - began) > _WORTH_SAYING:
            self.complain(f"@card: the end of this task has waited {took:.0f} s for its cards.")

    def _finish(self, attempt: int) -> None:
        for number, card in enumerate(self._cards if self.makes_pages else (), 1):
            if not card.finish(attempt):
                if more := len(self._cards) - number:
                    self.complain(f"@card: not stored for the same reason: {more} more.")
                break


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
        self._has_ended = False

    def begin(self) -> None:
        """Get ready, before the step's code runs."""
        if not is_ours(self.request.type):
            self._process = self._new_process()
            self._process.start()

    def _new_process(self) -> CardProcess:
        return CardProcess(self._cards.task, self.request.type, self.request.options, self._cards.flow)

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
        with time_limit(self.request.timeout, hint=_HINT):
            components = self.rendered()
        self._publisher.put({"user": user, "components": components, "mode": "refresh"})

    def _show(self, data: Mapping[str, Any]) -> None:
        """Store a picture: the data, and the page too if one that is shown has to be loaded anew."""
        now = self._now(data)
        if self._has_ended:  # while it was made; the final page is what counts
            return
        if now["page"] is not None:
            self._put_page(now["page"])
            if self._has_ended:
                return
        self._token = now["token"]
        self._put_data(self._token, now["data"])

    def _now(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        request, cards = self.request, self._cards
        try:
            if self._process is not None:
                answer: Mapping[str, Any] = self._process.ask({**data, "token": self._token}, request.timeout)
                return answer
            task = cards.task()
            data = {**data, "surroundings": surroundings}
            card = make_card(request.type, request.options, data, cards.flow, task)
            return shown_now(card, task, data, self._token)
        except Exception as error:
            if self._token == _FAILED:
                raise
            return {"page": self._error_page(error), "token": _FAILED, "data": {}}

    def _put_page(self, page: str) -> None:
        self._cards.storage.put([(card_page(self._cards.pathspec, self.name), page.encode())], overwrite=True)

    def _put_data(self, token: str, data: Any) -> None:
        document = {"reload_token": token, "data": data, "created_on": time.time()}
        content = json.dumps(document, default=str).encode()
        self._cards.storage.put([(card_data(self._cards.pathspec, self.name), content)], overwrite=True)

    # --- at the end -------------------------------------------------------------------------------------------------

    def finish(self, attempt: int) -> bool:
        """Store the final page, or an error card; nothing is raised. Return whether the storage takes pages."""
        cards, request = self._cards, self.request
        self._has_ended = True
        is_late = self._publisher is not None and not self._publisher.close(_LAST_WAIT)
        if is_late and self._process is not None:
            stuck, self._process = self._process, self._new_process()
            stuck.close()
        page: str | None
        patience = request.timeout
        try:
            page = self._page(attempt)
        except Exception as error:  # noqa: BLE001 - a card never fails its step
            page = self._error_page(error)
            patience = _ERROR_PATIENCE
        finally:
            if self._process is not None:
                self._process.close()
        try:
            self._put_final(page, patience)
            if is_late:
                self._outlast(page, patience)
        except Exception as error:  # noqa: BLE001 - neither does a storage that is away
            cards.complain(f"@card: the card could not be stored: {_told(error)}")
            return False
        return True

    def _put_final(self, page: str | None, patience: float) -> None:
        with time_limit(patience, "The storage"):
            if page is not None:
                self._put_page(page)
            if self._publisher is not None:
                self._put_data("final", {})

    def _outlast(self, page: str | None, patience: float) -> None:
        """Store the final page again, after what was still being stored before it and may have come after it."""
        assert self._publisher is not None
        if self._publisher.close(_FURTHER_WAIT):
            self._put_final(page, patience)
        else:
            self._cards.complain(
                "@card: the storage has not answered to a refresh for a long time. Should it still store that, the "
                "card shows what it showed then."
            )

    def _page(self, attempt: int) -> str:
        request, flow = self.request, self._cards.flow
        with time_limit(request.timeout, hint=_HINT):  # for what users' objects do when they are asked for their repr
            data = {"user": self._user, "components": self.rendered(), "mode": "render"}
            if self._process is None:
                task = self._cards.task(attempt)
                data |= {"surroundings": surroundings}
                return make_card(request.type, request.options, data, flow, task).render(task)
        page: str = self._process.ask(data, request.timeout)
        return page

    def _error_page(self, error: Exception) -> str | None:
        """Say why there is no page, in the log; return what says so in its place, unless that is not wanted."""
        text = _told(error)
        last = text.strip().splitlines()[-1]
        self._cards.complain(f"@card: the card of the type '{self.request.type}' could not be made: {last}")
        return error_page(self._cards.pathspec, self.request.type, text) if self.request.save_errors else None


def _told(error: Exception) -> str:
    """Return what an exception says: its message if it is one of ours, else all of it."""
    return getattr(error, "message", None) or "".join(traceback.format_exception(error))


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

    def close(self, patience: float) -> bool:
        """Drop what waits; wait `patience` seconds for what is being shown, and return whether that has ended."""
        with self._wake:
            self._waiting, self._is_closed = None, True
            self._wake.notify()
        self._thread.join(patience)
        return not self._thread.is_alive()

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
                    self._complain(f"@card: a refresh failed: {_told(error).strip().splitlines()[-1]}")
                self._has_complained = True
