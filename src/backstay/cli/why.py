"""The verb `why`: why a model is worse online than it was offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, share, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType

    from backstay.investigation import Investigation

SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="T", help="Of requests from then on (default: 28 days before).",
                             show_default=False),
]  # fmt: skip
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="T", help="Of requests before then.", show_default=False)
]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write the page there, too.", show_default=False)
]


def why(
    ctx: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    as_of: AsOfOption = None,
    html: HtmlOption = None,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a model is worse online than it was offline: twelve causes, each with what it costs.

    Reads the records only: what was served is computed again, labels are weighed by their chance to have arrived, and
    what is left is told apart by who is asked about and how they behave. Use it when realised quality lies below what
    the gate saw; what was not logged is named.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the records"):
            found = shell.project.why(model, since=since, until=until, as_of=as_of)
        if html is not None:
            from backstay.investigation.page import page

            shell.save(html, page(found))
        shell.show(found.as_dict(), *_shown(found))
        if html is not None:
            shell.note(f"the page is {html}")
        if found.ranked and found.ranked[0].rows:
            shell.next("trace", found.ranked[0].rows[0])


def _shown(found: Investigation) -> list[RenderableType]:
    facts = {
        "model": f"{found.model}, version {found.version}",
        "requests": f"{when(found.since)} to {when(found.until)}, labels as of {when(found.as_of)}",
        "offline": f"{found.metric} {found.offline.value}, {count(found.offline.rows)} rows: {found.offline.said}",
        "online": f"{found.metric} {found.online.value}, {count(found.online.rows)} rows, "
        f"{share(found.online.maturity)} mature",
        "worse by": f"{found.gap}; a cause counts from {found.material:.4f}" if found.material else str(found.gap),
        "notes": "; ".join(found.notes) or None,
    }
    parts: list[RenderableType] = [block({name: value for name, value in facts.items() if value}), ""]
    steps = [(one.label, None if one.effect is None else str(one.effect)) for one in found.waterfall]
    if steps:
        parts += [table(("from offline to online", ">worse by"), steps), ""]
    for place, one in enumerate(found.ranked, 1):
        told = {
            f"{place}. {one.cause.words}": f"{one.surely}: {one.why}",
            "to do": one.next,
            "see": ", ".join(one.rows) or None,
        }
        parts += [block({name: value for name, value in told.items() if value}), ""]
    if not found.ranked:
        unpriced = [one for one in found.verdicts if one.evidence.get("wrong")]
        if unpriced:
            told = {one.cause.words: f"{one.why}. To do: {one.next}" for one in unpriced}
            parts += [block(told, title="wrong, and not priced yet"), ""]
        else:
            parts += ["No cause was found.", ""]
    rows = [(one.cause.words, one.state.value, one.why) for one in found.verdicts if not one.found]
    parts.append(table(("~looked at as well", "~verdict", "why"), rows, empty="nothing else"))
    return parts
