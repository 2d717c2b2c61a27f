"""The names in a storage: every key below its root is made, and read, here.

::

    <flow>/data/<2 digits>/<sha1>                  a blob; on a disk with <sha1>_meta, its attributes, beside it
    <flow>/<run>/<step>/<task>/N.attempt.json      attempt N has begun
                               N.data.json         the index: artifact → SHA-1, type, size
                               N.<source>_<stream>.log
                               N.outcome.json      of a remote task: its outcome, facts, how its process ended
                               N.DONE.lock         attempt N has ended
    <flow>/<run>/_live/<task>.N.<stream>.<offset>  a segment of a remote task's log
                       <task>.N.<mark>             the remote attempt has ended; its outcome is there
    _millrace/runtime/<sha256>.tar.gz              our own code, for containers

All but the last three are those of Metaflow 2.19. A task is named by its pathspec, ``flow/run/step/task``. Pure:
strings in, strings out. What local metadata adds to the same tree (``_meta`` directories) is in
`metaflow.metadata_provider.local`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

PARAMETERS = "_parameters"
"""The pseudo-step whose task 0 holds the parameters of a run."""

STREAMS = ("stdout", "stderr")
Source = Literal["runtime", "task"]
"""Which process stamped the lines of a log: the engine's, or the supervisor in a container."""
SOURCES: tuple[Source, ...] = ("runtime", "task")

INDEX = "data.json"
BEGUN = "attempt.json"
DONE = "DONE.lock"
_OUTCOME = "outcome.json"

Mark = Literal["end", "stopped"]
END: Mark = "end"
"""The task came to its end by itself."""
STOPPED: Mark = "stopped"
"""The task was asked to end; who runs its container knows why."""

_LIVE = "_live"


def blob(flow: str, sha1: str) -> str:
    """Return the key of a blob."""
    return f"{flow}/data/{sha1[:2]}/{sha1}"


def attributes_file(key: str) -> str:
    """Return the key of the file that holds an object's attributes, on a disk."""
    return f"{key}_meta"


def runtime_package(sha256: str) -> str:
    """Return the key of an archive of our own code."""
    return f"_millrace/runtime/{sha256}.tar.gz"


# --- an attempt's files -----------------------------------------------------------------------------------------------


def attempt_file(task: str, attempt: int, name: str) -> str:
    """Return the key of one of an attempt's files, such as `INDEX`, `BEGUN` or `DONE`."""
    return f"{task}/{attempt}.{name}"


def outcome(task: str, attempt: int) -> str:
    """Return the key of what a remote attempt tells of its end."""
    return attempt_file(task, attempt, _OUTCOME)


def log(task: str, attempt: int, stream: str, source: Source) -> str:
    """Return the key of a log."""
    return attempt_file(task, attempt, f"{source}_{stream}.log")


def logs(task: str, attempt: int, stream: str) -> list[str]:
    """Return the keys under which a stream of an attempt may be."""
    return [log(task, attempt, stream, source) for source in SOURCES]


def file_name(key: str) -> str:
    """Return the last part of a key."""
    return key.rpartition("/")[2]


def attempts_with(file: str, names: Iterable[str]) -> list[int]:
    """Return the attempts that have this file among the names of a task's files, in order."""
    split = (name.partition(".") for name in names if name.endswith(file))
    return sorted({int(number) for number, _, rest in split if rest == file and number.isdecimal()})


def is_attempt_file(name: str) -> bool:
    """Tell whether this is the name of a file of an attempt."""
    number, _, rest = name.partition(".")
    return number.isdecimal() and (rest in (INDEX, BEGUN, DONE, _OUTCOME) or rest.endswith(".log"))


def files_of_attempt(attempt: int, names: Iterable[str]) -> list[str]:
    """Return which of an attempt's files are among the names of a task's files: `INDEX`, `DONE`, …"""
    split = (name.partition(".") for name in names)
    return [rest for number, _, rest in split if number == str(attempt)]


# --- what is read while a remote task runs ----------------------------------------------------------------------------


class Segment(NamedTuple):
    """The bytes with which a stream of a remote attempt goes on at `offset`."""

    task: str
    attempt: int
    stream: str
    offset: int

    def key(self, run: str) -> str:
        """Return its key in the run ``flow/run``."""
        return f"{live(run)}/{self.task}.{self.attempt}.{self.stream}.{self.offset:012d}"


class EndMarker(NamedTuple):
    """The sign that a remote attempt has ended and its outcome is there."""

    task: str
    attempt: int
    mark: Mark

    def key(self, run: str) -> str:
        """Return its key in the run ``flow/run``."""
        return f"{live(run)}/{self.task}.{self.attempt}.{self.mark}"


def live(run: str) -> str:
    """Return the prefix of the segments and end markers of ``flow/run``."""
    return f"{run}/{_LIVE}"


def parse_live(key: str) -> Segment | EndMarker | None:
    """Return what a key below `live` names; None if it is neither."""
    match file_name(key).split("."):
        case [task, attempt, stream, offset] if attempt.isdecimal() and offset.isdecimal():
            return Segment(task, int(attempt), stream, int(offset))
        case [task, attempt, ("end" | "stopped") as mark] if attempt.isdecimal():
            return EndMarker(task, int(attempt), END if mark == END else STOPPED)
        case _:
            return None


# --- cards ------------------------------------------------------------------------------------------------------------


class CardName(NamedTuple):
    """What the files of a card are called: ``<type>[-<id>]-<hash>``, as in Metaflow.

    Attributes
    ----------
    type : str
        Kind of card.
    id : str or None
        What the user calls it.
    hash : str
        32 hexadecimal digits, which tell the cards of a task apart.
    """

    type: str
    id: str | None
    hash: str

    def __str__(self) -> str:
        return "-".join(part for part in self if part)


def cards(task: str) -> str:
    """Return the prefix of the pages of a task's cards."""
    flow, run, step, name = task.split("/")
    return f"mf.cards/{flow}/runs/{run}/steps/{step}/tasks/{name}/cards"


def card_page(task: str, name: CardName) -> str:
    """Return the key of a card's page."""
    return f"{cards(task)}/{name}.html"


def card_data(task: str, name: CardName) -> str:
    """Return the key of what a card shows, which changes while the task runs."""
    return f"{cards(task).removesuffix('/cards')}/runtime/{name}.data.json"


def parse_card(key: str) -> CardName | None:
    """Return which card's page a key names; None if it is none."""
    name, dot, ending = file_name(key).rpartition(".")
    rest, _, digest = name.rpartition("-")
    kind, _, card_id = rest.partition("-")
    return CardName(kind, card_id or None, digest) if dot and ending == "html" and kind and digest else None
