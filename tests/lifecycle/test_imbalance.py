"""The advisor on a small project: arms on folds in time as runs, kept and taken again, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from backstay.core.errors import InputError
from backstay.definitions import Label, Model
from backstay.evaluation import NotEnough, log_loss
from backstay.evaluation.decided import Costs
from backstay.lifecycle.imbalance import ImbalanceReport
from backstay.project import Project
from backstay.training.imbalance import ARMS
from tests.serving import shop

COSTS = Costs(false_positive=1, false_negative=3)


def rare(project: Project, name: str = "rare", **more: Any) -> Model:
    """About one order in six: late, and large. No model of the project; it need not be declared."""
    like = project.model("late")
    value = more.pop("value", pl.col("late") & (pl.col("size") > 800))
    label = Label("rare", source=like.label.source, key="order", value=value, horizon="2h")
    return Model(name, features=like.features, label=label, ask=like.ask, **{"estimator": like.estimator, **more})


def advised(project: Project, **more: Any) -> ImbalanceReport:
    return project.evaluations.imbalance(rare(project), as_of=shop.SECOND, **{"folds": 2, **more})


def test_arms_are_tried_on_folds_in_time_and_kept(path: Path) -> None:
    project = Project(path, actor="ann")
    steps: list[tuple[int, int]] = []
    found = advised(project, progress=lambda _, *step: steps.append(step))
    assert (steps[0], steps[-1]) == ((0, 12), (12, 12))
    assert (found.fresh, len(found.folds), found.advice.not_tried) == (12, 2, {})
    first, second = found.folds
    assert first.until < second.since
    assert first.train_rows < second.train_rows
    assert [one.name for one in found.advice.arms] == [one.name for one in ARMS]
    runs = project.runs.search("tags.imbalance is not null")
    assert len(runs) == 12
    assert all({"log_loss", "cpu_seconds", "peak_memory_mb"} <= set(one.metrics) for one in runs)
    assert found.advice.decision is not None
    assert found.advice.decision.by == "log_loss"
    assert set(found.advice.decision.reasons) == {one.name for one in ARMS}

    _says_what_the_rows_say(project, found)
    again = advised(project)
    assert again.fresh == 0
    assert {**again.as_dict(), "fresh": 12} == found.as_dict()
    priced = advised(project, costs=COSTS, k=2)
    assert (priced.fresh, priced.advice.k) == (0, 2)
    assert priced.advice.decision is not None
    assert priced.advice.decision.by == "cost"
    assert advised(project, folds=1).fresh == 6
    assert json.loads(json.dumps(priced.as_dict(), allow_nan=False))["advice"]["costs"]["false_negative"] == 3


def _says_what_the_rows_say(project: Project, found: ImbalanceReport) -> None:
    arm = next(one for one in found.advice.arms if one.name == "plain")
    assert sum(one.test_rows for one in found.folds) == found.advice.resolution.rows
    assert sum(one.test_positives for one in found.folds) == found.advice.resolution.positives
    runs = {one.tags["fold"]: one.metrics["log_loss"] for one in project.runs.search("tags.arm = 'plain'")}
    rows = [one.test_rows for one in found.folds]
    assert arm.log_loss == pytest.approx(np.average([runs["1"], runs["2"]], weights=rows), rel=1e-9)
    rates = [one.train_positives / one.train_rows for one in found.folds]
    constant = [
        log_loss(np.arange(one.test_rows) < one.test_positives, np.full(one.test_rows, rate))
        for one, rate in zip(found.folds, rates, strict=True)
    ]
    assert found.advice.constant["log_loss"] == pytest.approx(np.average(constant, weights=rows), rel=1e-9)


def test_interrupted_it_goes_on(path: Path) -> None:
    project = Project(path, actor="ann")

    def stop(_: str, done: int, __: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        advised(project, progress=stop)
    assert advised(project).fresh == 7
    project.close()


def test_a_model_that_is_not_declared_and_an_arm_that_cannot_be_tried(path: Path) -> None:
    def nobody() -> object:
        from sklearn.impute import SimpleImputer
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline

        return make_pipeline(SimpleImputer(), KNeighborsClassifier())

    project = Project(path, actor="ann")
    found = project.evaluations.imbalance(rare(project, "near", estimator=nobody), as_of=shop.SECOND, folds=1)
    assert "KNeighborsClassifier takes neither sample_weight nor class_weight" in found.advice.not_tried["weights"]
    assert len(found.advice.arms) == 5
    assert found.model == "near"


def test_what_is_refused(path: Path) -> None:
    project = Project(path, actor="ann")
    for more in ({"folds": 0}, {"k": 0}):
        with pytest.raises(InputError, match="at least 1"):
            advised(project, **more)
    with pytest.raises(InputError, match="a mistake costs no more"):
        Costs(0, 1)
    model = rare(project, value=pl.col("size") < 0)
    with pytest.raises(NotEnough, match=r"0 of the .* rows that are trained on in fold 1 have outcome 1"):
        project.evaluations.imbalance(model, as_of=shop.SECOND)
