"""The figures of fairness: every cell and policy is in them, in words too, and nothing in them is markup of others."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np

from backstay.evaluation.fairness import Frontier, fairness_report, place
from backstay.evaluation.figures.frontier import frontier_figure
from backstay.evaluation.figures.rates import rates_figure


def test_rates_and_frontier_are_drawn() -> None:
    rng = np.random.default_rng(0)
    group = np.array(["a", "b <i>&"], dtype=object)[rng.integers(0, 2, 3_000)]
    group[0] = "one"
    score = rng.random(3_000)
    outcome = rng.random(3_000) < np.where(group == "a", score, score / 2)
    report = fairness_report(outcome, score, {"g": group}, criterion="demographic_parity")
    forest = rates_figure(report.groups[0], "tpr")
    assert ElementTree.fromstring(forest).tag == "svg"
    assert "b &lt;i&gt;&amp;: TPR 0." in forest
    assert "rows with outcome 1" in forest  # why a group of one has none
    assert isinstance(report.frontier, Frontier)
    other = place("reweighed", "demographic_parity", ["a", "b"], np.array([[300, 100, 100, 200], [400, 150, 50, 100]]))
    drawn = frontier_figure(report.frontier, [other])
    assert ElementTree.fromstring(drawn).tag == "svg"
    for one in (*report.frontier.points, report.frontier.now, other):
        assert f"{one.name}: cost {one.cost:.4f}" in drawn
