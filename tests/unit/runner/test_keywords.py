"""Keywords become words of a command line and values; what they cannot be is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metaflow.exception import CommandException, KeywordTypeMismatch, UnknownKeyword
from metaflow.runner.keywords import flow_words, resume_words, run_words, spin_words


class Scalar:
    """As numpy's numbers are."""

    shape = ()

    def item(self) -> int:
        return 7


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({}, []),
        ({"pylint": False, "quiet": True}, ["--quiet", "--no-pylint"]),
        ({"pylint": True, "datastore": None}, ["--pylint"]),
        ({"decospecs": ["retry:times=2", "catch"]}, ["--with=retry:times=2", "--with=catch"]),
        ({"datastore_root": Path("/there")}, ["--datastore-root=/there"]),
        ({"config": [("c", Path("c.json"))]}, ["--config", "c", "c.json"]),
        ({"config_value": [("c", {"a": (1, None)})]}, ["--config-value", "c", '{"a": [1, null]}']),
        ({"config_value": {"c": '{"a": 1}'}}, ["--config-value", "c", '{"a": 1}']),
    ],
)
def test_options_before_the_command(keywords: dict[str, Any], words: list[str]) -> None:
    assert flow_words(keywords) == words


def test_options_and_parameters_of_run() -> None:
    words, parameters = run_words(
        {
            "tags": ["a", "b"],
            "max_workers": Scalar(),
            "user_namespace": "",
            "alpha": Scalar(),
            "path": Path("x"),
            "n": None,
        }
    )
    assert words == ["run", "--tag=a", "--tag=b", "--max-workers=7", "--namespace="]
    assert parameters == {"alpha": 7, "path": "x"}


def test_options_of_resume() -> None:
    assert resume_words({}) == ["resume"]
    words = resume_words({"origin_run_id": "17", "step_to_rerun": "train", "decospecs": ("retry",)})
    assert words == ["resume", "train", "--origin-run-id=17", "--with=retry"]


def test_options_of_spin() -> None:
    assert spin_words("train", {}) == ["spin", "train"]
    assert spin_words("17/train", {"persist": True}) == ["spin", "17/train", "--persist"]
    assert spin_words("train", {"persist": False, "max_log_size": 10}) == [
        "spin",
        "train",
        "--no-persist",
        "--max-log-size=10",
    ]
    with pytest.raises(UnknownKeyword, match="which takes the parameters of an earlier run"):
        spin_words("train", {"alpha": 1})
    with pytest.raises(KeywordTypeMismatch, match="pathspec is 7"):
        spin_words(7, {})


@pytest.mark.parametrize(
    ("make", "keywords", "error", "said"),
    [
        (
            flow_words,
            {"datastor": "s3"},
            UnknownKeyword,
            "'datastor' is not an option.*hint: did you mean 'datastore'?",
        ),
        (flow_words, {"zzz": 1}, UnknownKeyword, "hint: the keywords are: quiet, metadata"),
        (flow_words, {"pylint": "no"}, KeywordTypeMismatch, "pylint is 'no', a str, and should be True or False"),
        (flow_words, {"decospecs": "retry"}, KeywordTypeMismatch, "decospecs is 'retry', a str, .* a list of texts"),
        (flow_words, {"config": "c.json"}, KeywordTypeMismatch, "should be a list of pairs"),
        (flow_words, {"config": ["c.json"]}, KeywordTypeMismatch, "'c.json'.* should be a pair"),
        (
            flow_words,
            {"config_value": {"c": {"a": object}}},
            KeywordTypeMismatch,
            "cannot be handed to another process",
        ),
        (run_words, {"max_workers": "4"}, KeywordTypeMismatch, "max_workers is '4', a str, and should be an integer"),
        (run_words, {"max_workers": True}, KeywordTypeMismatch, "max_workers is True"),
        (run_words, {"max_workers": 0}, CommandException, "max_workers is 0, and must be at least 1"),
        (run_words, {"tags": [1]}, KeywordTypeMismatch, "tags is 1, a int"),
        (run_words, {"frame": {"a": object()}}, KeywordTypeMismatch, "frame has the value .*hint: give text, numbers"),
        (resume_words, {"alpha": 1}, UnknownKeyword, "'alpha' is not an option of resume, which takes the parameters"),
        (resume_words, {"step_to_rerun": 1}, KeywordTypeMismatch, "step_to_rerun is 1"),
    ],
)
def test_what_cannot_be(make: Any, keywords: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=f"(?s){said}"):
        make(keywords)


def test_errors_are_those_of_python_too() -> None:
    assert issubclass(UnknownKeyword, ValueError)
    assert issubclass(KeywordTypeMismatch, TypeError)
