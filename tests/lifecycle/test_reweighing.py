"""The reweighed model beside the frontier: on the scale of the threshold in force, on half of the rows, by cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from backstay.evaluation.calibration import fit_calibrator
from backstay.evaluation.calibration.rule import Rule
from backstay.evaluation.fairness import Frontier
from backstay.evaluation.interval import Interval
from backstay.lifecycle.fairness import version_fairness
from backstay.lifecycle.reweighing import with_reweighed
from tests.lifecycle.test_fairness import BY_SIZE, LATER, fair_project

DECLARED = "criterion='demographic_parity', minimum=5, "


def test_its_scores_are_calibrated_where_those_that_serve_are(path: Path) -> None:
    project = fair_project(path, LATER, DECLARED + "cluster='row'", BY_SIZE)
    model, rows = project.model("late"), project.evaluations.rows(2, "late")
    rarer = np.where(np.arange(rows.labelled.rows) % 2, 0, rows.labelled.outcome).astype(np.int8)  # half as many cases
    calibrator = fit_calibrator(rarer, rows.raw, "platt")
    score = calibrator(rows.raw)
    threshold = float(np.quantile(score, 0.7))
    served = replace(
        rows, labelled=replace(rows.labelled, outcome=rarer), score=score, rule=Rule(threshold, calibrator, "c1 t1")
    )
    found = with_reweighed(project.records, model, served, version_fairness(project.records, model, served))
    assert isinstance(found.report.frontier, Frontier)
    now, again = (
        float(np.mean([rates["selection_rate"] for rates in one.rates.values()]))
        for one in (found.report.frontier.now, *found.others)
    )
    assert abs(now - again) < 0.2  # raw, 94% would be


def test_it_is_measured_on_half_of_the_rows_and_by_cluster(path: Path) -> None:
    alone = fair_project(path, LATER, DECLARED + "cluster='row'", BY_SIZE)
    found = alone.evaluations.fairness(2, "late", reweigh=True)
    (point,) = found.others
    assert isinstance(point.gap, Interval)
    assert point.gap.n == point.gap.clusters == found.report.rows // 2
    by_day = fair_project(path, LATER, DECLARED + "cluster='day'", BY_SIZE)
    found = by_day.evaluations.fairness(2, "late", reweigh=True)
    (point,) = found.others
    assert isinstance(found.report.frontier, Frontier)
    assert isinstance(point.gap, Interval)
    assert point.gap.n == found.report.frontier.measured
    assert point.gap.clusters == 4
