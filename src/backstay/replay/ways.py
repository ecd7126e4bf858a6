"""The way of each version, from its training to where it ended: gate, shadow, canary, champion. Plain data, read from
the ledger.

    {"version": 4, "gates": [...], "stages": [...], "champion": [...], "end": "rolled back", "at": ..., "reason": ...}

end: "champion"; "replaced" as champion; "rolled back" from a canary; "refused" before it answered anybody; "gate":
stopped there; "waits" for the rollout before it; "under way"; or "not due": its gate has given no final answer
guards: what each guard of its canary saw at the end of it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backstay.core.times import instant_text
from backstay.lifecycle.judge import GATE
from backstay.lifecycle.rollouts import Turn, history
from backstay.project import Project
from backstay.registry.versions import AliasMove, ModelVersion
from backstay.replay.replay import PLANTED, Replayed
from backstay.rollout.stages import CANARY, PROMOTING, SHADOW
from backstay.storage.ports import Entry


def ways(project: Project, replayed: Replayed) -> list[dict[str, Any]]:
    """The way of every version, in the order of their numbers."""
    records, model = project.records, replayed.model.name
    turns, moves = history(records, model), records.registry.history(model, "champion")
    gates = list(records.ledger.entries(kind=GATE))
    return [
        _way(
            version,
            [entry for entry in gates if entry.subject == f"{model}/{version.number}"],
            [turn for turn in turns if turn.state.number == version.number],
            moves,
        )
        for version in records.registry.versions(model)
    ]


def _way(
    version: ModelVersion, gates: Sequence[Entry], turns: Sequence[Turn], moves: Sequence[AliasMove]
) -> dict[str, Any]:
    reigns = _reigns(version.number, moves)
    stages = _stages(turns)
    end, at, cause, reason = _end(gates, turns, reigns, moves)
    return {
        "version": version.number,
        **noted(version.manifest.note),
        "trained_at": instant_text(version.at),
        "gates": [
            {
                "at": instant_text(entry.at), "verdict": entry.body["decision"]["verdict"],
                "against": entry.body["against"], "final": entry.body["final"],
            }
            for entry in gates
        ],
        "stages": stages,
        "champion": [{"from": instant_text(since), "to": to and instant_text(to)} for since, to in reigns],
        "end": end,
        "at": instant_text(at) if at else None,
        "cause": cause,
        "reason": reason,
        "guards": _guards(turns),
    }  # fmt: skip


def _reigns(number: int, moves: Sequence[AliasMove]) -> list[tuple[int, int | None]]:
    """From when to when a version was champion; None: it still is."""
    ends = [*(move.at for move in moves[1:]), None][: len(moves)]
    return [(move.at, to) for move, to in zip(moves, ends, strict=True) if move.to == number]


def _stages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The stages and steps of a rollout, each with why it began; the last one's end is None where it is under way."""
    ends = [*(turn.at for turn in turns[1:]), None][: len(turns)]
    return [
        {
            "stage": turn.state.stage, "share": turn.state.share, "from": instant_text(turn.at),
            "to": to and instant_text(to), "reason": turn.state.reason,
        }
        for turn, to in zip(turns, ends, strict=True)
        if turn.state.stage in (SHADOW, CANARY)
    ]  # fmt: skip


def _guards(turns: Sequence[Turn]) -> list[str]:
    """What each guard saw when it was last written down."""
    seen = [turn.state.evidence["guards"] for turn in turns if turn.state.evidence.get("guards")]
    return [guard["reason"] for guard in seen[-1]] if seen else []


def _end(
    gates: Sequence[Entry], turns: Sequence[Turn], reigns: Sequence[tuple[int, int | None]], moves: Sequence[AliasMove]
) -> tuple[str, int | None, str, str]:
    """Where a version ended, when, by which cause (in a word), and why."""
    if reigns:
        since, to = reigns[-1]
        of = next(move for move in moves if move.at == (to or since))
        reason = str(of.evidence.get("reason", ""))
        return ("champion", since, "", reason) if to is None else ("replaced", to, "", f"v{of.to} took its place")
    last = turns[-1] if turns else None
    if last is not None and last.state.ended:
        return last.state.where, last.at, last.state.cause, last.state.reason
    if last is not None:
        where = "canary 100%" if last.state.stage == PROMOTING else last.state.where
        return "under way", last.at, "", f"{where}: {last.state.reason}"
    final = [entry for entry in gates if entry.body["final"]]
    if not final:
        return "not due", None, "", str(gates[-1].body["decision"]["reason"]) if gates else "it has not been judged"
    decision = final[-1].body["decision"]
    if decision["verdict"] == "PASS":
        return "waits", final[-1].at, "", "it passed its gate, and waits until the rollout before it has ended"
    return "gate", final[-1].at, decision["verdict"], str(decision["reason"])


def noted(note: str) -> dict[str, str]:
    """A version's note: of a fault that was planted, or of what made the training due."""
    planted = note.startswith(PLANTED)
    return {"note": note if planted else "", "due": "" if planted else note}
