"""Verbs about serving: `serve`, `predictions`, `trace`, `compact`."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli import plain
from backstay.cli.options import HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import NONE, age, block, count, interval, keys, minute, real, table, when_text

if TYPE_CHECKING:
    from backstay.definitions import FeatureSet
    from backstay.project.loading import Definitions


_HostOption = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDRESS", help="Default: the setting serving.host.", show_default=False),
]
_PortOption = Annotated[
    int | None,
    typer.Option(
        "--port", metavar="PORT", min=0, max=65_535, show_default=False,
        help="0 takes a free one. Default: the setting serving.port.",
    ),
]  # fmt: skip
_WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", min=1, show_default=False,
        help="Processes that answer, on one listener. Default: the setting serving.workers.",
    ),
]  # fmt: skip


def serve(
    ctx: typer.Context,
    host: _HostOption = None,
    port: _PortOption = None,
    workers: _WorkersOption = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay", metavar="", help="Take each request's own time: for replays of history, on loopback only."
        ),
    ] = False,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the champions over HTTP until stopped, writing down every prediction before it is answered.

    Run it once a version is promoted; later promotions are followed while it runs. When it takes requests it prints one
    line of JSON: its url, and the file with the bearer token that requests need. SIGTERM and Ctrl-C end it cleanly.
    With several workers, SIGHUP replaces them one by one.
    """  # fmt: skip
    with Shell(ctx, project, home, as_json) as shell, contextlib.ExitStack() as stack:
        progress = stack.enter_context(shell.working("bringing the online state up to date"))
        definitions = shell.project.definitions

        def ready(told: Mapping[str, Any]) -> None:
            stack.close()
            sys.stdout.write(json.dumps(dict(told)) + "\n")
            sys.stdout.flush()
            for path, body in _requests(definitions):
                shell.note(f"try: {_curl(told, path, body)}")
            shell.note("Ctrl-C stops it")

        shell.project.serve(host=host, port=port, workers=workers, replay=replay, ready=ready, progress=progress)
        shell.note("stopped")
        shell.next("predictions")


def _requests(definitions: Definitions) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each model a request for a prediction; where there is none, for each feature set a lookup."""
    for model in definitions.models.values():
        yield f"models/{model.name}/predict", _request(model.keys, model.features)
    if not definitions.models:
        for name, features in definitions.feature_sets.items():
            yield f"features/{name}", {"rows": [_request(features.keys, features)]}


def _request(keys: Sequence[str], features: FeatureSet) -> dict[str, Any]:
    """What is asked, to fill in."""
    return {"keys": dict.fromkeys(keys, "..."), "fields": {feature.name: "..." for feature in features.requests}}


def _curl(told: Mapping[str, Any], path: str, body: Mapping[str, Any]) -> str:
    """A request to fill in, as a command."""
    body = {**body, "at": "..."} if told["replay"] else body
    token, url = f"$(cat {shlex.quote(told['token'])})", f"{told['url']}/v1/{path}"
    return f"curl -H \"Authorization: Bearer {token}\" {url} -d '{json.dumps(body)}'"


def predictions(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many.")] = 10,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the predictions that were served last, the newest first.

    Use it to find the id that `trace` wants.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the predictions record"):
            last = shell.project.predictions(model, limit=limit)
            digests = {one.version for one in last}
            numbers = {digest: shell.project.records.registry.by_digest(digest).number for digest in digests}
        answer = [plain.prediction(one, numbers[one.version]) for one in last]
        rows = [
            (
                one["id"],
                minute(one["at"]),
                _answer(one),
                keys(one["keys"]),
            )
            for one in answer
        ]
        columns = ("prediction", "asked at", "answer", "keys")
        shell.show({"predictions": answer}, table(columns, rows, empty="nothing has been served yet"))
        if last:
            shell.next("trace", last[0].id)
        else:
            shell.next("serve")


def _answer(one: dict[str, Any]) -> str:
    """A score and its decision; of what a shadow said, that it answered nobody."""
    said = "no score" if one["score"] != one["score"] else f"{one['score']:.4f} {'yes' if one['decision'] else 'no'}"
    return f"{said} (shadow)" if one["route"] == "shadow" else said


def compact(
    ctx: typer.Context, project: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Move the predictions that servers have logged into a Delta table, for faster reading and for other tools.

    Run it from a timer; `tick` does it too. Servers go on meanwhile, and what they are writing to stays as it is.
    Interrupted or run twice it loses and doubles nothing.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("compacting") as progress:
            done = shell.project.compact(progress=progress)
        table_at = str(shell.project.services.home / "predictions")
        answer = {"predictions": done.predictions, "segments": done.segments, "table": table_at}
        facts = {"predictions": count(done.predictions), "of segments": count(done.segments), "table": table_at}
        shell.show(answer, block(facts, title="compacted"))
        shell.next("predictions")


def trace(
    ctx: typer.Context,
    prediction_id: Annotated[
        str, typer.Argument(metavar="PREDICTION_ID", help="The prediction_id of an answer; see: backstay predictions.")
    ],
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything behind one prediction: feature values, model, data, code, evidence, and the label if it came.

    Use it when somebody asks why. Every value comes with its status and the time of the event it rests on.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("tracing"):
            found = shell.project.trace(prediction_id).as_dict()
        shell.show(
            found, _prediction(found["prediction"], found["label"]), "", _features(found["features"]), "",
            _version(found["version"], found["rule"]), "", _evidence(found["promotion"], found["gate"]),
        )  # fmt: skip
        shell.next("features", "verify", model=shell.told(found["prediction"]["model"]))


def _prediction(prediction: dict[str, Any], label: dict[str, Any]) -> Any:
    if label["value"] is not None:
        outcome = f"{label['name']}: {'yes' if label['value'] else 'no'}"
    elif not label["keyed"]:
        outcome = f"{label['name']}: not known (the request gave no key)"
    elif label["void"]:
        outcome = f"{label['name']}: void"
    else:
        came = "mature, and none came" if label["mature"] else f"matures at {when_text(label['matures'])}"
        outcome = f"{label['name']}: not known ({came})"
    facts = {
        "model": prediction["model"],
        "asked at": when_text(prediction["at"]) + (" (replayed)" if prediction["replayed"] else ""),  # type: ignore[operator]
        "keys": keys(prediction["keys"]),
        "score": real(prediction["score"]),
        "decision": prediction["decision"],
        "label": outcome,
        "had read": ", ".join(f"{name} up to event {number}" for name, number in prediction["watermark"].items()),
    }
    return block(facts, title=f"prediction {prediction['id']}")


def _features(features: list[dict[str, Any]]) -> Any:
    rows = [
        (one["feature"], real(one["value"]), one["status"], minute(one["event_time"]), age(one["age"]))
        for one in features
    ]
    return table(("feature", "~>value", "status", "last event", ">age"), rows, title="features")


def _version(version: dict[str, Any], rule: dict[str, Any] | None) -> Any:
    data, code = version["dataset"], version["code"]
    shown = ("n_estimators", "num_leaves", "learning_rate", "max_depth")
    told = {name: version["parameters"][name] for name in shown if name in version["parameters"]}
    facts = {
        "digest": version["digest"],
        "trained on": f"{data['rows']:,} rows known by {when_text(version['cutoff'])}",
        "dataset": data["digest"],
        "feature set": f"{version['feature_set']['name']} {version['feature_set']['hash']}",
        "commit": (code["commit"] or "not in git") + (" with uncommitted changes" if code["dirty"] else ""),
        "estimator": version["estimator"],
        "parameters": f"{keys(told)} ({len(version['parameters'])} in all: --json)",
        "seed": version["seed"],
    }
    if rule is not None:
        named = (("calibration", rule["calibration"]), ("threshold", rule["chosen"]))
        made = "; ".join(f"{what} {one['number']}, by {one['by']}" for what, one in named if one)
        facts["rule"] = f"{rule['name']}: true from {rule['threshold']:g} ({made})"
    if version["note"]:
        facts["note"] = version["note"]
    return block(facts, title=f"version {version['number']}")


def _evidence(promotion: dict[str, Any] | None, gate: dict[str, Any] | None) -> Any:
    if promotion is None:
        return block({"champion": "it never was"}, title="evidence")
    before = NONE if promotion["previous"] is None else f"version {promotion['previous']}"
    facts = {"champion": f"since {when_text(promotion['at'])}, by {promotion['by']}", "before": before}
    facts["gain"] = interval(promotion["evidence"].get("interval"), signed=True) or NONE
    if gate is not None:
        facts["gate"] = f"{gate['verdict']} (ledger entry {gate['entry']})"
        facts |= {check["name"]: f"{check['verdict']}: {check['reason']}" for check in gate["checks"]}
    return block(facts, title="evidence")
