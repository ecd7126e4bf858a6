"""The model card: what a version is, what it was made of, how good it was shown to be, and what was decided about it.

It is made from the record alone. What is not recorded is said to be not recorded, and nothing is rounded into praise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from backstay.core.sheets import Block, Code, Facts, Points, Rows, Section, Sheet
from backstay.core.show import Shown
from backstay.core.times import duration_text, instant_text
from backstay.definitions import EventSource
from backstay.lifecycle.about import About


@dataclass(frozen=True, slots=True)
class Card(Shown):
    """A model card, as a sheet for people and as plain data."""

    about: About
    sheet: Sheet

    def as_dict(self) -> dict[str, Any]:
        told = self.about
        version = told.version
        return {
            "project": told.project, "model": version.model, "number": version.number, "digest": version.digest,
            "registered": instant_text(version.at), "author": version.author,
            "origin": None if version.origin is None else dict(version.origin),
            "description": told.model.description or None, "stakes": told.model.stakes,
            "objective": None if told.model.objective is None else str(told.model.objective),
            "same_features": told.same_features, "same_label": told.same_label, "features": features(told),
            "sources": sources(told), "imported": told.imported, "gates": told.gates, "approvals": told.approvals,
            "overrides": told.overrides, "champion": told.reigns,
            "routes": told.routes, "limits": told.limits, "manifest": msgspec.to_builtins(version.manifest),
        }  # fmt: skip

    def __str__(self) -> str:
        return self.sheet.markdown()

    def _repr_html_(self) -> str:
        return self.sheet.page()


def card(told: About) -> Card:
    """The card of a version."""
    title = f"Model card: {told.version.model}, version {told.version.number}"
    parts = (_version, _question, _limits, _evaluation, _decisions, _data, _features, _model, _code)
    return Card(told, Sheet(title, [part(told) for part in parts]))


def features(told: About) -> list[dict[str, Any]]:
    """The features that it was made of; their descriptions and tags only where the definitions are still those."""
    manifest = told.manifest
    now = {one.name: one for one in told.model.features} if told.same_features else {}
    definition, out = manifest.feature_set.definition, []
    for name, kind, dtype, view, _, window, *_ in definition["features"]:
        out.append({
            "feature": name, "kind": kind, "type": dtype, "input": name in manifest.feature_set.vector,
            "source": definition["views"][view]["source"]["name"] if view >= 0 else None,
            "window": None if window is None else duration_text(window),
            "tags": sorted(now[name].tags) if name in now else None,
            "description": (now[name].description or None) if name in now else None,
        })  # fmt: skip
    return out


def sources(told: About) -> list[dict[str, Any]]:
    """The tables that its training set was read from; owner and tags as declared today."""
    data, declared = told.manifest.dataset, {one.name: one for one in told.model.sources}
    return [
        {
            "source": name, "version": number, "seal": data.seals.get(name),
            "owner": (declared[name].owner or None) if name in declared else None,
            "description": (declared[name].description or None) if name in declared else None,
            "tags": tags(declared[name]) if name in declared else None,
        }
        for name, number in data.sources.items()
    ]  # fmt: skip


def tags(source: EventSource) -> list[str]:
    """Every tag of a source or of one of its columns."""
    given = source.tags.values() if isinstance(source.tags, Mapping) else [source.tags]
    return sorted({tag for some in given for tag in some})


def interval(gain: dict[str, Any]) -> str:
    """A gain with its confidence limits."""
    return f"{gain['estimate']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"


def answer(told: About) -> str:
    """From which probability on the decision is true, by the rule in force."""
    rule, said = told.rule, f"true from {told.rule.threshold:g}"
    if rule.calibration is not None:
        return f"{said} by the rule {rule.name}, calibrated apart from its files"
    return f"{said} by the rule {rule.name}" if rule.name else said


def rival(gate: dict[str, Any]) -> str:
    """What a gate held the version against."""
    return "the base rate" if gate["against"] is None else f"version {gate['against']}"


def _version(told: About) -> Section:
    version = told.version
    facts = {
        "project": told.project,
        "model": version.model,
        "version": str(version.number),
        "manifest": Code(version.digest),
        "registered": instant_text(version.at),
        "made by": version.author,
        "came from": _came(told),
        "champion": "yes, now" if told.champion else "no" if not told.reigns else "not now; it was",
        "note": version.manifest.note or None,
    }
    return Section("Version", [Facts(facts)])


def _came(told: About) -> str:
    origin = told.version.origin
    if origin is not None:
        return f"version {origin['number']} of project {origin['project']}"
    if told.imported is None:
        return "a training of this project"
    there = told.imported
    return f"MLflow: {there['uri']} at {there['tracking']}" if there else "MLflow; the note says from where"


def _claimed(told: About, name: str) -> str:
    """Said beside what whoever imported it claims, and nobody here knows."""
    return ", as was claimed when it was imported" if (told.imported or {}).get("claims", {}).get(name) else ""


def _question(told: About) -> Section:
    model, label = told.model, told.manifest.label
    objective = model.objective
    share = None if told.base_rate is None else f"{told.base_rate:.4f} of the training rows"
    kind = "whether it occurs" if label["occurrence"] else "the value of an outcome"
    facts: dict[str, str | None] = {
        "intended use": model.description or None,
        "label": f"{label['name']}: {kind} in {label['source']['name']}, by {label['key']}",
        "within": duration_text(label["horizon"]),
        "voided by": label["void"] or "nothing",
        "asked": f"{duration_text(model.ask.before)} before each of {model.ask.source.name}",
        "answer": f"the probability of {label['name']}; {answer(told)}",
        "calibration and threshold": _rule(told),
        "base rate": None if share is None else share + _claimed(told, "base_rate"),
        "stakes": model.stakes,
        "objective": None if objective is None else str(objective),
        "why": None if objective is None else objective.why,
    }
    said = "Intended use, when it is asked, stakes and objective are those that the project declares today."
    changed = [] if told.same_label else ["The project's label is another one today."]
    return Section("What it answers", [Facts(facts), said, *changed])


def _rule(told: About) -> str | None:
    """What is in force beside the version's files."""
    if not told.rule.name:
        return "as it was trained"
    made = (one for one in (told.rule.calibration, told.rule.chosen) if one is not None)
    named = ", ".join(f"{one.kind} {one.number} ({one.digest[:12]})" for one in made)
    return f"{named}, put in force by {told.rule.by}: {told.rule.why}"


def _limits(told: About) -> Section:
    return Section("Limits", [Points(told.limits)])


def _evaluation(told: About) -> Section:
    blocks: list[Block] = [
        "What the gate found, on rows that were asked after the training cut-off of every model compared, scored by the"
        " files that serve. A gain is positive where this version is better; its limits are a confidence interval."
    ]
    rows = [
        (gate["at"][:10], rival(gate), one["metric"], _real(one["champion"]), _real(one["candidate"]),
         interval(one["gain"]), f"{one['gain']['level']:.0%}", f"{one['margin']:g}", f"{one['rows']:,}")
        for gate in told.gates for one in gate["compared"]
    ]  # fmt: skip
    columns = ("judged", "against", "metric", ">theirs", ">its own", ">gain", ">level", ">margin", ">rows")
    blocks.append(Rows(columns, rows, "No comparison is recorded."))
    answers = [(gate["at"][:10], _place(gate), gate["by"], gate["verdict"], gate["reason"]) for gate in told.gates]
    blocks.append(Rows(("judged", "ledger entry", "by", "answer", "reason"), answers, "The gate was never asked."))
    metrics = {name: _plain(value) for name, value in told.manifest.metrics.items()}
    blocks.append(Facts(metrics) if metrics else "No metric was recorded when it was trained.")
    return Section("Evaluation", blocks)


def _decisions(told: About) -> Section:
    decided = [(one["at"][:16], _place(one), one["by"], one["decision"], one["why"]) for one in told.approvals]
    reigns = [(one["since"][:16], (one["until"] or "now")[:16], one["by"], one["why"]) for one in told.reigns]
    routes = [(one["at"][:16], one["by"], _shares(one), one["why"]) for one in told.routes]
    excused = [
        (one["at"][:16], _place(one), one["by"], f"{one['check']} ({one['verdict']})",
         "taken back" if one["withdrawn"] else "overridden", one["why"])
        for one in told.overrides
    ]  # fmt: skip
    return Section(
        "Decisions",
        [
            Rows(("decided", "ledger entry", "by", "decision", "why"), decided, "Nobody has approved or rejected it."),
            *([Rows(("at", "ledger entry", "by", "check", "decision", "why"), excused)] if excused else []),
            Rows(("champion from", "until", "by", "why"), reigns, "It was never champion."),
            Rows(("route set", "by", "its part", "why"), routes, "No route ever named it."),
        ],
    )


def _data(told: About) -> Section:
    data = told.manifest.dataset
    known = instant_text(told.manifest.cutoff)
    if told.imported:
        known += _claimed(told, "cutoff") or ", when it was registered in MLflow"
    out = f"{data.void:,} void, {data.immature:,} not mature, {data.unlabelled:,} without a label"
    asked = f"{_moment(data.since) or 'the first row'} to {_moment(data.until) or 'the last row'}"
    facts: dict[str, str | None] = {
        "digest": Code(data.digest) if data.digest else None,
        "rows": f"{data.rows:,} of {data.asked:,} that were asked" if data.asked else None,
        "left out": out if data.asked else None,
        "asked": asked if data.asked else None,
        "known by": known,
        "as of": instant_text(data.as_of) if data.asked else None,
    }
    rows = [
        (one["source"], str(one["version"]) if one["version"] >= 0 else "no events", Code(one["seal"] or ""),
         one["owner"] or "", ", ".join(one["tags"] or []), one["description"] or "")
        for one in sources(told)
    ]  # fmt: skip
    columns = ("source", ">table version", "seal", "owner", "tags", "description")
    return Section("Training data", [Facts(facts), Rows(columns, rows, "No table is recorded.")])


def _features(told: About) -> Section:
    made, declared = told.manifest.feature_set, told.model.features
    facts: dict[str, str | None] = {
        "feature set": made.name,
        "hash": Code(made.hash),
        "inputs": f"{len(made.vector)} of {len(made.features)} features",
        "tags": ", ".join(made.tags) or "none",
        "owner, as declared today": declared.owner or None,
        "description, as declared today": declared.description or None,
    }
    rows = [
        (Code(one["feature"]), one["kind"], one["type"], "yes" if one["input"] else "no", one["source"] or "",
         one["window"] or "", ", ".join(one["tags"] or []), one["description"] or "")
        for one in features(told)
    ]  # fmt: skip
    blocks: list[Block] = [Facts(facts)]
    if not told.same_features:
        blocks.append("The project's features are others today, so that tags and descriptions of each are not known.")
    blocks.append(Rows(("feature", "kind", "type", "input", "source", "window", "tags", "description"), rows))
    removed = [(Code(name), tag, why) for name, reasons in made.untagged.items() for tag, why in reasons.items()]
    if removed:
        blocks.append(Rows(("feature", "tag removed", "reason"), removed))
    return Section("Features", blocks)


def _model(told: About) -> Section:
    manifest = told.manifest
    scoring = manifest.scorer
    facts: dict[str, str | None] = {
        "estimator": Code(manifest.estimator) if manifest.estimator else None,
        "seed": None if told.seed is None else str(told.seed),
        "runtime": scoring.format,
        "scores from the estimator's": _apart(scoring.max_difference, scoring.rows),
        "scores of rows unlike those of training": _apart(scoring.unlike_difference, scoring.unlike_rows),
        "scores alone and in batches": _apart(scoring.batch_difference, scoring.batch_rows),
    }
    parameters = [(Code(name), Code(_plain(value))) for name, value in sorted(manifest.parameters.items())]
    files = [(Code(name), Code(digest)) for name, digest in sorted(manifest.files.items())]
    none = "none" if told.imported is None else "Its parameters are not recorded."
    return Section(
        "Model", [Facts(facts), Rows(("file", "SHA-256"), files), Rows(("parameter", "value"), parameters, none)]
    )


def _apart(most: float, rows: int) -> str | None:
    return f"at most {most:.2g} apart, on {rows:,} rows" if rows else None


def _code(told: About) -> Section:
    made = told.manifest.code
    facts: dict[str, str | None] = {
        "commit": Code(made.commit) if made.commit else None,
        "uncommitted changes": Code(made.dirty) if made.dirty else "none" if made.commit else None,
        "lock file": Code(made.lock) if made.lock else None,
        "interpreter": made.interpreter or None,
    }
    return Section("Code", [Facts(facts), Rows(("package", "version"), sorted(made.packages.items()))])


def _place(one: dict[str, Any]) -> str:
    return f"{one['entry']}" if one["project"] is None else f"{one['entry']} of {one['project']}"


def _shares(route: dict[str, Any]) -> str:
    parts = [
        "is shown requests" if one["shadow"] else f"answers {one['share']:.2%} as {one['name']}"
        for one in route["parts"]
    ]
    return (", ".join(parts) or "none any more") + (" (now)" if route["now"] and parts else "")


def _moment(micros: int | None) -> str | None:
    return None if micros is None else instant_text(micros)


def _real(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)


def _plain(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
