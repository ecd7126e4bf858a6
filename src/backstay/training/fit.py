"""Fitting: a fresh estimator, trained on the float32 vector that serving will make, and written as its runtime's files.

A fit is deterministic: the seed is set wherever the estimator has one, and boosters are told to sum in a fixed order on
a fixed number of threads. Fitting twice gives the same bytes.

The estimator is never asked again once its files are written. What is judged is what is served, so what they score is
compared with the estimator here, row by row, and refused if any score differs by more than `TOLERANCE`: rows of the
training set, and rows unlike them (`unlike`). And rows are scored alone and in batches, which may change a score by no
more than the runtime's own tolerance, mostly by nothing.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from backstay.core.errors import BackstayError, DefinitionError, InputError
from backstay.core.packages import missing, need
from backstay.definitions import Model
from backstay.features.trainingset import TrainingSet
from backstay.registry import Scoring
from backstay.runtimes import Refusing, Runtime, Scorer, load, trusted
from backstay.runtimes.trying import SAMPLE
from backstay.training.cached import FitCache
from backstay.training.parameters import SEEDS, plain_parameters, qualified_name
from backstay.training.unlike import compare_unlike, refused_inputs

TOLERANCE = 1e-5
"""The largest difference between a score of the files and one of the estimator."""

_CHECKED = 100_000
_ALONE = 256
_BATCHES = (1, 2, 3, 8, 33)
_THREADS = 2
_THREAD_NAMES = ("n_jobs", "num_threads", "num_thread", "nthread", "nthreads")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model: its files, what trained it, and how far their scores are from the estimator's."""

    files: dict[str, bytes]
    parameters: dict[str, Any]
    estimator: str
    scoring: Scoring
    base_rate: float


def silent(_parameters: Mapping[str, Any]) -> None:
    """Nobody is told."""


def fit(
    model: Model,
    data: TrainingSet,
    seed: int = 0,
    told: Callable[[Mapping[str, Any]], None] = silent,
    parameters: Mapping[str, Any] | None = None,
    cache: FitCache | None = None,
) -> Fitted:
    """Train the model's estimator; `files` are those of the model's runtime. `told` its parameters before it begins.

    parameters: those that are set otherwise than the model's definition has them, such as tuned ones
    cache:      where the same fit is taken from if it was made before
    Raises `InputError` for data that nothing can be learned from, and `BackstayError` for an estimator whose files
    cannot be written or score differently.
    """
    names = list(model.features.vector)
    chosen = trusted(model, model.runtime)
    _check_data(model, data, len(names))
    estimator = ready(model, seed, parameters or {})
    given, kind = plain_parameters(estimator), qualified_name(estimator)
    told(given)
    key = "" if cache is None else cache.key(model, kind, given, seed)
    if cache is not None and (before := cache.get(key)) is not None:
        files, scoring, base_rate = before
        return Fitted(files, given, kind, scoring, base_rate)
    named = {"feature_name": names} if _is_a("lightgbm.LGBMModel", estimator) else {}
    estimator.fit(data.vector, data.outcome, **named)
    files, scorer = _written(model, chosen, estimator, data.vector)
    scoring = _scoring(model, chosen, estimator, scorer, data.vector)
    scorer.close()
    base_rate = float(np.mean(data.outcome, dtype=np.float64))
    if cache is not None:
        cache.put(key, files, scoring, base_rate)
    return Fitted(files, plain_parameters(estimator), kind, scoring, base_rate)


def fold_scores(
    model: Model,
    data: TrainingSet,
    train: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
    parameters: Mapping[str, Any],
    seed: int,
) -> npt.NDArray[np.float64]:
    """The estimator's probabilities of some rows, trained on others. Nothing is written: for folds, not for serving."""
    if len(np.unique(data.outcome[train])) < 2:
        raise InputError(
            f"the {len(train):,} rows before fold begin with one class only",
            where=f"training set of model {model.name!r}",
            expected="both outcomes",
            fix="ask for a longer history, or fewer folds",
        )
    estimator = ready(model, seed, parameters)
    estimator.fit(data.vector[train], data.outcome[train])
    found: npt.NDArray[np.float64] = np.asarray(estimator.predict_proba(data.vector[test])[:, 1], np.float64)
    return found


def ready(model: Model, seed: int, parameters: Mapping[str, Any]) -> Any:
    """An estimator that is ready to be fitted: fresh, with these parameters, and the same bits each time."""
    # Read when OpenMP is loaded with the library: threads that wait by spinning without end take the cores from
    # whatever else runs (a server beside a retraining); threads that never spin train half as fast on idle cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    estimator = _fresh(model)
    unknown = sorted(set(parameters) - set(estimator.get_params()))
    if unknown:
        raise DefinitionError(
            f"{type(estimator).__name__} has no parameter {unknown[0]!r}",
            where=f"model {model.name!r}",
            expected=f"one of {', '.join(sorted(estimator.get_params()))}",
        )
    estimator.set_params(**parameters)
    _set(estimator, seed)
    return estimator


def _is_a(name: str, estimator: Any) -> bool:
    """Whether it is of a class of a package that may not be installed; if it is of it, the package is loaded."""
    package, _, kind = name.partition(".")
    return package in sys.modules and isinstance(estimator, getattr(sys.modules[package], kind))


def _check_data(model: Model, data: TrainingSet, width: int) -> None:
    where = f"training set of model {model.name!r}"
    if data.vector.dtype != np.float32 or data.vector.shape != (len(data.outcome), width):
        raise InputError(
            f"the vector is {data.vector.dtype} of shape {data.vector.shape}",
            where=where,
            expected=f"float32 of shape ({len(data.outcome)}, {width})",
            fix="make it with backstay.features.trainingset.training_set",
        )
    classes = np.unique(data.outcome).tolist()
    if classes != [0, 1]:
        raise InputError(
            f"the outcomes of its {len(data.outcome)} rows are {classes}",
            where=where,
            expected="both 0 and 1",
            fix="ask for a longer period, or check the label's condition",
        )


def _fresh(model: Model) -> Any:
    """An unfitted estimator of the model's, that nobody else holds."""
    try:
        estimator = model.estimator()
    except ImportError as error:
        raise missing(error) from error
    if not (all(hasattr(estimator, one) for one in ("fit", "get_params", "set_params")) and _tells_chances(estimator)):
        raise DefinitionError(
            f"estimator() returns {type(estimator).__name__}",
            where=f"model {model.name!r}",
            expected="a scikit-learn-compatible classifier, with fit and predict_proba",
            fix="for example estimator=lambda: LGBMClassifier()",
        )
    return need("sklearn.base").clone(estimator)


def _tells_chances(estimator: Any) -> bool:
    """Whether it has predict_proba, or will have it: a stack has that of its last estimator, once that is fitted."""
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if hasattr(last, "predict_proba") or not hasattr(last, "final_estimator"):
        return hasattr(last, "predict_proba")
    return last.final_estimator is None or _tells_chances(last.final_estimator)


def _set(estimator: Any, seed: int) -> None:
    """Whatever makes a fit give the same bits each time, also inside a pipeline."""
    given = estimator.get_params()
    settings: dict[str, Any] = {name: seed for name in given if name.rpartition("__")[2] in SEEDS}
    lightgbm = _is_a("lightgbm.LGBMModel", estimator)
    if lightgbm:
        settings |= {"deterministic": True, "verbosity": -1}
        if not any(given.get(name) for name in ("force_col_wise", "force_row_wise")):
            settings["force_row_wise"] = True
    boosted = lightgbm or _is_a("xgboost.XGBModel", estimator)
    if boosted and all(given.get(name) is None for name in _THREAD_NAMES):
        settings["n_jobs"] = _THREADS
    estimator.set_params(**settings)


def _written(
    model: Model, chosen: Runtime, estimator: Any, vector: npt.NDArray[np.float32]
) -> tuple[dict[str, bytes], Scorer]:
    """The files, and what they are when they are loaded. What the estimator refuses, they do not score."""
    files = chosen.write(estimator, list(model.features.vector))
    scorer = load(model, model.runtime, _reader(files, vector))
    refused = refused_inputs(_trained(estimator), scorer, vector) if isinstance(chosen, Refusing) else []
    if isinstance(chosen, Refusing) and refused:
        scorer.close()
        files = chosen.refuse_missing(files, refused)
        scorer = load(model, model.runtime, _reader(files, vector))
    return files, scorer


def _reader(files: Mapping[str, bytes], vector: npt.NDArray[np.float32]) -> Callable[[str], bytes]:
    """What reads the files, and rows that they must score."""

    def read(name: str) -> bytes:
        if name != SAMPLE:
            return files[name]
        out = io.BytesIO()
        np.save(out, vector[:1], allow_pickle=False)
        return out.getvalue()

    return read


def _scoring(
    model: Model, chosen: Runtime, estimator: Any, scorer: Scorer, vector: npt.NDArray[np.float32]
) -> Scoring:  # fmt: skip
    """How the files score, held against the estimator; refused where they score differently."""
    difference, rows = _compare(model, estimator, scorer, vector)
    where, fix = f"model {model.name!r}", _other_ways(model, estimator)
    unlike, others = compare_unlike(_trained(estimator), scorer, vector, TOLERANCE, where=where, fix=fix)
    apart, alone = _alone(model, scorer, vector, chosen.tolerance)
    return Scoring(
        model.runtime, difference, rows, TOLERANCE, alone, apart, chosen.tolerance, chosen.code, others, unlike
    )


def _trained(estimator: Any) -> Callable[[npt.NDArray[np.float32]], Any]:
    """What the estimator says of rows; a booster of LightGBM is asked itself, which needs no names of them."""
    if hasattr(estimator, "booster_"):
        return cast("Callable[[npt.NDArray[np.float32]], Any]", estimator.booster_.predict)
    return lambda rows: estimator.predict_proba(rows)[:, 1]


def _compare(model: Model, estimator: Any, scorer: Scorer, vector: npt.NDArray[np.float32]) -> tuple[float, int]:
    """The largest difference of a score from the estimator's, over rows spread evenly; refused if too large."""
    chosen = _spread(len(vector), _CHECKED)
    rows = vector[chosen]
    served = scorer.score(rows)
    trained = _trained(estimator)(rows)
    differences = np.abs(served - trained)
    worst = int(np.argmax(differences))  # a NaN counts as the largest
    difference = float(differences[worst])
    if not difference <= TOLERANCE:
        raise BackstayError(
            f"runtime {model.runtime!r} scores training row {int(chosen[worst])} as {served[worst]:.9g}, "
            f"{type(estimator).__qualname__} as {trained[worst]:.9g}: a difference of {difference:.3g}",
            where=f"model {model.name!r}",
            expected=f"at most {TOLERANCE:g} on each row",
            fix=_other_ways(model, estimator),
        )
    return difference, len(rows)


def _other_ways(model: Model, estimator: Any) -> str:
    native = {"lightgbm": "lightgbm.LGBMModel", "xgboost": "xgboost.XGBModel"}
    for name, kind in native.items():
        if _is_a(kind, estimator) and model.runtime != name:
            return f"serve it in its own form: Model(..., runtime={name!r})"
    return "choose another estimator (LGBMClassifier fits), and scale values down that float32 cannot hold"


def _alone(model: Model, scorer: Scorer, vector: npt.NDArray[np.float32], tolerance: float) -> tuple[float, int]:
    """The largest difference that a row's company makes to its score; refused if the runtime does not allow it."""
    rows = vector[_spread(len(vector), _ALONE)]
    whole, worst = scorer.score(rows), 0.0
    for size in _BATCHES:
        parts = np.concatenate([scorer.score(rows[begin : begin + size]) for begin in range(0, len(rows), size)])
        worst = max(worst, float(np.abs(parts - whole).max()))
    if not worst <= tolerance:
        raise BackstayError(
            f"runtime {model.runtime!r} scores a row differently, by up to {worst:.3g}, with the rows beside it",
            where=f"model {model.name!r}",
            expected="the same bits" if not tolerance else f"at most {tolerance:g}, its tolerance",
            fix="choose another estimator, or another runtime; and report the estimator",
        )
    return worst, len(rows)


def _spread(rows: int, most: int) -> npt.NDArray[np.int64]:
    """The places of rows spread evenly."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))
