"""Names and labels are allowed in a cluster whatever the flow's are, and different for different tasks."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.compute.kubernetes.names import job_name, label_value, marks, selector, true_labels

LABELS = {"flow": "F", "run": "1", "step": "s", "task": "2", "attempt": "0", "user": "ann"}


@given(st.text())
def test_label_values(text: str) -> None:
    value = label_value(text)
    assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", value)
    assert (value == text) or len(value) >= 8


@pytest.mark.parametrize("text", ["ann", "a.b_c-d", "x" * 63, ""])
def test_what_can_be_a_label_stays(text: str) -> None:
    assert label_value(text) == text


def test_different_texts_have_different_labels() -> None:
    texts = ["ann@x", "ann/x", "x" * 64, "x" * 65, "ä", "ö"]
    assert len({label_value(text) for text in texts}) == len(texts)


@given(st.text(), st.text())
def test_job_names(flow: str, step: str) -> None:
    name = job_name({**LABELS, "flow": flow, "step": step})
    assert re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 57


def test_a_job_name_tells_what_it_is() -> None:
    assert re.fullmatch("t-f-s-2-0-[0-9a-f]{10}", job_name(LABELS))
    names = [job_name({**LABELS, key: value}) for key, value in (("run", "9"), ("task", "9"), ("attempt", "9"))]
    assert len({*names, job_name(LABELS)}) == 4
    assert job_name({**LABELS, "user": "bob"}) == job_name(LABELS)


def test_what_is_marked_is_found() -> None:
    labels, annotations = marks({**LABELS, "user": "ann@example.org"})
    assert true_labels(annotations) == {**LABELS, "user": "ann@example.org"}
    wanted = dict(pair.split("=") for pair in selector({"flow": "F", "user": "ann@example.org"}).split(","))
    assert wanted.items() <= labels.items()
