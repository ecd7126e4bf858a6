"""Training-serving skew by distribution: what a version was served, held against what it was trained on.

It says what parity can't. Parity proves that a served value is what the record justifies; here both sides may be
computed alike and still lie apart, because the world moved, a source stopped, or the model is asked about others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.evaluation.distributions import Shift, shift
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import reference_sample
from backstay.lifecycle.verify import Chosen
from backstay.registry.versions import ModelVersion
from backstay.storage.predictions import Prediction


@dataclass(frozen=True, slots=True)
class Skew(Shown):
    """The numeric features of one served version, the one that lies farthest from its training first.

    number:  the version that answered last among the chosen predictions; None if there are none
    served:  how many of them it answered
    other_definition: why nothing could be compared: it was served from another definition of the feature set
    """

    model: str
    number: int | None
    served: int
    features: dict[str, Shift]
    other_definition: bool = False

    @property
    def differing(self) -> list[str]:
        return [name for name, one in self.features.items() if one.differs]

    @property
    def holds(self) -> bool:
        return bool(self.features) and not self.differing

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model, "version": self.number, "served": self.served, "holds": self.holds,
            "other_definition": self.other_definition, "differing": self.differing,
            "features": {name: one.as_dict() for name, one in self.features.items()},
        }  # fmt: skip


def skew(records: Records, model: Model, chosen: Chosen | None = None) -> Skew:
    """Hold what was logged of the version that answered last against the sample of what it was trained on."""
    chosen = chosen or Chosen()
    served = records.predictions.scan(model=model.name, since=chosen.since, until=chosen.until)
    logged = chosen.of(one for one in served if one.answered)
    if not logged:
        return Skew(model.name, None, 0, {})
    last = max(logged, key=lambda one: (one.served_at, one.id))
    version = records.registry.by_digest(last.version)
    group = [one for one in logged if one.version == last.version]
    if last.feature_set != model.features.hash:
        return Skew(model.name, version.number, len(group), {}, other_definition=True)
    return Skew(model.name, version.number, len(group), _shifts(records, model, version, group))


def _shifts(records: Records, model: Model, version: ModelVersion, group: list[Prediction]) -> dict[str, Shift]:
    trained = reference_sample(records, version)
    places = {feature.name: place for place, feature in enumerate(model.features)}
    found = {name: shift(values, _column(group, places[name])) for name, values in trained.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1].psi))


@np.errstate(over="ignore")
def _column(group: list[Prediction], place: int) -> npt.NDArray[np.float32]:
    """A feature as the model got it: float32, null as NaN."""
    values = (one.values[place] for one in group)
    return np.array([np.nan if value is None else value for value in values], np.float32)
