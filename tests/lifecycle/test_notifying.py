"""People are told at least once, whatever fails: recorded, tried again later and later, and never in a tick's way."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from backstay.core.errors import BackstayError
from backstay.core.times import DAY, HOUR, MINUTE
from backstay.lifecycle.incidents import act
from backstay.lifecycle.notifying import Delivery, Make, deliver, deliveries, undelivered
from backstay.monitoring.incidents import acknowledge, resolve
from backstay.monitoring.notifiers.message import Message
from tests.lifecycle.signalled import Watched


@dataclass
class Bell:
    """A notifier that keeps what it is given, and fails as long as it is told to."""

    fails: BaseException | None = None
    got: list[Message] = field(default_factory=list)

    def send(self, message: Message, timeout: float) -> None:
        if self.fails is not None:
            raise self.fails
        self.got.append(message)

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.got]


def opened() -> Watched:
    life = Watched()
    life.window({"place_wind": "input_drift"})
    assert life.settle() == ["1 opened"]
    return life


def tell(
    life: Watched, bells: dict[str, Bell], *, mine: bool = False, least: str = "", timeout: float = 2.0
) -> list[Delivery]:
    makers: dict[str, Make] = {name: lambda bell=bell: bell for name, bell in bells.items()}  # type: ignore[misc]
    written = range(1, life.records.ledger.revision() + 1) if mine else ()
    return deliver(life.records, "late", "shop", makers, timeout=timeout, least=least, mine=written)


def later(life: Watched, micros: int) -> None:
    life.clock.advance(life.clock.now() + micros)


def test_what_this_tick_wrote_is_told_at_once_and_what_another_wrote_when_it_had_its_time() -> None:
    life, bell = opened(), Bell()
    assert tell(life, {"bell": bell}) == []  # whoever wrote it is sending it just now
    later(life, 2 * MINUTE)
    (one,) = tell(life, {"bell": bell})
    assert (one.ok, one.number, one.event, one.attempt, bell.ids) == (True, 1, "opened", 1, ["late/1/2"])
    assert tell(life, {"bell": bell}, mine=True) == []
    assert deliveries(life.records, "late", 1) == [one]
    life, bell = opened(), Bell()
    assert [one.ok for one in tell(life, {"bell": bell}, mine=True)] == [True]


def test_every_notifier_gets_it_and_one_that_fails_is_tried_again_later_each_time() -> None:
    life, good, bad = opened(), Bell(), Bell(BackstayError("it answered 500", where="notify.bad"))
    bells = {"bad": bad, "good": good}
    told = tell(life, bells, mine=True)
    assert [(one.notifier, one.error) for one in told] == [("bad", "it answered 500 (at notify.bad)"), ("good", "")]
    waits = []
    for _ in range(4):
        waited = 0
        while not (again := tell(life, bells)):
            later(life, MINUTE)
            waited += 1
        assert [(one.notifier, one.ok) for one in again] == [("bad", False)]
        waits.append(waited)
    assert waits == [1, 2, 4, 8]
    bad.fails = None
    later(life, 16 * MINUTE)
    (last,) = tell(life, bells)
    assert (last.ok, last.attempt, bad.ids, good.ids) == (True, 6, ["late/1/2"], ["late/1/2"])


@pytest.mark.parametrize("taken", [False, True])
def test_old_news_is_given_up_but_what_is_open_still_is_told_as_it_is_by_then(taken: bool) -> None:
    life, bad = opened(), Bell(BackstayError("down"))
    tell(life, {"bad": bad}, mine=True)
    life.window({"place_wind": "input_drift", "score": "score_drift"})
    assert life.settle() == ["1 worsened"]
    if taken:
        act(life.records, life.model, 1, lambda one, _: acknowledge(one, "ann"))
    for _ in range(160):
        tell(life, {"bad": bad})
        later(life, HOUR)
    assert len(deliveries(life.records, "late", 1)) < 50
    assert undelivered(life.records, "late") == (0 if taken else 1)
    bad.fails = None
    later(life, 6 * HOUR)
    assert [one.event for one in tell(life, {"bad": bad})] == ([] if taken else ["worsened"])
    assert tell(life, {"bad": bad}) == []
    assert undelivered(life.records, "late") == 0


def test_whatever_a_notifier_raises_is_recorded_without_its_words() -> None:
    life, bad = opened(), Bell(RuntimeError("the token s3cret is wrong"))
    (one,) = tell(life, {"bad": bad}, mine=True)
    assert one.error == "RuntimeError"


def test_one_that_cannot_be_made_has_failed() -> None:
    life = opened()

    def unmade() -> Bell:
        raise BackstayError("the environment has no variable 'HOOK'", where="notify.webhook")

    (one,) = deliver(life.records, "late", "shop", {"webhook": unmade}, timeout=1.0, mine=range(9))
    assert one.error == "the environment has no variable 'HOOK' (at notify.webhook)"


def test_one_that_hangs_holds_a_tick_up_no_longer_than_it_may() -> None:
    life, released = opened(), threading.Event()
    life.window({"score": "score_drift"})
    life.settle()

    class Stuck:
        def send(self, message: Message, timeout: float) -> None:
            released.wait(10)

    told = deliver(life.records, "late", "shop", {"stuck": Stuck}, timeout=0.05, mine=range(99))
    released.set()
    # The second message waits for the next tick.
    assert [one.error for one in told] == ["it has not come back within 0.1 s"]


def test_what_people_are_told_of() -> None:
    life, bell = opened(), Bell()
    tell(life, {"bell": bell}, mine=True)
    life.window({"trip_before": "input_drift"})  # it grew
    life.settle()
    act(life.records, life.model, 1, lambda one, now: acknowledge(one, "ann", "a secret reason"))
    life.window({"score": "score_drift"})
    life.settle()
    act(life.records, life.model, 1, lambda one, now: resolve(one, "ann", now, "a secret reason"))
    tell(life, {"bell": bell}, mine=True)
    assert [one.event for one in bell.got] == ["opened", "worsened", "resolved"]
    assert "secret" not in "".join(one.plain for one in bell.got)


def test_below_the_least_severity_nobody_is_told() -> None:
    life, bell = opened(), Bell()
    assert tell(life, {"bell": bell}, mine=True, least="score_drift") == []
    life.window({"score": "score_drift"})
    life.settle()
    assert [one.event for one in tell(life, {"bell": bell}, mine=True, least="score_drift")] == ["worsened"]


def test_a_tick_that_was_killed_before_it_recorded_sends_the_same_again() -> None:
    life, bell, ledger = opened(), Bell(), None
    ledger, append = life.records.ledger, life.records.ledger.append

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    ledger.append = killed  # type: ignore[method-assign, assignment]
    try:
        tell(life, {"bell": bell}, mine=True)
    except Killed:
        ledger.append = append  # type: ignore[method-assign]
    later(life, 3 * MINUTE)
    assert [one.ok for one in tell(life, {"bell": bell})] == [True]
    assert bell.ids == ["late/1/2", "late/1/2"]  # twice, and by its id it can be told


def test_without_notifiers_nothing_is_written() -> None:
    life = opened()
    later(life, DAY)
    before = life.records.ledger.revision()
    assert tell(life, {}) == []
    assert life.records.ledger.revision() == before
