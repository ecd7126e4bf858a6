"""Permits: what the one who acts may do with a project's models, sources and feature sets."""

from __future__ import annotations

from backstay.definitions import Model
from backstay.definitions.roles import Role
from backstay.project.loading import Definitions
from backstay.registry.access import Authority


def users(definitions: Definitions) -> dict[str, list[str]]:
    """By source, the names of the feature sets that use it, or whose models ask or are labelled by it."""
    out: dict[str, set[str]] = {name: set() for name in definitions.sources}
    for features in definitions.feature_sets.values():
        for source in features.sources:
            out[source.name].add(features.name)
    for model in definitions.models.values():
        for source in model.sources:
            out[source.name].add(model.features.name)
    return {source: sorted(names) for source, names in out.items()}


class Permits:
    """Each call returns if the actor may, and otherwise raises `AccessError`; the denial is then in the ledger."""

    def __init__(self, authority: Authority, definitions: Definitions) -> None:
        self._authority, self._definitions, self._users = authority, definitions, users(definitions)

    def model(self, model: Model, what: str, *roles: Role) -> None:
        """All these roles on the model's feature set."""
        for role in roles:
            self._authority.require(role, [model.features.name], f"{what} model {model.name!r}")

    def judged(self, model: Model, what: str, *roles: Role) -> None:
        """The same, and to read the model's protected attributes, where its gate looks at them."""
        self.model(model, what, *roles)
        if model.fairness is not None:
            self.features(model.fairness.attributes.name, f"{what} model {model.name!r} by", "read_offline")

    def review(self, model: Model, what: str) -> None:
        """To see the evidence about versions of a model: whoever approves them may, and whoever reads its past."""
        if not self.reads(model.features.name):
            self.model(model, what, "approve")

    def features(self, name: str, what: str, role: Role) -> None:
        """A role on one feature set; what is read online is asked many times a second."""
        self._authority.require(role, [name], f"{what} feature set {name!r}", often=role == "read_online")

    def reads(self, name: str) -> bool:
        """Whether the actor may read a feature set's past; nothing is denied by asking."""
        return self._authority.now().allows(self._authority.actor, "read_offline", name)

    def source(self, name: str, what: str) -> None:
        """The role to write on one of the feature sets that use the source."""
        self._authority.require(
            "write", self._users.get(name) or [None], f"{what} source {name!r}", one=True, often=True
        )

    def everything(self, what: str, *roles: Role) -> None:
        """All these roles on every feature set of the project."""
        for role in roles:
            self._authority.require(role, sorted(self._definitions.feature_sets), what)
