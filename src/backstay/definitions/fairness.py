"""Fairness: by which protected attributes a model's decisions are compared, in which sense, and what is put up with.

It says how a model is judged and not what it is: no hash, manifest or parity depends on it, and the attributes are no
part of the model's vector. They are a feature set of their own, read as of each row's T beside the model's features, by
whoever has the role `read_offline` on it and by nobody else; what they are called and how they are cut into bands is
declared there.
"""

from __future__ import annotations

from collections.abc import Sequence

from backstay.core.errors import DefinitionError
from backstay.definitions.features import FeatureSet
from backstay.definitions.places import declared_at, located

CRITERIA = (
    "demographic_parity", "equal_opportunity", "predictive_equality", "equalized_odds", "predictive_parity",
    "calibration",
)  # fmt: skip
KINDS = ("punitive", "assistive")


class Fairness:
    """How the fairness of a model's decisions is looked at.

        people = FeatureSet("people", [Latest(register, by=person, race="race", age="age"),
                                       Derived(band=pl.col("person_age") // 10)])
        Model(..., fairness=Fairness(attributes=people, criterion="predictive_equality", kind="punitive"))

    attributes:    a feature set of protected attributes, keyed by keys that the model's rows have. Groups are made by
                   each of its features that no derived one of it reads
    intersections: how many attributes are crossed with each other, at the most
    criterion:     what the gate asks for; None: nothing, unless one is recorded in the ledger
    kind:          what being selected does to a person: "punitive" harms, "assistive" helps; the guide's first answer
    tolerance:     the difference between two groups that is put up with, as a share
    minimum:       a rate of fewer rows than this is not told
    untold:        the share of rows that may be in groups that can't be told, for the gate to pass
    cluster:       what rows lean on each other by: "day", or one of the model's keys; "row": nothing
    false_positive, false_negative: what the two errors cost, for the frontier, in any unit
    """

    def __init__(
        self,
        attributes: FeatureSet,
        *,
        intersections: int = 2,
        criterion: str | None = None,
        kind: str | None = None,
        tolerance: float = 0.1,
        minimum: int = 20,
        untold: float = 0.0,
        cluster: str = "day",
        false_positive: float = 1.0,
        false_negative: float = 1.0,
    ) -> None:
        self.place = declared_at()
        self.attributes, self.intersections, self.criterion, self.kind = attributes, intersections, criterion, kind
        self.tolerance, self.minimum, self.untold, self.cluster = tolerance, minimum, untold, cluster
        self.false_positive, self.false_negative = false_positive, false_negative
        if not isinstance(attributes, FeatureSet):
            self._refuse(f"attributes={attributes!r} is no feature set", "FeatureSet(...)")
        if attributes.requests:
            self._refuse(
                f"attribute {attributes.requests[0].name!r} comes with the request", "latest values of a source",
                "ingest it as events, and read it with Latest(...)",
            )  # fmt: skip
        if criterion is not None and criterion not in CRITERIA:
            self._refuse(f"criterion={criterion!r}", f"one of {', '.join(CRITERIA)}")
        if kind is not None and kind not in KINDS:
            self._refuse(f"kind={kind!r}", '"punitive" or "assistive"')
        if not 1 <= intersections <= 4 or minimum < 1:
            self._refuse(f"intersections={intersections}, minimum={minimum}", "1 to 4 attributes, at least 1 row")
        if not (0 <= tolerance <= 1 and 0 <= untold <= 1):
            self._refuse(f"tolerance={tolerance}, untold={untold}", "shares from 0 to 1")
        if not (0 < false_positive < float("inf") and 0 < false_negative < float("inf")):
            self._refuse(f"costs {false_positive}, {false_negative}", "finite numbers above 0")

    def _refuse(self, what: str, expected: str, fix: str = "") -> None:
        raise DefinitionError(what, where=self.where, expected=expected, fix=fix)

    @property
    def where(self) -> str:
        """The declaration with its file and line, as errors name it."""
        return located("Fairness", self.place)

    @property
    def names(self) -> tuple[str, ...]:
        """The features that make groups: those that no derived one of the set reads."""
        read = {
            name
            for block in self.attributes.derivations
            for expression in block.values()
            for name in expression.meta.root_names()
        }
        return tuple(feature.name for feature in self.attributes if feature.name not in read)

    def check(self, keys: Sequence[str], where: str) -> None:
        """`DefinitionError` unless a model with these keys has what the attributes are looked up by."""
        if missing := [key for key in self.attributes.keys if key not in keys]:
            raise DefinitionError(
                f"the attributes are keyed by {missing[0]!r}, which the model's rows do not have", where=where,
                expected=f"one of {', '.join(keys)}",
                fix="key them by an entity of the model's features, or by the label's key",
            )  # fmt: skip
        if self.cluster not in ("day", "row", *keys):
            raise DefinitionError(
                f"cluster={self.cluster!r}", where=where, expected=f"one of day, row, {', '.join(keys)}"
            )

    def __repr__(self) -> str:
        return f"Fairness(attributes={self.attributes.name!r}, criterion={self.criterion!r}, kind={self.kind!r})"
