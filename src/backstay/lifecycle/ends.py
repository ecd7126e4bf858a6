"""How rollouts ended: which versions did harm in one, and are given no share of anybody's requests again."""

from __future__ import annotations

from backstay.core.errors import RefusedError
from backstay.lifecycle.records import Records
from backstay.registry.versions import ModelVersion
from backstay.rollout.stages import FAULTS, State

ROLLOUT = "rollout"
"""The ledger's kind of entry; its subject is the model, its body the whole state."""


def spent(records: Records, model: str) -> dict[int, State]:
    """The versions whose rollout ended without them, by number, with the end: none of them starts again by itself."""
    states = (State.from_dict(one.body) for one in records.ledger.entries(kind=ROLLOUT, subject=model))
    ends = {one.number: one for one in states if one.ended}
    return {number: state for number, state in ends.items() if state.cause}


def blameless(records: Records, version: ModelVersion, where: str) -> None:
    """`RefusedError` for a version that was stopped in its rollout for what it did."""
    ended = spent(records, version.model).get(version.number)
    if ended is not None and ended.cause in FAULTS:
        raise RefusedError(
            f"version {version.number} was {ended.where}: {ended.reason}", where=where,
            expected="a version that did nothing wrong in its rollout",
            fix="train another one; to look at this one, make it a shadow",
        )  # fmt: skip
