"""Push in process: one event, several, or a frame of any kind; what breaks the contract is set apart and counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay.core.errors import InputError
from backstay.project import Project

MODELS = """from backstay import Contract, Count, Entity, EventSource, Expect, FeatureSet, Latest, Windowed

schema = {"customer": "string", "shop": "string", "x": "float"}
pays = EventSource("pays", schema=schema)
held = EventSource("held", schema=schema, contract=Contract(Expect.between("x", 0, 10)))
pair = Entity("pair", keys=["customer", "shop"])
one = FeatureSet("one", [Windowed(pays, by=pair, over="1h", n=Count()), Latest(pays, by=pair, x="x")])
two = FeatureSet("two", [Windowed(held, over="1h", n=Count())])
"""


COMPUTED = """import polars as pl
from backstay import Contract, Entity, EventSource, Expect, FeatureSet, Sum, Windowed

schema = {"who": "string", "w": "string"}
texts = EventSource("texts", schema=schema)
kept = EventSource("kept", schema=schema, contract=Contract(Expect.matches("w", ".*")))
who = Entity("who")
one = FeatureSet("one", [Windowed(texts, by=who, over="1h", x=Sum(pl.col("w").cast(pl.Float64)))])
two = FeatureSet("two", [Windowed(kept, by=who, over="1h", x=Sum(pl.col("w").cast(pl.Float64)))])
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "backstay.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "models.py").write_text(MODELS)
    with_it = Project(tmp_path)
    yield with_it
    with_it.close()


def event(**changes: Any) -> dict[str, Any]:
    time = datetime.now(UTC) - timedelta(minutes=5)
    return {"event_time": time, "customer": "1", "shop": "12", "x": 1.0, **changes}


def test_one_several_and_frames_of_every_kind(project: Project) -> None:
    push, frame = project.features.push, pl.DataFrame([event()])
    ways = [event(), [event()], (event(),), frame, frame.lazy(), frame.to_pandas(), frame.to_arrow()]
    assert [push("pays", way) for way in ways] == [{"accepted": 1, "sequence": n + 1} for n in range(len(ways))]
    push("pays", event(customer="11", shop="2", x=5.0))
    asked = [{"customer": "1", "shop": "12"}, {"customer": "11", "shop": "2"}, {"customer": "1", "shop": "2"}]
    got = [(row.values["pair_n_1h"], row.values["pair_x"]) for row in project.features.online(asked, "one")]
    assert got == [(7, 1.0), (1, 5.0), (0, None)]
    assert push("pays", []) == push("pays", frame.clear()) == {"accepted": 0, "sequence": 8}


def test_what_was_never_backfilled_is_refused_and_not_missing(project: Project, tmp_path: Path) -> None:
    assert project.features.online([{"customer": "1", "shop": "12"}], "one")[0].statuses["pair_x"] == "MISSING"
    project.features.push("pays", event())
    project.close()
    (tmp_path / "models.py").write_text(MODELS.replace('over="1h", n=Count())', 'over="2h", n=Count())', 1))
    changed = Project(tmp_path)
    with pytest.raises(InputError, match=r"1 events of 'pays'.*'one'.*models.py.*backstay features backfill"):
        changed.features.online([{"customer": "1", "shop": "12"}], "one")
    changed.backfill()
    assert changed.features.online([{"customer": "1", "shop": "12"}], "one")[0].values["pair_n_2h"] == 1
    changed.close()


def test_a_key_that_no_state_can_hold_is_named(project: Project) -> None:
    with pytest.raises(InputError, match=r"'customer' of row 1 is.*Unicode"):
        project.features.online([{"customer": "1", "shop": "12"}, {"customer": "\ud800", "shop": "12"}], "one")


def test_what_a_feature_cannot_be_computed_of_is_refused_and_not_recorded(tmp_path: Path) -> None:
    """It would be in the record for good, and take the feature from every other event."""
    (tmp_path / "backstay.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "models.py").write_text(COMPUTED)
    project = Project(tmp_path)
    push, now = project.features.push, datetime.now(UTC) - timedelta(minutes=1)
    bad, good = ({"event_time": now, "who": "a", "w": w} for w in ("abc", "2"))
    with pytest.raises(InputError, match=r"one.who_x_1h cannot be computed.*strict=False"):
        push("texts", [good, bad])
    assert push("texts", good) == {"accepted": 1, "sequence": 1}
    assert push("kept", [good, bad])["quarantined"] == 1
    (row,) = project.features.online([{"who": "a"}], "one")
    assert row.values == {"who_x_1h": 2.0}
    project.close()


def test_bad_events_are_set_apart_and_the_good_ones_go_on(project: Project) -> None:
    bad = [
        event(x=11.0),
        event(x="far"),
        event(event_time="soon"),
        event(event_time=datetime.now(UTC) + timedelta(days=1)),
    ]
    told = project.features.push("held", [event(), *bad, event(x=3.0)])
    assert (told["accepted"], told["sequence"], told["quarantined"]) == (2, 2, 4)
    assert project.features.online([{}], "two")[0].values == {"global_n_1h": 2}
    assert {one.expectation: one.events for one in project.quarantine("held")} == {
        "x_between": 1, "type": 1, "time": 1, "future": 1,
    }  # fmt: skip
    assert project.features.push("held", event(x="far")) == {
        "accepted": 0, "sequence": 2, "quarantined": 1, "reasons": {"x is not read as float": 1},
    }  # fmt: skip


def test_without_a_contract_one_bad_event_refuses_all(project: Project) -> None:
    for bad in (event(x="far"), event(y=1), event(x=float("nan")), event(event_time=datetime(2024, 5, 1)),
                event(event_time=datetime.now(UTC) + timedelta(hours=1))):  # fmt: skip
        with pytest.raises(InputError) as caught:
            project.features.push("pays", [event(), bad])
        assert "models.py:4" in str(caught.value)
        assert caught.value.fix
    assert project.services.events.last_sequence("pays") == 0


def test_times_that_no_calendar_has(project: Project) -> None:
    far, near = (pl.DataFrame([event()]).with_columns(pl.lit(time).cast(pl.Datetime("us", "UTC")).alias("event_time"))
                 for time in (10**18, 1_714_564_800_000_000))  # fmt: skip
    frame = pl.concat([far, near])
    reasons = {"event_time is outside the years 1 to 9999 in UTC": 1}
    assert project.features.push("held", frame) == {
        "accepted": 1, "sequence": 1, "quarantined": 1, "reasons": reasons,
    }  # fmt: skip
    number = project.features.push("held", event(event_time=2**63 - 1))
    assert number["reasons"] == {"event_time is not a time in microseconds since 1970": 1}
    with pytest.raises(InputError, match="outside the years 1 to 9999 in UTC"):
        project.features.push("pays", frame)
    for bad in (event(event_time=10**18), [event(), event(event_time=-(2**63))]):
        with pytest.raises(InputError, match="expected microseconds since 1970"):
            project.features.push("pays", bad)


def test_half_a_character_is_told_and_kept_as_it_came(project: Project) -> None:
    with pytest.raises(InputError, match="'customer' is"):
        project.features.push("pays", event(customer="\ud800"))
    assert project.features.push("held", event(customer="\ud800"))["quarantined"] == 1
    (bad,) = project.quarantine("held")
    assert bad.examples[0]["row"]["customer"] == "\ud800"


def test_the_producers_number_is_in_every_event_and_rises(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "models.py").write_text(
        "from backstay import *\n"
        'held = EventSource("held", schema={"n": "int"}, sequence="n", contract=Contract(Expect.between("n", 0)))\n'
        'pays = EventSource("pays", schema={"n": "int"}, sequence="n")\n'
        'sets = [FeatureSet(one.name, [Windowed(one, over="1h", n=Count())]) for one in (held, pays)]\n'
    )
    shop, now = Project(tmp_path), datetime.now(UTC)
    told = shop.features.push("held", [{"event_time": now, "n": number} for number in (1, None, 3, 2, 4)])
    assert (told["accepted"], told["reasons"]) == (
        3, {"there is no n": 1, "n does not rise: the event came before, or out of order": 1},
    )  # fmt: skip
    with pytest.raises(InputError, match="1 of 1 events: there is no n"):
        shop.features.push("pays", {"event_time": now, "n": None})
    shop.close()
