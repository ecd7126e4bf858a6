"""The verb `counterfactual`: what another threshold would have been worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.rules import costs_of
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table, when

if TYPE_CHECKING:
    from backstay.lifecycle.counterfactual import Counterfactual

ThresholdOption = Annotated[
    float, typer.Option("--threshold", metavar="X", help="From which score on it decides `true`.", show_default=False)
]
MetricOption = Annotated[
    str | None,
    typer.Option("--metric", metavar="NAME", help="outcome, or SOURCE.COLUMN: its sum.", show_default=False),
]
CostOption = Annotated[
    str | None,
    typer.Option(
        "--cost", metavar="FP:FN", help="What a false alarm and a missed case cost: 1:20.", show_default=False
    ),
]
WithinOption = Annotated[
    str,
    typer.Option("--within", metavar="SPAN", help="Of SOURCE.COLUMN: of which events after it.", show_default=False),
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="T", help="Of requests from then on.", show_default=False)
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="T", help="Of requests before then.", show_default=False)
]
ClipOption = Annotated[
    float | None,
    typer.Option("--clip", metavar="W", help="The largest weight of a row: narrower, and biased.", show_default=False),
]


def counterfactual(
    ctx: typer.Context,
    threshold: ThresholdOption,
    metric: MetricOption = None,
    cost: CostOption = None,
    within: WithinOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    as_of: AsOfOption = None,
    clip: ClipOption = None,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate what another threshold would have been worth, from decisions that the route explored.

    By inverse propensity (ips), self-normalised (snips) and doubly robust (dr), with intervals over entities. Where too
    little was explored there is no number, but INSUFFICIENT and why. To explore: `backstay route explore`.
    """
    from backstay.definitions.experiments import Metric
    from backstay.evaluation.decided import Costs

    with Shell(ctx, project, home, as_json) as shell:
        costs = costs_of(cost)
        one = None if metric is None else Metric(metric, "higher", within)
        with shell.working("reading rows"):
            found = shell.project.experiments.counterfactual(
                threshold, one, model, costs=None if costs is None else Costs(*costs), since=since, until=until,
                as_of=as_of, clip=clip,
            )  # fmt: skip
        shell.show(found.as_dict(), *_shown(found))


def _shown(found: Counterfactual) -> list[RenderableType]:
    of = f"{count(found.rows)} explored and mature, of which the lot turned {count(found.turned)} over"
    facts = {
        "model": found.model, "policy": f"true from a score of {found.threshold:g} on",
        "metric": f"mean {found.metric}",
        "requests": f"{when(found.since) if found.since else 'all'} to {when(found.until)}",
        "rows": f"{of}; {count(found.left_out)} left out",
        "differ": f"{count(found.differ)} rows, on which it decides otherwise than was in force",
    }  # fmt: skip
    rows = []
    for one in found.estimates:
        overlap = one.policy.overlap
        rows.append((
            one.method, str(one.policy.value), str(one.current.value), str(one.gain), f"{overlap.effective:,.0f}",
            None if overlap.differing is None else f"{overlap.differing:,.0f}", f"{overlap.largest:.1%}",
        ))  # fmt: skip
    columns = (
        "method", ">this policy", ">as it was", ">difference", ">effective rows", ">where they differ", ">largest"
    )  # fmt: skip
    parts: list[RenderableType] = [block(facts), "", table(columns, rows)]
    clipped = [one for one in found.estimates if one.policy.bias]
    if clipped:
        told = ", ".join(f"{one.method} {one.policy.bias:.4g}" for one in clipped)
        parts += ["", f"clipped: off by up to {told}"]
    return parts
