"""Rules as entries of the ledger: numbered artefacts, and what is in force, by compare-and-swap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstay.core.errors import ConflictError, InputError, NotFoundError, RefusedError
from backstay.registry.rules import InForce, Rules
from backstay.registry.versions import ModelVersion, Registry
from tests.registry.records import BACKENDS, FILES, make_manifest, make_stores

CALIBRATION = {"calibrator": {"kind": "platt", "numbers": [1.0, 0.0], "points": [], "raw": False}}


@pytest.fixture(params=BACKENDS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Rules, ModelVersion]:
    ledger, artifacts = make_stores(request.param, tmp_path)
    registry = Registry(ledger, artifacts)
    version = registry.register(make_manifest(), FILES, at=1, actor="ana")
    return Rules(ledger, registry), version


def keep(rules: Rules, version: ModelVersion, kind: Any, actor: str = "ana", **document: Any) -> Any:
    base = CALIBRATION if kind == "calibration" else {"value": 0.3, "calibration": None}
    return rules.keep(kind, version, {**base, **document}, at=2, actor=actor)


def put(rules: Rules, version: ModelVersion, *numbers: int | None, **more: Any) -> InForce:
    return rules.put(version, *numbers, **{"why": "a test", "at": 3, "actor": "ana", **more})


def test_a_version_answers_as_it_was_trained_until_something_is_in_force(made: tuple[Rules, ModelVersion]) -> None:
    rules, version = made
    first = rules.in_force(version)
    assert (first.name, first.threshold, first.calibrator, first.entry_id) == ("", 0.5, None, None)
    assert keep(rules, version, "threshold").number == 1
    assert rules.in_force(version) == first  # made is not in force
    found = put(rules, version, None, 1)
    assert (found.name, found.threshold, found.by, found.why) == ("t1", 0.3, "ana", "a test")
    assert rules.in_force(version, as_of=2) == first
    back = put(rules, version, None, None, at=9)
    assert (back.name, back.threshold) == ("", 0.5)
    assert [one.name for one in rules.history(version)] == ["t1", ""]


def test_the_same_document_is_the_same_artefact(made: tuple[Rules, ModelVersion]) -> None:
    rules, version = made
    first, other = keep(rules, version, "calibration"), keep(rules, version, "calibration", seen=2)
    assert (first.number, other.number, keep(rules, version, "calibration").number) == (1, 2, 1)
    assert rules.get("calibration", version, 2) == other
    assert rules.all("threshold", version) == []
    with pytest.raises(NotFoundError, match="no threshold 1") as told:
        rules.get("threshold", version, 1)
    assert "backstay threshold 1" in str(told.value)


def test_a_threshold_stays_with_the_calibration_it_was_chosen_on(made: tuple[Rules, ModelVersion]) -> None:
    rules, version = made
    one, _ = keep(rules, version, "calibration"), keep(rules, version, "calibration", seen=2)
    keep(rules, version, "threshold", calibration=one.digest)
    for calibration in (2, None):
        with pytest.raises(InputError, match="was chosen on probabilities of calibration 1"):
            put(rules, version, calibration, 1)
    found = put(rules, version, 1, 1)
    assert found.name == "c1 t1"
    assert rules.named(version, "c1 t1").threshold == 0.3
    assert rules.named(version, "c2").calibrator == CALIBRATION["calibrator"]
    assert rules.named(version, "").threshold == 0.5


def test_where_stakes_are_high_another_person_puts_it_in_force(made: tuple[Rules, ModelVersion]) -> None:
    rules, version = made
    keep(rules, version, "threshold", actor="ana")
    with pytest.raises(RefusedError, match="ana made threshold 1"):
        put(rules, version, None, 1, others=True)
    assert put(rules, version, None, 1, others=True, actor="ben").by == "ben"


def test_a_reason_is_needed_and_who_comes_second_loses(
    made: tuple[Rules, ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, version = made
    keep(rules, version, "threshold")
    with pytest.raises(InputError, match="no reason"):
        put(rules, version, None, 1, why=" ")
    before = rules.in_force(version)
    put(rules, version, None, 1)
    monkeypatch.setattr(Rules, "in_force", lambda *_: before)  # as it was when the other one looked
    with pytest.raises(ConflictError):
        put(rules, version, None, None)
