from __future__ import annotations

from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.pages import addresses

ODD = TaskPath('A/"<b>', "1 2", "ü?#", "%2e")


def test_names_stay_what_they_are_in_an_address() -> None:
    assert addresses.task(ODD, 1) == "/runs/A%2F%22%3Cb%3E/1%202/%C3%BC%3F%23/%252e?attempt=1"
    assert addresses.log(ODD, "stdout", 0, position="9&x") == (
        "/runs/A%2F%22%3Cb%3E/1%202/%C3%BC%3F%23/%252e/log/stdout?attempt=0&position=9%26x"
    )
    assert addresses.runs([("tag", "a b"), ("tag", "&c")]) == "/?tag=a+b&tag=%26c"
    assert addresses.compared(("F", "1"), ("F", "2")) == "/compare?run=F%2F1&run=F%2F2"
