"""The answer of a gate, and what several answers come to.

any FAIL            FAIL            a model that is shown to be wrong in one way is not saved by another
else any missing    INSUFFICIENT    a check that could not be made has not been passed
no checks at all    INSUFFICIENT    nobody looked
else                PASS

A check may be *overridden*: a named person takes the responsibility, with a reason. It goes on saying FAIL or
INSUFFICIENT, with the override beside it, and no longer decides; a decision whose checks are all overridden is
INSUFFICIENT, for none was passed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import date, datetime
from enum import Enum, StrEnum
from typing import Any, Self

import numpy as np

from backstay.core.errors import InputError


class Verdict(StrEnum):
    """What the evidence says: PASS, FAIL, or INSUFFICIENT (it can't tell).

    >>> Verdict("PASS") is Verdict.PASS
    True
    """

    PASS = "PASS"  # noqa: S105  the word, not a secret
    FAIL = "FAIL"
    INSUFFICIENT = "INSUFFICIENT"


@dataclass(frozen=True, slots=True)
class Check:
    """One gate's answer: its name, the verdict, a sentence that people can read, and the numbers behind it.

    A verdict given as text is taken by its name; an unknown one raises `InputError`. `override` says who lets it not
    count, and why (`by`, `why`, and the `entry` of the ledger); a check that was passed can't be overridden.

    >>> Check("complete", Verdict.PASS, "all 2 pieces of evidence are there").as_dict()["verdict"]
    'PASS'
    """

    name: str
    verdict: Verdict
    reason: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    override: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdict", _verdict(self.verdict))
        if self.override is not None and self.verdict is Verdict.PASS:
            raise InputError(f"the check {self.name} was passed", where="override", expected="one that was not passed")

    @property
    def said(self) -> str:
        """The reason, and who overrides it."""
        if self.override is None:
            return self.reason
        return f"overridden by {self.override['by']}: {self.override['why']} (it says {self.verdict}: {self.reason})"

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values that JSON can hold; NaN and infinite numbers, which it can't, are None."""
        told = {
            "name": self.name,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "evidence": _plain(self.evidence),
        }
        return told if self.override is None else {**told, "override": _plain(self.override)}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """The check that a record holds, with the override that it was recorded with."""
        return cls(told["name"], told["verdict"], told["reason"], told.get("evidence", {}), told.get("override"))


@dataclass(frozen=True, slots=True)
class Decision:
    """What the checks of one promotion come to. Build it with `Decision.of`.

    A decision can't contradict its checks: built by hand, with another verdict than they come to, it raises
    `InputError`.

    >>> slow = Check("latency", Verdict.INSUFFICIENT, "no load test was run")
    >>> better = Check("better", Verdict.PASS, "log loss is lower by 0.0042")
    >>> Decision.of([better, slow]).reason
    'latency: no load test was run'
    """

    verdict: Verdict
    reason: str
    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdict", _verdict(self.verdict))
        object.__setattr__(self, "checks", tuple(self.checks))
        due = _joined(self.checks)
        if self.verdict is not due:
            raise InputError(
                f"the decision says {self.verdict.value} but its checks come to {due.value}", where="verdict"
            )

    @classmethod
    def of(cls, checks: Iterable[Check]) -> Self:
        """Join the checks; the reason is that of the checks that decided, each after its name, and of overrides."""
        checks = tuple(checks)
        verdict = _joined(checks)
        deciding = [check for check in checks if check.verdict is verdict and check.override is None]
        told = [f"{check.name}: {check.said}" for check in (*deciding, *(one for one in checks if one.override))]
        nothing = "" if deciding else "no check was passed; " if checks else "no check was made"
        return cls(verdict, nothing + "; ".join(told), checks)

    @property
    def overridden(self) -> tuple[Check, ...]:
        """The checks that do not count, because somebody overrides them."""
        return tuple(check for check in self.checks if check.override is not None)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values that JSON can hold."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "checks": [check.as_dict() for check in self.checks],
        }


def _joined(checks: tuple[Check, ...]) -> Verdict:
    verdicts = [check.verdict for check in checks if check.override is None]
    for verdict in (Verdict.FAIL, Verdict.INSUFFICIENT):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS if verdicts else Verdict.INSUFFICIENT


def _verdict(value: object) -> Verdict:
    try:
        return Verdict(str(value))
    except ValueError:
        names = ", ".join(Verdict)
        raise InputError(f"the verdict is {value!r}", where="verdict", expected=f"one of {names}") from None


def _plain(value: object) -> object:
    """Evidence as what JSON can hold; what it knows no form for is written out as text."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    match value:
        case Enum():
            return _plain(value.value)
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case set() | frozenset():
            return sorted((_plain(item) for item in value), key=str)
        case datetime() | date():
            return value.isoformat()
        case _ if is_dataclass(value) and not isinstance(value, type):
            return _plain(asdict(value))
        case _:
            return str(value)
