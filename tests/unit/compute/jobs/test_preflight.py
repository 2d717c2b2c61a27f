"""What the backends' preflights share."""

from __future__ import annotations

import asyncio

import pytest

from metaflow.compute.jobs.preflight import Mismatch, Questions, problems
from metaflow.compute.protocol import Problem


def test_the_same_of_several_steps_is_one_problem() -> None:
    queue, size = Mismatch("no queue", "set one"), Mismatch("cpu=9 is too much", certain=False)
    assert problems({"a": [queue], "b": [size, queue], "c": []}) == [
        Problem(("a", "b"), "No queue.", "set one"),
        Problem(("b",), "cpu=9 is too much.", certain=False),
    ]


def test_a_question_is_asked_once_unless_it_failed() -> None:
    asked: list[str] = []

    async def ask() -> str:
        asked.append("x")
        if len(asked) == 1:
            raise ConnectionError
        return "answer"

    async def main() -> None:
        questions = Questions()
        with pytest.raises(ConnectionError):
            await questions.once(("q",), ask)
        assert await asyncio.gather(*(questions.once(("q",), ask) for _ in range(3))) == ["answer"] * 3

    asyncio.run(main())
    assert len(asked) == 2
