"""An evaluation of a version: how good it is on rows that it has not learned from, beside the champion, as a record,
as a page and in a few lines.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from backstay.core.errors import InputError
from backstay.core.show import Shown, plain
from backstay.core.times import duration, instant_text
from backstay.definitions import Model
from backstay.evaluation.binary import BinaryEvaluation, evaluate
from backstay.evaluation.comparison import Comparison, compare
from backstay.evaluation.decided import Costs
from backstay.evaluation.interval import Insufficient
from backstay.evaluation.page import page
from backstay.lifecycle.fairness import VersionFairness, fairness_or_why
from backstay.lifecycle.fairness_page import sections
from backstay.lifecycle.records import Records
from backstay.lifecycle.scored import ScoredRows, scored_rows
from backstay.lifecycle.slice_section import slice_section
from backstay.lifecycle.slices import Progress, SliceReport, sliced
from backstay.registry.versions import ModelVersion


@dataclass(frozen=True, slots=True)
class EvaluationReport(Shown):
    """What is known about the quality of a version.

    against:    the champion that it is compared with on the same rows; None: it is the champion, or there is none
    comparison: on rows that neither has learned from, or why there are none; None where `against` is
    slices:     where it is worse; None if it was not looked for
    fairness:   of a model that declares it, for whoever may read the attributes; else None
    """

    rows: ScoredRows
    evaluation: BinaryEvaluation
    against: int | None
    comparison: Comparison | Insufficient | None
    slices: SliceReport | None = None
    fairness: VersionFairness | Insufficient | None = None

    @property
    def title(self) -> str:
        return f"{self.rows.version.model}, version {self.rows.version.number}: evaluation"

    def as_dict(self) -> dict[str, Any]:
        rows, version, labelled = self.rows, self.rows.version, self.rows.labelled
        about = {
            "model": version.model, "version": version.number, "manifest": version.digest,
            "rule": rows.rule.name or "as it was trained", "rows asked since": instant_text(rows.since),
            "until": instant_text(rows.until), "labels as of": instant_text(rows.as_of), "asked": labelled.asked,
            "evaluated": labelled.rows, "void": labelled.void, "not mature": labelled.immature, "clusters": "days",
        }  # fmt: skip
        beside = None
        if self.comparison is not None:
            beside = {"against": self.against, **self.comparison.as_dict()}
        return {
            "about": about, "evaluation": self.evaluation.as_dict(), "comparison": beside,
            "slices": plain(self.slices), "fairness": plain(self.fairness),
        }  # fmt: skip

    def page(self) -> str:
        """One HTML page that needs nothing else; every number on it is in `as_dict`."""
        more = []
        if self.slices is not None:
            more.append(slice_section(self.slices))
        if self.fairness is not None:
            said = [f"<p>{escape(str(self.fairness))}</p>"]
            if isinstance(self.fairness, VersionFairness):
                said = list(sections(self.fairness))
            more.append(f"<section><h2>Whom it falls on</h2>{''.join(said)}</section>")
        return page(self.title, self.as_dict(), *more)

    def save(self, path: str | Path) -> tuple[Path, Path]:
        """Write the page, and the record as JSON beside it; the two paths."""
        place = Path(path)
        beside = place.parent / f"{place.stem}.json"
        if place.suffix == ".json":
            raise InputError(f"{place.name} is the name of the record", where=str(place), expected="a page, x.html")
        try:
            place.write_text(self.page(), encoding="utf-8")
            beside.write_text(json.dumps(self.as_dict(), indent=1, allow_nan=False), encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"it cannot be written: {error.strerror}", where=str(place), fix="name a place where you may write"
            ) from None
        return place, beside

    def _repr_html_(self) -> str:
        """The page in a notebook, in a frame of its own: its style touches nothing else there."""
        return f'<iframe srcdoc="{escape(self.page())}" style="width:100%;height:48rem;border:0"></iframe>'


def evaluated(
    records: Records, model: Model, number: int, *, as_of: int, since: int | None = None, until: int | None = None,
    costs: Costs | None = None, k: int | None = None, level: float = 0.95, attributes: bool = False,
    progress: Progress = lambda *_: None,
) -> EvaluationReport:  # fmt: skip
    """Evaluate a version on the rows that it may be evaluated on (see `scored_rows`), over days.

    costs: of an error each; k: how many of the rows can be looked at. The decision is the one that it serves.
    attributes: whether protected attributes may be read: then the fairness of a model that declares it is told, too
    """
    progress("reading rows", 0, 4)
    rows = scored_rows(records, model, number, as_of=as_of, since=since, until=until)
    labelled = rows.labelled
    found = evaluate(
        labelled.outcome, rows.score, clusters=labelled.day, threshold=rows.rule.threshold, cost=costs, k=k, level=level
    )
    progress("comparing with the champion", 1, 4)
    champion = _champion(records, model, number)
    beside = None if champion is None else _beside(records, model, rows, champion, costs, level)
    progress("looking for slices", 2, 4)
    worse = sliced(records, model, rows, level=level)
    progress("comparing groups", 3, 4)
    fair = fairness_or_why(records, model, rows) if attributes and model.fairness is not None else None
    progress("evaluated", 4, 4)
    return EvaluationReport(rows, found, None if champion is None else champion.number, beside, worse, fair)


def _champion(records: Records, model: Model, number: int) -> ModelVersion | None:
    move = records.registry.alias(model.name, "champion")
    return None if move is None or move.to == number else records.registry.get(model.name, move.to)


def _beside(
    records: Records, model: Model, rows: ScoredRows, champion: ModelVersion, costs: Costs | None, level: float
) -> Comparison | Insufficient:
    """Both on the rows that neither has learned from."""
    since = records.learned_until(champion, as_of=rows.as_of) + duration(model.gate.embargo)
    fresh = rows.labelled.at >= since
    if not fresh.any():
        said = f"the champion has learned from rows until {instant_text(since)}, embargo included: none is later"
        return Insufficient(said, rows.labelled.rows)
    rule = records.rule(champion, as_of=rows.as_of)
    theirs = rule.scores(records.scorer(model, champion).score(rows.labelled.vector[fresh]))
    return compare(
        rows.labelled.outcome[fresh], theirs, rows.score[fresh], clusters=rows.labelled.day[fresh],
        threshold=(rule.threshold, rows.rule.threshold), cost=costs, level=level,
    )  # fmt: skip
