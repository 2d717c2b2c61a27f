"""The zygote that is started before the command line is parsed: taken over by the run, or stopped."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from metaflow.compute.local.zygote_process import ZygoteProcess

if TYPE_CHECKING:
    from metaflow.cli.session import Session

_started: list[ZygoteProcess] = []


_ELSEWHERE = frozenset({"batch", "kubernetes"})
_OBJECT_STORES = frozenset({"azure", "gs", "s3"})
_OBJECT_MODULES = (
    "metaflow.store.objects.storage",
    "obstore.store",
)


def start(session: Session, words: Collection[str] = ()) -> None:
    """Start the process that tasks come from; `words`, the command line, tell what those will need.

    Where all steps are sent elsewhere, it is not started; `take` does that, should it be needed after all.
    """
    if any(word.removeprefix("--with=").partition(":")[0] in _ELSEWHERE for word in words):
        return
    isolation = session.settings.local_isolation or ("fork" if sys.platform == "linux" else "exec")
    kinds = {session.datastore, *(word.removeprefix("--datastore=") for word in words)}
    modules = _OBJECT_MODULES if kinds & _OBJECT_STORES else ()
    _started.append(ZygoteProcess(session.script, session.path, fork=isolation == "fork", modules=modules))


def take(session: Session) -> ZygoteProcess:
    """Hand over the process, starting it if need be; the taker stops it."""
    if not _started:
        start(session)
    return _started.pop()


def stop() -> None:
    """Stop the process, if nobody took it."""
    while _started:
        _started.pop().stop()
