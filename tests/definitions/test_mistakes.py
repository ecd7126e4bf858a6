"""Mistakes in definitions: each error names the definition, the file and line where it stands, and the fix."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay import (
    Contract,
    Count,
    Derived,
    Distinct,
    Entity,
    EventSource,
    Expect,
    FeatureSet,
    First,
    Label,
    Last,
    Latest,
    Max,
    Mean,
    Objective,
    Request,
    Share,
    Std,
    Sum,
    Windowed,
)
from backstay.core.errors import InputError

pays = EventSource(
    "pays", schema={"a": "string", "word": "string", "x": "float", "f": "float", "when": "datetime"}, tags={"a": "pii"}
)
A = Entity("a")
AGES = "99999999999d"
amount = Request(amount="float")


def features(*blocks: Any, **more: Any) -> FeatureSet:
    return FeatureSet("f", list(blocks), **more)


def window(over: Any = "1h", source: Any = pays, by: Any = A, **more: Any) -> Windowed:
    return Windowed(source, by=by, over=over, **(more or {"n": Count()}))


HELPERS = {int(amount.place.rpartition(":")[2])}
HELPERS |= {number for made in (features, window) for *_, number in made.__code__.co_lines() if number}

MISTAKES: dict[str, tuple[Callable[[], Any], str, str]] = {
    # what is declared, what the error says, and of what
    "an entity that is a name": (lambda: window(by="a"), "by='a' is not an entity", "Windowed(pays)"),
    "an entity that is none": (lambda: Latest(pays, by=pays, x="x"), "is not an entity", "Latest(pays)"),  # type: ignore[arg-type]
    "an entity of another source": (lambda: features(window(by=Entity("shop"))), "has no column 'shop'", "'f'"),
    "an entity by a float": (lambda: features(window(by=Entity("f"))), "'f' of entity 'f' is a float", "'f'"),
    "an entity's name": (lambda: Entity("Customer Id"), "cannot name an entity", "'Customer Id'"),
    "an entity named global": (lambda: Entity("global"), "without one", "'global'"),
    "keys that are none": (lambda: Entity("pair", keys=None), "keys=None names no columns", "'pair'"),  # type: ignore[arg-type]
    "a key twice": (lambda: Entity("pair", keys=["a", "a"]), "named twice", "'pair'"),
    **{
        f"a {made.__name__.lower()} of a string": (
            lambda made=made: features(window(m=made("word"))),  # type: ignore[misc]
            "'word' is of type string",
            "feature 'a_m_1h'",
        )
        for made in (Sum, Mean, Max, Std, Share)
    },
    "a sum of times": (lambda: features(window(m=Sum("when"))), "'when' is of type datetime", "'a_m_1h'"),
    "a share of a number": (lambda: features(window(m=Share("x"))), "expected a condition", "'a_m_1h'"),
    "an unknown column": (lambda: features(window(m=Mean("y"))), 'unable to find column "y"', "'a_m_1h'"),
    "an unknown latest column": (lambda: features(Latest(pays, by=A, m="y")), "unable to find", "'a_m'"),
    "a window in other words": (lambda: window("a month"), "'a month' is not a duration", "Windowed(pays, by=a)"),
    "a window of nothing": (lambda: window("0s"), "'0s' is not a length of time", "Windowed(pays, by=a)"),
    "a window that is a number": (lambda: window(3600), "3600 is not a length of time", "Windowed(pays, by=a)"),
    "a window for ever": (lambda: window(AGES), "longer than time", "Windowed(pays, by=a)"),
    "a window beyond all numbers": (lambda: window("9" * 5000 + "d"), "is not a duration", "Windowed(pays, by=a)"),
    "a hop for ever": (lambda: Windowed(pays, over="1h", hop=AGES, n=Count()), "longer than time", "by=global"),
    "a max age for ever": (lambda: Latest(pays, by=A, max_age=AGES, x="x"), "longer than time", "Latest(pays, by=a)"),
    "a horizon for ever": (
        lambda: Label("l", source=pays, key="a", occurs=True, horizon=AGES),
        "longer than time",
        "label 'l'",
    ),
    "a window twice": (lambda: window(["1h", "60m"]), "named twice", "Windowed(pays, by=a)"),
    "a hop of nothing": (lambda: Windowed(pays, over="1h", hop="0s", n=Count()), "'0s'", "by=global"),
    "no aggregate": (lambda: Windowed(pays, by=A, over="1h"), "at least one duration", "Windowed(pays, by=a)"),
    "an aggregate that is none": (lambda: window(n="x"), "n='x' is not an aggregate", "Windowed(pays, by=a)"),
    "a source that is a name": (lambda: window(source="pays"), "'pays' is not a source", "Windowed"),
    "a max age of nothing": (lambda: Latest(pays, by=A, max_age="0s", x="x"), "'0s'", "Latest(pays, by=a)"),
    "no latest value": (lambda: Latest(pays, by=A), "no value is named", "Latest(pays, by=a)"),
    "an input's type": (lambda: Request(amount="flaot"), "'flaot' is not a type", "Request(amount)"),
    "an optional input": (lambda: Request(amount="float", optional="amuont"), "['amuont']", "Request"),
    "no input": (lambda: Request(), "no input is named", "Request"),
    "nothing derived": (lambda: Derived(), "no expression is named", "Derived"),
    "no expression": (lambda: Derived(y="amount"), "y='amount' is not an expression", "Derived(y)"),  # type: ignore[arg-type]
    "an unknown feature": (lambda: features(amount, Derived(y=pl.col("z") * 2)), "unable to find", "'y'"),
    "an expression over rows": (
        lambda: features(amount, Derived(y=pl.col("amount") - pl.col("amount").mean())),
        "an aggregation over rows",
        "feature 'y'",
    ),
    "a feature twice": (lambda: features(amount, amount), "two features are named 'amount'", "'amount'"),
    "a feature's name": (lambda: features(Request(label="float")), "keeps for itself", "feature 'label'"),
    "a default's type": (lambda: features(amount, defaults={"amount": "1"}), "expected a value of type float", "'f'"),
    "an endless default": (lambda: features(amount, defaults={"amount": float("inf")}), "a finite float", "'f'"),
    "half a count": (lambda: features(window(), defaults={"a_n_1h": 0.5}), "a value of type int", "'a_n_1h'"),
    "a time as default": (
        lambda: features(Latest(pays, by=A, w="when"), defaults={"a_w": datetime(2024, 1, 1, tzinfo=UTC)}),
        "a time has no default",
        "'a_w'",
    ),
    "a default beyond integers": (
        lambda: features(Request(n="int"), defaults={"n": 2**70}),
        "expected a value of type int",
        "'n'",
    ),
    "a default beyond floats": (lambda: features(amount, defaults={"amount": 10**400}), "a finite float", "'f'"),
    "defaults of no feature": (lambda: features(amount, defaults=[1]), "defaults is a list", "feature set 'f'"),
    "tags that are none": (lambda: features(amount, tags=3), "3 is not a tag", "feature set 'f'"),
    "an unknown default": (lambda: features(window(), defaults={"n_1h": 0}), "did you mean a_n_1h", "'f'"),
    "no block": (lambda: FeatureSet("f", []), "at least one block", "feature set 'f'"),
    "one block": (lambda: FeatureSet("f", amount), "at least one block", "feature set 'f'"),  # type: ignore[arg-type]
    "a block that is none": (lambda: features("x"), "'x' is not part of a feature set", "feature set 'f'"),
    "a set's name": (lambda: FeatureSet("My Set", [amount]), "rename it, for example 'my_set'", "'My Set'"),
    "a tag removed without reason": (lambda: features(window(), untag={"a_n_1h": {"pii": ""}}), "a reason", "'f'"),
    "a tag that is not there": (lambda: features(window(), untag={"a_n_1h": {"x": "y"}}), "does not carry", "'f'"),
    "a column's type": (lambda: EventSource("s", schema={"x": "floot"}), "'floot' is not a type", "column 'x'"),
    "a column's name": (lambda: EventSource("s", schema={"X": "float"}), "cannot name a column", "column 'X'"),
    "a schema of names": (lambda: EventSource("s", schema=["x"]), "the schema is a list", "source 's'"),  # type: ignore[arg-type]
    "a time zone": (lambda: EventSource("s", schema={}, timezone="Mars"), "no time zone 'Mars'", "source 's'"),
    "two known times": (lambda: EventSource("s", schema={}, delay="1h", known_time="k"), "both given", "source 's'"),
    "a delay in other words": (lambda: EventSource("s", schema={}, delay="soon"), "'soon'", "source 's'"),
    "an id that is to be unique": (
        lambda: EventSource("s", schema={"n": "int"}, event_id="n", contract=Contract(Expect.unique("n"))),
        "'n' is the event_id",
        "'s'",
    ),
    "a delay that is a number": (lambda: EventSource("s", schema={}, delay=3.5), "3.5 is not a duration", "source 's'"),  # type: ignore[arg-type]
    "freshness that is a number": (lambda: EventSource("s", schema={}, freshness=1.5), "1.5 is not a d", "source 's'"),  # type: ignore[arg-type]
    "a delay for ever": (lambda: EventSource("s", schema={}, delay=AGES), "longer than time", "source 's'"),
    "freshness for ever": (lambda: EventSource("s", schema={}, freshness=AGES), "longer than time", "source 's'"),
    "a negative delay": (lambda: EventSource("s", schema={}, delay=timedelta(-1)), "is negative", "source 's'"),
    "a time that has no name": (lambda: EventSource("s", schema={}, event_time=3), "event_time=3 is not", "source 's'"),  # type: ignore[arg-type]
    "one time for both": (
        lambda: EventSource("s", schema={}, event_time="t", known_time="t"),
        "both the column 't'",
        "source 's'",
    ),
    "no tag": (lambda: EventSource("s", schema={}, tags=None), "None is not a tag", "source 's'"),  # type: ignore[arg-type]
    "a sequence that is none": (lambda: EventSource("s", schema={"n": "float"}, sequence="n"), "is Float64", "'s'"),
    "a contract on nothing": (
        lambda: EventSource("s", schema={"x": "float"}, contract=Contract(Expect.not_null("y"))),
        "is about ['y']",
        "source 's'",
    ),
    "a range of words": (
        lambda: EventSource("s", schema={"x": "string"}, contract=Contract(Expect.between("x", 0, 1))),
        "cannot be judged",
        "source 's'",
    ),
    "a contract of lists": (
        lambda: EventSource("s", schema={"x": "float"}, contract=[Expect.not_null("x")]),  # type: ignore[arg-type]
        "the contract is a list",
        "source 's'",
    ),
    "a range backwards": (lambda: Expect.between("x", 1, 0), "nothing is from 1 to 0", "Expect.between('x')"),
    "one column twice": (lambda: Expect.unique("x", "x"), "the columns are 'x', 'x'", "Expect.unique()"),
    "a list of columns": (lambda: Expect.unique(["x", "y"]), "the columns are ['x', 'y']", "Expect.unique()"),  # type: ignore[arg-type]
    "a volume in words": (lambda: Expect.volume(at_least="5"), "at_least='5'", "Expect.volume"),  # type: ignore[arg-type]
    "a volume of parts": (lambda: Expect.volume(at_least=1.5), "at_least=1.5", "Expect.volume"),  # type: ignore[arg-type]
    "a volume below nothing": (lambda: Expect.volume(at_least=-1), "at_least=-1", "Expect.volume"),
    "a volume of anything": (lambda: Expect.volume(per="1h"), "at_least=0, at_most=None", "Expect.volume"),
    "values of two types": (lambda: Expect.one_of("x", [1, "a"]), "several types", "Expect.one_of('x')"),
    "where to read": (lambda: EventSource("s", schema={}, read="s.csv"), "does not say how to read", "source 's'"),  # type: ignore[arg-type]
    "a label that is a number": (
        lambda: Label("l", source=pays, key="a", value=pl.col("x"), horizon="1d"),
        "the label's value is of type Float64",
        "label 'l'",
    ),
    "an objective without a reason": (
        lambda: Objective(latency="50ms", why=" "),
        "no reason",
        "Objective",
    ),
    "an objective that allows nothing": (
        lambda: Objective(latency="50ms", availability=1, why="w"),
        "availability is 1",
        "Objective",
    ),
    "an objective of percents": (lambda: Objective(latency="1s", share=99.0, why="w"), "share is 99.0", "Objective"),
    "an objective of no share": (lambda: Objective(latency="1s", share=True, why="w"), "share is True", "Objective"),
    "an objective in other words": (lambda: Objective(latency="fast", why="w"), "'fast' is not a", "Objective"),
    "an objective of no time": (lambda: Objective(latency="0ms", why="w"), "within no time", "Objective"),
    "an objective for ever": (lambda: Objective(latency="1s", over="365d", why="w"), "is for 365d", "Objective"),
    "a label's key": (
        lambda: Label("l", source=pays, key="id", occurs=True, horizon="1d"),
        "source 'pays' has no column 'id'",
        "label 'l'",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_place_and_its_fix(name: str) -> None:
    declare, said, where = MISTAKES[name]
    with pytest.raises(InputError) as caught:
        declare()
    error = caught.value
    assert said in str(error)
    assert where in error.where
    assert error.fix
    line = declare.__code__.co_firstlineno
    file, _, number = error.where.partition(".py:")
    assert Path(file.rpartition("(")[2] + ".py").name == "test_mistakes.py"
    # The line of the definition: that of the lambda, or of what it declares with.
    assert int(number.partition(")")[0]) in {*range(line, line + 4), *HELPERS}


def test_what_is_near_enough_is_taken() -> None:
    assert Entity("route", keys="origin").keys == ("origin",)
    assert window(timedelta(hours=1)).windows == window("60m").windows
    assert Request(amount="float", optional="amount").optional == {"amount"}
    one = features(Latest(pays, by=A, x="x"), Latest(pays, x="x"), tags="secret")
    assert {feature.name: set(feature.tags) for feature in one} == {"a_x": {"secret", "pii"}, "global_x": {"secret"}}
    of_any_type = features(window(first=First("word"), last=Last("when"), n=Distinct("word")))
    assert [str(feature.dtype)[:8] for feature in of_any_type] == ["String", "Datetime", "Int64"]


def test_a_file_below_the_current_folder_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    module = tmp_path / "mine" / "declared_here.py"
    module.write_text("from backstay import Entity\n\nentity = Entity('a')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))
    monkeypatch.delitem(sys.modules, "declared_here", raising=False)
    import declared_here  # type: ignore[import-not-found]

    assert declared_here.entity.where == "entity 'a' (mine/declared_here.py:3)"
