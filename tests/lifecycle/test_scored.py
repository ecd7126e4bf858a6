"""The rows that a version may be evaluated on: none that it has learned from, scored as it is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import InputError
from backstay.core.times import DAY, HOUR, instant
from backstay.project import Project
from tests.serving import shop

START = instant(shop.SECOND)
LATER = START + 5 * 24 * HOUR


def test_rows_are_those_after_the_cutoff_and_are_scored_by_the_files_that_serve(path: Path) -> None:
    project = Project(path, clock=ReplayClock(LATER), actor="test")
    found = project.evaluations.rows(2, "late")
    model, version = project.model("late"), project.records.registry.get("late", 2)
    rows = found.labelled
    assert found.since == version.manifest.cutoff + HOUR
    assert rows.at.min() >= found.since
    assert (rows.at + model.label.maturity).max() <= LATER
    assert rows.frame.columns[-1] == "label"
    assert {*model.keys, *(feature.name for feature in model.features)} <= set(rows.frame.columns)
    assert rows.rows == len(rows.outcome) == len(found.score) > 100
    assert rows.asked == rows.rows + rows.void + rows.immature
    assert np.array_equal(found.score, project.records.scorer(model, version).score(rows.vector))
    assert np.array_equal(rows.day, rows.at // DAY)


def test_rows_it_has_learned_from_are_refused(path: Path) -> None:
    project = Project(path, clock=ReplayClock(LATER), actor="test")
    with pytest.raises(InputError, match="it has learned from rows until") as told:
        project.evaluations.rows(2, "late", since=START - HOUR)
    assert "Fix: begin at" in str(told.value)


def test_no_mature_row_is_said(path: Path) -> None:
    project = Project(path, clock=ReplayClock(START + 2 * HOUR), actor="test")
    with pytest.raises(InputError, match="has a mature label"):
        project.evaluations.rows(2, "late")
