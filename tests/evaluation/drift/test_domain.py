"""The domain classifier and the quality of the data."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.drift import (
    QualityRule,
    Reference,
    defaults,
    domain_classifier,
    freshness,
    quality,
    volume,
)
from backstay.evaluation.states import State


def test_samples_of_one_distribution_are_not_told_apart():
    rng = np.random.default_rng(21)
    above = 0
    for _ in range(20):
        before, now = ({"x": rng.normal(size=600), "w": rng.choice(["a", "b", None], 600)} for _ in range(2))
        above += domain_classifier(before, now).auc.low > 0.5
    assert above <= 2


def test_neighbours_in_time_do_not_give_a_sample_away():
    rng = np.random.default_rng(22)
    walks = np.cumsum(rng.normal(size=(40, 1_000)), axis=1)[
        :, ::5
    ]  # 40 stretches of 200 rows, each at a level of its own
    first, second = walks[:20].ravel(), walks[20:].ravel()
    customer = np.repeat(np.arange(40), 200)
    found = domain_classifier({"x": first}, {"x": second}, reference_entity=customer[:4000], entity=customer[4000:])
    assert found.differs() is not True


def test_columns_that_no_longer_go_together_are_told_and_named():
    rng = np.random.default_rng(23)
    x, y, z = rng.normal(size=(3, 3_000))
    before = {"x": x, "y": 0.8 * x + 0.6 * y, "z": z}
    x, y, z = rng.normal(size=(3, 3_000))
    found = domain_classifier(before, {"x": x, "y": y, "z": z, "other": z})
    assert found.differs()
    assert set(list(found.columns)[:2]) == {"x", "y"}
    assert sum(found.columns.values()) == pytest.approx(1.0)
    assert found.as_dict()["auc"]["clusters"] == 60


def test_too_little_is_said_and_not_guessed():
    assert domain_classifier({"x": [1.0, 2.0]}, {"x": []}).differs() is None
    assert domain_classifier({"x": [1.0]}, {"x": [2.0]}).differs() is None
    with pytest.raises(InputError, match="no column"):
        domain_classifier({"x": [1.0]}, {"y": [1.0]})
    with pytest.raises(InputError, match="one sample"):
        domain_classifier({"x": [1.0]}, {"x": [1.0]}, entity=[1])


def test_large_samples_are_looked_at_in_part_by_whole_entities():
    rng = np.random.default_rng(24)
    customer = np.repeat(np.arange(5_000), 10)
    found = domain_classifier({"x": rng.normal(size=50_000)}, {"x": rng.normal(size=50_000) + 0.5},
                              reference_entity=customer, entity=customer + 5_000)  # fmt: skip
    assert (found.n, found.reference_n) == (20_000, 20_000)
    assert found.differs()


def test_a_share_has_risen_by_effect_and_evidence():
    rng = np.random.default_rng(25)
    trained = np.where(rng.random(20_000) < 0.02, np.nan, rng.normal(size=20_000))
    reference = Reference.of(trained)

    def nulls(share: float, rows: int) -> State:
        values = rng.normal(size=rows)
        values[: int(share * rows)] = np.nan
        return quality(reference, reference.count(rng.permutation(values)))["nulls"].state

    assert nulls(0.03, 2_000) is State.OK
    assert nulls(0.3, 2_000) is State.DRIFT
    assert nulls(0.2, 20) is State.UNDERPOWERED
    assert nulls(0.0, 0) is State.NO_DATA
    found = quality(reference, reference.count([1.0] * 999 + ["x"]))
    assert found["mistyped"].state is State.DRIFT  # where none has ever been, one is too many
    assert quality(reference, reference.count([9e9] * 500 + [0.0] * 500))["out_of_range"].state is State.DRIFT
    words = Reference.of(["a", "b"] * 500)
    assert quality(words, words.count(["a"] * 90 + ["new"] * 60))["unseen"].state is State.DRIFT
    assert quality(Reference.of([]), reference.count([1.0]))["nulls"].state is State.NO_DATA


def test_a_burst_of_nulls_of_one_customer_is_one_customer():
    rng = np.random.default_rng(26)
    customer = rng.integers(0, 200, 4_000)
    reference = Reference.of(np.where(rng.random(4_000) < 0.02, np.nan, 1.0), entity=customer)
    now = rng.permutation(np.repeat(np.arange(40), 50))
    values = np.where(now < 6, np.nan, 1.0)  # 6 of 40 customers
    plain, clustered = (quality(reference, reference.count(values, entity=one))["nulls"] for one in (None, now))
    assert clustered.least < plain.least
    assert clustered.state is not State.DRIFT


def test_volume_freshness_and_defaults():
    usual = [1000, 1040, 960, 1010, 980, 1020]
    assert [volume(rows, usual).state for rows in (990, 100, 4_000, 0)] == [
        State.OK, State.DRIFT, State.DRIFT, State.DRIFT,
    ]  # fmt: skip
    assert volume(900, [10, 9_000, 400, 30, 2_000, 77]).state is State.UNDERPOWERED  # anything goes there
    assert volume(0, [*usual, 0]).state is State.DRIFT  # a holiday hides no outage
    assert volume(0, [*usual, 0, 0]).state is State.DRIFT
    assert freshness(None, 1).state is State.NO_DATA
    assert freshness(1_000_000, 2_000_000).state is State.OK
    assert defaults(10, 1_000, usual=0.01).state is State.OK
    assert defaults(400, 1_000, 0.01, QualityRule(defaults=0.5)).state is State.OK
    assert defaults(400, 1_000, 0.01, effective=8).state is State.UNDERPOWERED
    with pytest.raises(InputError, match="a part of them"):
        defaults(5, 4, 0.0)
