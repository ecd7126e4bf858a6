"""The evidence bundle of a version: as it is now, or as it was kept with the last decision about it; JSON and page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import NotFoundError
from backstay.core.identity import canonical_json, sha256
from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.lifecycle.approval import evidence, last_decision
from backstay.lifecycle.records import Records


@dataclass(frozen=True, slots=True)
class Bundle(Shown):
    """What there is to see about a version, as plain data, with the SHA-256 that a decision on it is bound to."""

    told: dict[str, Any]
    digest: str

    def as_dict(self) -> dict[str, Any]:
        return dict(self.told)

    def page(self) -> str:
        """One HTML page that needs nothing else."""
        from backstay.lifecycle.bundle_page import page  # loaded late: a command that approves draws nothing

        return page(self.told)


def bundle(records: Records, model: Model, number: int) -> Bundle:
    """The evidence about a version as it is now."""
    data = canonical_json(evidence(records, model, records.registry.get(model.name, number)))
    return Bundle(json.loads(data), sha256(data))


def kept_bundle(records: Records, model: Model, number: int) -> Bundle:
    """The evidence that was there to see when a version was last approved or rejected; `NotFoundError` before that."""
    found = last_decision(records, records.registry.get(model.name, number))
    if found is None:
        raise NotFoundError(
            f"nothing was decided about version {number}", where=f"{model.name}/{number}",
            fix="leave --kept out: it is shown as it is now",
        )  # fmt: skip
    return Bundle(json.loads(records.registry.kept(found.bundle)), found.bundle)
