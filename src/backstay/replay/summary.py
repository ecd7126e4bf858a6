"""The summary of a replay: plain data, and the source of every number in its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import backstay
from backstay.core.times import instant_text
from backstay.lifecycle.judge import Judgement
from backstay.monitoring.quality import Cohort
from backstay.project import Project
from backstay.registry.versions import AliasMove, ModelVersion
from backstay.replay.replay import Replayed, Week
from backstay.replay.watched import watched
from backstay.replay.ways import noted, ways
from backstay.replay.worst import why_worst

_BOUNDS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 25, 35, 50, 75, 100, 250, 1_000)


def summarise(
    project: Project, replayed: Replayed, parity: Mapping[str, Any], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Everything that a replay showed. `parity` is a parity report as data, `seconds` how long each step took."""
    model = replayed.model
    records = project.records
    versions = records.registry.versions(model.name)
    moves = records.registry.history(model.name, "champion")
    cohorts = project.quality(model.name, as_of=project.clock.now(), start=replayed.start)
    latency = np.array(replayed.outcome.latency_ms)
    promoted = {move.to: move for move in moves}
    judged = [version for version in versions if version.number in replayed.judgements]
    return {
        "project": project.name,
        "model": model.name,
        "description": model.description,
        "backstay": backstay.__version__,
        "start": instant_text(replayed.start),
        "end": instant_text(replayed.end),
        "version": backstay.__version__,
        "served": replayed.outcome.served,
        "errors": replayed.outcome.errors,
        "error_messages": replayed.outcome.messages,
        "rows_void": sum(cohort.void for cohort in cohorts),
        "in_flight": replayed.in_flight,
        "requests_per_second": len(latency) / replayed.serving_seconds if replayed.serving_seconds else None,
        "latency_ms": _latency(latency),
        "latency_histogram": _histogram(latency),
        "parity_checked": parity["checked"],
        "parity_equal": parity["equal"],
        "parity_shadow": parity["shadow"],
        "parity_differences": parity["differences"],
        "candidates": [_candidate(version, replayed.judgements[version.number], promoted) for version in judged],
        "ways": ways(project, replayed),
        "watched": watched(project, replayed),
        "why": why_worst(project, replayed, cohorts),
        "shadow_rows": replayed.shadowed,
        "shadow_rows_shed": replayed.shed,
        "promotions": [_promotion(move) for move in moves],
        "auc_by_week": [_week(cohort, moves) for cohort in cohorts],
        "label_maturity": [_maturity(week) for week in replayed.weeks if week.cohort is not None],
        "sources": project.status().sources,
        "feature_set": {
            "name": model.features.name,
            "hash": model.features.hash,
            "features": len(model.features.vector),
        },
        "first_version": _version(versions[0]),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def _latency(latency: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float] | None:
    if not len(latency):
        return None
    p50, p90, p99 = np.percentile(latency, [50, 90, 99]).round(3).tolist()
    return {"p50": p50, "p90": p90, "p99": p99, "max": round(float(latency.max()), 3)}


def _histogram(latency: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[dict[str, float]]:
    if not len(latency):
        return []
    bounds = [*(bound for bound in _BOUNDS if bound < latency.max()), float(np.ceil(latency.max()))]
    counts, _ = np.histogram(latency, [0.0, *bounds])
    return [{"upto_ms": bound, "count": int(count)} for bound, count in zip(bounds, counts, strict=True)]


def _candidate(version: ModelVersion, judgement: Judgement, promoted: Mapping[int, AliasMove]) -> dict[str, Any]:
    manifest = version.manifest
    decision = judgement.decision.as_dict()
    return {
        "version": version.number,
        "digest": version.digest,
        "trained_at": instant_text(version.at),
        "cutoff": instant_text(manifest.cutoff),
        "training_rows": manifest.dataset.rows,
        "against": judgement.against,
        "verdict": decision["verdict"],
        "reason": decision["reason"],
        "interval": judgement.interval(),
        "metric": judgement.metric,
        "margin": judgement.margin,
        "rows": judgement.rows,
        "final": judgement.final,
        "promoted": version.number in promoted,
        **noted(manifest.note),
        "judged_from": instant_text(judgement.start),
        "judged_to": instant_text(judgement.end),
        "checks": decision["checks"],
    }


def _promotion(move: AliasMove) -> dict[str, Any]:
    return {
        "version": move.to,
        "at": instant_text(move.at),
        "previous": move.previous,
        "by": move.actor,
        "reason": move.evidence.get("reason", ""),
        "interval": move.evidence.get("interval"),
    }


def _week(cohort: Cohort, moves: list[AliasMove]) -> dict[str, Any]:
    """The cohort, with the versions that were champion during its week."""
    end = cohort.start + 7 * 86_400_000_000
    before = [move.to for move in moves if move.at <= cohort.start][-1:]
    during = [move.to for move in moves if cohort.start < move.at < end]
    return {**cohort.as_dict(), "champions": before + during}


def _maturity(week: Week) -> dict[str, Any]:
    assert week.cohort is not None
    told = week.cohort.as_dict()
    return {"week": told["week"], "as_of": instant_text(week.at), "maturity": told["maturity"], "auc": told["auc"]}


def _version(version: ModelVersion) -> dict[str, Any]:
    manifest = version.manifest
    return {
        "number": version.number,
        "digest": version.digest,
        "training_rows": manifest.dataset.rows,
        "dataset_digest": manifest.dataset.digest,
        "commit": manifest.code.commit,
        "dirty": manifest.code.dirty is not None,
    }
