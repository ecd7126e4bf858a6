"""The verbs in the order of a model's life, what they print as help, and where every run ends."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption

from backstay import __version__
from backstay.cli import (
    access,
    approvals,
    architecture,
    batch,
    catalog,
    check,
    counterfactual,
    data,
    doctor,
    evaluating,
    experiments,
    fairness,
    imbalance,
    impact,
    incidents,
    init,
    ledger,
    mlflow,
    models,
    monitoring,
    objectives,
    papers,
    parity,
    quarantine,
    reproduce,
    retention,
    rollouts,
    routes,
    rules,
    runs,
    serving,
    shadow,
    signing,
    slices,
    tuning,
    watching,
    why,
)
from backstay.cli.failures import (
    BAD,
    BUG,
    CODES,
    INTERRUPTED,
    PIPE,
    AnswerLost,
    ReaderGone,
    answering,
    report,
    report_error,
)
from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.core.errors import BackstayError

_FEED, _MODEL, _SERVE, _WATCH, _RECORD = (
    "1. Feed: what happened, and the features made of it",
    "2. Model: train a version, and let the gate decide",
    "3. Serve: predictions, each written down",
    "4. Watch: is it still good?",
    "At any time",
)
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # what Typer raises for a command line that is wrong


class _Group(TyperGroup):
    """A group that prints its help when it is called bare, and knows what an unknown verb may have meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            paths: dict[str, list[str]] = {}
            for name, path in _paths(ctx.find_root().command):
                paths.setdefault(name, []).append(f"backstay {path}")
            near = get_close_matches(args[0], paths, n=1)
            meant = f"; did you mean: {', or '.join(sorted(paths[near[0]]))}?" if near else ""
            ctx.fail(f"there is no verb {args[0]!r}{meant}")
        return super().resolve_command(ctx, args)


class _Shown(_Group):
    """A group whose verb `show` need not be said."""

    unsaid = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        bare = not args or (args[0].startswith("-") and not {"--help", "-h"} & {*args})
        return super().parse_args(ctx, [self.unsaid, *args] if bare else args)


class _Listed(_Shown):
    """A group whose verb `list` need not be said."""

    unsaid = "list"


def _paths(group: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Every verb, by its last word, as it is written in full."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _paths(command, f"{before}{name} ")
    for name in group.commands:
        yield name, f"{before}{name}"


def _epilog() -> str:
    codes = "; ".join(f"[bold]{code}[/] {meaning}" for code, meaning in CODES)
    more = "More on a verb: [bold]backstay VERB --help[/]. Completion: [bold]backstay --install-completion[/]."
    return f"Exit codes: {codes}.\n\n{more}"


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"backstay {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="backstay", cls=_Group, add_completion=True, rich_markup_mode="rich", epilog=_epilog(),
    context_settings={"help_option_names": ["--help", "-h"]},
)  # fmt: skip


@app.callback()
def backstay(
    ctx: typer.Context,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """The production half of machine learning: features, models, gates, serving and proof, in one folder.

    A first round, in a project's folder: [bold]ingest[/], [bold]train[/], [bold]judge[/], [bold]promote[/],
    [bold]serve[/]. Each prints the command that comes next.
    """


def _add(to: typer.Typer, name: str, verb: Callable[..., None], panel: str | None, example: str) -> None:
    to.command(name, help=_flowing(verb), rich_help_panel=panel, epilog=f"Example:  [bold]backstay {example}[/]")(verb)


def _flowing(verb: Callable[..., None]) -> str:
    """What a verb says of itself, with no line end within a paragraph: a terminal is as wide as it is."""
    return "\n\n".join(" ".join(part.split()) for part in (verb.__doc__ or "").split("\n\n"))


_features = typer.Typer(
    cls=_Group, rich_markup_mode="rich", help="Features: the catalogue, the online state, and the proof of parity."
)
_access = typer.Typer(
    cls=_Group, rich_markup_mode="rich", help="Access: who may read, write and define which features."
)
_route = typer.Typer(
    cls=_Group, rich_markup_mode="rich", help="The route: which versions share a model's requests with its champion."
)
_rollout = typer.Typer(
    cls=_Shown, rich_markup_mode="rich", help="The rollout: by which steps a version comes to answer everybody."
)
_experiment = typer.Typer(
    cls=_Group, rich_markup_mode="rich", help="Experiments: versions beside the champion, by what customers do."
)
_incidents = typer.Typer(
    cls=_Listed, rich_markup_mode="rich", help="Incidents: what is wrong with models, one a cause, and whose it is."
)
_ledger = typer.Typer(cls=_Group, rich_markup_mode="rich", help="The ledger: what was decided, and on what evidence.")

_add(app, "init", init.init, _FEED, "init shop --ci github")
_add(app, "ingest", data.ingest, _FEED, "ingest")
_add(app, "quarantine", quarantine.quarantine, _FEED, "quarantine payments --examples 3")
_add(_features, "list", catalog.features_list, None, "features list")
_add(_features, "show", catalog.features_show, None, "features show carrier_delay_3h")
_add(_features, "search", catalog.features_search, None, "features search delay carrier")
_add(_features, "backfill", data.features_backfill, None, "features backfill --until 2013-04-01")
_add(_features, "verify", parity.features_verify, None, "features verify --sample 10000")
_add(_features, "skew", parity.features_skew, None, "features skew --since 2013-06-01")
app.add_typer(_features, name="features", rich_help_panel=_FEED)
_add(app, "train", models.train, _MODEL, "train --as-of 2013-04-01 --holdout 14d")
_add(app, "tune", tuning.tune, _MODEL, "tune --trials 50")
_add(app, "imbalance", imbalance.imbalance, _MODEL, "imbalance --cost-fn 20 --out imbalance.html")
_add(app, "versions", models.versions, _MODEL, "versions")
_add(app, "runs", runs.runs, _MODEL, "runs --sort seconds --limit 5")
_add(app, "compare", runs.compare, _MODEL, "compare 5f70bf18 a0860070 --html compare.html")
_add(app, "judge", models.judge, _MODEL, "judge 1 --as-of 2013-04-01")
_add(app, "check", check.check, _MODEL, "check latest --markdown check.md --junit check.xml")
_add(app, "override", check.override, _MODEL, "override 3 --check holds_on_slices --why night-flights-end-in-may")
_add(app, "evaluate", evaluating.evaluate, _MODEL, "evaluate 3 --out evaluation.html")
_add(app, "fairness", fairness.fairness, _MODEL, "fairness 3 --by race,sex --html fairness.html")
_add(app, "fairness-guide", fairness.fairness_guide, _MODEL, "fairness-guide --kind assistive")
_add(app, "bundle", approvals.bundle, _MODEL, "bundle 3 --html evidence.html")
_add(app, "approve", approvals.approve, _MODEL, "approve 3 --why slices-looked-at")
_add(app, "reject", approvals.reject, _MODEL, "reject 3 --why worse-at-night")
_add(app, "promote", models.promote, _MODEL, "promote 1 --as-of 2013-04-01")
_add(app, "calibrate", rules.calibrate, _MODEL, "calibrate 3")
_add(app, "threshold", rules.threshold, _MODEL, "threshold 3 --cost 1:20 --calibration 1")
_add(app, "rule", rules.rule, _MODEL, "rule 3 --calibration 1 --threshold 1 --why a-missed-case-costs-20-reviews")
_add(app, "tick", models.tick, _MODEL, "tick")
_add(app, "reproduce", reproduce.reproduce, _MODEL, "reproduce 3")
_add(app, "card", papers.card, _MODEL, "card 3 --out card.html")
_add(app, "bom", papers.bom, _MODEL, "bom 3 --out bom.json")
_add(app, "export", papers.export, _MODEL, "export 3 --to mlflow --out exported")
_add(app, "mirror", mlflow.mirror, _MODEL, "mirror --to http://127.0.0.1:5000")
_add(app, "import", mlflow.import_, _MODEL, "import models:/late/1 --from http://127.0.0.1:5000")
_add(app, "serve", serving.serve, _SERVE, "serve --port 8000")
_add(app, "predict", batch.predict, _SERVE, "predict orders.parquet --out predictions --at asked_at")
_add(_route, "show", routes.show, None, "route show")
_add(_route, "set", routes.set_, None, "route set v7=5% shadow=v8 --why canary")
_add(_route, "clear", routes.clear, None, "route clear --why decided")
_add(_route, "explore", routes.explore, None, "route explore 1% --why to-judge-other-thresholds-later")
app.add_typer(_route, name="route", rich_help_panel=_SERVE)
_add(_rollout, "show", rollouts.show, None, "rollout show")
_add(_rollout, "start", rollouts.start, None, "rollout start 7")
_add(_rollout, "stop", rollouts.stop, None, "rollout stop --why complaints")
app.add_typer(_rollout, name="rollout", rich_help_panel=_SERVE)
_add(app, "watch", rollouts.watch, _SERVE, "watch --every 60s")
_add(
    _experiment, "start", experiments.start, None,
    "experiment start fewer_late --arm v7=50% --metric outcome --better lower --why is-v7-better",
)  # fmt: skip
_add(_experiment, "show", experiments.show, None, "experiment show")
_add(_experiment, "stop", experiments.stop, None, "experiment stop --why the-holidays-begin")
app.add_typer(_experiment, name="experiment", rich_help_panel=_SERVE)
_add(app, "rollback", routes.rollback, _SERVE, "rollback --why complaints")
_add(app, "predictions", serving.predictions, _SERVE, "predictions --limit 5")
_add(app, "trace", serving.trace, _SERVE, "trace 0199c1f2a5c87d3e9b1a6f0c4d2e8b7a")
_add(app, "impact", impact.impact, _SERVE, "impact weather.wind_speed --since 2013-06-04 --until 2013-06-05")
_add(app, "shadow", shadow.shadow, _SERVE, "shadow 4 --html shadow.html")
_add(app, "compact", serving.compact, _SERVE, "compact")
_add(app, "status", watching.status, _WATCH, "status --as-of 2013-07-01")
_add(app, "quality", watching.quality, _WATCH, "quality --as-of 2013-07-01")
_add(app, "monitor", monitoring.monitor, _WATCH, "monitor --since 2013-06-01 --until 2013-07-01 --html monitor.html")
_add(app, "slices", slices.slices, _WATCH, "slices 3 --triples")
_add(
    app, "counterfactual", counterfactual.counterfactual, _WATCH,
    "counterfactual --threshold 0.3 --cost 1:20 --since 2013-06-01",
)  # fmt: skip
_add(app, "why", why.why, _WATCH, "why --since 2013-06-01 --until 2013-07-01")
_add(app, "objectives", objectives.objectives, _WATCH, "objectives")
_add(_incidents, "list", incidents.listed, None, "incidents list --all")
_add(_incidents, "show", incidents.show, None, "incidents show 3")
_add(_incidents, "ack", incidents.ack, None, "incidents ack 3 --why looking-at-the-feed")
_add(_incidents, "snooze", incidents.snooze, None, "incidents snooze 3 --for 3d")
_add(_incidents, "resolve", incidents.resolve, None, "incidents resolve 3 --why the-feed-was-mended")
_add(_incidents, "own", incidents.own, None, "incidents own 3 weather-team")
app.add_typer(_incidents, name="incidents", rich_help_panel=_WATCH)
_add(app, "alerts", incidents.alerts, _WATCH, "alerts --out alerts")
_add(_ledger, "show", ledger.show, None, "ledger show --kind gate")
_add(_ledger, "verify", ledger.verify, None, "ledger verify")
_add(_ledger, "head", ledger.head, None, "ledger head")
app.add_typer(_ledger, name="ledger", rich_help_panel=_RECORD)
_add(_access, "grant", access.grant, None, "access grant scoring read_online --feature-set flight")
_add(_access, "revoke", access.revoke, None, "access revoke scoring read_online --feature-set flight")
_add(_access, "list", access.listed, None, "access list")
_add(_access, "token", access.token, None, "access token scoring")
app.add_typer(_access, name="access", rich_help_panel=_RECORD)
_add(app, "architecture", architecture.architecture, _RECORD, "architecture --out architecture.html")
_add(app, "sign", signing.sign, _RECORD, "sign 3 --key private.pem")
_add(app, "retire", retention.retire, _RECORD, "retire 3 --why superseded")
_add(app, "collect", retention.collect, _RECORD, "collect --dry-run")
_add(app, "doctor", doctor.doctor, _RECORD, "doctor")
_add(app, "settings", watching.settings, _RECORD, "settings")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started this has closed it: the next file opened would take its place
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the process is there
    try:
        with answering():
            return _run(given, as_json)
    except ReaderGone:
        _nowhere()
        return PIPE
    except AnswerLost as error:
        _nowhere()
        said = f"the answer could not be written: {error}"
        report(said, where="standard output", fix="free space; what the command did is done", as_json=False)
        return BAD


def _nowhere() -> None:
    """What is left in the buffer of standard output has no reader."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _command() -> Any:
    command = typer.main.get_command(app)
    for option in command.params:
        if isinstance(option, TyperOption) and "completion" in str(option.name):
            option.hidden = True  # the epilog mentions it in one line
    return command


def _run(given: list[str], as_json: bool) -> int:
    try:
        code = _command().main(given, prog_name="backstay", standalone_mode=False)
    except BackstayError as error:
        return report_error(error, as_json=as_json)
    except _UsageError as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "backstay")
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        report(said, fix=f"see: {command} --help", as_json=as_json)
        return BAD
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (ReaderGone, BrokenPipeError, AnswerLost):
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: the trace is shown, and the exit code is no answer
        traceback.print_exc()
        report(f"{type(error).__name__}: {error}", fix="the trace above says where", as_json=as_json)
        return BUG
    if code == INTERRUPTED:
        report("interrupted", as_json=as_json) if as_json else sys.stderr.write("interrupted\n")
    return code if isinstance(code, int) else 0
