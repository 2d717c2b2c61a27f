"""Requests to a part of an object store: sent until they are answered, or told in one sentence why they cannot be.

What may pass (throttling, errors of the server, a connection that is refused or cut) is tried again for two minutes,
with a word on stderr after some seconds (`metaflow.store.object_patience`). All else is raised at once. A bucket that
turns out to be in another region is looked for there. Start reading at `Requests.ask`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from metaflow.exception import StorageUnavailable
from metaflow.store.object_errors import Trouble, hint, sentence
from metaflow.store.object_patience import Patience

if TYPE_CHECKING:
    from metaflow.settings.datastores import Datastores
    from metaflow.store.object_access import Access
    from metaflow.store.object_place import Place

_Answer = TypeVar("_Answer")


class Requests:
    """The requests of one storage; may be used by several threads at once.

    Parameters
    ----------
    place : Place
        What part of which store.
    settings : Datastores, optional
        How this installation reaches it; read when it is first needed by default.
    """

    def __init__(self, place: Place, settings: Datastores | None) -> None:
        self._place = place
        self._settings = settings
        self._access: Access | None = None
        self._region: str | None = None
        self._opening = Lock()
        self._patience = Patience()

    @property
    def settings(self) -> Datastores:
        """How this installation reaches the store."""
        if self._settings is None:
            from metaflow.settings import datastores

            self._settings = datastores.of_process()
        return self._settings

    def ask(
        self, verb: str, key: str, call: Callable[[Any], _Answer], expected: Sequence[str] = ()
    ) -> _Answer | Trouble:
        """Send a request until it is answered; return the answer, or one of the `expected` troubles.

        Parameters
        ----------
        verb, key : str
            What it is about, for messages.
        call : callable
            Makes the request with the client that it is given.
        expected : sequence of str
            Kinds of `Trouble`.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            It cannot be answered.
        """
        begun, tries = time.monotonic(), 0
        while True:
            access = self._open()
            try:
                return call(access.client)
            except Exception as error:
                if not _is_of_the_client(error):
                    raise
                trouble, tries = Trouble.of(error), tries + 1
                if trouble.kind in expected:
                    return trouble
                waited = time.monotonic() - begun
                if trouble.kind == "region" and self._move(access):
                    continue
                if not self._patience.is_left(trouble, self.settings.retries, tries, waited):
                    raise self._unavailable(verb, key, trouble, waited, tries) from error
            self._patience.wait(trouble, tries, waited, lambda: f"Waiting for {self._at(self._place.container_url)}")

    def _open(self) -> Access:
        with self._opening:
            if self._access is None:
                from metaflow.store.object_access import open_access

                self._access = open_access(self._place, self.settings, self._region or None)
            return self._access

    def _move(self, access: Access) -> bool:
        """Go to the region where the bucket is; tell whether that is another one than that of `access`."""
        if self._place.kind != "s3":
            return False
        from metaflow.store.object_access import bucket_region

        with self._opening:
            if self._access is not access:
                return True
            if self._region is not None:
                return False
            self._region = bucket_region(self._place, access.endpoint) or ""
            if self._region:
                self._access = None
            return bool(self._region)

    def _at(self, place: str) -> str:
        endpoint = self._access.endpoint if self._access is not None else None
        return f"{place} at {endpoint}" if endpoint else place

    def _unavailable(self, verb: str, key: str, trouble: Trouble, waited: float, tries: int) -> StorageUnavailable:
        place = self._at(f"{self._place.root}/{key}" if key else self._place.root)
        tried = f" It was tried {tries} times in {waited:.0f} s." if tries > 1 else ""
        kind = self._place.kind
        return StorageUnavailable(f"Cannot {verb} {place}: {sentence(trouble)}.{tried}", hint=hint(trouble, kind))


def _is_of_the_client(error: Exception) -> bool:
    """Tell an error of obstore, which also uses some of Python's classes, from a mistake of ours."""
    return isinstance(error, (OSError, ValueError)) or type(error).__module__.startswith("obstore")
