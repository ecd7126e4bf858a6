"""A frame's digest: every cell, name, type and order counts, and nothing else does."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backstay.core.errors import InputError
from backstay.storage import digest
from backstay.storage.digest import check_digest, frame_digest

INT64 = st.integers(-(2**63), 2**63 - 1)
MOMENT = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
KINDS: dict[str, tuple[pl.DataType, st.SearchStrategy[object]]] = {
    "int64": (pl.Int64(), INT64),
    "uint8": (pl.UInt8(), st.integers(0, 255)),
    "float64": (pl.Float64(), st.floats(allow_nan=False)),
    "float32": (pl.Float32(), st.floats(allow_nan=False, width=32)),
    "bool": (pl.Boolean(), st.booleans()),
    "string": (pl.String(), st.text(st.characters(codec="utf-8"), max_size=9)),
    "binary": (pl.Binary(), st.binary(max_size=5)),
    "datetime": (pl.Datetime("us", "UTC"), MOMENT),
    "date": (pl.Date(), st.dates(date(1900, 1, 1), date(2100, 1, 1))),
    "duration": (pl.Duration("us"), st.timedeltas(timedelta(-9), timedelta(9))),
    "list": (pl.List(pl.Int64), st.lists(st.none() | INT64, max_size=3)),
    "texts": (pl.List(pl.String), st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=2), max_size=3)),
    "struct": (
        pl.Struct({"a": pl.Int64, "b": pl.String}),
        st.fixed_dictionaries({"a": st.none() | INT64, "b": st.none() | st.sampled_from(["", "x"])}),
    ),
}


def bits(value: object) -> object:
    """A value that is equal only to its bits: 0.0 and -0.0 differ."""
    return struct.pack("<d", value) if isinstance(value, float) else value


@st.composite
def columns(draw: st.DrawFn) -> tuple[pl.DataType, list[object], st.SearchStrategy[object]]:
    dtype, values = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    cells = st.none() | values
    return dtype, draw(st.lists(cells, min_size=1, max_size=12)), cells


def of(dtype: pl.DataType, values: list[object], name: str = "x") -> str:
    return frame_digest(pl.DataFrame({name: pl.Series(values, dtype=dtype)}))


@settings(max_examples=200, deadline=None)
@given(columns(), st.data())
def test_any_changed_cell_shows(
    column: tuple[pl.DataType, list[object], st.SearchStrategy[object]], data: st.DataObject
) -> None:
    dtype, values, cells = column
    at = data.draw(st.integers(0, len(values) - 1))
    other = data.draw(cells)
    assume(bits(other) != bits(values[at]))
    assert of(dtype, values) != of(dtype, [*values[:at], other, *values[at + 1 :]])


@settings(max_examples=100, deadline=None)
@given(columns(), st.data())
def test_two_swapped_rows_show(
    column: tuple[pl.DataType, list[object], st.SearchStrategy[object]], data: st.DataObject
) -> None:
    dtype, values, _ = column
    a, b = data.draw(st.integers(0, len(values) - 1)), data.draw(st.integers(0, len(values) - 1))
    assume(bits(values[a]) != bits(values[b]))
    swapped = list(values)
    swapped[a], swapped[b] = values[b], values[a]
    assert of(dtype, values) != of(dtype, swapped)


@settings(max_examples=150, deadline=None)
@given(columns(), st.data())
def test_chunks_slices_and_filters_do_not(
    column: tuple[pl.DataType, list[object], st.SearchStrategy[object]], data: st.DataObject
) -> None:
    dtype, values, _ = column
    series = pl.Series("x", values, dtype=dtype)
    expected = frame_digest(series.to_frame())
    cut = data.draw(st.integers(0, len(values)))
    chunked = series[:cut].clone().append(series[cut:])
    padded = pl.concat([series, series, series])
    mask = pl.Series([False] * cut + [True] * len(values) + [False] * (len(values) - cut))
    doubled = pl.concat([series.head(cut), series, series.tail(len(values) - cut)])
    for same in (chunked, chunked.rechunk(), padded.slice(len(values), len(values)), doubled.filter(mask)):
        assert frame_digest(same.to_frame()) == expected


@settings(max_examples=50, deadline=None)
@given(columns(), columns())
def test_columns_and_their_borders(
    a: tuple[pl.DataType, list[object], object], b: tuple[pl.DataType, list[object], object]
) -> None:
    height = min(len(a[1]), len(b[1]))
    x, y = pl.Series("x", a[1][:height], dtype=a[0]), pl.Series("y", b[1][:height], dtype=b[0])
    digests = {frame_digest(pl.DataFrame(columns)) for columns in ([x, y], [y, x], [x], [y], [x, y.alias("z")])}
    assert len(digests) == 5


def test_what_lies_under_a_null_does_not_count() -> None:
    hidden = pl.DataFrame({"x": [1, 2, 3], "s": ["a", "b", "c"], "l": [[1], [2], [3]]})
    nulled = hidden.select(pl.when(pl.int_range(pl.len()) != 1).then(pl.all()))
    clean = pl.DataFrame({"x": [1, None, 3], "s": ["a", None, "c"], "l": [[1], None, [3]]})
    assert frame_digest(nulled) == frame_digest(clean)


def test_floats_count_by_their_bits() -> None:
    patterns = [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001, 0, 1 << 63]
    frames = [
        pl.DataFrame({"x": pl.Series([bits], dtype=pl.UInt64).reinterpret(dtype=pl.Float64)}) for bits in patterns
    ]
    assert len({frame_digest(frame) for frame in frames}) == 5


def test_types_count() -> None:
    kinds = [
        pl.Int32(), pl.Int64(), pl.UInt64(), pl.Float64(), pl.Duration("us"), pl.Duration("ms"), pl.Datetime("us"),
        pl.Datetime("us", "UTC"), pl.Datetime("us", "Europe/Paris"), pl.Datetime("ns", "UTC"), pl.Time(), pl.Null(),
        pl.String(), pl.Binary(), pl.Categorical(), pl.Enum(["a"]), pl.Enum(["a", "b"]), pl.Decimal(10, 2),
        pl.Decimal(10, 3), pl.List(pl.Int64()), pl.List(pl.Null()), pl.List(pl.List(pl.Int64())),
        pl.Array(pl.Int64(), 2), pl.Array(pl.Int64(), 3), pl.Struct({"a": pl.Int64()}), pl.Struct({"b": pl.Int64()}),
        pl.Boolean(), pl.Int128(),
    ]  # fmt: skip
    assert len({of(dtype, [None, None]) for dtype in kinds}) == len(kinds)
    assert len({of(dtype, []) for dtype in kinds}) == len(kinds)


def test_names_heights_and_emptiness_count() -> None:
    frames = [
        pl.DataFrame(),
        pl.DataFrame({"x": []}),
        pl.DataFrame({"x": [None]}),
        pl.DataFrame({"x": [None, None]}),
        pl.DataFrame({"y": [None]}),
        pl.DataFrame({"x": [""]}),
        pl.DataFrame({"x": ["", ""]}),
        pl.DataFrame({"x": ["a", "bc"]}),
        pl.DataFrame({"x": ["ab", "c"]}),
        pl.DataFrame({"x": [[1], [2, 3]]}),
        pl.DataFrame({"x": [[1, 2], [3]]}),
        pl.DataFrame({"x": [[], [1]]}),
        pl.DataFrame({"x": [None, [1]]}),
        pl.DataFrame({"x": [[None], [1]]}),
        pl.DataFrame({"x": [{"a": 1}, {"a": None}]}),
        pl.DataFrame({"x": [{"a": 1}, None]}),
    ]
    assert len({frame_digest(frame) for frame in frames}) == len(frames)


def test_it_spans_blocks(tmp_path: Path) -> None:
    rows = 300_000
    frame = pl.DataFrame({"i": range(rows), "s": [f"é{n}" for n in range(rows)]}).with_columns(
        f=pl.when(pl.col("i") % 7 != 0).then(pl.col("i") / 3), l=pl.concat_list("i", "i")
    )
    expected = frame_digest(frame)
    assert frame_digest(pl.concat([frame[:170_001], frame[170_001:]], rechunk=False)) == expected
    assert frame_digest(frame.with_columns(i=pl.when(pl.col("i") != 200_000).then("i").otherwise(0))) != expected
    frame.write_parquet(tmp_path / "f.parquet", row_group_size=1000)
    assert frame_digest(pl.read_parquet(tmp_path / "f.parquet")) == expected


def test_the_layout_is_as_described() -> None:
    """Built once more from the words of the module's docstring, with nothing of its code."""
    frame = pl.DataFrame({"i": [1, None, -3], "s": ["a", None, "é"]}, schema={"i": pl.Int64, "s": pl.String})
    header = b'["backstay-frame-1",3,[["i","Int64"],["s","String"]]]\n'
    nulls = struct.pack("<Q", 1) + bytes([0b010])
    numbers = nulls + struct.pack("<3q", 1, 0, -3)
    texts = nulls + struct.pack("<3I", 1, 0, 2) + "aé".encode()
    expected = sha256(header + sha256(numbers).digest() + sha256(texts).digest())
    assert frame_digest(frame) == expected.hexdigest()


def test_it_stays_the_same_from_version_to_version() -> None:
    """If this fails, the identity of every recorded data set has changed: change `backstay-frame-1` too, or undo it."""
    frame = pl.DataFrame(
        {
            "i": [1, None, -3],
            "f": [0.5, float("inf"), None],
            "s": ["a", None, "é"],
            "b": [True, None, False],
            "t": pl.Series([0, None, 1_364_774_400_000_000]).cast(pl.Datetime("us", "UTC")),
            "l": [[1, None], [], None],
        }
    )
    assert frame_digest(frame) == "10f966d05967f4b477dacd300df36b5eb6f8cf535438c768e5fb2bccf575fcb5"


def test_objects_are_refused() -> None:
    with pytest.raises(InputError, match="x has the type Object"):
        frame_digest(pl.DataFrame({"x": pl.Series([object()], dtype=pl.Object)}))


def test_check_digest() -> None:
    check_digest("0" * 64)
    for wrong in ("", "0" * 63, "G" * 64, None):
        with pytest.raises(InputError):
            check_digest(wrong)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(columns(), st.integers(1, 12))
def test_few_rows_are_fed_as_many_are(
    column: tuple[pl.DataType, list[object], st.SearchStrategy[object]], nulls: int
) -> None:
    dtype, values, _ = column
    few = [of(dtype, rows) for rows in (values, [None] * nulls)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "_FEW", 0)
        patch.setattr(digest, "_MANY", 0)
        assert [of(dtype, rows) for rows in (values, [None] * nulls)] == few
