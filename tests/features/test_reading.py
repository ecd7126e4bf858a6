"""Rows asked online in process: right types pass, NumPy's too, and anything else names the row, the set and the fix."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.definitions import Entity, EventSource, FeatureSet, Latest, Request
from backstay.features.reading import RowReader

SOURCE = EventSource("visits", schema={"shop": "string", "till": "int", "x": "float"})
FEATURES = FeatureSet(
    "read",
    [
        Latest(SOURCE, by=Entity("till", keys=["shop", "till"]), x="x"),
        Request(amount="float", when="datetime", gift="bool", number="int", optional="number"),
    ],
)
WHEN = datetime(2026, 1, 2, tzinfo=UTC)
ROW = {"shop": "s1", "till": 3, "amount": 2.5, "when": WHEN, "gift": True, "number": 1}
T = 1_700_000_000_000_000


def asked(**changes: Any) -> Any:
    return RowReader(FEATURES).asked([ROW, {**ROW, **changes}], T)[1]


def test_values_of_the_declared_types() -> None:
    reader = RowReader(FEATURES)
    one = asked()
    assert (one.keys, one.at) == ({"shop": "s1", "till": 3}, T)
    assert one.fields == {"amount": 2.5, "when": 1_767_312_000_000_000, "gift": True, "number": 1}
    assert asked(amount=2).fields["amount"] == 2.0
    assert asked(when="2026-01-02T01:00:00+01:00").fields["when"] == one.fields["when"]
    assert asked(shop=None, number=None).keys["shop"] is None
    assert asked(shop=None, number=None, when=WHEN.isoformat()).fields["number"] is None
    numpys = asked(till=np.int64(3), amount=np.float32(2.5), gift=np.bool_(True))
    assert (numpys.keys, numpys.fields) == (one.keys, one.fields)
    assert type(numpys.keys["till"]) is int
    assert reader.plain([ROW, {**ROW, "till": None}])
    assert not reader.plain([ROW, {**ROW, "till": np.int64(3)}])
    assert not reader.plain([{"shop": "s1"}])
    assert not reader.plain(["s1"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shop": 7}, "'shop' of row 1 is a int, 7"),
        ({"shop": "\ud800", "amount": 2}, "'shop' of row 1 is '\\ud800'"),
        ({"amount": None}, "'amount' of row 1 is None"),
        ({"amount": float("nan")}, "'amount' of row 1 is nan"),
        ({"amount": float("-inf")}, "'amount' of row 1 is -inf"),
        ({"amount": 10**400}, "'amount' of row 1 is 1000"),
        ({"number": 2**63}, "'number' of row 1 is 9223372036854775808"),
        ({"when": 2**70}, "no time of the years 1 to 9999"),
        ({"till": "3"}, "'till' of row 1 is a str"),
        ({"till": True}, "'till' of row 1 is a bool"),
        ({"till": 3.0}, "'till' of row 1 is a float"),
        ({"amount": "a lot"}, "'amount' of row 1 is a str"),
        ({"amount": True}, "'amount' of row 1 is a bool"),
        ({"gift": 1}, "'gift' of row 1 is a int"),
        ({"shop": ["s1"]}, "'shop' of row 1 is a list"),
        ({"when": datetime(2026, 1, 2)}, "zone"),
        ({"when": "soon"}, "soon"),
    ],
)
def test_another_type_is_refused_by_name(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        asked(**changes)
    assert told in str(caught.value)
    assert "feature set 'read'" in str(caught.value)
    assert "test_reading.py" in str(caught.value)


def test_plain_integers_are_held_to_their_bounds_too() -> None:
    """A row of nothing but exact types is not read value by value."""
    row = {**ROW, "when": T}
    assert RowReader(FEATURES).asked([row], T)[0].fields["when"] == T
    for wrong, told in (({"when": 2**62}, "years 1 to 9999"), ({"number": 2**63}, "'number' of row 0")):
        with pytest.raises(InputError, match=told):
            RowReader(FEATURES).asked([{**row, **wrong}], T)


def test_a_row_that_is_none() -> None:
    reader = RowReader(FEATURES)
    with pytest.raises(InputError, match=r"rows are a generator.*list\(rows\)"):
        reader.asked((row for row in [ROW]), T)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'till' is missing in row 0"):
        reader.asked([{"shop": "s1"}], T)
    with pytest.raises(InputError, match="row 0 is a str"):
        reader.asked(["s1"], T)  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"one row is given.*\[row\]"):
        reader.asked(ROW, T)  # type: ignore[arg-type]
