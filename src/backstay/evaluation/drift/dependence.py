"""How much rows lean on each other, measured so that it can be added up over windows, workers and hours.

A thousand rows of one hour, or of ten customers, tell less than a thousand. How much less is the **design effect**: the
variance of a share of rows over that of as many independent ones. It is measured here by blocks of rows that are
independent of each other, more or less: each block's counts are held against what its size alone would give.

    in time    blocks of rows that follow on each other, of 2^k rows, and of twice, four times, ... as many: batch means
               (Conway 1963). What is kept of each length is the sum of outer products of the blocks' counts, whole
               numbers, so windows add up exactly. A reference that is long enough has blocks as long as a window, and
               so tells how much whole windows differ when nothing has changed.
    by entity  64 blocks of entities, by a hash of the entity: what it is, and not where or when it was seen. All the
               rows of an entity are in one block, and windows add up block by block.

From either comes V, the covariance of one row's cells in the long run (n times that of the shares of n rows): a
linearised ratio over blocks, the estimator of ultimate clusters in surveys (Cochran 1977, 11.8). For independent rows V
is diag(p) - pp'. The mean of its eigenvalues over those is the first-order correction of Rao and Scott ("The analysis
of categorical data from complex sample surveys", JASA 76, 1981).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCKS = 24
"""Blocks in time that a window is parted into, at least, where it has the rows; fewer than twice as many."""
ENOUGH = 12
"""Blocks below which nothing is said of dependence."""
HASHED = 64
"""Blocks of entities."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How the cells of a row spread in the long run.

    covariance: V, shape (width, width); share: the shares that it is around, shape (width,)
    blocks:     by how many blocks it was measured

    Both effects below are one standard error lower than what was measured (that of a variance of so many blocks): the
    largest of several estimates is what counts, and it would be too large by about as much where there is no effect.
    """

    covariance: Floats
    share: Floats
    blocks: int

    def mean_effect(self, used: NDArray[np.bool_]) -> float:
        """The mean eigenvalue of V over that of independent rows, in the cells in use; 1 of one cell."""
        df = int(used.sum()) - 1
        there = used & (self.share > 0)
        if df < 1 or not there.any():
            return 1.0
        found = float((np.diag(self.covariance)[there] / self.share[there]).sum() / df)
        return found / (1.0 + math.sqrt(2.0 / (self.blocks * df)))

    def effect_along(self, along: Floats) -> float:
        """The same along one direction; 1 where these rows did not move in it, and there is nothing to tell."""
        plain = plain_variance(self.share, along)
        if plain <= 1e-12 * float(along @ along):
            return 1.0
        return float(along @ self.covariance @ along) / plain / (1.0 + math.sqrt(2.0 / self.blocks))

    def joined(self, by: Floats) -> Spread:
        """Of cells put together. by: of ones and zeros, shape (cells then, width)."""
        return Spread(by @ self.covariance @ by.T, by @ self.share, self.blocks)


@dataclass(frozen=True, slots=True)
class InTime:
    """Blocks of one length: how many there are, and the sum of outer products of their counts, (width, width)."""

    count: int
    products: Ints


@dataclass(frozen=True, slots=True)
class Dependence:
    """What is kept of rows in blocks. `a + b` is that of both.

    in_time:   by the logarithm (to base 2) of the block's length in rows
    by_entity: counts by hashed block and cell, shape (64, width); None where no entity was told
    """

    in_time: Mapping[int, InTime] = field(default_factory=dict)
    by_entity: Ints | None = None

    def __add__(self, other: Dependence) -> Dependence:
        joined = dict(self.in_time)
        for scale, theirs in other.in_time.items():
            mine = joined.get(scale)
            joined[scale] = theirs if mine is None else InTime(
                mine.count + theirs.count, mine.products + theirs.products
            )  # fmt: skip
        if self.by_entity is None or other.by_entity is None:
            return Dependence(joined, self.by_entity if other.by_entity is None else other.by_entity)
        return Dependence(joined, self.by_entity + other.by_entity)

    def scale(self, rows: int | None = None) -> int | None:
        """The length of the blocks to go by: the longest of which there are enough, or the first that has `rows`."""
        fit = [scale for scale, blocks in self.in_time.items() if blocks.count >= ENOUGH]
        longer = [scale for scale in fit if rows is not None and 2**scale >= rows]
        return min(longer) if longer else max(fit, default=None)

    def covariances(self, share: Floats, rows: int | None = None) -> list[Spread]:
        """V by time and by entity, as far as there are blocks enough.

        share: the shares of the cells, shape (width,); rows: the length of a window that it is asked for
        """
        found, scale = [], self.scale(rows)
        if scale is not None:
            blocks = self.in_time[scale]
            covariance = _ratio(blocks.products.astype(np.float64), share, blocks.count, blocks.count * 2**scale)
            found.append(Spread(covariance, share, blocks.count))
        if rows is None and self.by_entity is not None:
            held = self.by_entity[self.by_entity.sum(axis=1) > 0].astype(np.float64)
            if len(held) >= ENOUGH:
                found.append(Spread(_ratio(held.T @ held, share, len(held), float(held.sum())), share, len(held)))
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes back, bit for bit: of a symmetric matrix, one half."""
        return {
            "in_time": {str(scale): {"count": one.count, "products": _half(one.products)}
                        for scale, one in sorted(self.in_time.items())},
            "by_entity": None if self.by_entity is None else self.by_entity.ravel().tolist(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], width: int) -> Dependence:
        entity = data["by_entity"]
        return cls(
            {int(scale): InTime(int(one["count"]), _whole(one["products"], width))
             for scale, one in data["in_time"].items()},
            None if entity is None else np.asarray(entity, np.int64).reshape(HASHED, width),
        )  # fmt: skip


def block_scale(rows: int, blocks: int = BLOCKS) -> int:
    """The logarithm (to base 2) of the length of blocks, of which at least so many fit into the rows (or of one row).

    >>> block_scale(1_000_000), block_scale(2_000), block_scale(8)
    (15, 6, 0)
    """
    return max((rows // blocks).bit_length() - 1, 0)


def in_time(counts: Ints, scale: int) -> dict[int, InTime]:
    """What is kept of whole blocks that follow on each other, and of blocks of twice their length, down to a few.

    counts: by block and cell, shape (blocks, width), each of 2^scale rows
    """
    found = {}
    while len(counts) >= ENOUGH:
        found[scale] = InTime(len(counts), counts.T @ counts)
        counts, scale = counts[: len(counts) // 2 * 2].reshape(-1, 2, counts.shape[1]).sum(axis=1), scale + 1
    return found


def hashed(entity: Any) -> NDArray[np.uint16]:
    """The block of each row's entity, 0 to 63, the same on every machine: whole numbers by Steele's mix, others by CRC.

    >>> hashed([1, 2, 1]).tolist() == hashed(np.array([1, 2, 1])).tolist(), hashed(["a", None, "a"]).tolist()
    (True, [3, 49, 3])
    """
    array = np.asarray(entity)
    if array.dtype.kind in "iu":
        mixed = array.astype(np.uint64)
        with np.errstate(over="ignore"):
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (mixed >> np.uint64(58)).astype(np.uint16)
    told = [str(one) for one in array.tolist()]
    blocks = {name: zlib.crc32(name.encode()) % HASHED for name in dict.fromkeys(told)}
    return np.fromiter((blocks[name] for name in told), np.uint16, len(told))


def plain_variance(share: Floats, along: Floats) -> float:
    """The variance of one row along a direction, where rows are independent."""
    return float(share @ (along * along) - (share @ along) ** 2)


def independent(share: Floats) -> Floats:
    """V of independent rows: diag(p) - pp'."""
    return np.diag(share) - np.outer(share, share)


def _ratio(products: Floats, share: Floats, blocks: int, rows: float) -> Floats:
    """V from sums of products of counts: of what each block deviates from its size times the shares."""
    away = np.eye(len(share)) - np.outer(share, np.ones(len(share)))
    return np.asarray(away @ products @ away.T * (blocks / (blocks - 1)) / rows, np.float64)


def _half(products: Ints) -> list[int]:
    found: list[int] = products[np.triu_indices(len(products))].tolist()
    return found


def _whole(half: Iterable[int], width: int) -> Ints:
    out = np.zeros((width, width), np.int64)
    rows, columns = np.triu_indices(width)
    out[rows, columns] = np.asarray(list(half), np.int64)
    out[columns, rows] = out[rows, columns]
    return out
