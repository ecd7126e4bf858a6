"""Reweighing: what the model would be had group and outcome been independent in its training rows, beside the frontier.

The estimator is fitted anew on the version's training set, with the weights of Kamiran and Calders (2012) by the first
attribute. Its decisions are at the threshold in force. Where that is on calibrated scores, so are the new ones: by the
same kind of calibrator, fitted on the half of the rows that policies are chosen on; otherwise both are raw. What is
measured is the other half, which chose nothing. It is nothing but a point to look at: no version is made of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backstay.definitions import Model
from backstay.evaluation.calibration import fit_calibrator
from backstay.evaluation.decided import Costs
from backstay.evaluation.fairness import Frontier, fitting_half, partitions, place, reweighing, states, tally
from backstay.evaluation.fairness.cells import Floats, tally_clusters
from backstay.evaluation.influence import cluster_codes
from backstay.evaluation.metrics import Bools
from backstay.lifecycle.fairness import VersionFairness, attributes_of, clusters_of, declared_fairness, rule_of
from backstay.lifecycle.records import Records
from backstay.lifecycle.reproduce import dataset_of
from backstay.lifecycle.scored import ScoredRows
from backstay.training.weights import weighed_scores

NAME = "the same, trained on reweighed rows"


def with_reweighed(records: Records, model: Model, scored: ScoredRows, found: VersionFairness) -> VersionFairness:
    """The report with the reweighed model among `others`, by its first attribute.

    `InputError` for an estimator that takes no weights; `NotEnough` where the training rows of a group have one outcome
    only, or too few rows are there to calibrate its scores. Where there is no frontier there is nothing to compare
    with: the report as it is.
    """
    frontier = found.report.frontier
    if not isinstance(frontier, Frontier):
        return found
    declared, manifest, name = declared_fairness(model), scored.version.manifest, found.attributes[0]
    data = dataset_of(records, model, manifest)
    trained = attributes_of(records, declared, data.frame, as_of=manifest.dataset.as_of).select(name)
    weights = reweighing(partitions(trained, 1)[0], data.outcome)
    rows = scored.labelled
    raw = weighed_scores(model, data, weights, rows.vector, seed=manifest.seed, parameters=dict(manifest.tuned))
    part = partitions(attributes_of(records, declared, rows.frame, as_of=scored.as_of).select(name), 1)[0]
    codes, number = cluster_codes(clusters_of(declared, rows), rows=rows.rows)
    first = fitting_half(np.arange(rows.rows) if codes is None else codes, number)
    decision = _on_its_scale(scored, raw, first) >= scored.rule.threshold
    half, state = replace(part, code=part.code[~first]), states(rows.outcome == 1, decision)[~first]
    counts = tally(half, state)
    costs = Costs(declared.false_positive, declared.false_negative)
    told = np.array([at for at, cell in enumerate(part.cells) if cell not in frontier.left_out])
    clustered = None if codes is None else tally_clusters(half, state, codes[~first], number).only(told)
    cells = [part.cells[at] for at in told]
    point = place(NAME, frontier.criterion, cells, counts[told], costs, rule_of(declared), clustered)
    whole = place(NAME, frontier.criterion, part.cells, counts, costs, rule_of(declared))
    return replace(found, others=(*found.others, replace(point, cost=whole.cost)))  # all count for the cost


def _on_its_scale(scored: ScoredRows, raw: Floats, fitting: Bools) -> Floats:
    """The scores on the scale of the threshold in force: calibrated anew, for a calibrator is of one model only."""
    if scored.rule.calibrator is None:
        return raw
    return fit_calibrator(scored.labelled.outcome[fitting], raw[fitting], scored.rule.calibrator.kind)(raw)
