"""Why online is worse, from real records: what was served, recomputed, and what comes of it when it is altered."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.core.times import DAY
from backstay.evaluation.interval import Interval
from backstay.features.views import Status
from backstay.investigation import Cause, State
from backstay.project import Project
from backstay.storage.backends.local import LocalPredictions
from backstay.storage.predictions import Prediction
from tests.serving import shop


def _rewrite(path: Path, change: Callable[[Prediction], Prediction]) -> None:
    logged = shop.logged(path)
    shutil.rmtree(path / ".backstay" / "predictions")
    log = LocalPredictions(path / ".backstay" / "predictions")
    log.append([change(one) for one in logged])
    log.close()


def _until(path: Path) -> int:
    return max(one.at for one in shop.logged(path)) + 1


def test_what_was_served_as_it_was_known_has_nothing_to_mend(served: Path) -> None:
    project = Project(served)
    found = project.why("late", until=_until(served), as_of=_until(served) + 30 * DAY)
    assert [one.cause for one in found.verdicts] == list(Cause)
    for cause in (Cause.STALE, Cause.UNITS, Cause.DEFAULT, Cause.TIME_ZONE):
        assert found.of(cause).state is State.NOT_FOUND, found.of(cause).why
    told = found.as_dict()
    assert told["verdicts"][0]["cause"] == "stale_feature"


def _served_without(path: Path) -> int:
    """Served again with every stored value missing, and the scores of that; how many predictions."""
    project = Project(path)
    model = project.model("late")
    stored = [feature.kind not in ("request", "derived") for feature in model.features]
    places = {feature.name: place for place, feature in enumerate(model.features)}
    logged = shop.logged(path)
    version = project.records.registry.by_digest(logged[0].version)
    scorer = project.records.scorer(model, version)

    def gone(one: Prediction) -> Prediction:
        values = [None if lost else value for value, lost in zip(one.values, stored, strict=True)]
        statuses = bytes(Status.MISSING if lost else status for status, lost in zip(one.statuses, stored, strict=True))
        row = np.array([[np.nan if values[places[n]] is None else values[places[n]] for n in model.features.vector]])
        score = float(scorer.score(row.astype(np.float32))[0])
        return msgspec.structs.replace(one, values=values, statuses=statuses, score=score)

    _rewrite(path, gone)
    return len(logged)


def test_values_that_were_gone_are_priced_by_what_would_have_been_answered(served: Path, life: Path) -> None:
    many = _served_without(life)
    project = Project(life)
    span = {"until": _until(life), "as_of": _until(life) + 30 * DAY}
    found = project.why("late", **span)
    verdict = found.of(Cause.DEFAULT)
    assert verdict.state is State.FOUND
    assert found.ranked[0] is verdict
    assert verdict.evidence["rows"] > 0.9 * many
    assert found.of(Cause.STALE).state is State.NOT_FOUND
    # What is put back is what was served before.
    before = Project(served).why("late", **span).online.value
    assert isinstance(before, Interval)
    assert isinstance(found.online.value, Interval)
    assert verdict.effect is not None
    assert verdict.effect.estimate == pytest.approx(before.estimate - found.online.value.estimate, abs=1e-6)


def test_another_definition_cannot_be_computed_again(life: Path) -> None:
    _rewrite(life, lambda one: msgspec.structs.replace(one, feature_set="f" * 64))
    found = Project(life).why("late", until=_until(life), as_of=_until(life) + 30 * DAY)
    assert found.of(Cause.STALE).state is State.CANNOT_TELL
    assert "another definition" in found.of(Cause.STALE).why
    assert found.of(Cause.CONCEPT).state is not State.CANNOT_TELL


def test_it_reads_and_writes_nothing(served: Path) -> None:
    project = Project(served)
    entries = len(project.entries(limit=10_000))
    project.why("late", until=_until(served), as_of=_until(served) + 30 * DAY)
    assert len(project.entries(limit=10_000)) == entries


def test_a_span_without_answers_is_refused(served: Path) -> None:
    with pytest.raises(InputError, match="nothing was answered"):
        Project(served).why("late", since="2020-01-01", until="2020-02-01")
