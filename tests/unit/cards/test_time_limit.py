"""Limits for code of users, one within the other, beside alarms of others."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from metaflow.cards.time_limit import TookTooLong, time_limit


def endless() -> None:
    while True:
        try:
            time.sleep(60)
        except Exception:  # noqa: BLE001 - such code there is
            pass


def test_what_takes_longer_is_ended() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TookTooLong, match=r"The card was not ready after 0.01 s."), time_limit(0.01):
        endless()
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_inner_limit_ends_what_is_inside_and_the_outer_one_goes_on() -> None:
    def twice() -> None:
        with pytest.raises(TookTooLong, match="inner"), time_limit(0.01, "inner"):
            endless()
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 0.2
        endless()

    with pytest.raises(TookTooLong, match="outer"), time_limit(0.2, "outer"):
        twice()


def test_an_outer_limit_that_is_nearer_counts() -> None:
    with pytest.raises(TookTooLong, match="outer"), time_limit(0.01, "outer"), time_limit(60, "inner"):
        endless()


def test_without_limit_and_in_another_thread_nothing_is_ended() -> None:
    done: list[int] = []

    def work() -> None:
        with time_limit(1e-6):
            time.sleep(0.001)
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with time_limit(0):
        done.append(2)
    assert done == [1, 2]
