"""Broken evidence never promotes: a candidate that would pass is judged with one thing broken at a time.

Without anything broken it passes, and is promoted: that is the first test. Each case then breaks one thing for real, in
the records, the definitions or the files, and neither is the answer PASS, nor does anybody become champion.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from backstay import Calibrated, Label, Parity, ServingBudget, Slice
from backstay.core.clock import ReplayClock
from backstay.core.errors import BackstayError, DefinitionError, IntegrityError
from backstay.core.identity import sha256
from backstay.core.times import DAY, instant
from backstay.definitions import Model
from backstay.evaluation.slices import Predicate
from backstay.lifecycle.evidence import record_tests
from backstay.lifecycle.gates import standing
from backstay.lifecycle.judge import Judgement, judge, promote
from backstay.lifecycle.overrides import override
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import REFERENCE
from backstay.lifecycle.reproduce import record_reproduction
from backstay.lifecycle.slices import pin
from backstay.project import Project
from backstay.registry.versions import ModelVersion
from backstay.rollout import Check, Decision, Verdict
from tests.serving import shop

FIRST = instant(shop.FIRST)
GREEN = b'<testsuite tests="2"><testcase name="a"/><testcase name="b"/></testsuite>'


@dataclass
class Case:
    """A candidate, version 1 without a champion, about to be judged."""

    project: Project
    records: Records
    model: Model
    number: int = 1
    only: str = ""
    """the check that it is about, where others may not pass either"""

    def gate(self, **declared: Any) -> None:
        self.model.gate = replace(self.model.gate, **declared)

    def judge(self, as_of: int = FIRST) -> Judgement:
        return judge(self.records, self.model, self.number, as_of=as_of)

    def at(self, moment: int) -> None:
        self.project.clock.advance(moment)  # type: ignore[attr-defined]

    def rival(self) -> None:
        """Version 2 is champion: what is asked only of a candidate that has one is asked."""
        shop.move_champion(self.project, 2)

    @property
    def champion(self) -> int | None:
        move = self.records.registry.alias("late", "champion")
        return None if move is None else move.to


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = shop.write(tmp_path_factory.mktemp("broken") / "shop")
    project = Project(path, clock=ReplayClock(FIRST), actor="ana")
    project.ingest()
    project.train("late", holdout="14d")
    project.train("late", holdout="14d", seed=1, note="the rival")
    project.close()
    return path


@pytest.fixture
def case(trained: Path, tmp_path: Path) -> Iterator[Case]:
    project = Project(shop.copied(trained, tmp_path), clock=ReplayClock(FIRST), actor="bob")
    yield Case(project, project.records, copy.copy(project.model("late")))
    project.close()


def test_with_nothing_broken_it_passes_and_is_promoted(case: Case) -> None:
    case.gate(
        at_least={"auc": 0.6}, at_most={"log_loss": 1.0},
        calibration=Calibrated(slope=(0.2, 3.0), level=1.0, error=0.3),
        budget=ServingBudget(latency="1s", size="20MB", rows=1_000), feature_tests=True, evidence=("tests",),
        reproducible="exact",
    )  # fmt: skip
    record_tests(case.records, case.model, GREEN)
    record_reproduction(case.records, case.records.registry.get("late", 1), "exact", "")
    judgement = case.judge()
    assert judgement.decision.verdict is Verdict.PASS, judgement.decision.reason
    assert {check.name for check in judgement.decision.checks} >= {
        "good_enough", "calibrated", "within_budget", "feature_tests", "complete", "reproducible",
    }  # fmt: skip
    assert promote(case.records, case.model, judgement).to == case.champion == 1


# What can be wrong with the rows and the scores -----------------------------------------------------------------------


def no_label_joined(case: Case) -> None:
    nothing = pl.when(pl.col("late").is_null()).then(pl.col("late"))
    case.model.label = _label(case.model, nothing)


def one_class(case: Case) -> None:
    case.model.label = _label(case.model, pl.col("late") & pl.lit(value=False))


def labels_not_mature(case: Case) -> None:
    case.model.label = Label("late", source=case.model.label.source, key="order", value=pl.col("late"), horizon="60d")


def no_row_was_asked(case: Case) -> None:
    case.gate(embargo="400d")


def too_few_rows(case: Case) -> None:
    case.gate(minimum_rows=100_000)


def too_few_days(case: Case) -> None:
    case.gate(minimum_days=365)


def _label(model: Model, value: pl.Expr) -> Label:
    return Label("late", source=model.label.source, key="order", value=value, horizon="2h")


# What is declared, and not there, stale, empty or broken --------------------------------------------------------------


def no_tests_recorded(case: Case) -> None:
    case.gate(feature_tests=True)


def tests_of_another_definition(case: Case) -> None:
    case.gate(feature_tests=True)
    case.records.ledger.append(
        "tests", "late", {"feature_set": "0" * 64, "tests": 3, "failures": 0, "errors": 0, "skipped": 0}, at=FIRST,
        actor="ci",
    )  # fmt: skip


def tests_that_found_nothing_to_run(case: Case) -> None:
    case.gate(feature_tests=True)
    record_tests(case.records, case.model, b"<testsuites/>")


def tests_all_skipped(case: Case) -> None:
    case.gate(feature_tests=True)
    record_tests(case.records, case.model, b"<testsuite><testcase><skipped/></testcase></testsuite>")


def tests_that_failed(case: Case) -> None:
    case.gate(feature_tests=True)
    record_tests(case.records, case.model, b"<testsuite><testcase/><testcase><error/></testcase></testsuite>")


def tests_that_are_stale(case: Case) -> None:
    case.gate(feature_tests=True, expires="2d")
    record_tests(case.records, case.model, GREEN)
    case.at(FIRST + 3 * DAY)


def never_made_again(case: Case) -> None:
    case.gate(reproducible="exact")


def made_again_and_different(case: Case) -> None:
    case.gate(reproducible="exact")
    record_reproduction(case.records, case.records.registry.get("late", 1), "different", "")


def reproduction_of_another_manifest(case: Case) -> None:
    case.gate(reproducible="exact")
    body = {"manifest": "0" * 64, "outcome": "exact", "why": ""}
    case.records.ledger.append("reproduction", "late/1", body, at=FIRST, actor="ci")


def lineage_incomplete(case: Case) -> None:
    case.gate(reproducible="lineage")  # the project is in no git repository


def no_contract(case: Case) -> None:
    case.gate(quarantined=0.5)


def evidence_that_is_not_there(case: Case) -> None:
    case.gate(evidence=("drill",))


def evidence_that_says_insufficient(case: Case) -> None:
    case.gate(evidence=("drill",))
    checks = [{"name": "found", "verdict": "INSUFFICIENT", "reason": "the monitor was down", "evidence": {}}]
    case.records.ledger.append("drill", "late/1", {"decision": {"checks": checks}}, at=FIRST, actor="ci")


def evidence_that_is_empty(case: Case) -> None:
    case.gate(evidence=("drill",))
    case.records.ledger.append("drill", "late", {}, at=FIRST, actor="ci")


def calibration_that_is_far_off(case: Case) -> None:
    case.gate(calibration=Calibrated(slope=(5.0, 6.0), level=None))


def a_bound_that_rows_cannot_tell(case: Case) -> None:
    area = case.judge().decision.checks[-1].evidence["candidate"]
    assert isinstance(area, float)
    case.gate(at_least={"auc": area})  # inside the interval


def files_too_large(case: Case) -> None:
    case.gate(budget=ServingBudget(size=1))


def a_row_takes_too_long(case: Case) -> None:
    case.gate(budget=ServingBudget(latency="1us", rows=1_000))


def scores_that_are_nan(case: Case) -> None:
    case.number = _with_model(
        case.records, case.records.registry.get("late", 1), _nan_model(len(case.model.features.vector))
    )


def _nan_model(inputs: int) -> bytes:
    """An ONNX file that takes so many inputs, and makes NaN of each row."""
    helper = pytest.importorskip("onnx.helper")
    kinds = pytest.importorskip("onnx").TensorProto
    weights = helper.make_tensor("zeros", kinds.FLOAT, [inputs, 2], np.zeros(2 * inputs, np.float32))
    below = helper.make_tensor("below", kinds.FLOAT, [1], [-1.0])
    nodes = [
        helper.make_node("IsNaN", ["X"], ["missing"]), helper.make_node("Where", ["missing", "zero", "X"], ["filled"]),
        helper.make_node("MatMul", ["filled", "zeros"], ["flat"]),
        helper.make_node("Add", ["flat", "below"], ["shift"]),
        helper.make_node("Log", ["shift"], ["probabilities"]),
    ]  # fmt: skip
    zero = helper.make_tensor("zero", kinds.FLOAT, [1], [0.0])
    taken = helper.make_tensor_value_info("X", kinds.FLOAT, [None, inputs])
    given = helper.make_tensor_value_info("probabilities", kinds.FLOAT, [None, 2])
    graph = helper.make_graph(nodes, "nan", [taken], [given], [weights, below, zero])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])
    made.ir_version = 8
    return bytes(made.SerializeToString())


def _with_model(records: Records, version: ModelVersion, model: bytes) -> int:
    """A version that is another in all but its model file."""
    files = {name: records.registry.file(version, name) for name in version.manifest.files} | {"model.onnx": model}
    digests = {name: sha256(data) for name, data in files.items()}
    manifest = msgspec.structs.replace(version.manifest, files=digests, note="another file")
    return records.registry.register(manifest, files, at=FIRST, actor="ana").number


def an_empty_slice(case: Case) -> None:
    case.rival()
    case.model.slices = (Slice("nobody", where=pl.col("size") < 0),)


def an_empty_pinned_slice(case: Case) -> None:
    case.rival()
    nobody = Predicate.of([{"feature": "shop", "values": ["no such shop"]}])
    pin(case.records, case.model, "nobody", nobody, "they complained")


def a_slice_that_breaks(case: Case) -> None:
    case.rival()
    case.model.slices = (Slice("broken", where=pl.col("shop").str.to_integer() > 3),)


def nothing_was_served(case: Case) -> None:
    case.rival()
    case.gate(parity=Parity())
    case.only = "parity_proven"


def the_monitor_is_down(case: Case) -> None:
    case.rival()
    case.gate(parity=Parity())
    segments = case.project.services.home / "predictions"
    if segments.exists():
        shutil.rmtree(segments)
    segments.write_bytes(b"")  # a file, where the log's folder was
    case.only = "parity_proven"


def the_sample_is_damaged(case: Case) -> None:
    digest = case.records.registry.get("late", 1).manifest.files[REFERENCE]
    shop.tamper(case.project.services.home / "artifacts" / digest[:2] / digest[2:])


CASES: list[Callable[[Case], None]] = [
    no_label_joined, one_class, labels_not_mature, no_row_was_asked, too_few_rows, too_few_days, no_tests_recorded,
    tests_of_another_definition, tests_that_found_nothing_to_run, tests_all_skipped, tests_that_failed,
    tests_that_are_stale, never_made_again, made_again_and_different, reproduction_of_another_manifest,
    lineage_incomplete, no_contract, evidence_that_is_not_there, evidence_that_says_insufficient,
    evidence_that_is_empty, calibration_that_is_far_off, a_bound_that_rows_cannot_tell, files_too_large,
    a_row_takes_too_long, scores_that_are_nan, an_empty_slice, an_empty_pinned_slice, a_slice_that_breaks,
    nothing_was_served, the_monitor_is_down, the_sample_is_damaged,
]  # fmt: skip


@pytest.mark.parametrize("broken", CASES, ids=lambda one: one.__name__)
def test_broken_evidence_never_promotes(case: Case, broken: Callable[[Case], None]) -> None:
    broken(case)
    before = case.champion
    try:
        judgement = case.judge()
    except (IntegrityError, DefinitionError):  # there is no answer at all
        assert broken in (the_sample_is_damaged, a_slice_that_breaks)
        return
    assert judgement.decision.verdict is not Verdict.PASS, judgement.decision.reason
    if case.only:
        (check,) = (one for one in judgement.decision.checks if one.name == case.only)
        assert check.verdict is not Verdict.PASS
    with pytest.raises(BackstayError):
        promote(case.records, case.model, judgement)
    assert case.champion == before


# Answers that were PASS, and no longer hold ---------------------------------------------------------------------------


def expired(case: Case) -> Judgement:
    judgement = case.judge()
    case.at(FIRST + 31 * DAY)
    return judgement


def of_another_manifest(case: Case) -> Judgement:
    return replace(case.judge(), manifest="0" * 64)


def of_another_version(case: Case) -> Judgement:
    return replace(case.judge(), number=2)


def answered_again_since(case: Case) -> Judgement:
    judgement = case.judge()
    case.gate(feature_tests=True)
    case.judge()
    return judgement


def forged(case: Case) -> Judgement:
    case.gate(feature_tests=True)
    return replace(case.judge(), decision=Decision.of([Check("all", Verdict.PASS, "fine")]))


def the_policy_asks_for_more_now(case: Case) -> Judgement:
    judgement = case.judge()
    case.gate(feature_tests=True)
    return judgement


def another_threshold_is_in_force(case: Case) -> Judgement:
    judgement = case.judge()
    rules, version = case.records.rules, case.records.registry.get("late", 1)
    document = {"value": 0.9, "calibration": None, "fitted_until": FIRST - 30 * DAY}
    made = rules.keep("threshold", version, document, at=FIRST, actor="bob")
    rules.put(version, None, made.number, why="a test", at=FIRST, actor="bob")
    return judgement


def an_override_that_ended(case: Case) -> Judgement:
    case.gate(feature_tests=True)
    case.judge()
    override(case.records, case.model, 1, "feature_tests", "they ran by hand", expires="1d")
    judgement = case.judge()
    assert judgement.decision.verdict is Verdict.PASS
    case.at(FIRST + 2 * DAY)
    return judgement


def an_override_that_was_taken_back(case: Case) -> Judgement:
    judgement = an_override_that_holds(case)
    override(case.records, case.model, 1, "feature_tests", "they were of last week", withdraw=True)
    return judgement


def an_override_that_holds(case: Case) -> Judgement:
    case.gate(feature_tests=True)
    case.judge()
    override(case.records, case.model, 1, "feature_tests", "they ran by hand")
    return case.judge()


def another_champion_came_between(case: Case) -> Judgement:
    judgement = case.judge()
    case.rival()
    return judgement


FALLEN: list[Callable[[Case], Judgement]] = [
    expired, of_another_manifest, of_another_version, answered_again_since, forged, the_policy_asks_for_more_now,
    another_threshold_is_in_force, an_override_that_ended, an_override_that_was_taken_back,
    another_champion_came_between,
]  # fmt: skip


@pytest.mark.parametrize("fallen", FALLEN, ids=lambda one: one.__name__)
def test_an_answer_that_no_longer_holds_never_promotes(case: Case, fallen: Callable[[Case], Judgement]) -> None:
    judgement = fallen(case)
    before = case.champion
    version = case.records.registry.get("late", 1)
    now = standing(case.records, case.model, version, as_of=case.records.clock.now())
    if fallen not in (of_another_manifest, of_another_version):  # there the ledger's own answer is sound
        assert now is None or now.decision.verdict is not Verdict.PASS
    with pytest.raises(BackstayError):
        promote(case.records, case.model, judgement)
    assert case.champion == before


def test_the_tables_are_as_long_as_was_promised() -> None:
    assert len(CASES) >= 15
    assert len(CASES) + len(FALLEN) >= 30


def test_an_override_lets_a_version_pass_and_stays_visible(case: Case) -> None:
    judgement = an_override_that_holds(case)
    move = promote(case.records, case.model, judgement)
    (check,) = (one for one in judgement.decision.checks if one.name == "feature_tests")
    assert check.verdict is Verdict.INSUFFICIENT
    assert move.evidence["overridden"]["feature_tests"]["by"] == "bob"
    assert "feature_tests: overridden by bob: they ran by hand" in move.evidence["reason"]
