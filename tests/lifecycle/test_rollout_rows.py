"""What a canary's and an experiment's evidence is made of, from the predictions record."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backstay.core.times import HOUR
from backstay.definitions import Guard
from backstay.lifecycle.experiments.rows import alike
from backstay.lifecycle.rollout_evidence import _look
from backstay.lifecycle.rollout_rows import canary_rows
from backstay.rollout.guards import Step
from backstay.storage.predictions import Prediction
from tests.lifecycle.rolling import START, Life
from tests.serving import shop

LATER = START + 30 * HOUR


@pytest.fixture(scope="module")
def life(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    return Life(shop.copied(base, tmp_path_factory.mktemp("rows")))


def logged(life: Life, name: str, at: int, route: str, score: float = 0.3, took: int = 500, error: str = "") -> None:
    version = life.versions[1 if route in ("v2", "shadow") else 0]
    row = Prediction(
        f"r{name}", START + at, START + at // 10, "late", version.digest, route, 1.0, version.manifest.feature_set.hash,
        {"shop": "shop1", "counter": 1, "order": name}, {}, {}, [None] * life.width, b"\1" * life.width, score, False,
        took=took, error=error,
    )  # fmt: skip
    life.project.services.predictions.append([row])


def test_rows_of_a_canary(life: Life) -> None:
    for place, route in enumerate(["v2", "champion", "baseline", "champion", "shadow", "v2"]):
        logged(life, f"a{place}", place, route)  # one batch: two calls, and a shadow's
    logged(life, "b0", 10, "fallback", error="it broke")
    logged(life, "b1", 11, "champion")
    logged(life, "c0", 20, "baseline", score=float("nan"))
    logged(life, "d0", 30, "v2", took=0)
    model = life.project.model("late")
    found, unread = canary_rows(
        life.project.records, model, "v2", key=("order",), since=START, until=LATER, labels=True
    )
    assert unread == ""
    assert found.candidate.tolist() == [True, False, True, True, False, True]
    assert found.failed.tolist() == [False, False, False, True, True, False]  # no number is no score, whosever it is
    assert found.size.tolist() == [2, 3, 2, 1, 1, 1]
    assert found.batch.tolist() == [0, 1, 0, 2, 3, 4]
    assert found.due.all()


def test_labels_that_cannot_be_read_blind_no_guard_but_theirs(life: Life) -> None:
    for place in range(400):
        logged(life, f"x{place}", 1_000 + place, "v2" if place % 2 else "baseline", float("nan") if place % 2 else 0.3)
    records = replace(life.project.records, events=None)  # type: ignore[arg-type]
    model = life.project.model("late")
    found, unread = canary_rows(records, model, "v2", key=("order",), since=START + 900, until=LATER, labels=True)
    assert re.fullmatch(r"labels cannot be read: AttributeError in \w+\.py, line \d+", unread)
    steps = [Step(START, 0.1, 0.1)]
    errors, loss = (_look(Guard(one), found, steps, unread) for one in ("errors", "log_loss"))
    assert (errors.harm, loss.harm, loss.missing) == (True, False, True)
    broken = replace(found, decision=found.decision[:-1])
    odd = _look(Guard("decisions"), broken, steps, "")
    assert odd.missing
    assert re.fullmatch(r"decisions: it cannot be computed: (Index|Value)Error in \w+\.py, line \d+", odd.reason)
    assert _look(Guard("errors"), broken, steps, "").harm


def test_times_of_an_experiment_are_those_of_calls_of_one_size() -> None:
    rng, n = np.random.default_rng(3), 4_000
    arm = (rng.random(n) < 0.25).astype(int)
    size = np.where(arm == 1, rng.poisson(6, n), rng.poisson(18, n)) + 1
    took = np.log((60 + 15 * size) * np.exp(rng.normal(0, 0.1, n)))
    took[::50] = np.nan
    values = pl.DataFrame({"block": np.arange(n) // 1_000, "arm": arm, "call": size, "value": took}).with_columns(
        pl.col("value").fill_nan(None)
    )
    means = [frame.group_by("arm").agg(pl.col("value").mean()).sort("arm").get_column("value").to_list()
             for frame in (values, alike(values, 2))]  # fmt: skip
    assert means[0][1] < means[0][0] - 0.5
    assert means[1][1] == pytest.approx(means[1][0], abs=0.03)
    kept = alike(values, 2).drop_nulls().group_by("block", "call", "arm").len().pivot("arm", values="len")
    assert (kept.get_column("0") == kept.get_column("1")).all()
    assert (
        alike(values.filter(pl.col("arm") == 0), 2).get_column("value").null_count() == values.filter(arm == 0).height
    )
