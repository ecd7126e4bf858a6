"""The verb `objectives`: whether what models promise is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, minute, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType

    from backstay.evaluation.budgets import Alarm, Kept


def objectives(
    ctx: typer.Context,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whether models keep what they promise: good shares, burn rates, what is left of the budget, what rings.

    Use it on what servers have counted; it needs no Prometheus. The alarms are those of the Google SRE workbook, for
    a budget of 30 days: a page where 14.4 times what may fail does over 1h and over 5m, or 6 times over 6h and over
    30m; a ticket where as much as may fail does over 3d and over 6h.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("counting"):
            found = shell.project.objectives.show(model, as_of=as_of)
        parts: list[Any] = []
        for one in found:
            parts += ["", *_model(one)] if parts else _model(one)
        answer = {"objectives": [one.as_dict() for one in found]}
        shell.show(answer, *(parts or ["the project has no model"]))
        bare = next((one for one in found if one.objective is None), None)
        if bare is not None:
            shell.note(f"model {bare.model} has {bare.line}")
        elif found and not any(one.requests for one in found):
            shell.next("serve")


def _model(one: Kept) -> list[RenderableType]:
    from backstay.evaluation.budgets import percent

    title = f"model {one.model}"
    if one.objective is None:
        return [block({"objective": "none declared"}, title=title)]
    facts: dict[str, object] = {
        "objective": str(one.objective),
        "why": one.objective.why,
        "as of": when(one.as_of),
        **{f"budget left, {budget.promise}": percent(budget.left) for budget in one.budgets},
        "rings now": Text("\n".join(alarm.text for alarm in one.ringing), style="red") if one.ringing else _quiet(one),
    }
    rows = [
        (
            budget.promise,
            percent(budget.target),
            window["over"],
            count(window["requests"]),
            count(window["bad"]),
            "no requests" if window["share"] is None else percent(window["share"]),
            None if window["burn"] is None else f"{window['burn']:.3g}x",
            minute(window["since"]),
        )
        for budget in one.budgets
        for window in (spent.as_dict() for spent in budget.windows)
    ]
    columns = ("promise", ">target", ">window", ">requests", ">bad", ">good", ">burn rate", "counted since")
    return [block(facts, title=title), "", table(columns, rows)]


def _quiet(one: Kept) -> str:
    """That no alarm rings, and which cannot know."""
    silent = [alarm for budget in one.budgets for alarm in budget.alarms if alarm.rings is None]
    if not silent:
        return "nothing"
    return "nothing; no requests to tell in " + ", ".join(dict.fromkeys(_empty(alarm) for alarm in silent))


def _empty(alarm: Alarm) -> str:
    spent = alarm.short if alarm.short.burn is None else alarm.long
    return str(spent.as_dict()["over"])
