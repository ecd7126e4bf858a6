"""The rulings of a project: `project.rules`. What makes answers of a version's scores, made and put in force."""

from __future__ import annotations

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.evaluation.calibration import by_capacity, by_constraint, by_cost, fixed
from backstay.lifecycle.records import Records
from backstay.lifecycle.rulings import Calibrated, Choose, ChosenThreshold, calibrate, choose_threshold
from backstay.lifecycle.scored import ScoredRows, scored_rows
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.registry.rules import InForce
from backstay.registry.versions import ModelVersion

Moment = str | int | None
"""A time as people write it or in microseconds; None: the default."""


class Rulings:
    """Makes calibrations and thresholds, and puts them in force. Servers follow within 200 ms.

    project.rules.calibrate(3)
    project.rules.threshold(3, calibration=1, cost=(1, 20))
    project.rules.put(3, calibration=1, threshold=1, why="a missed case costs 20 reviews")
    """

    def __init__(self, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits

    def calibrate(
        self, number: int, model: str | None = None, *, kind: str | None = None, as_of: Moment = None,
        since: Moment = None, until: Moment = None,
    ) -> Calibrated:  # fmt: skip
        """Fit a calibration of a version on rows after its training, of the kind that they can bear, or of `kind`.

        kind: "platt", "beta" or "isotonic". `NotEnough` where there are too few cases. Nothing is in force yet.
        """
        return calibrate(self._records, self._rows(number, model, as_of, since, until), kind)

    def threshold(
        self, number: int, model: str | None = None, *, calibration: int | None = None,
        cost: tuple[float, float] | None = None, top: float | None = None, precision: float | None = None,
        recall: float | None = None, value: float | None = None, as_of: Moment = None, since: Moment = None,
        until: Moment = None,
    ) -> ChosenThreshold:  # fmt: skip
        """Choose a threshold of a version on rows after its training; nothing is in force yet.

        By one of: `cost` of a false alarm and of a missed case; the `top` rows of a day; a `precision` or a `recall`
        that is to be kept; or a `value` that is given. `calibration` is the number of the one whose probabilities it is
        chosen on, None for the version as it was trained.
        """
        rows = self._rows(number, model, as_of, since, until)
        choose = _choice(cost, top, precision, recall, value)
        return choose_threshold(self._records, self._definitions.model(model), rows, choose, calibration)

    def put(
        self, number: int, model: str | None = None, *, calibration: int | None = None, threshold: int | None = None,
        why: str,
    ) -> InForce:  # fmt: skip
        """Put a calibration and a threshold of a version in force, by their numbers; None: what it was trained with.

        Where the model's stakes are high, by another person than the one who made them.
        """
        chosen = self._definitions.model(model)
        self._permits.model(chosen, "rule on versions of", "promote")
        records = self._records
        return records.rules.put(
            records.registry.get(chosen.name, number), calibration, threshold, why=why, at=records.clock.now(),
            actor=records.actor, others=chosen.stakes == "high",
        )  # fmt: skip

    def show(self, number: int, model: str | None = None) -> InForce:
        """What is in force for a version."""
        return self._records.rules.in_force(self._version(number, model))

    def history(self, number: int, model: str | None = None) -> list[InForce]:
        """All that was ever in force for a version, the first one first."""
        return self._records.rules.history(self._version(number, model))

    def _version(self, number: int, model: str | None) -> ModelVersion:
        return self._records.registry.get(self._definitions.model(model).name, number)

    def _rows(self, number: int, model: str | None, as_of: Moment, since: Moment, until: Moment) -> ScoredRows:
        chosen = self._definitions.model(model)
        self._permits.model(chosen, "rule on versions of", "read_offline", "define")
        begin, end = (None if one is None else instant(one, where="since, until") for one in (since, until))
        moment = self._records.clock.now() if as_of is None else instant(as_of, where="as_of")
        return scored_rows(self._records, chosen, number, as_of=moment, since=begin, until=end, fitting=True)


def _choice(
    cost: tuple[float, float] | None, top: float | None, precision: float | None, recall: float | None,
    value: float | None,
) -> Choose:  # fmt: skip
    """What chooses, of the one argument that was given."""
    ways: dict[str, Choose] = {}
    if cost is not None:
        ways["cost"] = lambda y, p, day, _: by_cost(y, p, day, false_positive=cost[0], false_negative=cost[1])
    if top is not None:
        ways["top"] = lambda y, p, day, of: by_capacity(y, p, day, top=top, days=of.days, asked=of.asked)
    if precision is not None:
        ways["precision"] = lambda y, p, day, _: by_constraint(y, p, day, metric="precision", least=precision)
    if recall is not None:
        ways["recall"] = lambda y, p, day, _: by_constraint(y, p, day, metric="recall", least=recall)
    if value is not None:
        ways["value"] = lambda y, p, day, _: fixed(y, p, day, value)
    if len(ways) != 1:
        raise InputError(
            f"a threshold is chosen by {', '.join(ways) or 'nothing'}", where="threshold",
            expected="exactly one of cost, top, precision, recall, value", fix="for example --cost 1:20",
        )  # fmt: skip
    return next(iter(ways.values()))
