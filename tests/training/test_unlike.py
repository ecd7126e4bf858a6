import sys

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from backstay.core.errors import BackstayError
from backstay.runtimes import OnnxScorer
from backstay.training import fit
from backstay.training.unlike import asked, compare_unlike
from tests.training.synthetic import make_data, make_model


def test_scores_of_rows_unlike_those_of_training_are_compared():
    fitted = fit(make_model(), make_data())
    assert fitted.scoring.unlike_rows == 4 + 1 + 4 * 7
    assert fitted.scoring.unlike_difference < 4e-7


@pytest.mark.parametrize(
    ("wrong", "row"),
    [(np.isnan, "nan"), (lambda rows: rows > 9, r"\d\d?\.\d+"), (lambda rows: rows == 0.0375, "0.0375")],
)
def test_a_file_that_scores_other_rows_differently_is_refused(monkeypatch, wrong, row):
    score = OnnxScorer.score

    def other(self, vector):
        return np.where(wrong(vector).any(axis=1), 0.5, score(self, vector))

    monkeypatch.setattr(OnnxScorer, "score", other)
    data = make_data(missing=0.0)
    data.vector[:, 0] = np.float32(0.1) * (np.arange(data.rows) % 2)
    with pytest.raises(BackstayError, match=f"a row unlike those of training, .*{row}.*gets 0.5 from the files, and 0"):
        fit(make_model(), data)


def test_a_score_of_what_the_estimator_refuses_is_refused(monkeypatch):
    monkeypatch.setattr(sys.modules["backstay.training.fit"], "refused_inputs", lambda *_: [])
    with pytest.raises(BackstayError, match="from the files, and no score from the estimator"):
        fit(make_model(lambda: GradientBoostingClassifier(n_estimators=5)), make_data(300, missing=0.0))


def test_a_row_that_is_refused_has_no_score_and_the_others_have_theirs():
    def score(rows):
        if np.isnan(rows).any():
            raise ValueError("a missing value")
        return rows[:, 0]

    rows = np.array([[0.1], [np.nan], [0.3], [0.4], [np.nan]], np.float32)
    assert np.array_equal(asked(score, rows), rows[:, 0], equal_nan=True)
    assert asked(score, rows[:0]).shape == (0,)


def test_an_estimator_that_refuses_rows_is_asked_few_times() -> None:
    """Each row that it refuses is a call of its own."""
    calls = 0

    def trained(rows: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if not np.isin(rows, [0.0, 1.0]).all():
            raise ValueError("unknown category")
        return rows[:, 0].astype(np.float64)

    class Files:
        def score(self, rows: np.ndarray) -> np.ndarray:
            known = np.isin(rows, [0.0, 1.0]).all(axis=1)
            return np.where(known, rows[:, 0], np.nan).astype(np.float64)

    vector = (np.arange(400 * 200).reshape(400, 200) % 2).astype(np.float32)
    difference, rows = compare_unlike(trained, Files(), vector, 1e-5, where="m", fix="")  # type: ignore[arg-type]
    assert (difference, rows) == (0.0, 48)
    assert calls < 150


def test_no_row_is_asked_that_no_request_can_bring() -> None:
    largest = np.finfo(np.float32).max
    vector = np.array([[0.0], [largest], [-largest]], np.float32)

    def trained(rows: np.ndarray) -> np.ndarray:
        assert not np.isinf(rows).any()
        return np.where(np.isnan(rows[:, 0]), np.nan, 0.5)

    class Files:
        def score(self, rows: np.ndarray) -> np.ndarray:
            return trained(rows)

    compare_unlike(trained, Files(), vector, 1e-5, where="m", fix="")  # type: ignore[arg-type]
