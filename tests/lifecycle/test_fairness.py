"""Fairness of a version: attributes as of each row's T and under access control, the recorded criterion, the gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import AccessError, DefinitionError, InputError
from backstay.core.times import HOUR, MINUTE, instant
from backstay.definitions import Fairness
from backstay.definitions.fairness import CRITERIA as DECLARED
from backstay.evaluation.fairness import CRITERIA, MISSING, Frontier
from backstay.evaluation.interval import Insufficient, Interval
from backstay.lifecycle.fairness import VersionFairness, attributes_of, fairness_or_why
from backstay.lifecycle.fairness_page import render
from backstay.project import Project
from backstay.rollout import Verdict
from tests.serving import shop

START = instant(shop.SECOND)
LATER = START + 8 * 24 * HOUR
MATURE = START + HOUR + 5 * 24 * HOUR + 2 * HOUR + MINUTE

_REGISTER = '''
def register() -> pl.DataFrame:
    """Who ordered: of every tenth nobody knows, and of every ninth it came to be known too late."""
    number = pl.int_range(ROWS, eager=True)
    paid = history()["paid"]
    return pl.DataFrame({
        "noted": paid - pl.Series([timedelta(days=-9 if n % 9 == 0 else 2) for n in range(ROWS)]),
        "order": "o" + number.cast(pl.String), "sex": SEXES, "age": 20 + number % 41,
    }).filter(number % 10 != 0)


registered = EventSource(
    "registered", schema={"order": "string", "sex": "string", "age": "int"}, event_time="noted", read=register
)
people = FeatureSet(
    "people",
    [Latest(registered, by=Entity("order"), sex="sex", age="age"), Derived(band=pl.col("order_age") >= 40)],
)
late = Model(
    "late",
    fairness=Fairness(people, FAIRNESS),'''


SEXES = 'pl.Series(["f", "m"] * (ROWS // 2))'
BY_SIZE = 'history()["size"].is_between(600, 2000).replace_strict({True: "f", False: "m"})'
"""With it those who order much are of one sex: a model of sizes selects them."""


def fair_project(path: Path, moment: int, fairness: str = "", sexes: str = SEXES) -> Project:
    """The trained shop, whose model declares its fairness only now: no version changes by it."""
    models = shop.MODELS.replace("Derived, Entity", "Derived, Entity, Fairness")
    models = models.replace(
        'late = Model(\n    "late",', _REGISTER.replace("FAIRNESS", fairness).replace("SEXES", sexes).strip(), 1
    )
    (path / "models.py").write_text(models, encoding="utf-8")
    project = Project(path, clock=ReplayClock(moment), actor="ana")
    project.ingest("registered")
    return project


def test_groups_are_by_attributes_as_of_t_and_nobody_is_dropped(path: Path) -> None:
    project = fair_project(path, LATER)
    found = project.evaluations.fairness(2, "late")
    assert found.attributes == ("order_sex", "band")  # and not the age that the band is made of
    rows = project.evaluations.rows(2, "late")
    assert found.report.rows == rows.labelled.rows
    declared = project.model("late").fairness
    assert declared is not None
    known = attributes_of(project.records, declared, rows.labelled.frame, as_of=rows.as_of)
    number = rows.labelled.frame.get_column("order").str.slice(1).cast(pl.Int64)
    unknown = (number % 10 == 0) | (number % 9 == 0)
    assert known.get_column("order_sex").is_null().to_list() == unknown.to_list()
    sexes = {cell.name: cell.rows for cell in found.report.groups[0].cells}
    assert sexes[MISSING] == unknown.sum()
    assert sum(sexes.values()) == found.report.rows
    assert [group.name for group in found.report.groups] == ["order_sex", "band", "order_sex x band"]
    assert not {*project.model("late").features.vector} & {"order_sex", "band"}
    told = found.report.groups[0].cells[1].rates["selection_rate"]
    assert isinstance(told, Interval)
    assert told.clusters > 5  # days
    assert found.as_dict()["since"].startswith("2024-02-20")
    assert "<svg" in render(found)


def test_some_attributes_alone(path: Path) -> None:
    project = fair_project(path, LATER)
    found = project.evaluations.fairness(2, "late", by=["sex"])
    assert [group.name for group in found.report.groups] == ["order_sex"]
    with pytest.raises(InputError, match="there is no attribute 'age'"):
        project.evaluations.fairness(2, "late", by=["age"])


def test_rows_that_tell_no_fairness_say_why_to_whoever_asks_beside_more(path: Path) -> None:
    project = fair_project(path, LATER)
    model, rows = project.model("late"), project.evaluations.rows(2, "late")
    assert isinstance(fairness_or_why(project.records, model, rows), VersionFairness)
    one_class = replace(rows, labelled=replace(rows.labelled, outcome=rows.labelled.outcome * 0))
    found = fairness_or_why(project.records, model, one_class)
    assert found == Insufficient(f"all {rows.labelled.rows} rows have outcome 0", rows.labelled.rows)


def test_a_model_without_fairness_says_what_to_write_and_is_judged_as_before(path: Path) -> None:
    project = Project(path, clock=ReplayClock(MATURE), actor="ana")
    with pytest.raises(InputError, match="declares no protected attributes") as told:
        project.evaluations.fairness(2, "late")
    assert "fairness=Fairness(" in str(told.value)
    checks = [check.name for check in project.judge(2, "late").decision.checks]
    assert checks == ["period_mature", "trained_as_served", "better_than_champion"]


def test_the_gate_asks_for_the_criterion_that_is_declared_or_recorded(path: Path) -> None:
    project = fair_project(path, MATURE, "tolerance=0.9, cluster='row'")
    assert "fair" not in [check.name for check in project.judge(2, "late").decision.checks]
    chosen = project.evaluations.choose_criterion("late", why="places are short", kind="assistive",
                                                  capacity="limited", labels="trusted", feedback="all")  # fmt: skip
    assert (chosen.criterion, chosen.proposed, chosen.by) == ("equal_opportunity", "equal_opportunity", "ana")
    assert "demographic_parity" in chosen.given_up
    entry = project.entries("fairness.criterion")[-1]
    assert (entry.id, entry.actor, entry.body["why"]) == (chosen.entry_id, "ana", "places are short")
    judged = project.judge(2, "late")
    (check,) = (one for one in judged.decision.checks if one.name == "fair")
    assert check.evidence["criterion"] == "equal_opportunity"
    assert check.evidence["chosen"] == {"entry": chosen.entry_id, "by": "ana", "why": "places are short"}
    assert check.verdict in (Verdict.PASS, Verdict.INSUFFICIENT)
    assert project.evaluations.criterion("late") == chosen
    assert project.evaluations.fairness(2, "late").chosen == chosen


def test_a_declared_criterion_is_asked_for_and_an_unfair_model_fails(path: Path) -> None:
    project = fair_project(path, MATURE, "criterion='demographic_parity', tolerance=0.0, cluster='row'", BY_SIZE)
    judged = project.judge(2, "late")
    (check,) = (one for one in judged.decision.checks if one.name == "fair")
    assert check.verdict is Verdict.FAIL
    assert "selection rate of f is above that of m" in check.reason
    assert judged.decision.verdict is Verdict.FAIL


def test_another_criterion_than_the_guides_is_recorded_as_such(path: Path) -> None:
    project = fair_project(path, LATER)
    choose = project.evaluations.choose_criterion
    found = choose("late", why="the law says so", criterion="demographic_parity", kind="punitive",
                   capacity="unlimited", labels="trusted", feedback="all")  # fmt: skip
    assert (found.criterion, found.proposed, found.rationale) == ("demographic_parity", "predictive_equality", "")
    with pytest.raises(InputError, match="there is no reason"):
        choose("late", why=" ", criterion="demographic_parity")
    with pytest.raises(InputError, match="neither an answer nor a criterion"):
        choose("late", why="so")
    with pytest.raises(InputError, match="no question 'mood'"):
        choose("late", why="so", mood="good")
    with pytest.raises(InputError, match="capacity is ''"):
        choose("late", why="so", kind="punitive")


def test_who_may_read_features_may_not_read_protected_attributes(path: Path) -> None:
    project = fair_project(path, MATURE, "criterion='equal_opportunity'")
    for role in ("read_offline", "define", "promote"):
        project.access.grant("ben", role, "order")
    ben = Project(path, clock=ReplayClock(MATURE), actor="ben")
    assert ben.evaluations.rows(2, "late").labelled.rows
    for attempt in (
        lambda: ben.evaluations.fairness(2, "late"),
        lambda: ben.judge(2, "late"),
        lambda: ben.promote(2, "late"),
    ):
        with pytest.raises(AccessError, match="read_offline on feature set 'people'"):
            attempt()
    project.access.grant("ben", "read_offline", "people")
    assert Project(path, clock=ReplayClock(MATURE), actor="ben").evaluations.fairness(2, "late").report.rows


def test_mistakes_are_refused_where_they_are_declared(path: Path) -> None:
    model = fair_project(path, LATER).model("late")
    assert model.fairness is not None
    people = model.fairness.attributes
    assert set(DECLARED) == set(CRITERIA)
    for wrong, said in (
        ({"criterion": "kindness"}, "criterion='kindness'"),
        ({"kind": "kind"}, "kind='kind'"),
        ({"intersections": 0}, "intersections=0"),
        ({"tolerance": 2.0}, "tolerance=2.0"),
        ({"false_positive": -1.0}, "costs -1.0"),
    ):
        with pytest.raises(DefinitionError, match=said) as told:
            Fairness(people, **wrong)  # type: ignore[arg-type]
        assert "test_fairness.py" in str(told.value)
    with pytest.raises(DefinitionError, match="is no feature set"):
        Fairness("sex")  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="comes with the request"):
        Fairness(model.features)
    with pytest.raises(DefinitionError, match="keyed by 'order', which"):
        Fairness(people).check(("shop",), "model")
    with pytest.raises(DefinitionError, match="cluster='week'"):
        Fairness(people, cluster="week").check(("order",), "model")


def test_a_reweighed_model_is_a_point_beside_the_frontier_and_no_version(path: Path) -> None:
    project = fair_project(path, LATER, "minimum=5", BY_SIZE)
    found = project.evaluations.fairness(2, "late", reweigh=True)
    plainly = project.evaluations.fairness(2, "late")
    assert plainly.others == ()
    assert isinstance(found.report.frontier, Frontier)
    (point,) = found.others
    assert point.name == "the same, trained on reweighed rows"
    assert isinstance(point.gap, Interval)
    assert isinstance(found.report.frontier.now.gap, Interval)
    assert (point.thresholds, point.needs_attribute) == ({}, False)
    assert point.cost != found.report.frontier.now.cost
    assert found.as_dict()["others"][0]["cost"] == point.cost
    assert point.name in render(found)
    assert len(project.records.registry.versions("late")) == 2
