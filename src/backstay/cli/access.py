"""Verbs of access control: `access grant | revoke | list | token`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table
from backstay.core.errors import InputError

PrincipalArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A person or a program, by name.", show_default=False)
]
RoleArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROLE", help="read_online, read_offline, write, define, or admin (everything).", show_default=False
    ),
]
FeatureSetOption = Annotated[
    str | None, typer.Option("--feature-set", metavar="F", help="On this feature set.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", metavar="", help="On all feature sets, those to come too.")]


def grant(
    ctx: typer.Context,
    name: PrincipalArgument,
    role: RoleArgument,
    feature_set: FeatureSetOption = None,
    everywhere: AllOption = False,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grant a role to a principal: on one feature set, or on all of them.

    The first grant closes the project: you become its admin, and from then on everybody needs a role for what they do.
    """
    _scoped(role, feature_set, everywhere)
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("granting"):
            access = shell.project.access
            first = access.now().open
            changed = access.grant(name, role, feature_set)
        answer = {"principal": name, "role": role, "feature_set": feature_set, "changed": changed}
        shell.show(answer, block({"principal": name, "role": role, "on": _on(role, feature_set), "new": changed}))
        if first:
            shell.note(f"the project is closed now; its admin is {access.actor}")
        shell.next("access", "token", name)


def revoke(
    ctx: typer.Context,
    name: PrincipalArgument,
    role: RoleArgument,
    feature_set: FeatureSetOption = None,
    everywhere: AllOption = False,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a role back from a principal, as it was granted.

    A running server follows within a tenth of a second; `access token --revoke` takes the tokens too.
    """
    _scoped(role, feature_set, everywhere)
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("revoking"):
            shell.project.access.revoke(name, role, feature_set)
        answer = {"principal": name, "role": role, "feature_set": feature_set, "revoked": True}
        shell.show(answer, block({"principal": name, "role": role, "on": _on(role, feature_set), "revoked": True}))
        shell.next("access", "list")


def listed(
    ctx: typer.Context, project: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """List the principals: their roles, how many tokens they have, and how often they were denied.

    Use it to see who may do what; `backstay ledger show --kind access` tells when, and by whom it was decided.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the ledger"):
            found = shell.project.access.principals()
            is_open = shell.project.access.now().open
        rows = [(one.name, "; ".join(map(str, one.grants)), count(one.tokens), count(one.denied)) for one in found]
        answer: dict[str, Any] = {"open": is_open, "principals": [one.as_dict() for one in found]}
        empty = "nobody has been granted anything: the project is open to whoever has its files"
        shell.show(answer, table(("principal", "~roles", ">tokens", ">denied"), rows, empty=empty))


def token(
    ctx: typer.Context,
    name: PrincipalArgument,
    revoking: Annotated[
        bool, typer.Option("--revoke", metavar="", help="Make all its tokens invalid instead.")
    ] = False,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a bearer token for a principal, to send to the server. It is shown this once: only its SHA-256 is kept.

    Make the new one, hand it out, and then revoke: `--revoke` ends all tokens of the principal at once.
    """
    with Shell(ctx, project, home, as_json) as shell:
        if revoking:
            with shell.working("revoking"):
                number = shell.project.access.revoke_tokens(name)
            shell.show({"principal": name, "revoked": number}, f"{number} of {name}'s tokens revoked")
            return
        with shell.working("making a token"):
            made = shell.project.access.token(name)
        shell.show({"principal": name, "token": made}, made)
        shell.note("it is shown this once; send it as Authorization: Bearer TOKEN")


def _scoped(role: str, feature_set: str | None, everywhere: bool) -> None:
    from backstay.definitions.roles import ROLES

    if role not in ROLES:
        raise InputError(f"there is no role {role!r}", where="role", expected=f"one of {', '.join(ROLES)}")
    if role != "admin" and (feature_set is None) is not everywhere:
        raise InputError(
            f"{role} on which feature set?",
            where="--feature-set",
            expected="--feature-set F, or --all",
            fix="name one of the two",
        )


def _on(role: str, feature_set: str | None) -> str:
    return "everything" if role == "admin" else feature_set or "all feature sets"
