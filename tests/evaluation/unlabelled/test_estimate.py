"""Estimates without labels: what they are on rows whose truth is known, what they cover, and where they say nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation import NotEnough, auc, brier, log_loss
from backstay.evaluation.unlabelled import METHODS, METRICS, ScoredReference, State, backtest, estimate, estimates

Floats = np.ndarray


def rows(random: np.random.Generator, count: int, centre: float = -1.0) -> tuple[Floats, Floats]:
    """Outcomes, and scores that are right."""
    p = 1.0 / (1.0 + np.exp(-random.normal(centre, 1.2, count)))
    return (random.random(count) < p).astype(float), p


def realised(metric: str, y: Floats, s: Floats) -> float:
    decided = s >= 0.5
    return {
        "auc": auc, "log_loss": log_loss, "brier": brier,
        "accuracy": lambda y, s: float(np.mean(decided == y)),
        "precision": lambda y, s: float(y[decided].mean()),
        "recall": lambda y, s: float(decided[y == 1].mean()),
        "prevalence": lambda y, s: float(y.mean()),
    }[metric](y, s)  # fmt: skip


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_expected_is_the_mean_of_what_happens(metric: str) -> None:
    random = np.random.default_rng(2)
    _, p = rows(random, 400)
    s = np.round(p, 2)  # with ties
    value, rises = METRICS[metric](p, s, 0.5)
    drawn = [realised(metric, (random.random(p.size) < p).astype(float), s) for _ in range(400)]
    assert value == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 20)
    moved = p.copy()
    moved[7] += 1e-5
    assert METRICS[metric](moved, s, 0.5)[0] - value == pytest.approx(1e-5 * rises[7], abs=1e-10)
    assert math.sqrt(float((rises**2 * p * (1 - p)).sum())) == pytest.approx(np.std(drawn), rel=0.2)


@pytest.mark.parametrize("metric", ["auc", "log_loss", "precision"])
def test_intervals_cover_what_the_labels_say_under_covariate_shift(metric: str) -> None:
    random, inside = np.random.default_rng(4), 0
    for _ in range(20):
        y, s = rows(random, 3_000)
        after, now = rows(random, 800, centre=-0.2)
        told = estimate(ScoredReference.of(y, s), now, metric=metric)
        assert told.interval is not None
        inside += told.interval.low <= realised(metric, after, now) <= told.interval.high
    assert inside >= 16  # fewer than 1 time in 300 where the level is held


def test_scores_that_are_no_probabilities_are_taken_as_the_reference_says() -> None:
    random = np.random.default_rng(5)
    y, p = rows(random, 20_000)
    after, now = rows(random, 10_000)
    told = estimate(ScoredReference.of(y, p**2), now**2, metric="prevalence")
    assert told.value == pytest.approx(after.mean(), abs=0.015)


def test_importance_weights_find_what_the_score_does_not_know() -> None:
    """Two kinds of rows of which one is called too high and the other too low; the window has the one alone."""
    random = np.random.default_rng(6)

    def mixed(count: int, share: float) -> tuple[Floats, Floats, Floats]:
        p = random.uniform(0.2, 0.6, count)
        kind = (random.random(count) < share).astype(float)
        y = (random.random(count) < np.where(kind == 1, p + 0.15, p - 0.15)).astype(float)
        return y, p, np.column_stack([kind, random.normal(size=count)])

    y, s, vector = mixed(10_000, 0.5)
    reference = ScoredReference.of(y, s, vector)
    after, now, seen = mixed(3_000, 0.9)
    plain = estimate(reference, now, metric="prevalence", method="cbpe")
    weighted = estimate(reference, now, seen, metric="prevalence")
    assert weighted.method == "pape"
    assert weighted.value == pytest.approx(after.mean(), abs=0.03)
    assert plain.value is not None
    assert plain.value < after.mean() - 0.06
    assert 2_000 < weighted.effective < 8_000
    far = estimate(reference, now, seen + 50.0, metric="prevalence")  # no such row was ever seen
    assert far.state in (State.UNDERPOWERED, State.OK)


@pytest.mark.parametrize("method", ["label_shift", "bbse"])
def test_another_prevalence_is_found(method: str) -> None:
    random, inside = np.random.default_rng(7), 0

    def drawn(count: int, share: float) -> tuple[Floats, Floats]:
        y = (random.random(count) < share).astype(float)
        odds = random.normal(0, 1, count) + 1.5 * y - 0.75 + math.log(0.2 / 0.8) - 0.375
        return y, 1.0 / (1.0 + np.exp(-odds))

    for _ in range(8):
        reference = ScoredReference.of(*drawn(4_000, 0.2), threshold=0.3)
        after, now = drawn(2_000, 0.5)
        told = estimate(reference, now, metric="prevalence", method=method)
        assert told.interval is not None
        inside += told.interval.low <= after.mean() <= told.interval.high
        assert abs(after.mean() - told.interval.estimate) < 0.15
    assert inside >= 6
    blind = estimate(reference, now, metric="prevalence", method="cbpe")
    assert blind.value is not None
    assert blind.value < 0.42  # it takes scores at their word


def test_clusters_make_intervals_wider() -> None:
    random = np.random.default_rng(8)
    day = np.repeat(np.arange(60), 100)
    p = 1.0 / (1.0 + np.exp(-random.normal(-1, 1, 6_000)))
    shaken = np.clip(p * np.exp(random.normal(0, 0.5, 60))[day], 0, 1)
    y = (random.random(6_000) < shaken).astype(float)
    days = estimate(ScoredReference.of(y, p, clusters=day), p[:1_000], metric="brier", clusters=day[:1_000])
    alone = estimate(ScoredReference.of(y, p), p[:1_000], metric="brier")
    assert days.interval is not None
    assert alone.interval is not None
    assert days.interval.high - days.interval.low > 1.5 * (alone.interval.high - alone.interval.low)
    assert days.effective < alone.effective / 2 == 3_000  # so many rows are worth one


def test_a_right_state_where_there_is_too_little() -> None:
    random = np.random.default_rng(9)
    y, s = rows(random, 2_000)
    reference = ScoredReference.of(y, s)
    assert estimate(reference, []).state is State.NO_DATA
    eight = estimate(reference, s[:8])
    assert (eight.state, eight.value) == (State.UNDERPOWERED, None)
    assert "scarcer class" in eight.why
    assert estimate(reference, np.full(500, 0.4)).why == "every row has the same score"
    assert estimate(reference, np.full(500, 0.4), metric="brier").state is State.OK
    one_day = estimate(ScoredReference.of(y, s, clusters=np.arange(2_000) % 9), s, clusters=np.zeros(2_000))
    assert one_day.state is State.UNDERPOWERED
    constant = ScoredReference.of(y, np.full(2_000, 0.3))
    assert estimate(constant, np.full(100, 0.3), metric="prevalence").value == pytest.approx(y.mean(), abs=0.01)
    with pytest.raises(NotEnough):
        ScoredReference.of([0, 1] * 5, [0.5] * 10)
    parted = ScoredReference.of(np.repeat([0, 1], 50), np.repeat([0.1, 0.9], 50))
    assert estimate(parted, np.repeat([0.1, 0.9], 50)).state is State.OK


@pytest.mark.parametrize(
    "wrong", [{"metric": "f1"}, {"method": "magic"}, {"scores": [1.2]}, {"scores": [math.nan]}, {"vector": [[1], [2]]}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    y, s = rows(np.random.default_rng(1), 500)
    with pytest.raises(InputError):
        estimate(ScoredReference.of(y, s, s[:, None]), **{"scores": [0.5], **wrong})  # type: ignore[arg-type]


def test_every_method_says_what_it_assumes_and_concept_drift_shows_in_the_backtest() -> None:
    random = np.random.default_rng(10)
    y, s = rows(random, 5_000)
    reference, said, came = ScoredReference.of(y, s, s[:, None]), [], []
    for number in range(12):
        _, now = rows(random, 1_000)
        flipped = 0.0 if number < 6 else 0.3  # the same scores, other outcomes
        after = random.random(1_000) < (1 - flipped) * now + flipped * (1 - now)
        said.append(estimate(reference, now, metric="brier"))
        came.append(brier(after, now))
    before, since = backtest(said[:6], came[:6]), backtest(said[6:], came[6:])
    assert before.coverage == pytest.approx(1.0, abs=0.2)
    assert since.coverage == 0.0
    assert since.bias is not None
    assert since.bias < -0.05
    for method in METHODS:
        told = estimate(reference, s[:500], s[:500, None], "brier", method)
        assert told.assumes.startswith("no concept drift")
        assert told.as_dict()["state"] == "OK"
    nothing = backtest([estimate(reference, [])], [0.2])
    assert (nothing.windows, nothing.left_out, nothing.mean_error) == (0, 1, None)
    with pytest.raises(InputError):
        backtest(said, came[:3])


def test_all_metrics_at_once_are_the_same_as_each_alone() -> None:
    random = np.random.default_rng(11)
    y, s = rows(random, 3_000)
    reference, now = ScoredReference.of(y, s, s[:, None]), rows(random, 600)[1]
    together = estimates(reference, now, now[:, None])
    assert list(together) == list(METRICS)
    for metric, one in together.items():
        assert one == estimate(reference, now, now[:, None], metric)
    assert {one.state for one in estimates(reference, []).values()} == {State.NO_DATA}


def test_weights_that_leave_a_stretch_of_scores_without_a_case_make_the_curve_bend_less() -> None:
    random = np.random.default_rng(12)
    p = np.concatenate([np.full(1_500, 1e-4) * random.uniform(0.5, 2.0, 1_500), random.uniform(0.2, 0.8, 6_000)])
    reference = ScoredReference.of(random.random(7_500) < p, p)
    weights = np.where(p < 0.01, 1e-9, 1.0)
    curve = reference.curve(weights)
    assert np.abs(curve.said(p[1_500:]) - p[1_500:]).mean() < 0.03
    assert np.isfinite(curve.covariance).all()
