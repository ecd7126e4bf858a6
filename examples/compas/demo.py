"""A decision about people, told with what the sample can't say, in under a minute: `make demo-people`.

Broward County, 2013 and 2014. Nothing here should decide about anybody: see README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Literal, NamedTuple

import people
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from backstay.core.clock import ReplayClock
from backstay.core.drawing import STYLE
from backstay.core.errors import AccessError, InputError
from backstay.core.pages import document, table
from backstay.core.times import instant
from backstay.evaluation import Estimate, Interval, auc_interval, paired_difference
from backstay.evaluation.fairness import Answers, FairnessReport, Frontier, Gap, fairness_report, propose
from backstay.evaluation.figures.frontier import frontier_figure
from backstay.evaluation.figures.rates import rates_figure
from backstay.lifecycle.fairness import Chosen, VersionFairness
from backstay.lifecycle.fairness_page import render
from backstay.lifecycle.judge import Judgement
from backstay.project import Project

HERE = Path(__file__).parent
TRAINED, JUDGED, LAST = "2013-11-01", "2014-10-01", "2016-04-02"
RATES = {"base_rate": "base rate", "ppv": "PPV", "fnr": "FNR", "fpr": "FPR"}
WHY = "an arrest is not a crime, and where police look is not chance; so nothing may rest on errors counted against it"


class Grid(NamedTuple):
    """A table. `>` before a column's name: numbers, to the right."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def drawn(self) -> Table:
        """As the terminal shows it: only the last column wraps, and no number is cut."""
        out = Table(box=None, pad_edge=False)
        out.add_column("", min_width=1)  # an indent: padding would cut what is wider than the terminal
        for place, name in enumerate(self.columns):
            header, wraps = name.lstrip(">"), name[0] != ">" and place == len(self.columns) - 1
            widest = max(len(header), *(len(_plain(row[place])) for row in self.rows))
            justify: Literal["left", "right"] = "right" if name[0] == ">" else "left"
            out.add_column(header, justify=justify, no_wrap=not wraps, min_width=None if wraps else widest)
        for row in self.rows:
            out.add_row("", *row)
        return out


class Figure(str):
    """A drawing: of the page, and not of the terminal."""

    __slots__ = ()


class Story:
    """What is told, to the terminal and to a page, with the seconds that each step takes."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self.page: list[str] = ["<h1>A decision about people</h1>"]
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        begin = time.perf_counter()
        self._console.print(f"\n[bold]{len(self.seconds) + 1}. {text}[/]")
        self.page.append(f"<h2>{escape(text)}</h2>")
        yield
        self.seconds[text] = time.perf_counter() - begin

    def say(self, *parts: str | Grid) -> None:
        for part in parts:
            if isinstance(part, Grid):
                title = [f"   [dim]{part.title}[/]"] if part.title else []
                self._console.print("", *title, part.drawn(), "", sep="\n", crop=False)
                rows = [tuple(_plain(cell) for cell in row) for row in part.rows]
                self.page.append(table(part.title, part.columns, rows, level=3))
            elif isinstance(part, Figure):
                self.page.append(part)
            else:
                self._console.print(Padding(part, (0, 0, 0, 3)))
                self.page.append(f"<p>{escape(_plain(part))}</p>")


def _plain(text: str) -> str:
    return Text.from_markup(text).plain


story = Story()
say = story.say


@contextmanager
def acting(who: str, home: Path, clock: ReplayClock) -> Iterator[Project]:
    """The project as somebody opens it."""
    project = Project(HERE, home=home, clock=clock, actor=who)
    try:
        yield project
    finally:
        project.close()


def shown(one: Estimate) -> str:
    """A share in three digits with its interval in two, or that there is none."""
    if not isinstance(one, Interval):
        return "[dim]too few[/]"
    low, high = (f"{limit:.2f}".removeprefix("0") for limit in (one.low, one.high))
    return f"{one.estimate:.3f} [dim]{low}-{high}[/]"


def groups(report: FairnessReport, title: str) -> Grid:
    """Each group's rates with their intervals, and the FPR that Chouldechova's identity makes of the others."""
    first = report.groups[0]
    rows = []
    for cell, identity in zip(first.cells, first.conflict.identities, strict=True):
        told = isinstance(cell.rates["fpr"], Interval) and identity.implied is not None
        implied = f"{identity.implied:.3f}" if told else "[dim]too few[/]"
        rows.append((cell.name, f"{cell.rows:,}", *(shown(cell.rates[name]) for name in RATES), implied))
    return Grid(title, (first.name, ">people", *(f">{name}" for name in RATES.values()), ">identity"), rows)


def gaps(found: tuple[Gap, ...]) -> Grid:
    """A criterion's gap by each attribute and crossing, beside what chance would make of it."""
    rows = [
        (
            one.partition, shown(one.gap), "" if one.floor is None else f"{one.floor:.3f}", f"[bold]{one.finding}[/]",
            f"{one.lowest} - {one.highest}",
        )
        for one in found
    ]  # fmt: skip
    return Grid("", ("by", ">gap", ">by chance", "answer", "between"), rows)


def prices(found: Frontier, title: str) -> Grid:
    """What it costs to make a gap smaller by a threshold for each group."""
    points = (found.now, found.single, *found.points)
    rows = [
        (one.name, f"{100 * one.cost:.1f}", shown(one.gap), "yes" if one.needs_attribute else "no") for one in points
    ]
    return Grid(title, ("policy", ">cost of 100 people", ">gap", "needs the attribute"), rows)


def events(home: Path, clock: ReplayClock) -> None:
    """The file as events; and who may do what."""
    with acting("court", home, clock) as project:
        for one in project.ingest():
            say(f"{one.source:<11}{one.events:>6,} events")
            say(*(f"{'':<11}{count:>6,} in quarantine: {reason}" for reason, count in one.reasons.items()))
        for who, features, roles in (
            ("analyst", "criminal_record", ("read_offline", "define")),
            ("auditor", "criminal_record", ("read_offline", "approve", "promote")),
            ("auditor", "protected", ("read_offline",)),
        ):
            for role in roles:
                project.access.grant(who, role, features)
    say("No model reads race, sex or age band. The auditor may read them; the analyst, who trains, may not.")


def vendor() -> dict[str, FairnessReport]:
    """The published figures, and the same of those who were followed for two years."""
    rows = people.published()
    found = {}
    for name, some in (("published", rows), ("followed", rows.filter("followed"))):
        attributes = some.select("race", "sex", "age_band")
        found[name] = fairness_report(
            some["outcome"], some["decile"], attributes, threshold=5, criterion="predictive_equality"
        )
    published, followed = found.values()
    panel = published.groups[0].conflict
    residuals = [one.residual for group in published.groups for one in group.conflict.identities]
    worst = max(abs(one) for one in residuals if one is not None)
    never = "; ".join(f"{one.first} and {one.second}" for one in panel.pairs if one.together == "no")
    say(
        "Filter and outcome are ProPublica's; a decile of 5 or more counts as positive.",
        groups(published, f"as published: {published.rows:,} people"),
        Figure(rates_figure(published.groups[0], "fpr")),
        Figure(rates_figure(published.groups[0], "ppv")),
        "The last column is what base rate, PPV and FNR make of FPR (Chouldechova 2017). It is FPR itself, to "
        f"{worst:.0e} in each group and crossing: arithmetic, and no finding.",
        f"{panel.reason[0].upper()}{panel.reason[1:]}.",
        f"So no score makes these hold together: {never}.",
        "ProPublica counted errors (FPR, FNR), the vendor what a high score means (PPV). Each had counted rightly.",
        groups(followed, f"of those who were followed for two years: {followed.rows:,} people"),
        f"The other {published.rows - followed.rows} are in the file only because they were arrested again. Without "
        "them, base rates and PPV are lower by about a tenth, and FPR is the same. A figure can be reproduced to three "
        "digits, and still rest on who was kept in a file.",
    )
    assert isinstance(followed.frontier, Frontier)
    say(
        prices(followed.frontier, "what a smaller gap in FPR by race would cost, where each error costs 1"),
        Figure(frontier_figure(followed.frontier)),
    )
    return found


def criterion(home: Path, clock: ReplayClock) -> Chosen:
    """The guide's answer, recorded with name and reason before anybody has seen a figure of the model."""
    answers = {"kind": "punitive", "capacity": "unlimited", "feedback": "all"}
    with acting("court", home, clock) as project:
        found = project.evaluations.choose_criterion("half_year", why=WHY, labels="biased", **answers)
    other = propose(Answers(labels="trusted", **answers))
    say(
        "The score holds people in jail (punitive), as many as it likes (unlimited); its label is an arrest (biased).",
        f"[bold]{found.criterion}[/], as {found.rationale}.",
        f"Recorded by {found.by}, entry {found.entry_id} of the ledger: {found.why}.",
        f"Given up with it: {', '.join(found.given_up)}.",
        f"Whoever trusts the label is led to {other.criterion}: a question of what an arrest is, and not of figures.",
    )
    return found


def trained(home: Path, clock: ReplayClock) -> int:
    """A version for the question about half a year, by the analyst, who may not see whom it is unfair to."""
    with acting("analyst", home, clock) as project:
        version = project.train("half_year")
        rows, rate = version.manifest.dataset.rows, version.manifest.base_rate
        say(
            f"half_year v{version.number}: learned from {rows:,} people screened by May 2013, of whom {rate:.1%} were "
            "arrested within half a year"
        )
        clock.advance(instant(JUDGED))
        try:
            project.evaluations.fairness(version.number, "half_year")
        except AccessError as error:
            say(f"the analyst asks for its fairness report: {error.what}")
    return version.number


def checks(judgement: Judgement) -> Grid:
    """What the gate asked, and what it was answered: of each check the first of its reasons."""
    rows = [(one.name, f"[bold]{one.verdict}[/]", one.reason.split("; ")[0]) for one in judgement.decision.checks]
    return Grid("", ("check", "answer", "why"), rows)


def judged(number: int, home: Path, clock: ReplayClock) -> tuple[Judgement, VersionFairness]:
    """The gate's answer about the version, what the auditor does about it, and the version's fairness report."""
    with acting("auditor", home, clock) as project:
        judgement = project.judge(number, "half_year")
        say(checks(judgement), f"The gate answers [bold]{judgement.decision.verdict}[/].")
        try:
            project.decide(number, "approve", "half_year", why="it is better than a coin")
        except InputError as error:
            say(f"approving it all the same: {error.what}; expected {error.expected}")
        why = f"whether it treats groups alike can't be told from {judgement.rows:,} people"
        decided = project.decide(number, "reject", "half_year", why=why)
        say(f"{decided.by} decides: [bold]{decided.decision}[/], since {decided.why}")
        return judgement, project.evaluations.fairness(number, "half_year")


def beside_the_vendor(number: int, home: Path, clock: ReplayClock) -> dict[str, Interval]:
    """The AUC of our score and of the vendor's on the same people; theirs knows the age, and a questionnaire."""
    with acting("auditor", home, clock) as project:
        scored = project.evaluations.rows(number, "half_year")
    rows, score = scored.labelled, scored.score
    decile = rows.frame.join(people.rows().select("person", "decile"), on="person", how="left")["decile"]
    found = {name: auc_interval(rows.outcome, one, rows.day) for name, one in (("ours", score), ("theirs", decile))}
    found["gain"] = paired_difference(rows.outcome, score, decile, rows.day, "auc")
    told = {name: f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]" for name, one in found.items()}
    say(f"AUC {told['ours']}; of the vendor's decile on the same people {told['theirs']}: more by {told['gain']}")
    return found


def reported(found: VersionFairness) -> None:
    """The fairness report of our model, as far as the rows go."""
    report = found.report
    primary = report.gaps(report.criterion or "")
    say(
        f"{report.rows:,} people screened after it was trained, {report.positives} arrested within half a year, "
        f"{report.selected} called likely; {found.void} void.",
        groups(report, ""),
        Figure(rates_figure(report.groups[0], "selection_rate")),
        f"Gaps in {report.criterion}, with p-values adjusted for {len(primary)} looks; 0.1 is put up with:",
        gaps(primary),
    )
    assert isinstance(report.frontier, Frontier)
    say(
        prices(report.frontier, "what a smaller gap by race would cost; a wrong call costs 0.18, a missed arrest 0.82"),
        Figure(frontier_figure(report.frontier)),
        "A policy that needs the attribute treats the same record differently, by race: whether it may is a question "
        f"for the law, and for those it is done to. {_smallest(report.frontier)}",
    )


def _smallest(found: Frontier) -> str:
    """How large the smallest gap of the frontier may be."""
    least = min((one.gap for one in found.points if isinstance(one.gap, Interval)), key=lambda one: one.estimate)
    return f"And from so few, the smallest of these gaps may still be {least.high:.2f}."


def two_years(home: Path, clock: ReplayClock) -> Judgement:
    """The vendor's own question, and why this file can't judge any answer to it."""
    clock.advance(instant(LAST))
    with acting("analyst", home, clock) as project:
        version = project.train("two_years")
        rows = version.manifest.dataset.rows
        say(f"two_years v{version.number}: learned from {rows:,} people, all that were followed")
    with acting("auditor", home, clock) as project:
        judgement = project.judge(version.number, "two_years")
        say(checks(judgement))
    say("Whoever may judge it was screened after all that it learned from was known: two years later. Nobody was.")
    return judgement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo/people"), help="where records and reports are written")
    out = parser.parse_args().out.resolve()
    shutil.rmtree(out / "state", ignore_errors=True)
    home, clock = out / "state", ReplayClock(instant(TRAINED))
    with story.step("The file as events, and who may read what"):
        events(home, clock)
    with story.step("The vendor's score, as published, and of those who were followed"):
        vendors = vendor()
    with story.step(f"{TRAINED}: which fairness? The guide's answer, before there is a figure"):
        chosen = criterion(home, clock)
    with story.step("A model that asks about half a year"):
        number = trained(home, clock)
    with story.step(f"{JUDGED}: its gate"):
        judgement, found = judged(number, home, clock)
        auc = beside_the_vendor(number, home, clock)
    with story.step("Its fairness, and what a smaller gap would cost"):
        reported(found)
    with story.step(f"{LAST}: the vendor's question, two years"):
        later = two_years(home, clock)
    told = {
        "vendor": {name: one.as_dict() for name, one in vendors.items()},
        "criterion": chosen.as_dict(),
        "half_year": {"judgement": judgement.as_dict(), "fairness": found.as_dict()},
        "auc": {name: one.as_dict() for name, one in auc.items()},
        "two_years": {"judgement": later.as_dict()},
        "seconds": {name: round(one, 1) for name, one in story.seconds.items()},
    }
    (out / "report.json").write_text(json.dumps(told, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (out / "report.html").write_text(document("A decision about people", *story.page, style=STYLE), encoding="utf-8")
    (out / "fairness.html").write_text(render(found), encoding="utf-8")
    say(f"reports: {os.path.relpath(out / 'report.html')}, fairness.html and report.json")


if __name__ == "__main__":
    main()
