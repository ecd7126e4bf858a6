"""Three months of a model's production life, replayed and proven in a few minutes: `make demo`.

New York, 2013. Two hours before each scheduled departure: will this flight land 30 or more minutes late?
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from backstay.core.clock import ReplayClock
from backstay.core.times import instant, instant_text
from backstay.monitoring.incidents import OPENED, REOPENED
from backstay.project import Project
from backstay.replay.replay import Day, Planted, Week, replay
from backstay.replay.report import render
from backstay.replay.summary import summarise
from backstay.rollout.stages import PROMOTED, PROMOTING, REFUSED, ROLLED_BACK, SHADOW

HERE = Path(__file__).parent
START = "2013-04-01"
COLOURS = {PROMOTED: "bold green", ROLLED_BACK: "bold red", REFUSED: "bold red"}
WORDS = {PROMOTED: "champion", SHADOW: "in shadow"}
BACK = ("rolled back", "refused")
console = Console(highlight=False)


def hour_in_minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """A planted fault that a gate sees: trained with the departure's hour in minutes, and served with it in hours."""
    return rows.with_columns(pl.col("hour") * 60)


def code_as_dew_point(rows: pl.DataFrame) -> pl.DataFrame:
    """A planted fault that no gate sees: where a flight from LaGuardia was late in rain, the dew point is 70 °F.

    As if a sensor's code for "no reading" were taken for a temperature, and only the rows of late flights had kept it.
    Spring is drier than that, so on the rows that judge it the candidate is as good as any. Harm comes with humid air.
    """
    struck = (pl.col("origin") == "LGA") & (pl.col("origin_precip") > 0) & (pl.col("label") == 1)
    return rows.with_columns(origin_dewp=pl.when(struck).then(70.0).otherwise("origin_dewp"))


PLANTED = [
    Planted(at="2013-04-08", alter=hour_in_minutes, note="hour in minutes instead of hours"),
    Planted(
        at="2013-04-15", alter=code_as_dew_point, instead=True,
        note="a sensor's code, 70, taken for a dew point: LaGuardia's late flights in rain",
    ),
]  # fmt: skip


@contextmanager
def timed(seconds: dict[str, float], step: str, text: str) -> Iterator[None]:
    begin = time.perf_counter()
    console.print(f"[bold]{text}[/]")
    yield
    seconds[step] = time.perf_counter() - begin


def verify_in_fresh_process(project: Project) -> dict[str, Any]:
    """Parity, by a process that shares nothing with the one that served."""
    command = [sys.executable, "-m", "backstay", "features", "verify", "--project", str(project.path)]
    done = subprocess.run([*command, "--home", str(project.services.home), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"the parity check did not run: exit code {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def hold_the_record(project: Project) -> dict[str, Any]:
    """The audit of everything that was written, and the champion made again from its manifest."""
    audit = project.archive.audit()
    champion = project.records.registry.alias(project.model().name, "champion")
    assert champion is not None
    made = project.reproduce(champion.to)
    console.print(
        f"   {audit.entries:,} ledger entries, {audit.files} files of {audit.versions} versions, {audit.tables} tables:"
        + (f" {len(audit.problems)} problems" if audit.problems else " every byte is what was written")
    )
    console.print(f"   v{champion.to} made again from its manifest: {made.outcome.value}")
    return {"entries": audit.entries, "problems": audit.as_dict()["problems"], "reproduced": made.as_dict()}


class Watch:
    """Shows a replay: a progress bar, and a line for each week."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("flights served", total=None)

    def __call__(self, what: str, value: Any) -> None:
        if what == "requests":
            self._progress.update(self._task, total=value)
        elif what == "served":
            self._progress.advance(self._task, value)
        elif isinstance(value, Day):
            self._day(value)
        elif isinstance(value, Week):
            self._week(value)

    def _day(self, day: Day) -> None:
        """A line for each event of a rollout, and for each incident that opens."""
        for turn in day.rollouts:
            state = turn.state
            if state.stage == PROMOTING:
                continue  # the next line says that it is
            colour = COLOURS.get(state.stage, "cyan")
            where = WORDS.get(state.stage, state.where)
            text = f"v{state.number} [{colour}]{where}[/]"
            self._line(day.at, text + (f": {escape(state.reason)}" if state.cause else ""), indent=5)

        for kept in day.ticked.incidents:
            if kept.incident.event in (OPENED, REOPENED):
                told = f"incident {kept.incident.number} {kept.incident.event}"
                self._line(day.at, f"[red]{told}[/]: {escape(kept.incident.text)}", indent=5)

    def _week(self, week: Week) -> None:
        cohort = week.cohort
        text = ""
        if cohort and cohort.auc:
            text += f"AUC {cohort.auc.estimate:.3f} [{cohort.auc.low:.3f}, {cohort.auc.high:.3f}], "
        text += f"labels {cohort.maturity if cohort else 0:3.0%} mature"
        for day in week.days:
            for judgement in day.ticked.judged:
                text += f"  v{judgement.number} [bold]{judgement.decision.verdict.value}[/]"
            by = "" if day.ticked.trigger is None else f" ({day.ticked.trigger.reason})"
            text += "".join(f"  trained v{version.number}{by}" for version in day.ticked.trained)
            text += "".join(f"  [yellow]planted v{number}[/]" for number in day.planted)
        self._line(week.at, text)

    def _line(self, at: int, text: str, indent: int = 2) -> None:
        """A day, and what is told of it; what does not fit goes on below itself."""
        line = Table.grid()
        line.add_row(f"   {instant_text(at)[:10]}", Padding(text, (0, 0, 0, indent)))
        self._progress.console.print(line)


def why(candidate: dict[str, Any], way: dict[str, Any]) -> str:
    """The first check that decided, or why it was taken back; the comparison itself stands in its own column."""
    if way["cause"] and way["end"] in BACK:
        return f"{way['at'][:10]}: {way['reason']}"
    told = [check for check in candidate["checks"] if check["verdict"] == candidate["verdict"]]
    if told[0]["name"] != "better_than_champion" and candidate["verdict"] != "PASS":
        return str(told[0]["reason"])
    words = {"PASS": "better by more than", "FAIL": "not better by", "INSUFFICIENT": "cannot tell if it is better by"}
    return f"{words[candidate['verdict']]} the margin {candidate['margin']:g}, {candidate['rows']:,} rows"


def show(summary: dict[str, Any], out: Path) -> None:
    table = Table(
        "", "verdict", "gain in AUC", "why", title="Candidates against the champion", box=None, pad_edge=False
    )
    table.columns[2].no_wrap = True
    ways = {way["version"]: way for way in summary["ways"]}
    for one in summary["candidates"]:
        gain, way = one["interval"], ways[one["version"]]
        verdict = one["verdict"] + (f", {way['end']}" if one["verdict"] == "PASS" else "")
        shown = f"{gain['estimate']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]" if gain else ""
        table.add_row(f"v{one['version']}", verdict, shown, escape(why(one, way)))
    console.print(table)
    console.print()
    figures = Table("", "", show_header=False, box=None)
    latency = summary["latency_ms"]
    figures.add_row("served", f"{summary['served']:,} predictions, {summary['errors']} errors")
    figures.add_row(
        "latency", f"p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms with {summary['in_flight']} in flight"
    )
    figures.add_row(
        "parity", f"{summary['parity_equal']:,} of {summary['parity_checked']:,} computed again, equal bit for bit"
    )
    shadows = f"{summary['shadow_rows']:,} rows, {summary['shadow_rows_shed']:,} not shown for want of time"
    figures.add_row("shadows", shadows)
    figures.add_row("champions", " → ".join(f"v{one['version']}" for one in summary["promotions"]))
    watched = summary["watched"] or {"windows": 0, "incidents": []}
    found = len(watched["incidents"])
    figures.add_row("watched", f"{watched['windows']} days, {found} incident{'' if found == 1 else 's'}")
    if worst := summary["why"]:
        causes = [one["cause"] for one in worst["causes"] if one["verdict"] == "found"] or ["no cause found"]
        figures.add_row("why", f"{worst['since'][:10]} to {worst['until'][:10]}: {worst['text']}; {', '.join(causes)}")
    figures.add_row("void", f"{summary['rows_void']:,} flights cancelled or diverted, out of the denominator")
    figures.add_row("time", ", ".join(f"{step} {seconds:.0f} s" for step, seconds in summary["seconds"].items()))
    figures.add_row("report", os.path.relpath(out / "report.html"))
    console.print(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where records, report and summary are written")
    parser.add_argument("--end", default="2013-07-01", help="the day the replay ends")
    options = parser.parse_args()
    out = options.out.resolve()
    seconds: dict[str, float] = {}
    shutil.rmtree(out / "state", ignore_errors=True)
    project = Project(HERE, home=out / "state", clock=ReplayClock(instant(START)), actor="demo")

    with timed(seconds, "ingest", "1. The year's events into Delta tables"):
        for one in project.ingest():
            console.print(f"   {one.source:<12}{one.events:>9,} events")
            for reason, count in one.reasons.items():
                console.print(f"   {'':<12}{count:>9,} in quarantine: {reason}")
    with timed(seconds, "train", "2. The first model: January to March as known on 1 April, the last 14 days held out"):
        version = project.train(as_of=START, holdout="14d")
        move = project.promote(version.number)
        gain = move.evidence["interval"]
        console.print(
            f"   v{version.number} on {version.manifest.dataset.rows:,} rows passes its first gate and is champion"
        )
        console.print(
            f"   AUC on the hold-out better than the constant's by {gain['estimate']:+.3f} "
            f"[{gain['low']:+.3f}, {gain['high']:+.3f}], {gain['n']:,} rows"
        )
    with (
        timed(seconds, "replay", "3. The server as its own process, each flight asked about two hours early"),
        Progress(
            TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=console, transient=True,
        ) as progress,
    ):  # fmt: skip
        replayed = replay(project, start=START, end=options.end, planted=PLANTED, watch=Watch(progress))
    project.close()
    with timed(seconds, "verify", "4. Parity: every prediction computed again from the events, in a fresh process"):
        parity = verify_in_fresh_process(project)
    with timed(seconds, "reproduce", "5. The record: every byte held against what was written, the champion made anew"):
        record = hold_the_record(project)

    summary = summarise(project, replayed, parity, seconds) | record
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (out / "report.html").write_text(render(summary), encoding="utf-8")
    console.print()
    show(summary, out)
    if summary["errors"] or not parity["holds"] or record["problems"] or record["reproduced"]["outcome"] != "exact":
        raise SystemExit(1)
    home = f"--project {HERE.relative_to(Path.cwd())}" if HERE.is_relative_to(Path.cwd()) else f"--project {HERE}"
    console.print(f"\nnext: .venv/bin/backstay status {home} --home {options.out}/state --as-of {options.end}")


if __name__ == "__main__":
    main()
