"""The program that drives this process, a flow's, from outside (`metaflow.runner`), as the flow's process sees it.

It has given the values of parameters, as values and not as words, and is told that the run has begun, or why it could
not. Mostly there is none: then nothing is given, and nobody is told.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from metaflow.exception import MetaflowException

_NONE: Mapping[str, Any] = MappingProxyType({})


class StartedRun(NamedTuple):
    """A run that has begun, and where it is kept.

    Attributes
    ----------
    flow, id : str
        The run.
    metadata, metadata_root : str
        Kind of its metadata, and where they are.
    datastore, datastore_root : str
        Kind of its storage, and where that is.
    task : str
        Of a spun task: ``step/id``.
    """

    flow: str
    id: str
    metadata: str
    metadata_root: str
    datastore: str
    datastore_root: str
    task: str = ""


class Driver:
    """Whoever drives this process.

    Parameters
    ----------
    channel : socket, optional
        To the program; None if there is none.
    parameters : mapping of str to object
        Values that it gives to parameters of the flow, by the names of keywords.
    resume_call : str
        What it calls to resume a run, with ``{}`` for the id, if the flow file will be gone; else a command line does.
    """

    def __init__(
        self, channel: socket.socket | None = None, parameters: Mapping[str, Any] = _NONE, resume_call: str = ""
    ) -> None:
        self._channel = channel
        self.parameters = parameters
        self.resume_call = resume_call

    def tell_started(self, run: StartedRun) -> None:
        """Tell that the run has begun."""
        self._tell({"started": run._asdict()})

    def tell_failed(self, error: MetaflowException) -> None:
        """Tell what ends this process."""
        self._tell(
            {
                "failed": {
                    "kind": type(error).__name__,
                    "headline": error.headline,
                    "message": error.message,
                    "line": error.line_no,
                    "file": error.source_file,
                    "hint": error.hint,
                }
            }
        )

    def tell_ended(self, status: int) -> None:
        """Tell the exit status of this process."""
        self._tell({"ended": status})

    def _tell(self, message: Mapping[str, Any]) -> None:
        if self._channel is None:
            return
        try:
            self._channel.sendall(json.dumps(message).encode() + b"\n")
        except OSError:  # the program is gone, which ends this process as well
            pass


_driver = Driver()


def adopt(driver: Driver) -> None:
    """Set who drives this process."""
    global _driver
    _driver = driver


def driver() -> Driver:
    """Return who drives this process."""
    return _driver
