"""The life of a job as lists: events in, actions out. The clock is the test's; each event is followed by `validate`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaflow.compute.jobs import actions, events
from metaflow.compute.jobs.actions import Action
from metaflow.compute.jobs.events import Doubt, JobEnd, JobKey, MemberState
from metaflow.compute.jobs.machine import TRANSITIONS, InvalidTransition, JobMachine
from metaflow.compute.jobs.protocol import Job, JobEnded, JobReport, JobStarted
from metaflow.compute.jobs.tracked import State, Timeouts
from metaflow.compute.protocol import Waiting
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import TaskCancelled, TaskFailed, TaskLost, TaskNotPlaced

KEY = JobKey(1, 0)
WHY = TaskCancelled("enough")
TIMEOUTS = Timeouts(pending=100.0, explain=4.0, explain_every=5.0, missing=60.0, misses=2, ending=75.0)


def a_job(task: int = 1, attempt: int = 0, members: int = 1) -> Job:
    return Job(task, attempt, "train", ("python", "-c", "x"), {"A": "b"}, {}, ResourceRequest("paper"), 100.0, members)


def waiting(reason: str = "", **fields: Any) -> MemberState[None]:
    return MemberState("pod", False, False, None, reason=reason, is_explained=bool(reason), **fields)


def running(**fields: Any) -> MemberState[None]:
    return MemberState("pod", True, False, None, where="pod x", facts={"node": "n"}, **fields)


def ended(**fields: Any) -> MemberState[None]:
    return MemberState("pod", True, True, None, where="pod x", facts={"node": "n"}, **fields)


class Played:
    """A machine with one job, to which things happen."""

    def __init__(self, job: Job | None = None, timeouts: Timeouts = TIMEOUTS) -> None:
        self.machine: JobMachine[None] = JobMachine("paper", timeouts)
        self.now = 0.0
        self.did: list[Action] = []
        self(events.Submitted(job or a_job(), "id", {"queue": "q"}))

    def __call__(self, event: events.Event, after: float = 0.0) -> list[Action]:
        self.now += after
        done = self.machine.handle(event, self.now)
        self.machine.validate()
        self.did += done
        return done

    def see(self, state: MemberState[None], after: float = 0.0) -> list[Action]:
        return self(events.Seen(KEY, state), after)

    @property
    def state(self) -> State:
        job = self.machine.get(KEY)
        return State.ENDED if job is None else job.state

    @property
    def reports(self) -> list[JobReport]:
        return [action.report for action in self.did if isinstance(action, actions.Tell)]

    def end(self) -> JobEnded:
        (found,) = [report for report in self.reports if isinstance(report, JobEnded)]
        return found


def test_a_job_waits_runs_and_ends() -> None:
    play = Played()
    assert play.did == [actions.Create(KEY, a_job())]
    assert play(events.Created(KEY)) == []
    assert play.see(waiting("no node")) == [actions.Tell(Waiting(1, 0, "no node"))]
    assert play.see(waiting("no node")) == [], "once"
    assert play.see(running()) == [actions.Tell(JobStarted(1, 0, "pod x", {"node": "n", "queue": "q"}))]
    assert play.see(ended()) == [actions.Finalize(KEY)]
    assert play(events.Finalized(KEY, JobEnd(3, None, [b"bye"]))) == [
        actions.Forget(KEY, "id"),
        actions.Tell(JobEnded(1, 0, 3, None, {}, [b"bye"])),
    ]
    assert play.see(running()) == [], "what comes late changes nothing"


def test_the_command_is_not_kept() -> None:
    job = Played().machine.get(KEY)
    assert job is not None
    assert (job.job.argv, job.job.environment) == ((), {})


def test_it_may_be_seen_to_have_ended_before_its_creation_is_answered() -> None:
    play = Played()
    done = play.see(ended())
    assert [type(action) for action in done] == [actions.Tell, actions.Finalize]
    assert play.state is State.FINALIZING
    assert play(events.Created(KEY)) == []
    play(events.Finalized(KEY, JobEnd(0, succeeded=True)))
    assert play.end().failure is None


def test_a_refusal_is_its_end() -> None:
    play = Played()
    play(events.NotCreated(KEY, TaskNotPlaced("no such queue")))
    assert str(play.end().failure) == "no such queue"


# --- cancelled -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exists", [True, False])
def test_cancelled_before_it_is_known_whether_it_exists(exists: bool) -> None:
    play = Played()
    assert play(events.Cancelled(KEY, WHY)) == [actions.Interrupt(KEY)]
    assert play.state is State.WITHDRAWN
    if exists:
        assert play(events.Created(KEY)) == [actions.Delete(KEY)]
        assert play(events.Deleted(KEY)) == [actions.Finalize(KEY)], "there is nothing that could run"
        play(events.Finalized(KEY, JobEnd(None)))
    else:
        play(events.NotCreated(KEY))
    assert play.end().failure is WHY


def test_cancelled_while_it_runs_it_ends_when_its_member_has() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(running())
    assert play(events.Cancelled(KEY, WHY)) == [actions.Delete(KEY)]
    assert play(events.Cancelled(KEY, TaskCancelled("again"))) == []
    assert play(events.Deleted(KEY)) == []
    assert play.state is State.ENDING
    assert play.see(ended(is_taken=True)) == [actions.Finalize(KEY)]
    play(events.Finalized(KEY, JobEnd(143, TaskLost("else"))))
    assert (play.end().code, play.end().failure) == (143, WHY)


def test_what_had_succeeded_when_it_was_cancelled_has() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(running())
    play(events.Cancelled(KEY, WHY))
    play.see(ended())
    play(events.Finalized(KEY, JobEnd(0, succeeded=True)))
    assert (play.end().code, play.end().failure) == (0, None)


def test_a_member_that_does_not_end_is_given_up() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(running())
    play(events.Cancelled(KEY, WHY))
    assert play(events.Tick(), 1000.0) == [], "the service has not agreed"
    play(events.Deleted(KEY))
    assert play(events.Tick(), 75.0) == []
    assert play(events.Tick(), 0.1) == [actions.Finalize(KEY)]


def test_a_service_that_does_not_delete_a_job() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(running())
    play(events.Cancelled(KEY, WHY))
    play(events.NotDeleted(KEY))
    assert play.see(ended()) == [actions.Finalize(KEY)]


# --- deleted by others -----------------------------------------------------------------------------------------------


def test_a_member_that_is_taken_ends_the_job_when_it_is_known_by_whom() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(running())
    assert play.see(running(is_taken=True)) == [actions.Delete(KEY)], "or it would be replaced"
    assert play.see(ended(is_taken=True)) == []
    job = play.machine.get(KEY)
    assert play(events.Deleted(KEY, was_gone=True)) == [actions.Finalize(KEY)]
    assert job is not None
    assert job.was_deleted


def test_the_replacement_of_a_member_is_not_the_member() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(running(is_taken=True))
    play(events.Deleted(KEY))
    assert play.see(MemberState("other", True, True, None, where="pod y")) == []
    assert play.state is State.ENDING


def test_a_job_is_missing_if_it_stays_so() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(running())
    lost = TaskLost("unknown")
    assert play(events.Missing(KEY, lost), 61.0) == [], "once is not enough"
    play.see(running())
    assert play(events.Missing(KEY, lost), 30.0) == []
    assert play(events.Missing(KEY, lost), 20.0) == [], "nor is it too soon"
    play(events.Missing(KEY, lost), 20.0)
    assert play.end().failure is lost


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_a_doubt_ends_it_if_it_lasts() -> None:
    play = Played()
    play(events.Created(KEY))
    image = Doubt("image", TaskNotPlaced("no image"), 10.0)
    play.see(waiting("pulling", doubt=image))
    play.see(waiting("backing off", doubt=image), 6.0)
    assert play(events.Tick(), 3.0) == []
    assert play(events.Tick(), 1.0) == [actions.Delete(KEY)]
    play(events.Deleted(KEY))
    play.see(ended())
    play(events.Finalized(KEY, JobEnd(None)))
    assert str(play.end().failure) == "no image"


def test_a_doubt_that_passes() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(waiting("pulling", doubt=Doubt("image", WHY, 10.0)))
    play.see(running(), 9.0)
    assert play(events.Tick(), 99.0) == []
    play.see(running(doubt=Doubt("unready", WHY, 10.0)))
    assert play(events.Tick(), 9.0) == []
    assert play(events.Tick(), 1.0) == [actions.Delete(KEY)]


def test_the_pending_deadline_counts_from_the_submission() -> None:
    play = Played()
    play(events.Delayed(KEY, "throttled"), 60.0)
    play(events.Created(KEY))
    play.see(waiting("no node"))
    assert play(events.Tick(), 40.0) == []
    assert play(events.Tick(), 0.1) == [actions.Delete(KEY)]
    job = play.machine.get(KEY)
    assert job is not None
    assert str(job.cancel_reason) == "the step 'train' has waited 100 seconds to be started: no node"
    assert "METAFLOW_PAPER_PENDING_DEADLINE" in str(getattr(job.cancel_reason, "hint", ""))


def test_silence_is_explained_and_the_jobs_own_word_comes_first() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(waiting())
    assert play(events.Tick(), 3.9) == []
    assert play(events.Tick(), 0.1) == [actions.Explain((KEY,))]
    assert play(events.Explained(KEY, "a guess")) == [actions.Tell(Waiting(1, 0, "a guess"))]
    assert play.see(waiting()) == []
    assert play(events.Tick(), 4.9) == []
    assert play(events.Tick(), 0.1) == [actions.Explain((KEY,))]
    assert play.see(waiting("its word")) == [actions.Tell(Waiting(1, 0, "its word"))]
    assert play(events.Tick(), 50.0) == []


# --- known from elsewhere --------------------------------------------------------------------------------------------


def test_a_start_that_is_noticed_elsewhere() -> None:
    play = Played()
    play(events.Created(KEY))
    assert play(events.StartNoticed(KEY)) == [actions.Look(KEY)]
    play.see(waiting(where="pod x"))
    assert [type(report) for report in play.reports] == []
    play(events.StartNoticed(KEY))
    assert [type(report) for report in play.reports] == [JobStarted]
    play.see(waiting("late news", where="pod x"))
    play.see(running())
    assert [type(report) for report in play.reports] == [JobStarted]


def test_an_abandoned_job_gets_no_end() -> None:
    play = Played()
    play(events.Created(KEY))
    play.see(running())
    assert play(events.Abandoned(KEY)) == [actions.Forget(KEY, "id")]
    assert play.machine.jobs == []
    again = JobKey(1, 1)
    play(events.Submitted(a_job(1, 1)))
    play(events.Finalized(KEY, JobEnd(0)))
    job = play.machine.of_task(1)
    assert job is not None
    assert job.key == again


# --- gangs -----------------------------------------------------------------------------------------------------------


def test_a_gang_starts_with_its_first_member_and_ends_with_its_last() -> None:
    play = Played(a_job(members=2))
    play(events.Created(KEY))
    play.see(waiting("no node")._replace(id="b", member=1))
    assert len([each for each in play.see(running()) if isinstance(each, actions.Tell)]) == 1
    assert play.see(ended()) == []
    assert play.see(running()._replace(id="b", member=1)) == []
    assert play.see(ended()._replace(id="b", member=1)) == [actions.Finalize(KEY)]


# --- the machine -----------------------------------------------------------------------------------------------------


def test_an_invalid_transition_tells_the_story() -> None:
    play = Played()
    play(events.Created(KEY), 1.5)
    job = play.machine.get(KEY)
    assert job is not None
    error = InvalidTransition(job, State.WITHDRAWN)
    assert (job.state, State.WITHDRAWN) not in TRANSITIONS
    story = "step train, task 1, attempt 0: after 1.50 s Created when CREATING; now WAITING"
    assert str(error) == f"WAITING cannot become WITHDRAWN ({story})"


def test_every_state_can_be_reached_and_left() -> None:
    assert {to for _, to in TRANSITIONS} == set(State) - {State.CREATING}
    assert {before for before, _ in TRANSITIONS} == set(State) - {State.ENDED}


DOUBT = Doubt("image", TaskNotPlaced("no image"), 10.0)
HAPPENINGS: list[events.Event] = [
    events.Created(KEY, "id"),
    events.Created(KEY, state=waiting("submitted")),
    events.NotCreated(KEY, TaskNotPlaced("refused")),
    events.Delayed(KEY, "throttled"),
    events.Cancelled(KEY, WHY),
    events.StartNoticed(KEY),
    events.Deleted(KEY),
    events.Deleted(KEY, was_gone=True),
    events.NotDeleted(KEY),
    events.Missing(KEY, TaskLost("missing")),
    events.Explained(KEY, "a guess"),
    events.Explained(KEY, "a quota", DOUBT),
    events.Finalized(KEY, JobEnd(0, succeeded=True)),
    events.Finalized(KEY, JobEnd(1)),
    events.Tick(),
    *(
        events.Seen(KEY, state)
        for state in (
            waiting(), waiting("why", where="pod x"), waiting(doubt=DOUBT), waiting(is_idle=True), running(),
            running(is_taken=True), running(doubt=DOUBT), ended(), ended(is_taken=True),
        )
    ),
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.sampled_from([0.0, 1.0, 30.0])), max_size=25))
def test_whatever_happens_in_whatever_order(happenings: list[tuple[events.Event, float]]) -> None:
    """One end at most, after it nothing; waiting before the start; and no order is a defect."""
    play = Played()
    for event, after in happenings:
        play(event, after)
    kinds = [type(report) for report in play.reports]
    assert kinds.count(JobStarted) <= 1
    assert kinds.count(JobEnded) == (play.state is State.ENDED)
    assert JobEnded not in kinds[:-1]
    if JobStarted in kinds:
        assert Waiting not in kinds[kinds.index(JobStarted) :]
    # And whatever has happened, it can be brought to its end.
    play(events.Cancelled(KEY, WHY))
    if play.state is State.WITHDRAWN:
        play(events.NotCreated(KEY))
    if play.state is State.DELETING:
        play(events.Deleted(KEY))
    play(events.Tick(), 1000.0)
    play(events.Finalized(KEY, JobEnd(None)))
    assert play.state is State.ENDED
    end = play.end()
    assert end.failure is None or isinstance(end.failure, TaskFailed)
