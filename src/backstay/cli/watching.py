"""Verbs that look at what is: `status`, `quality`, `ledger show`, `settings`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import age, block, count, day_after, interval, minute, real, share, table, when_text
from backstay.core.errors import InputError


def status(
    ctx: typer.Context,
    as_of: AsOfOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is champion, since when and on what evidence, how fresh the sources are, and how good the predictions.

    Run it whenever you come back to a project; it says what to do next.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("looking"):
            found = shell.project.status(as_of=as_of)
        columns = ("source", ">events", "last event", "last known", ">age", ">at most", "freshness")
        rows = [
            (
                one["source"],
                count(one["events"]),
                minute(one["last_event"]),
                minute(one["last_known"]),
                age(one["age"]),
                age(one["objective"]),
                Text("LATE", style="red") if one["state"] == "LATE" else one["state"],
            )
            for one in found.sources
        ]
        parts: list[Any] = [f"{shell.project.name}, as of {when_text(found.as_of)}"]
        for model in found.models:
            parts += ["", _model(model)]
        shell.show({"project": shell.project.name, **found.as_dict()}, *parts, "", table(columns, rows))
        if found.lost_predictions:
            shell.note(f"{count(found.lost_predictions)} predictions were served and lost: predictions.mode was lossy")
        if as_of is None:
            _advise(shell, found.models, found.sources)


def _model(model: dict[str, Any]) -> Any:
    facts: dict[str, object] = {"champion": None}
    if model["champion"] is not None:
        facts = {
            "champion": f"version {model['champion']}, since {when_text(model['since'])}, by {model['by']}",
            "evidence": model["evidence"].get("reason"),
            "gain": interval(model["evidence"].get("interval"), signed=True),
        }
    if (route := model["route"]) is not None:
        parts = [f"{one['name']} {'shadows ' if one['shadow'] else ''}{one['share']:.2%}" for one in route["parts"]]
        facts["route"] = f"champion {route['champion']:.2%}, {', '.join(parts)}: {route['why']}"
    if model["incidents"]:
        facts["incidents"] = "\n".join(f"#{one['number']}, {one['state']}: {one['text']}" for one in model["incidents"])
    facts["objective"] = model["objective"]
    facts["open candidates"] = ", ".join(map(str, model["open_candidates"]))
    facts["predictions"] = count(model["predictions"])
    if model["quality"] is not None:
        good = model["quality"]
        facts["quality"] = (
            f"AUC {interval(good['auc'])} in the week of {good['week']} ({share(good['maturity'])} mature)"
        )
    for cohort in model["maturing"]:
        facts[f"week of {cohort['week']}"] = f"{count(cohort['served'])} served, {share(cohort['maturity'])} mature"
    return block(facts, title=f"model {model['model']}")


def _advise(shell: Shell, models: list[dict[str, Any]], sources: list[dict[str, Any]]) -> None:
    idle = next((model for model in models if model["champion"] is None), None)
    name = None if idle is None or len(models) == 1 else idle["model"]
    if not any(source["events"] for source in sources):
        read = any(source.read is not None for source in shell.project.definitions.sources.values())
        shell.next("ingest" if read else "serve")
    elif not models:
        shell.next("features", "list")
    elif idle is not None and idle["open_candidates"]:
        shell.next("judge", idle["open_candidates"][-1], model=name)
    elif idle is not None:
        shell.next("train", model=name, as_of=day_after(source["last_known"] for source in sources), holdout="14d")
    elif not any(model["predictions"] for model in models):
        shell.next("serve")
    else:
        shell.next("quality", model=None if len(models) == 1 else models[0]["model"])


def quality(
    ctx: typer.Context,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="also how labels come: at what age, what is wrong with them, calibration")
    ] = False,
    estimated: Annotated[
        bool,
        typer.Option(
            "--estimated", help="of the last weeks, what quality will be, before labels tell; and how well that went"
        ),
    ] = False,
    weeks: Annotated[int, typer.Option("--weeks", min=1, help="how many weeks are estimated", metavar="N")] = 8,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the realised quality of what was served, week by week, with intervals.

    Use it once labels have come: only mature rows count, and how many are mature is shown.
    """
    with Shell(ctx, project, home, as_json) as shell:
        if labels and estimated:
            raise InputError("--labels and --estimated are both given", where="quality", expected="one of them")
        if labels:
            _labels(shell, model, as_of)
            return
        if estimated:
            _estimated(shell, model, as_of, weeks)
            return
        with shell.working("joining labels"):
            name = shell.project.model(model).name
            cohorts = [cohort.as_dict() for cohort in shell.project.quality(model, as_of=as_of)]
        rows = [
            (
                one["week"],
                *(count(one[name]) for name in ("served", "void", "labelled", "positives")),
                share(one["maturity"]),
                interval(one["auc"]),
                real(one["log_loss"]),
            )
            for one in cohorts
        ]
        columns = ("week of", ">served", ">void", ">rows", ">yes", ">mature", "AUC", ">log loss")
        why = {one["week"]: one["why"] for one in cohorts if one["why"]}
        answer = {"model": name, "as_of": as_of, "cohorts": cohorts}
        listed = table(columns, rows, empty="nothing has been served yet")
        shell.show(answer, listed, block(why, title="not judged") if why else None)
        shell.next("tick" if cohorts else "serve", model=model if cohorts else None)


def _labels(shell: Shell, model: str | None, as_of: str | None) -> None:
    """The report of the labels: weeks that are not of age are estimated by what is known early."""
    with shell.working("joining labels"):
        name = shell.project.model(model).name
        found = shell.project.labels.report(model, as_of=as_of).as_dict()
    rows = []
    for one in found["cohorts"]:
        early = {metric: told["value"] for metric, told in one["early"].items()}
        by = early if one["state"] != "OK" and early else one["realised"]
        metrics = (None if "insufficient" in by[metric] else interval(by[metric]) for metric in ("auc", "log_loss"))
        how = "known early, weighted" if by is early else "mature rows"
        rows.append((one["week"], one["state"], count(one["served"]), share(one["maturity"]), *metrics, how))
    columns = ("week of", "state", ">served", ">mature", "AUC", "log loss", "by")
    shell.show(
        {"model": name, **found},
        table(columns, rows, empty="nothing has been served yet"),
        block(_ages(found["maturity"]), title="labels known"),
        block({kind: count(number) for kind, number in found["faults"].items()}, title="labels that are wrong"),
        block(_calibration(found["calibration"]), title="calibration"),
    )
    shell.next("tick" if rows else "serve", model=model if rows else None)


SHOWN = {"auc": "AUC", "log_loss": "log loss"}
"""The metrics that people are shown; a program gets all."""


def _estimated(shell: Shell, model: str | None, as_of: str | None, weeks: int) -> None:
    """Weeks before their labels, by every method; and of weeks whose labels have come, how well that went."""
    from backstay.evaluation.unlabelled import ASSUMES, METHODS

    with shell.working("estimating"):
        name = shell.project.model(model).name
        found = shell.project.labels.estimated(model, as_of=as_of, weeks=weeks).as_dict()
    ways = [one.replace("_", " ") for one in METHODS]
    parts: list[Any] = []
    for metric, title in SHOWN.items():
        rows = [
            (one["week"], one["version"], count(one["rows"]), share(one["maturity"]),
             _came(one["realised"].get(metric)), *(_said(one["estimates"].get(way), metric) for way in METHODS))
            for one in found["weeks"]
        ]  # fmt: skip
        columns = (f"{title}, week of", ">version", ">rows", ">mature", "realised", *ways)
        parts += [table(columns, rows), ""]
    tested = [
        (way.replace("_", " "), title, count(told["windows"]), real(told["mean_error"]), real(told["sampling_error"]),
         real(told["bias"]), share(told["coverage"]), ASSUMES[way])
        for way, by in found["backtests"].items() for metric, title in SHOWN.items()
        if (told := by[metric])["windows"]
    ]  # fmt: skip
    columns = ("backtest", "of", ">weeks", ">mean error", ">sampling error", ">bias", ">covered", "assumes")
    why = {one["week"]: one["why"] for one in found["weeks"] if one["why"]}
    parts.append(table(columns, tested, empty="no week is wholly mature yet: nothing to test estimates against"))
    parts.append(block(why, title="not estimated") if why else None)
    shell.show({"model": name, **found}, *(parts if found["weeks"] else ["nothing has been served yet"]))
    shell.next("quality" if found["weeks"] else "serve", model=model if found["weeks"] else None)


def _came(told: dict[str, Any] | None) -> str | None:
    return None if told is None or "insufficient" in told else interval(told)


def _said(told: dict[str, Any] | None, metric: str) -> str | None:
    """An estimate with its limits; where there is none, in which state it is."""
    if told is None:
        return None
    one = told[metric]
    return str(one["state"]) if one["interval"] is None else interval(one["interval"])


def _ages(maturity: dict[str, Any]) -> dict[str, object]:
    if "insufficient" in maturity:
        return {"not yet": maturity["insufficient"]}
    return {
        f"{one['share']:.0%}": "not by the highest age seen" if one["age"] is None
        else f"{age(one['age'])} after it was asked"
        for one in maturity["reached"]
    }  # fmt: skip


def _calibration(found: dict[str, Any]) -> dict[str, object]:
    gap = None if found["gap"] is None else interval(found["gap"], signed=True)
    slope = None if found["slope"] is None else interval(found["slope"])
    return {"state": found["state"], "happens more often than said by": gap, "slope": slope, "why": found["why"]}


def settings(
    ctx: typer.Context, project: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Show every setting there is: its value in this project, its default and what it means.

    Use it to see what backstay.toml can say.
    """
    from backstay.core.settings import SETTINGS

    with Shell(ctx, project, home, as_json) as shell:
        values = shell.project.settings
        listed = [
            {"name": one.name, "value": values[one.name], "default": one.default, "meaning": one.meaning}
            for one in SETTINGS
        ]
        rows = [
            (one["name"], one["value"], one["default"] if one["default"] != one["value"] else "same", one["meaning"])
            for one in listed
        ]
        answer = {"project": str(shell.project.path), "settings": listed}
        shell.show(answer, table(("setting", "value", "default", "meaning"), rows))
