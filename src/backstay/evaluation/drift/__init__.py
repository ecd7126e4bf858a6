"""Drift: how far what comes lies from what a model learned from, and whether chance alone would put it there.

    references = References.of(columns, at=times, entity=customer)     once, kept with the version
    window = references.count(monday) + references.count(tuesday)      where the rows are; counts add up
    assess_all(references, window, Rule())["age"].state                OK, DRIFT, UNDERPOWERED or NO_DATA

A column has drifted where its population stability index is above the threshold *and* the evidence says that the true
one is; the evidence counts effective rows, not rows. What each part is for stands in its module: `cells`, `counts`,
`dependence`, `distances`, `assess`, `persistence`. Beside them stand `domain`, which looks at all columns at once, and
`quality`, which looks at the data itself.
"""

from backstay.evaluation.drift.assess import Drift, Drifts, Rule, assess, assess_all, assess_latest
from backstay.evaluation.drift.cells import Cells
from backstay.evaluation.drift.counts import Counted, Counts
from backstay.evaluation.drift.distances import distances
from backstay.evaluation.drift.domain import Domain, domain_classifier
from backstay.evaluation.drift.persistence import Persistence
from backstay.evaluation.drift.quality import Finding, QualityRule, defaults, freshness, quality, volume
from backstay.evaluation.drift.reference import Reference, References
from backstay.evaluation.drift.seasons import season_cells

__all__ = [
    "Cells",
    "Counted",
    "Counts",
    "Domain",
    "Drift",
    "Drifts",
    "Finding",
    "Persistence",
    "QualityRule",
    "Reference",
    "References",
    "Rule",
    "assess",
    "assess_all",
    "assess_latest",
    "defaults",
    "distances",
    "domain_classifier",
    "freshness",
    "quality",
    "season_cells",
    "volume",
]
