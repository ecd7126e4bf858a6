"""Whether a training is due, on the records: the evidence of a trigger, and the claim that makes one tick train."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache

import polars as pl

from backstay.core.errors import ConflictError
from backstay.core.times import HOUR, MINUTE, instant_datetime, instant_text
from backstay.definitions import Model
from backstay.features.contracts import LIVE_AHEAD
from backstay.lifecycle.candidates import train_candidate
from backstay.lifecycle.data_checks import DATA, DataRefused
from backstay.lifecycle.incidents import last_looked, standing
from backstay.lifecycle.records import Records
from backstay.monitoring.triggers import Blocked, Evidence, Trigger, due
from backstay.registry.environment import Environment
from backstay.registry.versions import ModelVersion
from backstay.rollout import Verdict
from backstay.storage.ports import Entry

RETRAIN = "retrain"
"""The ledger's kind of entry for the claim of a training that is due, with its trigger; its subject is the model."""
TRAINING = "training"
"""The kind by which whoever trains says that it goes on: its subject is the model, its body names the claim."""
_HELD = 30 * MINUTE
"""How long a claim holds from the last word of whoever has it: so long a process that was killed holds others up."""
_BEAT = 10 * MINUTE
_logger = logging.getLogger("backstay.retraining")


def trigger(records: Records, model: Model) -> Trigger | Blocked | None:
    """What makes a training of a model due now; `Blocked` where it must not be; None if nothing does.

    A model without any version is trained by hand first: None.
    """
    versions, now = records.registry.versions(model.name), records.clock.now()
    if not versions:
        return None
    newest = max(one.manifest.dataset.as_of for one in versions)
    mature = max(one.manifest.cutoff for one in versions) - model.label.maturity
    last = last_looked(records, model.name)
    seen = Evidence(
        now, newest, () if last is None else last.signals, 0 if last is None else last.entry,
        fresh=cache(lambda: _asked(records, model, mature, now - model.label.maturity)),
    )  # fmt: skip
    if due(model.retrain, seen) is None:
        return None  # as mostly: then it matters to nobody which incidents are open
    # Where nobody looks any more no incident ends either: what was open then stops nothing.
    there = standing(records, model) if model.monitor is not None else []
    return due(model.retrain, replace(seen, incidents=there))


def _asked(records: Records, model: Model, since: int, until: int) -> int:
    """How many rows were asked in [since, until), by what is known: their labels are mature, but for void ones."""
    source, low, high = model.ask.source, since + model.ask.before, until + model.ask.before
    if not records.events.last_sequence(source.name):
        return 0
    # What happened since then became known since then, and older files are passed over; but an import that brings its
    # own known times may know long before what is to happen: a timetable does.
    after = low - LIVE_AHEAD - 1 if source.known_time is None else None
    read = records.events.read(
        source.name, columns=["event_time"], known_until=records.clock.now(), known_after=after
    )  # fmt: skip
    at = pl.col("event_time")
    return read.filter((at >= instant_datetime(low)) & (at < instant_datetime(high))).height


def retrain(
    records: Records, model: Model, environment: Environment, by: Trigger, *, strict: bool
) -> tuple[list[ModelVersion], list[str]]:
    """Train the version that is due; or why not, where another tick does, or the data are refused.

    It is claimed in the ledger first, with its trigger, so that of ticks at once one trains. The claim ends where the
    training fails, or half an hour after the last word of whoever trains, who says every ten minutes that it goes on:
    a training may take days, and a process that was killed holds nobody up for long.
    """
    now = records.clock.now()
    if said := _refused(records, model, now):
        return [], said
    newest = max(one.manifest.dataset.as_of for one in records.registry.versions(model.name))
    last = records.ledger.last(RETRAIN, model.name)
    if last is not None and last.body["newest"] == newest and now < _until(records, model, last):
        return [], [f"a version is being trained: {last.actor} began at {instant_text(last.at)}"]
    try:
        mine = _claim(records, model, newest, now + _HELD, 0 if last is None else last.id, by)
    except ConflictError:
        return [], ["a version is being trained: another tick began just now"]
    try:
        with _renewed(records, model, mine):
            return [train_candidate(records, model, environment, as_of=now, strict=strict, note=_note(by))], []
    except BaseException as error:
        with suppress(ConflictError):  # it took so long that the next one has begun
            _claim(records, model, newest, records.clock.now(), mine.id, by)
        if isinstance(error, DataRefused):  # it stands in the ledger; a tick an hour later looks again
            return [], [error.what]
        raise


def _note(by: Trigger) -> str:
    """What a version's note says of why it was trained; the cadence needs none."""
    return "" if by.reason == "cadence" else f"due by {by.said}"


def _refused(records: Records, model: Model, now: int) -> list[str]:
    """That the data were refused within the hour, if they were: ticks may come every minute."""
    entry = records.ledger.last(DATA, model.name)
    if entry is None or now - entry.at >= HOUR or "accepted" in entry.body:
        return []
    decision = entry.body["decision"]
    failed = decision["verdict"] == Verdict.FAIL.value
    return [f"the data are not fit to be learned from: {decision['reason']}"] if failed else []


def _until(records: Records, model: Model, claim: Entry) -> int:
    """How long a claim holds, by its own entry and by the last word of whoever has it."""
    word, until = records.ledger.last(TRAINING, model.name), int(claim.body["until"])
    return until if word is None or word.body["claim"] != claim.id else max(until, int(word.body["until"]))


@contextmanager
def _renewed(records: Records, model: Model, claim: Entry) -> Iterator[None]:
    """Meanwhile a thread says every ten minutes, by the records' clock, that the training goes on.

    It wakes by the machine's time and writes by the clock's: over history, where time stands still, it writes nothing.
    """
    done = threading.Event()

    def renew() -> None:
        said = claim.at
        while not done.wait(_BEAT / 1_000_000):
            now = records.clock.now()
            if now - said < _BEAT * 9 // 10:
                continue
            try:
                records.ledger.append(
                    TRAINING, model.name, {"claim": claim.id, "until": now + _HELD}, at=now, actor=records.actor
                )  # fmt: skip
                said = now
            except Exception:  # the next word may get through; two are lost before the claim is
                _logger.exception("it could not be said that a training goes on")

    thread = threading.Thread(target=renew, name="backstay-claim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _claim(records: Records, model: Model, newest: int, until: int, expect: int, by: Trigger) -> Entry:
    body = {"newest": newest, "until": until, "trigger": by.as_dict()}
    return records.ledger.append(
        RETRAIN, model.name, body, at=records.clock.now(), actor=records.actor, expect=expect
    )  # fmt: skip
