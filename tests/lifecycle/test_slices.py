"""Slices of a version: declared, pinned and found, on its own rows; and what the gate makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import DefinitionError, InputError
from backstay.core.times import HOUR, MINUTE, instant
from backstay.evaluation.metrics import log_losses
from backstay.evaluation.slices import Condition, Predicate
from backstay.project import Project
from tests.serving import shop

START = instant(shop.SECOND)
LATER = START + 9 * 24 * HOUR
MATURE = START + 5 * 24 * HOUR + 3 * HOUR + MINUTE
WEB = Predicate((Condition("channel", values=("web",)),))


def declared(path: Path, slices: str) -> Path:
    models = path / "models.py"
    text = models.read_text().replace(
        "import Request, RetrainPolicy, Share,", "import Request, RetrainPolicy, Share, Slice,"
    )
    models.write_text(text.replace('    retrain=RetrainPolicy(every="4d"),', f"    slices=[{slices}],"))
    return path


def at(path: Path, moment: int) -> Project:
    return Project(path, clock=ReplayClock(moment), actor="eve")


def test_declared_and_pinned_slices_are_always_shown_and_measured_on_all_rows(path: Path) -> None:
    project = at(
        declared(path, 'Slice("large", where=pl.col("size") > 900), Slice("none", where=pl.col("size") < 0)'), LATER
    )
    pinned = project.evaluations.pin_slice("by_web", WEB, "late", why="they complain")
    assert (pinned.by, pinned.at, str(pinned.predicate)) == ("eve", LATER, "channel = 'web'")
    told = project.evaluations.slices(1, "late", loss="brier", find=False)
    assert told.found is None
    rows = project.evaluations.rows(1, "late")
    web = (rows.labelled.frame["channel"] == "web").to_numpy()
    one = {one.name: one for one in told.known}
    assert [(name, known.origin) for name, known in one.items()] == [
        ("large", "declared"), ("none", "declared"), ("by_web", "pinned"),
    ]  # fmt: skip
    losses = np.square(rows.score - rows.labelled.outcome)
    assert one["by_web"].measured.loss == pytest.approx(losses[web].mean())
    assert one["by_web"].measured.rows == web.sum()
    assert (one["none"].verdict, one["none"].measured.rows) == ("INSUFFICIENT", 0)
    assert json.loads(json.dumps(told.as_dict(), allow_nan=False)) == told.as_dict()
    assert "by_web: " in told.figure()


def test_a_slice_that_is_declared_after_a_pin_of_its_name_replaces_nothing(path: Path) -> None:
    at(path, LATER).evaluations.pin_slice("odd", WEB, "late", why="they complain")
    project = at(declared(path, 'Slice("odd", where=pl.col("size") > 900)'), LATER)
    told = project.evaluations.slices(1, "late", find=False)
    assert [(one.name, one.origin) for one in told.known] == [("odd", "declared"), ("odd (pinned)", "pinned")]
    assert told.known[0].measured.rows != told.known[1].measured.rows


def test_the_search_is_over_features_and_entity_keys(path: Path) -> None:
    told = at(path, LATER).evaluations.slices(1, "late", as_of=LATER)
    assert told.found is not None
    rows = at(path, LATER).evaluations.rows(1, "late")
    assert told.mean == pytest.approx(log_losses(rows.labelled.outcome, rows.score).mean())
    assert (told.found.rows, told.found.clusters) == (rows.labelled.rows, len(np.unique(rows.labelled.day)))
    assert told.found.looked > 50
    assert "order" not in (told.found.unlooked or {})
    low, high = (at(path, LATER).evaluations.slices(1, "late", loss=one, find=False) for one in ("too_low", "too_high"))
    assert low.mean == pytest.approx((rows.labelled.outcome - rows.score).mean())
    assert low.mean == -high.mean
    by_order = at(path, LATER).evaluations.slices(1, "late", clusters="order", loss="error", find=False)
    assert (by_order.clusters, by_order.loss) == ("order", "error")


def test_a_pin_is_in_the_ledger_and_so_is_its_end(path: Path) -> None:
    project = at(path, LATER)
    project.evaluations.pin_slice("by_web", WEB, "late", why="they complain")
    with pytest.raises(InputError, match="there is a slice 'by_web' already"):
        project.evaluations.pin_slice("by_web", WEB, "late", why="again")
    for name, predicate, why, what in (
        ("other", WEB, " ", "there is no reason"),
        ("other", Predicate(()), "so", "the slice is every row"),
        ("other", Predicate((Condition("price", low=1),)), "so", "'price' is no feature"),
        ("By Web", WEB, "so", "cannot name a slice"),
    ):
        with pytest.raises(InputError, match=what):
            project.evaluations.pin_slice(name, predicate, "late", why=why)
    assert [one.name for one in project.evaluations.pinned_slices("late")] == ["by_web"]
    project.evaluations.unpin_slice("by_web", "late", why="they no longer do")
    assert project.evaluations.pinned_slices("late") == []
    with pytest.raises(InputError, match="no slice 'by_web' is pinned"):
        project.evaluations.unpin_slice("by_web", "late", why="so")
    kinds = [(entry.kind, entry.subject, entry.body["why"]) for entry in project.entries(limit=2)]
    assert kinds == [("slice.pinned", "late", "they complain"), ("slice.unpinned", "late", "they no longer do")]
    project.evaluations.pin_slice("by_web", WEB, "late", why="they do again")
    assert [one.why for one in project.evaluations.pinned_slices("late")] == ["they do again"]


def test_the_gate_looks_at_slices_only_where_there_are_any(path: Path) -> None:
    project = at(path, MATURE)
    assert "holds_on_slices" not in [check.name for check in project.judge(2, "late").decision.checks]
    project.evaluations.pin_slice("by_web", WEB, "late", why="they complain")
    (check,) = [one for one in project.judge(2, "late").decision.checks if one.name == "holds_on_slices"]
    assert "by_web" in json.dumps(check.as_dict()["evidence"])
    gone = Predicate((Condition("size", values=("large",)),))
    project.evaluations.pin_slice("no_number", gone, "late", why="a mistake")
    (check,) = [one for one in project.judge(2, "late").decision.checks if one.name == "holds_on_slices"]
    assert check.verdict.value != "PASS"
    assert "no_number (the values can't be compared" in check.reason


def test_an_expression_that_is_not_true_or_false_is_named(path: Path) -> None:
    project = at(declared(path, 'Slice("large", where=pl.col("size") * 2)'), LATER)
    with pytest.raises(DefinitionError, match="the expression gives Float64") as told:
        project.evaluations.slices(1, "late")
    assert "slice 'large'" in told.value.where


def test_what_is_unknown_is_an_error(path: Path) -> None:
    project = at(path, LATER)
    with pytest.raises(InputError, match="the loss is 'auc'"):
        project.evaluations.slices(1, "late", loss="auc")
    with pytest.raises(InputError, match="the clusters are 'week'"):
        project.evaluations.slices(1, "late", clusters="week")
