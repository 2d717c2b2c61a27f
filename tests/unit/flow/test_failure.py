"""What a step raised, as a failure: its class, its sentence, what is known of it."""

from __future__ import annotations

import bdb
import resource
from typing import Any

import pytest

from metaflow.exception import (
    InvalidNextException,
    MetaflowExceptionWrapper,
    StepRaised,
    TaskExited,
    TaskFailed,
    TaskKilled,
    TaskOutOfMemory,
    TaskTimedOut,
    TimeoutException,
)
from metaflow.flow.failure import describe_failure, failure_of_error, set_container
from support.present import present


class Unlucky(Exception):
    pass


class Rude(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError("no text")

    __repr__ = __str__


def raised(error: BaseException) -> TaskFailed:
    """Raise `error` in what is a user's file, and return the failure of it."""
    names: dict[str, Any] = {"__name__": "__main__", "error": error}
    code = compile("def work():\n    raise error\n", "flow.py", "exec")
    exec(code, names)
    with pytest.raises(type(error)) as caught:
        names["work"]()
    return failure_of_error(caught.value, "train")


@pytest.mark.parametrize(
    ("error", "kind", "words", "values"),
    [
        (ValueError("bad\nworse"), StepRaised, "ValueError: bad", {"error": "ValueError"}),
        (Unlucky(), StepRaised, f"{__name__}.Unlucky", {"error": f"{__name__}.Unlucky"}),
        (SystemExit(3), TaskExited, "the step 'train' called sys.exit(3) before it had finished", {"exit_code": 3}),
        (SystemExit(), TaskExited, "the step 'train' called sys.exit() before it had finished", {"exit_code": 0}),
        (SystemExit("no"), TaskExited, "called sys.exit('no')", {"exit_code": 1}),
        (KeyboardInterrupt(), TaskKilled, "the step 'train' was interrupted", {"signal": 2}),
        (TimeoutException("Too long.", seconds=5.0), TaskTimedOut, "Too long.", {"limit_seconds": 5.0}),
        (TimeoutException("Too long."), TaskTimedOut, "Too long.", {}),
    ],
)
def test_what_was_raised(error: BaseException, kind: type[TaskFailed], words: str, values: dict[str, Any]) -> None:
    failure = raised(error)
    assert type(failure) is kind
    assert words in failure.message
    assert "\n" not in failure.message
    assert failure.values == {**values, "where": "flow.py:2"}


def test_where_is_the_users_line_and_not_that_of_a_library_below_it() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("import json\ndef work():\n    return json.loads('{')\n", "flow.py", "exec"), names)
    with pytest.raises(ValueError, match="Expecting") as caught:
        names["work"]()
    assert failure_of_error(caught.value, "train").values["where"] == "flow.py:3"
    assert failure_of_error(InvalidNextException("No.", 7, "other.py"), "train").values["where"] == "other.py:7"


def test_where_is_not_in_compiled_code() -> None:
    """Its frames name a source that is not there: ``numpy/random/_common.pyx``."""
    library = {"__name__": "numpy.random._common", "__file__": "/lib/site-packages/numpy/random/_common.so"}
    exec(compile("def cont():\n    raise MemoryError", "numpy/random/_common.pyx", "exec"), library)
    names: dict[str, Any] = {"__name__": "__main__", "cont": library["cont"]}
    exec(compile("def work():\n    cont()", "flow.py", "exec"), names)
    with pytest.raises(MemoryError) as caught:
        names["work"]()
    assert failure_of_error(caught.value, "train").values["where"] == "flow.py:2"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nosuch.part", "neither the image 'python:3.12' nor the code package has a module 'nosuch'"),
        ("raise ImportError('libGL.so.1: cannot open')", "this import does not work in the image 'python:3.12'"),
    ],
)
def test_an_import_that_fails_in_a_container_has_its_image_in_the_hint(source: str, words: str) -> None:
    with pytest.raises(ImportError) as caught:
        exec(source, {})
    assert failure_of_error(caught.value, "train").hint is None
    set_container("kubernetes python:3.12")
    try:
        failure, printed = failure_of_error(caught.value, "train"), describe_failure(caught.value, "train")
    finally:
        set_container(None)
    assert present(failure.hint).startswith(words)
    assert present(failure.hint).endswith("@kubernetes(image=…)")
    assert present(failure.hint) in printed


def test_files_of_a_container_are_named_as_in_the_code_package() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for name, source in {
        "/x/code/.mf_code/far/lib.py": "def broken(): raise ValueError('see /x/code/a.txt')",
        "/x/code/team/flow.py": "def work(): broken()",
    }.items():
        exec(compile(source, name, "exec"), names)
    with pytest.raises(ValueError, match="see") as caught:
        names["work"]()
    set_container("batch python:3.12", ["/x/code/.mf_code", "/x/code"])
    try:
        failure, printed = failure_of_error(caught.value, "train"), describe_failure(caught.value, "train")
    finally:
        set_container(None)
    assert (failure.message, failure.values["where"]) == ("ValueError: see a.txt", "far/lib.py:1")
    assert 'File "team/flow.py", line 1, in work' in printed
    assert "/x/" not in printed


@pytest.mark.parametrize(
    ("name", "is_hinted"),
    [
        ("data/x.csv", True),
        (b"x.csv", True),
        ("/x/code/data/x.csv", True),
        ("/etc/x.csv", False),
        ("model.pkl", False),
        ("Makefile", False),
        (None, False),
    ],
)
def test_a_file_that_may_not_have_been_packaged(name: str | bytes | None, is_hinted: bool) -> None:
    error = FileNotFoundError(2, "No such file or directory", name)
    assert raised(error).hint is None
    set_container("batch python:3.12", ["/x/code/.mf_code", "/x/code"], [".csv", ".gz"])
    try:
        failure, printed = raised(error), describe_failure(error, "train")
    finally:
        set_container(None)
    assert ("--package-suffixes=.csv" in (failure.hint or "")) == is_hinted
    assert ("hint: the code package has no files that end in '.csv'" in printed) == is_hinted


@pytest.mark.parametrize(
    ("error", "sentence", "told"),
    [
        (Rude(), f"{__name__}.Rude: <Rude whose __str__ raised ZeroDivisionError>", "Rude: <exception str() failed>"),
        (SystemExit(Rude()), "called sys.exit(<Rude whose __repr__ raised", "called sys.exit(<Rude whose"),
    ],
)
def test_what_cannot_tell_of_itself(error: BaseException, sentence: str, told: str) -> None:
    """The user's line is shown, and none of the class's own trouble with its text."""
    failure = raised(error)
    assert sentence in failure.message
    assert failure.values["where"] == "flow.py:2"
    described = describe_failure(error, "train")
    assert 'File "flow.py", line 2, in work' in described
    assert told in described
    assert "ZeroDivisionError" not in described.partition(told)[0]
    assert MetaflowExceptionWrapper(error, described).stacktrace == described


def test_our_own_errors_keep_their_hint() -> None:
    failure = raised(InvalidNextException("It goes nowhere.", hint="call self.next"))
    assert (type(failure), failure.message, failure.hint) == (StepRaised, "It goes nowhere.", "call self.next")


def test_a_step_has_no_terminal() -> None:
    assert "-m debugpy" in str(failure_of_error(bdb.BdbQuit(), "train").hint)
    assert "Parameter" in str(failure_of_error(EOFError("EOF when reading a line"), "train").hint)


def test_a_stored_failure_is_itself() -> None:
    stored = TaskKilled("the step 'train' did not finish", signal=9)
    assert failure_of_error(stored, "train") is stored


def test_no_more_memory_tells_the_peak_and_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = raised(MemoryError("Unable to allocate 4 GiB"))
    assert type(failure) is TaskOutOfMemory
    assert "Unable to allocate 4 GiB" in failure.message
    assert float(failure.values["peak_mb"]) > 1
    monkeypatch.setattr(resource, "getrlimit", lambda which: (2_000_000_000, resource.RLIM_INFINITY))
    limited = raised(MemoryError())
    assert limited.values["limit_mb"] == 2000
    assert "ulimit -v" in limited.message
