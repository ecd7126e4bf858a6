"""What may be done about few positives, tried on flights that are 30, 180, 300 and 360 or more minutes late.

From one in six to one in 1,320: the same features and the same estimator as `models.py`, other labels. Each threshold
gets a page and its JSON.

    .venv/bin/python examples/flights/imbalance.py --out imbalance
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from backstay import Label, Model
from backstay.evaluation.decided import Costs
from backstay.evaluation.imbalance import Recommendation
from backstay.lifecycle.imbalance import ImbalanceReport
from backstay.project import Project
from backstay.project.imbalance_page import render

HERE = Path(__file__).parent
AS_OF = "2014-01-05"
MISSED = {30: 5, 180: 50, 300: 500, 360: 1_000}
"""By minutes late, how many false alarms a missed flight costs: about as many as there are flights for one so late."""
console = Console(highlight=False)


def late(minutes: int, like: Model) -> Model:
    """The question of `models.py` for another delay."""
    before = like.label
    label = Label(
        f"late{minutes}", source=before.source, key=before.key, value=pl.col("arr_delay") >= minutes, horizon="36h",
        void=before.void,
    )  # fmt: skip
    return Model(f"late{minutes}", features=like.features, label=label, ask=like.ask, estimator=like.estimator)


def advise(project: Project, minutes: int) -> ImbalanceReport:
    """The advice for one delay."""
    with Progress(
        TextColumn("   {task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task(f"{minutes} minutes", total=None)
        return project.evaluations.imbalance(
            late(minutes, project.model()), as_of=AS_OF, costs=Costs(1, MISSED[minutes]),
            progress=lambda _, done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip


def show(found: ImbalanceReport) -> None:
    """One delay as a table: how each arm did, and what is recommended."""
    advice = found.advice
    has = advice.resolution
    console.print(
        f"\n[bold]{found.model}[/]: 1 in {has.one_in:,.0f}; {has.positives:,} positives in {has.rows:,} rows that were "
        f"scored count for {has.effective:,.0f}; the constant's log loss is {advice.constant['log_loss']:.4f}"
    )
    table = Table("arm", "AP", "lift", "log loss", "uncorrected", "cost a row", "seconds", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for one in advice.arms:
        raw = "" if one.raw_log_loss is None else f"{one.raw_log_loss:.4f}"
        table.add_row(
            one.title, f"{one.average_precision.estimate:.4f}", f"{one.lift:.1f}", f"{one.log_loss:.4f}", raw,
            f"{one.cost:.4f}", f"{one.seconds:.0f}",
        )  # fmt: skip
    console.print(table)
    for name, reason in advice.not_tried.items():
        console.print(f"{advice.titles[name]}: {reason}")
    for use, told in (("decisions", advice.decision), ("ranking", advice.ranking)):
        console.print(f"for {use}: {_arm(told, advice.titles)}")
    if advice.hint:
        console.print(f"first: {advice.hint}")
    if advice.insufficient:
        console.print(f"INSUFFICIENT: {advice.insufficient}")


def _arm(told: Recommendation | None, titles: dict[str, str]) -> str:
    if told is None or told.arm is None:
        return "nothing is recommended"
    return f"{titles[told.arm]}: {told.why}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("imbalance"), help="where records and reports are written")
    parser.add_argument("--minutes", type=int, nargs="*", default=list(MISSED), choices=MISSED, help="which delays")
    options = parser.parse_args()
    out = options.out.resolve()
    project = Project(HERE, home=out / "state", actor="example")
    project.ingest()
    for minutes in options.minutes:
        found = advise(project, minutes)
        (out / f"late{minutes}.json").write_text(json.dumps(found.as_dict(), indent=1) + "\n", encoding="utf-8")
        (out / f"late{minutes}.html").write_text(render(found.as_dict()), encoding="utf-8")
        show(found)
    project.close()


if __name__ == "__main__":
    main()
