"""Every error that Millrace raises, in one tree.

::

    MetaflowException                         what happened; where; hint
    ├── CommandException                      the command line asks for something that cannot be
    │   ├── InvalidConfig                     a config is missing, cannot be read, or is not as it should be
    │   ├── MetaflowUnknownUser               nobody can say who runs this
    │   ├── UnknownKeyword                    a program gives what the flow or the command has not (also a ValueError)
    │   └── KeywordTypeMismatch               … or a value of another type (also a TypeError)
    ├── InvalidFlow                           the flow's source breaks a rule of the language (file and line)
    │   ├── InvalidNextException              the arguments of self.next fit no transition
    │   └── InvalidDecoratorAttribute         a decorator does not know this attribute or its value
    │       └── InvalidEventName                 … or the name of an event (also a ValueError)
    ├── CannotAssign                          a step assigns what is the same in all steps (also an AttributeError)
    ├── ParameterFieldFailed                  a function given for a parameter's field raised
    │   └── ParameterFieldTypeMismatch        … or returned something of another type
    ├── MetaflowDataMissing                   an artifact or blob is not in the storage
    │   ├── DataDamaged                       … or a stored file does not hold what its name promises
    │   └── BlobCorrupt                       … or its bytes are not those of its name
    ├── UnpicklableArtifact                   an artifact cannot be saved (path to the offending member)
    ├── StorageUnavailable                    the storage refuses: full, read-only, gone
    ├── MetaflowS3Exception                   metaflow.S3 cannot do what it was asked to
    │   ├── MetaflowS3URLException               a URL, key or root that cannot be
    │   ├── MetaflowS3NotFound                   an object, a bucket or a local file is not there
    │   ├── MetaflowS3AccessDenied               the credentials are missing, refused or not enough
    │   ├── MetaflowS3InvalidObject              what shall be uploaded is nothing that can be
    │   ├── MetaflowS3InvalidRange               a range that the object does not have
    │   └── MetaflowS3InsufficientDiskSpace      the local disk is full
    ├── MergeArtifactsException               merge_artifacts was called where or how it cannot work
    │   ├── UnhandledInMergeArtifactsException   names whose values differ between the branches
    │   └── MissingInMergeArtifactsException     names asked for that no branch has
    ├── MetaflowNotFound                      the object does not exist
    ├── MetaflowNamespaceMismatch             the object exists, outside the current namespace
    ├── MetaflowInvalidPathspec               the text is not a path of the right depth
    ├── MetaflowTaggingError                  a tag cannot be set or removed
    ├── InvalidTestSetup                      what a test gives to run_step or run_flow does not fit
    ├── InvalidExtension                      what another distribution adds cannot be used (names both)
    ├── SettingsError                         a configuration file or METAFLOW_* variable cannot be used
    ├── RunNotStarted                         what a program has started ended before it was a run (also a RuntimeError)
    ├── NBRunnerInitializationError           a flow of a notebook cannot be made a file
    ├── PreflightFailed                       no place can take what the steps ask for: said before the first task
    ├── TimeoutException                      a step took longer than its @timeout
    ├── AttemptsExhausted                     no attempt of a step came to its end
    ├── TaskFailed                            one task ended badly: its class and sentence
    │   ├── StepRaised                        the step's code raised an exception
    │   ├── TaskExited                        its process ended without finishing (sys.exit, os._exit)
    │   ├── TaskCrashed                       a signal ended it: a segmentation fault, an abort
    │   ├── TaskKilled                        somebody killed it (SIGKILL, SIGTERM)
    │   ├── TaskOutOfMemory                   the kernel or the backend ended it for lack of memory
    │   ├── TaskTimedOut                      it took longer than its @timeout or its backend's deadline
    │   ├── TaskCancelled                     the run was ended, or somebody cancelled the job
    │   ├── TaskPreempted                     its machine was taken away: evicted, a spot instance reclaimed
    │   ├── TaskLost                          its machine or job vanished without a word
    │   ├── TaskNotPlaced                     no machine took it, or the backend refused it
    │   ├── ImageUnavailable                  its container image cannot be pulled or started
    │   └── RunFailed                         … and with it the run
    │       └── RunInterrupted                a signal ended the run
    └── MetaflowInternalError                 ours: please report

``MetaflowExceptionWrapper`` stands beside the tree: it is not raised, it is what a failed task stores.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any


def text_of(error: BaseException) -> str:
    """Return ``str(error)``, or what can be said where the class of an exception does not allow that."""
    return _told(str, error)


def repr_of(value: object) -> str:
    """Return ``repr(value)``, or what can be said where the class of the value does not allow that."""
    return _told(repr, value)


def _told(tell: Callable[[Any], str], value: object) -> str:
    try:
        return tell(value)
    except Exception as error:  # noqa: BLE001 - the user's code
        return f"<{type(value).__name__} whose __{tell.__name__}__ raised {type(error).__name__}>"


class MetaflowException(Exception):
    """An error with a person at the other end.

    Parameters
    ----------
    msg : str
        What happened, in one or two sentences that name the values.
    lineno : int, optional
        Line in ``source_file`` that the user should look at.
    source_file : str, optional
        Path of the user's file.
    hint : str, optional
        What to do about it.
    """

    headline = "Flow failed"
    drawing = ""
    """Lines that show what the message is about, such as the steps on a way through the flow."""
    has_notes = False
    """Whether people read it at the end of a traceback, so that place and hint are in its notes."""

    def __init__(
        self,
        msg: str = "",
        lineno: int | None = None,
        source_file: str | None = None,
        *,
        hint: str | None = None,
    ) -> None:
        self.message = msg
        self.line_no = lineno
        self.source_file = source_file
        self.hint = hint
        super().__init__(msg)
        if self.has_notes:
            self.add_notes()

    def add_notes(self) -> None:
        """Put place and hint into the notes, which are shown at the end of a traceback."""
        for note in (self.where, self.hint and f"hint: {self.hint}"):
            if note and note not in getattr(self, "__notes__", ()):
                self.add_note(note)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), self.message, dict(self.__dict__)))

    @property
    def where(self) -> str | None:
        """`file:line` of the user's source, if known."""
        if self.source_file is None:
            return None
        return self.source_file if self.line_no is None else f"{self.source_file}:{self.line_no}"


def _restore(cls: type[MetaflowException], message: str, state: dict[str, Any]) -> MetaflowException:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class InvalidTestSetup(MetaflowException):
    headline = "Invalid test"


class InvalidExtension(MetaflowException):
    headline = "Invalid extension"


class CommandException(MetaflowException):
    headline = "Invalid command"


class InvalidConfig(CommandException):
    headline = "Invalid config"


class MetaflowUnknownUser(CommandException):
    headline = "Unknown user"


class UnknownKeyword(CommandException, ValueError):
    headline = "Unknown keyword"
    has_notes = True


class KeywordTypeMismatch(CommandException, TypeError):
    headline = "Value of another type"
    has_notes = True


class RunNotStarted(MetaflowException, RuntimeError):
    """A flow that a program has started ended before it had begun a run.

    Parameters
    ----------
    msg : str
        As for `MetaflowException`.
    returncode : int, optional
        Exit status of the flow's process; negative, the signal that ended it.
    stdout, stderr : str
        What it printed.
    """

    headline = "The run did not start"
    has_notes = True

    def __init__(
        self,
        msg: str,
        lineno: int | None = None,
        source_file: str | None = None,
        *,
        hint: str | None = None,
        returncode: int | None = None,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(msg, lineno, source_file, hint=hint)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr


class NBRunnerInitializationError(MetaflowException):
    headline = "The flow of the notebook cannot run"
    has_notes = True


class InvalidFlow(MetaflowException):
    headline = "Invalid flow"


class InvalidNextException(InvalidFlow):
    headline = "Invalid self.next() transition"


class InvalidDecoratorAttribute(InvalidFlow):
    headline = "Invalid decorator attribute"


class InvalidEventName(InvalidDecoratorAttribute, ValueError):
    headline = "Invalid event name"


class CannotAssign(MetaflowException, AttributeError):
    headline = "Cannot be assigned"


class ParameterFieldFailed(MetaflowException):
    headline = "Parameter field failed"


class ParameterFieldTypeMismatch(ParameterFieldFailed):
    headline = "Parameter field has another type"


class MetaflowDataMissing(MetaflowException):
    headline = "Data missing"


class DataDamaged(MetaflowDataMissing):
    """A stored file or object that does not hold what its name promises.

    Parameters
    ----------
    path : str
        Where it is stored.
    reason : str
        What is wrong, such as ``it is empty``.
    """

    headline = "Stored data damaged"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}.", hint="restore it from a backup, or run the flow again")
        self.path = path


class BlobCorrupt(MetaflowDataMissing):
    """Stored bytes whose SHA-1 is not their name.

    Parameters
    ----------
    key : str
        Name of the blob: the hexadecimal SHA-1 that its bytes should have.
    path : str
        Where it is stored.
    """

    headline = "Blob corrupt"

    def __init__(self, key: str, path: str, reason: str = "its bytes have another SHA-1") -> None:
        super().__init__(
            f"The blob {key} at {path} is damaged: {reason}.",
            hint="delete this file and run the task that wrote it again",
        )
        self.key = key
        self.path = path


class UnpicklableArtifact(MetaflowException):
    """An artifact that pickle refuses.

    Parameters
    ----------
    name : str
        Name of the artifact.
    path : str
        Expression that leads to the member that cannot be pickled, such as ``self.model.callbacks[2]``.
    reason : str
        What pickle says.
    """

    headline = "Artifact cannot be saved"

    def __init__(self, name: str, path: str, type_name: str, reason: str) -> None:
        super().__init__(
            f"The artifact '{name}' cannot be pickled: {path} is a {type_name} ({reason}).",
            hint=f"keep it in a local variable, or `del self.{name}` before the step ends",
        )
        self.name = name
        self.path = path


class StorageUnavailable(MetaflowException):
    headline = "Storage unavailable"


class MetaflowS3Exception(MetaflowException):
    """What a call of `metaflow.S3` cannot do.

    Parameters
    ----------
    msg : str
        The sentence.
    failed : sequence of (str, str), optional
        URL and reason of each object of the call that failed.
    """

    headline = "S3 access failed"

    def __init__(
        self,
        msg: str = "",
        lineno: int | None = None,
        source_file: str | None = None,
        *,
        hint: str | None = None,
        failed: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(msg, lineno, source_file, hint=hint)
        self.failed = list(failed)


class MetaflowS3URLException(MetaflowS3Exception):
    headline = "Invalid address"


class MetaflowS3NotFound(MetaflowS3Exception):
    headline = "S3 object not found"


class MetaflowS3AccessDenied(MetaflowS3Exception):
    headline = "S3 access denied"


class MetaflowS3InvalidObject(MetaflowS3Exception):
    headline = "Object cannot be uploaded"


class MetaflowS3InvalidRange(MetaflowS3Exception):
    headline = "S3 invalid range"


class MetaflowS3InsufficientDiskSpace(MetaflowS3Exception):
    headline = "Insufficient disk space"


class MergeArtifactsException(MetaflowException):
    headline = "Cannot merge artifacts"


class UnhandledInMergeArtifactsException(MergeArtifactsException):
    """Names whose values differ between the inputs of a join.

    Parameters
    ----------
    msg : str
        The sentence.
    unhandled : sequence of str
        The conflicting names.
    """

    headline = "Unhandled artifacts in merge"

    def __init__(self, msg: str, unhandled: Sequence[str]) -> None:
        super().__init__(msg, hint="set them on self before merge_artifacts, or pass exclude=[…]")
        self.artifact_names = list(unhandled)


class MissingInMergeArtifactsException(MergeArtifactsException):
    """Names that ``include`` asks for and no input has.

    Parameters
    ----------
    msg : str
        The sentence.
    missing : sequence of str
        The missing names.
    """

    headline = "Missing artifacts in merge"

    def __init__(self, msg: str, missing: Sequence[str]) -> None:
        super().__init__(msg)
        self.artifact_names = list(missing)


class MetaflowNotFound(MetaflowException):
    headline = "Object not found"


class MetaflowNamespaceMismatch(MetaflowException):
    headline = "Object not in the current namespace"


class MetaflowInvalidPathspec(MetaflowException):
    headline = "Invalid pathspec"


class MetaflowTaggingError(MetaflowException):
    headline = "Tagging error"


class SettingsError(MetaflowException):
    headline = "Invalid configuration"


class PreflightFailed(MetaflowException):
    headline = "The run cannot start"


class TimeoutException(MetaflowException):
    """A step took longer than its @timeout.

    Parameters
    ----------
    msg : str
        The sentence.
    seconds : float, optional
        The limit.
    """

    headline = "Timed out"

    def __init__(self, msg: str = "", *, seconds: float | None = None, hint: str | None = None) -> None:
        super().__init__(msg, hint=hint)
        self.seconds = seconds


class AttemptsExhausted(MetaflowException):
    headline = "Attempts exhausted"


class TaskFailed(MetaflowException):
    """One attempt of a task that ended badly.

    Parameters
    ----------
    msg : str
        One sentence without its full stop, in lower case, such as ``the step 'train' ran out of memory …``.
    hint : str, optional
        What to do about it.
    **values : float or str
        What is known of it, with units in the names: ``peak_mb``, ``limit_mb``, ``signal``, ``exit_code``; also there
        as attributes.

    Attributes
    ----------
    kind : str
        The class of the failure, as facts and `@retry` name it.
    values : dict of str to float or str
        As given.
    """

    headline = "Task failed"
    kind = "failed"

    def __init__(self, msg: str, *, hint: str | None = None, **values: float | str) -> None:
        super().__init__(msg, hint=hint)
        self.values = values
        self.__dict__.update(values)

    def at(self, foreach: str) -> TaskFailed:
        """Note where its task stands in the foreaches around it, as the value `foreach`; return itself."""
        if foreach:
            self.values["foreach"] = self.__dict__["foreach"] = foreach
        return self

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object; `from_record` makes it again."""
        return {"kind": self.kind, "message": self.message, "hint": self.hint, "values": self.values}

    @staticmethod
    def from_record(record: dict[str, Any]) -> TaskFailed:
        """Make the failure that `record` describes; of an unknown kind, a plain `TaskFailed`."""
        known = {failure.kind: failure for failure in TaskFailed.__subclasses__()}
        failure = known.get(record["kind"], TaskFailed)
        return failure(record["message"], hint=record.get("hint"), **record.get("values", {}))


class StepRaised(TaskFailed):
    headline = "Step failed"
    kind = "user code"


class TaskExited(TaskFailed):
    headline = "Task exited"
    kind = "exited"


class TaskCrashed(TaskFailed):
    headline = "Task crashed"
    kind = "crashed"


class TaskKilled(TaskFailed):
    headline = "Task killed"
    kind = "killed"


class TaskOutOfMemory(TaskFailed):
    headline = "Out of memory"
    kind = "memory"


class TaskTimedOut(TaskFailed):
    headline = "Task timed out"
    kind = "timeout"


class TaskCancelled(TaskFailed):
    headline = "Task cancelled"
    kind = "cancelled"


class TaskPreempted(TaskFailed):
    headline = "Task preempted"
    kind = "preempted"


class TaskLost(TaskFailed):
    headline = "Task lost"
    kind = "lost"


class TaskNotPlaced(TaskFailed):
    headline = "Task not placed"
    kind = "not placed"


class ImageUnavailable(TaskFailed):
    headline = "Image unavailable"
    kind = "image"


class RunFailed(TaskFailed):
    headline = "Workflow failed"
    kind = "run"


class RunInterrupted(RunFailed):
    """A run that somebody ended.

    Parameters
    ----------
    msg : str
        The sentence.
    number : int
        The signal's number.
    """

    headline = "Workflow interrupted"

    def __init__(self, msg: str, number: int) -> None:
        super().__init__(msg)
        self.signal = number


FAILURE_KINDS = tuple(failure.kind for failure in TaskFailed.__subclasses__() if failure is not RunFailed)
"""The classes of failure of a task, by the names that facts and `@retry` use."""


class MetaflowInternalError(MetaflowException):
    headline = "Internal error of Millrace"


class MetaflowExceptionWrapper(Exception):
    """What a failed task stores as its ``_exception`` artifact: texts, so that reading it needs no user code.

    The pickled form (class, argument ``None``, a state of three texts) is that of Metaflow 2.19, so that each side's
    client reads the other's.

    Attributes
    ----------
    type : str
        Qualified name of the exception's class, such as ``builtins.ValueError``.
    exception : str
        ``str()`` of the exception.
    stacktrace : str
        The traceback, with the user's frames only.
    """

    def __init__(self, exc: BaseException | None = None, stacktrace: str | None = None) -> None:
        self.exception: str | None = None
        self.type: str | None = None
        self.stacktrace: str | None = None
        if exc is not None:
            self.exception = text_of(exc)
            self.type = f"{type(exc).__module__}.{type(exc).__qualname__}"
            self.stacktrace = stacktrace if stacktrace is not None else "".join(traceback.format_exception(exc))

    def __reduce__(self) -> tuple[Any, ...]:
        return MetaflowExceptionWrapper, (None,), self.__dict__

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        self.__dict__.update(state or {})

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        if self.stacktrace:
            return self.stacktrace
        return f"[no stacktrace]\n{self.type}: {self.exception}"
