"""Verbs about the ledger: what was decided, and whether every byte of it is what was written."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from backstay.cli import plain
from backstay.cli.failures import NO
from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, minute, table, when


def show(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many.")] = 20,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            show_default=False,
            help="Of one kind only: data, version, gate, approval, rollout, alias, route, access, server, ...",
        ),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the last entries of the ledger: what was decided, when, by whom and on what evidence.

    Use it to see how things came to be as they are; entries are never changed.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the ledger"):
            entries = shell.project.entries(kind, limit=limit)
        rows = [
            (one.id, minute(when(one.at)), one.actor, one.kind, one.subject, _told(one.kind, one.body))
            for one in entries
        ]
        columns = (">entry", "at", "by", "kind", "subject", "what")
        empty = "the ledger is empty" if kind is None else f"there is no entry of the kind {kind}"
        shell.show({"entries": [plain.entry(one) for one in entries]}, table(columns, rows, empty=empty))


def _told(kind: str, body: Any) -> str:
    if kind == "gate":
        verdict, against = body["decision"]["verdict"], body["against"]
        if verdict == "PASS":
            return (
                f"PASS against {'the base rate' if against is None else f'version {against}'} on {body['rows']:,} rows"
            )
        return f"{verdict}: {body['decision']['reason']}"
    if kind == "data":
        decision, rows = body["decision"], f"{body['rows']:,} rows, dataset {body['dataset'][:12]}"
        if body.get("accepted"):
            return f"{decision['verdict']}, accepted: {body['accepted']} ({rows})"
        return f"PASS: {rows}" if decision["verdict"] == "PASS" else f"{decision['verdict']}: {decision['reason']}"
    if kind == "approval":
        return f"{'approved' if body['decision'] == 'approve' else 'rejected'}: {body['why']}"
    if kind == "signature":
        return f"signed, bundle {body['bundle'][:12]}"
    if kind == "retired":
        return f"retired: {body['why']}"
    if kind == "collected":
        return f"{len(body['digests']):,} files, {body['bytes'] / 1e6:,.1f} MB"
    if kind == "alias":
        before = f", before {body['previous']}" if body["previous"] else ""
        return f"to version {body['to']}{before}"
    if kind == "version":
        came = f", from {body['origin']['project']}" if body.get("origin") else ""
        return f"number {body['number']}, manifest {body['manifest'][:12]}{came}"
    if kind == "server":
        machine = body["machine"]
        workers = f"{body['workers']} worker{'s' if body['workers'] != 1 else ''}"
        return f"{workers} on {machine['cores']} cores of {machine['cpu']}, backstay {body['packages']['backstay']}"
    if kind == "access":
        on = body.get("feature_set") or "all feature sets"
        times = f" ({body['count']} times)" if body.get("count", 1) > 1 else ""
        told = {
            "grant": f"granted {body.get('role')} on {on}",
            "revoke": f"revoked {body.get('role')} on {on}",
            "token": f"a token, SHA-256 {body.get('sha256', '')[:12]}",
            "revoke_tokens": "all tokens revoked",
            "denied": f"denied{times}: {body.get('what')}",
        }
        return told.get(str(body["action"]), str(body["action"]))
    if kind in ("rollout", "route", "tests", "override", "rule"):
        return _sentence(kind, body)
    text = json.dumps(body, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."


def _sentence(kind: str, body: Any) -> str:
    """What was decided about who answers, and by what."""
    if kind == "rollout":
        from backstay.rollout.stages import State

        return f"version {body['number']}: {State.from_dict(body).where}: {body['reason']}"
    if kind == "route":
        from backstay.registry.routing import BUCKETS

        parts = []
        for one in body["parts"]:
            part = sum(end - begin for begin, end in one["spans"]) / BUCKETS
            parts.append(f"{'shadow ' if one['shadow'] else ''}{one['name']} {100 * part:.4g}%")
        return f"{', '.join(parts) or 'all to the champion'}: {body['why']}"
    if kind == "tests":
        bad = [f"{body[name]:,} {name}" for name in ("failures", "errors", "skipped") if body[name]]
        return f"{body['tests']:,} feature tests, {', '.join(bad) or 'all passed'}"
    if kind == "override":
        done = "no longer overridden" if body["withdrawn"] else "overridden"
        return f"{body['check']}, which says {body['verdict']}, is {done}: {body['why']}"
    numbers = [f"{name} {body[name]}" for name in ("calibration", "threshold") if body.get(name) is not None]
    return f"{', '.join(numbers) or 'as it was trained'}: {body['why']}"


def verify(
    ctx: typer.Context,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="NUMBER:DIGEST",
            show_default=False,
            help="A head that was written down once: the ledger must still hold it.",
        ),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the whole record, and hold every byte against what was written: the ledger, its models, their data.

    Run it on a schedule, and before you trust a copy. It names all that is wrong, and exits with 1 if anything is.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the ledger") as progress:
            found = shell.project.archive.audit(head, progress=progress)
        facts = {
            "entries": count(found.entries),
            "versions": count(found.versions),
            "files": count(found.files),
            "tables": count(found.tables),
            "head": found.head or "none",
            "problems": count(len(found.problems)) if found.problems else "none: every byte is what was written",
        }
        rows = [(one.where, one.what, one.fix) for one in found.problems]
        problems = table(("~where", "~problem", "~fix"), rows) if rows else None
        shell.show(found.as_dict(), block(facts), problems)
        if not found.sound:
            raise typer.Exit(NO)


def head(
    ctx: typer.Context, project: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Print the ledger's head: number and digest of its last entry, which prove all before it.

    Write it down where nobody who can change the ledger can change it (a release note, a mail, another team's log),
    and hand it to `ledger verify --head` later.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the ledger"):
            entries = shell.project.entries(limit=1)
        told = f"{entries[-1].id}:{entries[-1].digest}" if entries else None
        shell.show({"head": told}, told or "the ledger is empty")
