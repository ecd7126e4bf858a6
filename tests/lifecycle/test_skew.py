"""What was served lies as what was trained on, until a feature is served otherwise; then that one is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from backstay.core.errors import InputError
from backstay.lifecycle.references import reference_sample
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


def _with(path: Path, name: str, new: Callable[[object], object]) -> Callable[[Prediction], Prediction]:
    place = [feature.name for feature in Project(path).model("late").features].index(name)

    def change(one: Prediction) -> Prediction:
        values = [new(value) if at == place else value for at, value in enumerate(one.values)]
        return msgspec.structs.replace(one, values=values)

    return change


def test_every_feature_of_the_served_version_is_compared(served: Path) -> None:
    project = Project(served)
    found = project.features.skew("late")
    champion = project.records.registry.by_digest(shop.logged(served)[-1].version)
    assert found.number == champion.number
    assert found.served == len(shop.logged(served))
    assert set(found.features) == set(project.model("late").features.vector)
    psis = [one.psi for one in found.features.values()]
    assert psis == sorted(psis, reverse=True)
    sample = reference_sample(project.records, champion)
    assert {one.reference_n for one in found.features.values()} == {len(next(iter(sample.values())))}
    told = found.as_dict()
    assert told["holds"] is found.holds
    assert told["differing"] == [name for name, one in told["features"].items() if one["differs"]]


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("shop_last_size", lambda value: None if value is None else value * 60 + 1000),
        ("shop_late_7d", lambda _: None),
        ("shop_orders_7d", lambda _: 1_000_000),
    ],
)
def test_a_feature_that_is_served_otherwise_is_named_first(
    served: Path, life: Path, name: str, new: Callable[[object], object]
) -> None:
    before = Project(served).features.skew("late")
    _rewrite(life, _with(life, name, new))
    found = Project(life).features.skew("late")
    assert not found.holds
    assert name in found.differing
    assert next(iter(found.features)) == name
    rest = {other: one for other, one in found.features.items() if other != name}
    assert rest == {other: one for other, one in before.features.items() if other != name}


def test_a_span_of_time_is_chosen_by_t(served: Path) -> None:
    project = Project(served)
    times = sorted(one.at for one in shop.logged(served))
    middle = times[len(times) // 2]
    early, late = project.features.skew("late", until=middle), project.features.skew("late", since=middle)
    assert early.served + late.served == len(times)
    assert early.served > 0
    none = project.features.skew("late", until=times[0])
    assert (none.served, none.number, none.features, none.holds) == (0, None, {}, False)
    with pytest.raises(InputError, match="since"):
        project.features.skew("late", since="yesterdayish")


def test_another_definition_is_not_compared(life: Path) -> None:
    _rewrite(life, lambda one: msgspec.structs.replace(one, feature_set="f" * 64))
    found = Project(life).features.skew("late")
    assert found.other_definition
    assert not found.holds
    assert found.features == {}
