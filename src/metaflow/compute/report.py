"""How an attempt of a task ended, in the task's own words: the value that travels from its process to the scheduler.

It is JSON at two edges only: the channel from the task to what watches its process (`open_channel` writes it; the local
launcher and the supervisor of a container read it), and the outcome object of a remote task in the storage.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, NamedTuple

from metaflow.compute.command import ELSEWHERE
from metaflow.exception import MetaflowException, TaskFailed
from metaflow.metadata_provider.entries import Entry, entry_from_json

CONTAINER = "MILLRACE_CONTAINER"
"""Set for remote tasks: their backend and the image that they run in, such as ``kubernetes python:3.12``."""

CODE = "MILLRACE_CODE"
"""Set for remote tasks: the directory with the code package."""

OTHER_SUFFIXES = "MILLRACE_OTHER_SUFFIXES"
"""Set for remote tasks: the endings, as JSON, of files of the user that are not in the code package."""

CHANNEL = "MILLRACE_OUTCOME"
"""Variable ``<descriptor>:<id>``: where a task writes its report; taken out of the environment by the task."""


class TaskReport(NamedTuple):
    """How an attempt of a task ended.

    Attributes
    ----------
    next : tuple of str
        The steps that follow; of a switch, those of the case chosen. Empty for ``end`` and for failures.
    width : int or None
        Number of elements if the transition is a foreach.
    failure : TaskFailed or None
        Why it failed; None if it finished, so that its artifacts count.
    entries : tuple of Entry
        What the task could not record itself, since it does not reach the metadata of its run.
    """

    next: tuple[str, ...] = ()
    width: int | None = None
    failure: TaskFailed | None = None
    entries: tuple[Entry, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it finished."""
        return self.failure is None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object; `from_json` makes it again."""
        document: dict[str, Any] = {"ok": self.ok}
        if self.failure is None:
            document |= {"next": self.next, "width": self.width}
        else:
            document["failure"] = self.failure.record()
        if self.entries:
            document["recorded"] = [entry.to_json() for entry in self.entries]
        return document

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> TaskReport:
        """Make the report that `to_json` has described.

        Raises
        ------
        KeyError, TypeError, ValueError
            It describes none.
        """
        entries = tuple(map(entry_from_json, document.get("recorded", ())))
        if document["ok"]:
            return TaskReport(tuple(document["next"]), document["width"], entries=entries)
        return TaskReport(failure=TaskFailed.from_record(document["failure"]), entries=entries)


def report_unbegun(error: BaseException, environ: MutableMapping[str, str]) -> None:
    """Tell the engine of an error that has ended a task before its step began, such as an import that failed.

    Does nothing where nobody listens, or where the task has opened the channel itself.
    """
    if CHANNEL not in environ:
        return
    from metaflow.flow.failure import failure_of_error  # neither zygote nor supervisor needs it else

    enter_container(environ)
    failure = failure_of_error(error, "")
    if failure.hint and not isinstance(error, MetaflowException):
        print(f"    hint: {failure.hint}", file=sys.stderr)
    open_channel(environ)(TaskReport(failure=failure))


def tell_uncaught(
    environ: MutableMapping[str, str], kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an error that ends a remote task, as `sys.excepthook` does, with files named as in the code package."""
    from traceback import format_exception

    from metaflow.flow.failure import as_packaged

    enter_container(environ)
    sys.stderr.write(as_packaged("".join(format_exception(kind, error, trace))))


def enter_container(environ: MutableMapping[str, str]) -> None:
    """Have errors told as those of a container, if this process is in one; what says so is taken out."""
    container, code, others = (environ.pop(name, None) for name in (CONTAINER, CODE, OTHER_SUFFIXES))
    if container is None and code is None:
        return
    from metaflow.flow.failure import set_container

    set_container(container, [os.path.join(code, ELSEWHERE), code] if code else (), json.loads(others or "[]"))


def open_channel(environ: MutableMapping[str, str]) -> Callable[[TaskReport], None]:
    """Return what tells the engine how the task ended; where nobody listens, it does nothing."""
    descriptor, _, id = environ.pop(CHANNEL, "").partition(":")
    if not id:
        return lambda report: None
    os.set_inheritable(int(descriptor), False)

    def send(report: TaskReport) -> None:
        try:
            data = memoryview(json.dumps({"outcome": int(id), **report.to_json()}).encode())
            while data:  # a socket takes it whole, a pipe perhaps not
                data = data[os.write(int(descriptor), data) :]
        except OSError as error:
            print(f"The engine could not be told how the task ended: {error}", file=sys.stderr)

    return send
