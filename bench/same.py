"""Equality of two sides' results, asserted before anything is timed. Run in a process of its own."""

from __future__ import annotations

import polars as pl

RELATIVE = 1e-9


def same(
    ours: str, peer: str, key: list[str], exact: list[str], close: list[str], lost: bool = False
) -> dict[str, int]:
    """Raise `AssertionError` unless both Parquet files hold the same rows with the same values.

    key:   the columns that identify a row. exact: columns that must be equal, nulls included.
    close: floats that may differ by 1e-9 of their size, since a peer adds them up in any order.
    lost:  the peer may have lost rows; those it has are compared, and the lost ones counted.
    """
    left, right = (pl.read_parquet(path, columns=[*key, *exact, *close]) for path in (ours, peer))
    for frame, path in ((left, ours), (right, peer)):
        assert frame.select(key).n_unique() == frame.height, f"{path}: rows that are not unique by {key}"
    kinds = {name: left.schema[name] for name in key}
    both = left.join(right.cast(kinds), on=key, how="inner", suffix="_peer")
    assert lost or both.height == left.height == right.height, f"{left.height} rows, {right.height} of the peer"
    assert both.height == right.height > 0, f"{right.height - both.height} rows of the peer were never asked"
    for name in (*exact, *close):
        mine, other = pl.col(name), pl.col(f"{name}_peer")
        if name in close:
            near = (mine - other).abs() <= RELATIVE * pl.max_horizontal(mine.abs(), other.abs(), pl.lit(1e-300))
            differ = ~((mine.is_null() & other.is_null()) | near.fill_null(value=False))
        else:
            differ = mine.ne_missing(other)
        wrong = both.filter(differ)
        assert not wrong.height, (
            f"{name} differs in {wrong.height} of {both.height} rows, first: {wrong.row(0, named=True)}"
        )
    return {"rows": both.height, "lost": left.height - both.height}
