"""The producers of what a gate may ask beside the comparison: each gathers its evidence and asks its gate.

What is not declared in the model's `GatePolicy` is not asked. A producer that breaks is an answer too: INSUFFICIENT,
with what went wrong; evidence that could not be made has not been seen.
"""

from __future__ import annotations

import json
import logging
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError, NotFoundError, told
from backstay.core.identity import sha256
from backstay.core.times import duration, instant
from backstay.definitions import EventSource, Model
from backstay.evaluation.calibration.rule import Rule
from backstay.lifecycle.records import Records
from backstay.lifecycle.reproduce import REPRODUCTION
from backstay.lifecycle.scored import LabelledRows
from backstay.lifecycle.verify import Chosen, verify
from backstay.registry.manifest import missing_lineage
from backstay.registry.versions import ModelVersion
from backstay.rollout import Check, Decision, Verdict, complete
from backstay.rollout.around import contracts_kept, parity_proven, reproducible, tests_passed, within_budget
from backstay.rollout.quality import calibrated, good_enough
from backstay.runtimes import Scorer, load
from backstay.runtimes.trying import SAMPLE
from backstay.storage.ports import Entry

_logger = logging.getLogger("backstay.gates")

TESTS = "tests"
"""The ledger's kind of entry for a run of feature tests; its subject is the model."""
_ROUNDS, _WARM = 3, 200


def declared(
    records: Records, model: Model, version: ModelVersion, champion: ModelVersion | None, rows: LabelledRows,
    score: npt.NDArray[np.float64], as_of: int,
) -> list[Check]:  # fmt: skip
    """The checks that the model's policy declares beside the comparison, in the order of a version's life."""
    gate = model.gate
    asked: list[tuple[str, bool, Callable[[], Check]]] = [
        ("contracts_kept", gate.quarantined is not None, lambda: _contracts(records, model, version)),
        ("feature_tests", gate.feature_tests, lambda: _tests(records, model, version)),
        ("parity_proven", gate.parity is not None and champion is not None, lambda: _parity(records, model, as_of)),
        ("good_enough", bool(gate.at_least or gate.at_most), lambda: good_enough(
            rows.outcome, score, rows.day, gate.at_least, gate.at_most, gate)),
        ("calibrated", gate.calibration is not None, lambda: _calibrated(model, rows, score)),
        ("within_budget", gate.budget is not None, lambda: _budget(records, model, version, rows, as_of)),
        ("reproducible", gate.reproducible is not None, lambda: _reproducible(records, model, version)),
        ("complete", bool(gate.evidence), lambda: _complete(records, model, version)),
    ]  # fmt: skip
    return [made(name, make) for name, wanted, make in asked if wanted]


def made(name: str, make: Callable[[], Check]) -> Check:
    """What `make` answers; what it raises is INSUFFICIENT: our own errors in their words, of others class and place."""
    try:
        return make()
    except Exception as error:  # whatever broke, the answer is that nobody could look
        _logger.warning("a check of the gate could not be asked: %s", name, exc_info=error)
        reason = f"it could not be asked: {told(error)}"
        return Check(name, Verdict.INSUFFICIENT, reason, {"error": type(error).__name__})


def record_tests(records: Records, model: Model, report: bytes, *, where: str = "") -> Entry:
    """Write down a run of feature tests, as JUnit XML tells it (pytest --junitxml), of the definitions as they are."""
    try:
        root = ElementTree.fromstring(report)  # noqa: S314 - the user's own test report, read by the user
    except ElementTree.ParseError as error:
        raise InputError(
            f"it is no XML: {error}", where=where, expected="JUnit XML", fix="pytest --junitxml=FILE"
        ) from None
    if root.tag not in ("testsuite", "testsuites"):
        raise InputError(f"its root is <{root.tag}>", where=where, expected="JUnit XML", fix="pytest --junitxml=FILE")
    cases = list(root.iter("testcase"))
    counts = {name: sum(case.find(tag) is not None for case in cases)
              for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))}  # fmt: skip
    body = {"feature_set": model.features.hash, "tests": len(cases), **counts, "digest": sha256(report)}
    return records.ledger.append(TESTS, model.name, body, at=records.clock.now(), actor=records.actor)


def _contracts(records: Records, model: Model, version: ModelVersion) -> Check:
    counts, reasons = {}, {}
    for source in model.sources:
        if source.contract is None:
            continue
        begin, end = _window(version)
        held, ids = 0, set[object]()
        columns = ["event_time", *([source.event_id] if source.event_id else [])]
        try:
            for batch in records.events.batches(
                source.name, columns=columns, known_until=version.manifest.dataset.as_of
            ):
                time_ = batch.get_column("event_time").dt.epoch("us").to_numpy()
                held += int(np.count_nonzero((time_ >= begin) & (time_ < end)))
                ids |= set(batch.get_column(source.event_id).to_list()) if source.event_id else set()
        except NotFoundError:
            held = 0
        bad = Counter(_quarantined(records, source, begin, end, ids))
        counts[source.name] = (held, bad.total())
        if bad:
            reasons[source.name] = bad.most_common(1)[0][0]
    assert model.gate.quarantined is not None
    return contracts_kept(counts, model.gate.quarantined, reasons)


def _window(version: ModelVersion) -> tuple[int, int]:
    """The event times that a version can have learned from."""
    data = version.manifest.dataset
    return (0 if data.since is None else data.since), (data.as_of if data.until is None else data.until)


def _quarantined(records: Records, source: EventSource, begin: int, end: int, ids: set[object]) -> Iterator[str]:
    """The reasons of events in quarantine of a window of event times. One whose time can't be read is of every window;
    one whose event came again, mended, is handled."""
    if not records.events.last_sequence(source.quarantine):
        return
    for row in records.events.read(source.quarantine, columns=["reason", "row"]).iter_rows(named=True):
        came = json.loads(row["row"])
        told = came if isinstance(came, dict) else {}
        if source.event_id and told.get(source.event_id) in ids:
            continue
        moment = told.get(source.event_time)
        try:
            when = instant(moment, zone=source.timezone) if isinstance(moment, str) else None
        except InputError:
            when = None
        if when is None or begin <= when < end:
            yield row["reason"]


def _tests(records: Records, model: Model, version: ModelVersion) -> Check:
    entry, now = records.ledger.last(TESTS, model.name), records.clock.now()
    report = None if entry is None else {one: entry.body[one] for one in ("tests", "failures", "errors", "skipped")}
    same = entry is not None and entry.body["feature_set"] == version.manifest.feature_set.hash
    age = None if entry is None else now - entry.at
    return tests_passed(report, same=same, age=age, max_age=duration(model.gate.expires))


def _parity(records: Records, model: Model, as_of: int) -> Check:
    asked = model.gate.parity
    assert asked is not None
    chosen = Chosen(sample=asked.sample, since=as_of - duration(asked.window), until=as_of)
    return parity_proven(verify(records, model, chosen), asked.minimum, asked.max_stale)


def _calibrated(model: Model, rows: LabelledRows, score: npt.NDArray[np.float64]) -> Check:
    assert model.gate.calibration is not None
    return calibrated(rows.outcome, score, rows.day, model.gate.calibration, model.gate)


def _budget(records: Records, model: Model, version: ModelVersion, rows: LabelledRows, as_of: int) -> Check:
    """Time single rows by the files that serve. Of several rounds the quickest counts: what else the machine does can
    only make a round slower."""
    asked = model.gate.budget
    assert asked is not None
    read, sizes = records.registry.reader(version), dict[str, int]()

    def counted(name: str) -> bytes:
        data = read(name)
        if name != SAMPLE:  # rows with which the model is tried; no part of it
            sizes[name] = len(data)
        return data

    scorer = load(model, version.manifest.scorer.format, counted, where=f"{version.model}/{version.number}")
    rule, took = records.rule(version, as_of=as_of), np.empty(0)
    if rows.rows and asked.latency is not None:
        order = [rows.vector[place : place + 1] for place in np.resize(np.arange(rows.rows), asked.rows)]
        for row in order[:_WARM]:
            rule(scorer.score(row))
        rounds = [np.array([_timed(scorer, rule, row) for row in order]) for _ in range(_ROUNDS)]
        took = min(rounds, key=lambda one: float(np.quantile(one, 0.99)))
    scorer.close()
    machine = f"{platform.machine()}, {platform.system()}"
    latency = None if asked.latency is None else duration(asked.latency)
    return within_budget(took, sum(sizes.values()), latency, asked.bytes, machine)


def _timed(scorer: Scorer, rule: Rule, row: npt.NDArray[np.float32]) -> float:
    """Microseconds that answering one row takes. It is the machine that is measured, so this is the machine's clock."""
    begin = time.perf_counter_ns()
    rule(scorer.score(row))
    return (time.perf_counter_ns() - begin) / 1000


def _reproducible(records: Records, model: Model, version: ModelVersion) -> Check:
    entry = records.ledger.last(REPRODUCTION, f"{version.model}/{version.number}")
    if entry is not None and entry.body["manifest"] != version.digest:
        entry = None
    assert model.gate.reproducible is not None
    return reproducible(
        model.gate.reproducible, missing_lineage(version.manifest), clean=version.manifest.code.dirty is None,
        made=None if entry is None else entry.body["outcome"],
        age=None if entry is None else records.clock.now() - entry.at, max_age=duration(model.gate.expires),
    )  # fmt: skip


def _complete(records: Records, model: Model, version: ModelVersion) -> Check:
    """Entries of the ledger about the version, or about its model, by their kind."""
    found: dict[str, Any] = {}
    times: dict[str, int] = {}
    for kind in model.gate.evidence:
        about = (records.ledger.last(kind, one) for one in (f"{model.name}/{version.number}", model.name))
        entry = next((one for one in about if one and one.body.get("manifest", version.digest) == version.digest), None)
        if entry is not None:
            told = entry.body.get("decision")
            decision = Decision.of(map(Check.from_dict, told["checks"])) if isinstance(told, dict) else None
            found[kind], times[kind] = decision or dict(entry.body), entry.at
    return complete(
        found, model.gate.evidence, made_at=times, now=records.clock.now(), max_age=duration(model.gate.expires)
    )
