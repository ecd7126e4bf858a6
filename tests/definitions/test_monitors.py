"""Monitors as they are declared: on by default, in no hash, and refused where they make no sense."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from backstay import (
    Ask,
    Count,
    DataRules,
    Entity,
    EventSource,
    FeatureSet,
    IncidentPolicy,
    Label,
    Model,
    Monitor,
    RetrainPolicy,
    Windowed,
)
from backstay.core.errors import BackstayError, DefinitionError
from backstay.core.times import DAY
from backstay.registry.declared import declared_features, declared_signature

pays = EventSource("pays", schema={"a": "string", "id": "string", "x": "float"})
features = FeatureSet("f", [Windowed(pays, by=Entity("a"), over="1h", n=Count())])


def model(**more: object) -> Model:
    label = Label("l", source=pays, key="id", value=pl.col("x") > 0, horizon="1h")
    return Model("m", features=features, label=label, ask=Ask(pays), estimator=dict, **more)  # type: ignore[arg-type]


def test_a_model_is_watched_unless_it_says_otherwise() -> None:
    assert model().monitor == Monitor()
    assert model(monitor=None).monitor is None
    assert Monitor().width == DAY


def test_it_is_no_part_of_what_the_model_is() -> None:
    watched, unwatched = model(monitor=Monitor(entity="a", leave_out=["a_n_1h"])), model(monitor=None)
    assert declared_signature(watched) == declared_signature(unwatched)
    assert declared_features(watched.features) == declared_features(unwatched.features)
    assert watched.monitor is not None
    assert (watched.monitor.entity, watched.monitor.leave_out) == (("a",), ("a_n_1h",))


def test_names_that_the_model_lacks_are_refused_with_those_it_has() -> None:
    with pytest.raises(DefinitionError, match="entity 'b'") as caught:
        model(monitor=Monitor(entity=["b"]))
    assert caught.value.expected == "of a, id"
    with pytest.raises(DefinitionError, match="leave_out 'x'"):
        model(monitor=Monitor(leave_out=["x"]))
    with pytest.raises(DefinitionError, match="monitor='daily' is no monitor") as caught:
        model(monitor="daily")
    assert "Monitor()" in caught.value.fix


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Monitor(window="5h"), "divides a day"),
        (lambda: Monitor(window="30m"), "an hour or more"),
        (lambda: Monitor(window="36h"), "whole days"),
        (lambda: Monitor(window="soon"), "Monitor.window"),
        (lambda: Monitor(effect=0.3), "0 < effect < severe"),
        (lambda: Monitor(level=0.6), "a level as 0.01"),
        (lambda: Monitor(minimum_rows=0), "at least 1 row"),
        (lambda: Monitor(together=0), "1 to 31 windows"),
        (lambda: Monitor(persistence=(3, 2)), "k of the last m windows"),
        (lambda: Monitor(references=["yesterday"]), "some of training, season"),
        (lambda: Monitor(references=[]), "some of training, season"),
        (lambda: Monitor(parity=2), "a share"),
        (lambda: Monitor(metric="clicks"), "log_loss, brier"),
        (lambda: Monitor(margin=-1), "a margin from 0"),
        (lambda: Monitor(cost=0), "a number above 0"),
        (lambda: Monitor(data=0.1), "DataRules"),  # type: ignore[arg-type]
        (lambda: DataRules(nulls=2), "a share, from 0 to 1"),
        (lambda: DataRules(volume_above=1), "a factor above 1"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Callable[[], object], said: str) -> None:
    with pytest.raises(BackstayError) as caught:
        wrong()
    assert said in f"{caught.value} {caught.value.where} {caught.value.expected}"


@pytest.mark.parametrize(
    "made",
    [
        lambda: Monitor(persistence=3),  # type: ignore[arg-type]
        lambda: Monitor(persistence=(2.5, 3)),  # type: ignore[arg-type]
        lambda: Monitor(effect="0.1"),  # type: ignore[arg-type]
        lambda: Monitor(references=None),  # type: ignore[arg-type]
        lambda: DataRules(nulls="5%"),  # type: ignore[arg-type]
        lambda: DataRules(outside=float("nan")),
        lambda: IncidentPolicy(runbook={"dataquality": "https://wiki"}),
        lambda: IncidentPolicy(runbook=None),  # type: ignore[arg-type]
        lambda: IncidentPolicy(owner=["a"]),  # type: ignore[arg-type]
        lambda: IncidentPolicy(clean="3"),  # type: ignore[arg-type]
        lambda: RetrainPolicy(psi="0.2"),  # type: ignore[arg-type]
        lambda: RetrainPolicy(retrain_on=None),  # type: ignore[arg-type]
    ],
)
def test_what_is_of_another_type_is_refused_by_its_name(made: Callable[[], object]) -> None:
    with pytest.raises(DefinitionError, match="expected"):
        made()
