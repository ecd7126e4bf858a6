"""A fit that was made before of the same data, code, parameters, seed and lock file is taken from the step cache."""

from __future__ import annotations

from typing import Any

import msgspec

from backstay.core.identity import digest_of
from backstay.definitions import Model
from backstay.registry import Code, Scoring
from backstay.registry.steps import Steps

_FORM = "fit-2"


class FitCache:
    """Fits of one training set, by code that is known whole. `hit` says whether the last one was taken from it."""

    def __init__(self, steps: Steps, code: Code, dataset: str) -> None:
        self._steps, self._code, self._dataset = steps, code, dataset
        self.hit = False

    @property
    def known(self) -> bool:
        """Whether the code is told completely: without a commit or a lock file a key would not cover it."""
        return None not in (self._code.commit, self._code.lock)

    def key(self, model: Model, estimator: str, parameters: dict[str, Any], seed: int) -> str:
        """What the fit is named by."""
        vector = list(model.features.vector)
        code = msgspec.to_builtins(self._code)
        return digest_of([_FORM, self._dataset, vector, estimator, parameters, seed, model.runtime, code])

    def get(self, key: str) -> tuple[dict[str, bytes], Scoring, float] | None:
        """Files, how they score, and the base rate, of a fit that was made before."""
        found = self._steps.get(key) if self.known else None
        self.hit = found is not None
        if found is None:
            return None
        files, document = found
        return files, msgspec.convert(document["scoring"], Scoring), float(document["base_rate"])

    def put(self, key: str, files: dict[str, bytes], scoring: Scoring, base_rate: float) -> None:
        """Keep a fit."""
        if self.known:
            self._steps.put(key, files, {"scoring": msgspec.to_builtins(scoring), "base_rate": base_rate})
