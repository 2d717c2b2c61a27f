"""Calls that fail: when they are made again, and what a person hears."""

from __future__ import annotations

import asyncio

import pytest

from metaflow.compute.jobs.retry import Backoff, Outage, Refused, RetryPolicy, Unavailable, answer_or, retry

QUICK = RetryPolicy(0.001, 0.002)


class Service:
    """Answers as it is told to: an exception is raised, anything else is the answer."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    async def __call__(self) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_call_is_made_again_until_there_is_an_answer() -> None:
    service = Service(Unavailable("busy"), Unavailable("busy", pause=0.002), "fine")
    assert asyncio.run(retry(service, 20.0, QUICK)) == "fine"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(Unavailable("expired", credentials=True), 20.0), (Refused("no"), 20.0), (Unavailable("busy"), 0.0)],
)
def test_what_another_try_does_not_change_is_raised_at_once(error: Exception, seconds: float) -> None:
    with pytest.raises(type(error)):
        asyncio.run(retry(Service(error, "fine"), seconds, QUICK))


def test_what_may_not_be_asked_stays_unknown() -> None:
    async def main() -> list[object]:
        return [await answer_or("?", Service(answer)()) for answer in ("fine", Unavailable("busy"), Refused("no"))]

    assert asyncio.run(main()) == ["fine", "?", "?"]


def test_a_pause_ends_when_something_happens() -> None:
    async def main() -> float:
        happened, clock = asyncio.Event(), asyncio.get_running_loop().time
        happened.set()
        began = clock()
        await Backoff(RetryPolicy(30.0, 30.0)).wait(60.0, happened)
        return clock() - began

    assert asyncio.run(main()) < 30.0


def test_a_person_hears_of_an_outage_once_and_of_its_end() -> None:
    said: list[str] = []
    outage = Outage("Paper", said.append, 5.0)
    outage.over()
    assert outage.failed("gone", 100.0) == 0.0
    assert said == []
    assert outage.failed("gone", 105.0) == 5.0
    outage.failed("gone", 110.0)
    outage.over()
    outage.failed("gone", 200.0)
    outage.over()
    assert [sentence.split(":")[0] for sentence in said] == ["Paper does not answer", "Paper answers again."]
