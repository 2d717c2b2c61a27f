"""Calls in lanes: their order, what trouble does to them, and when it is final. No network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from metaflow.exception import MetaflowException, StorageUnavailable
from metaflow.metadata_provider.service.connection import Unavailable
from metaflow.metadata_provider.service.sender import Call, Pauses, Sender

AT_ONCE = Pauses(0.001, 0.002)


class Service:
    """Takes calls; `trouble` is what it raises, one for each call, until there is none left."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.again: list[str] = []
        self.trouble: Iterator[Exception] = iter(())
        self.at_once = 0
        self.most_at_once = 0
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()

    def call(self, name: str) -> Named:
        return Named(self, name)

    def take(self, name: str, again: bool) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            error = next(self.trouble, None)
        try:
            self.gate.wait(10)
            if error is not None:
                raise error
            with self._lock:
                self.taken.append(name)
                if again:
                    self.again.append(name)
        finally:
            with self._lock:
                self.at_once -= 1


class Named:
    def __init__(self, service: Service, name: str) -> None:
        self.service = service
        self.name = name

    def send(self, *, again: bool) -> None:
        self.service.take(self.name, again)


def alone(calls: Sequence[Call]) -> list[Call]:
    return list(calls)


def joined(calls: Sequence[Call]) -> list[Call]:
    names = [call.name for call in calls if isinstance(call, Named)]
    return [calls[0].service.call("+".join(names))] if isinstance(calls[0], Named) else []


@pytest.fixture
def service() -> Service:
    return Service()


def sender_of(
    patience: float = 60.0,
    together: Callable[[Sequence[Call]], list[Call]] = alone,
    clock: Callable[[], float] | None = None,
) -> Sender:
    return Sender("http://s", patience, together, AT_ONCE, **({} if clock is None else {"clock": clock}))


def test_a_lane_keeps_its_order_whatever_happens(service: Service) -> None:
    sender = sender_of()
    service.trouble = iter([Unavailable("away", unsure=False)] * 3 + [Unavailable("cut")])
    for number in range(20):
        sender.put("a", service.call(f"a{number}"))
        sender.put("b", service.call(f"b{number}"))
    assert sender.flush(30)
    for lane in "ab":
        assert [name for name in service.taken if name[0] == lane] == [f"{lane}{number}" for number in range(20)]
    assert len(service.again) == 1, "only the call of which nobody knows"
    assert sender.trouble is None


def test_what_waits_in_a_lane_is_sent_together(service: Service) -> None:
    sender = sender_of(together=joined)
    service.gate.clear()
    sender.put("a", service.call("1"))
    while not service.at_once:
        pass
    for number in "234":
        sender.put("a", service.call(number))
    service.gate.set()
    assert sender.flush(30)
    assert service.taken == ["1", "2+3+4"]


def test_lanes_do_not_wait_for_one_another_but_one_call_at_a_time_is_tried_in_trouble(service: Service) -> None:
    sender = sender_of()
    service.gate.clear()
    for lane in range(6):
        sender.put(lane, service.call(str(lane)))
    while service.at_once < 6:
        pass
    assert not sender.flush(0)
    service.trouble = iter(())
    service.gate.set()
    assert sender.flush(30)
    service.most_at_once, service.trouble = 0, iter([Unavailable("away")] * 8)
    sender.put("x", service.call("x"))
    while sender.trouble is None and service.taken[-1] != "x":
        pass
    for lane in range(6):
        sender.put(lane, service.call(str(lane)))
    assert sender.flush(30)
    assert len(service.taken) == 13


def test_some_lanes_can_be_waited_for(service: Service) -> None:
    sender = sender_of()
    sender.put("done", service.call("1"))
    assert sender.flush(30)
    service.gate.clear()
    sender.put("held", service.call("2"))
    assert sender.flush(0, {"done", "never"})
    assert not sender.flush(0.001, {"done", "held"})
    service.gate.set()
    assert sender.flush(30, {"held"})


def test_patience_ends(service: Service) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    sender = sender_of(patience=5.0, clock=clock)
    service.trouble = iter([Unavailable("nobody listens there")] * 1000)
    sender.put("a", service.call("1"))
    with pytest.raises(StorageUnavailable, match="http://s has given no answer for 5 s: nobody listens there") as error:
        sender.flush(30)
    assert "METAFLOW_SERVICE_PATIENCE" in (error.value.hint or "")
    with pytest.raises(StorageUnavailable):
        sender.put("b", service.call("2"))
    assert service.taken == []


@pytest.mark.parametrize(
    ("error", "words"), [(StorageUnavailable("refused"), "refused"), (ZeroDivisionError("x"), "ZeroDivisionError: x")]
)
def test_a_refusal_is_final(service: Service, error: Exception, words: str) -> None:
    sender = sender_of()
    service.trouble = iter([error])
    sender.put("a", service.call("1"), service.call("2"))
    with pytest.raises(MetaflowException, match=words):
        sender.flush(30)
    assert service.taken == []
