"""Access: who may do what is what the ledger's entries come to, and every decision and denial is one of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import AccessError, InputError, IntegrityError, NotFoundError
from backstay.core.identity import sha256
from backstay.definitions.roles import ROLES, Access, Grant
from backstay.registry.access import ACCESS, Authority, Denial
from backstay.storage.backends.local.ledger import LocalLedger
from tests.registry.records import BACKENDS, make_stores

SETS = ["order", "visit"]


@pytest.fixture(params=BACKENDS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return make_stores(request.param, tmp_path)[0]


def acting(ledger: Any, actor: str) -> Authority:
    return Authority(ledger, ReplayClock(1_000), actor, SETS)


def told(ledger: Any) -> list[tuple[str, str, str]]:
    return [(one.actor, one.subject, one.body["action"]) for one in ledger.entries(kind=ACCESS)]


def test_an_open_project_allows_everything_and_records_nothing(ledger: Any) -> None:
    for role in ROLES:
        acting(ledger, "anybody").require(role, ["order", None], "do it")
    assert acting(ledger, "anybody").now().open
    assert ledger.revision() == 0


def test_the_first_grant_makes_its_giver_admin_and_closes_the_project(ledger: Any) -> None:
    assert acting(ledger, "ana").grant("bob", "read_online", "order")
    assert told(ledger) == [("ana", "ana", "grant"), ("ana", "bob", "grant")]
    acting(ledger, "ana").require("define", [None], "promote")
    acting(ledger, "bob").require("read_online", ["order"], "predict")
    for actor, role, wanted in (
        ("bob", "read_online", "visit"),
        ("bob", "read_online", None),
        ("bob", "define", "order"),
        ("eve", "read_online", "order"),
    ):
        with pytest.raises(AccessError, match=f"{actor} may not look.*the role {role} on"):
            acting(ledger, actor).require(role, [wanted], "look")  # type: ignore[arg-type]
    last = ledger.entries(kind=ACCESS)[-1]
    assert (last.actor, last.subject) == ("eve", "eve")
    assert last.body == {
        "action": "denied", "what": "look", "role": "read_online", "feature_sets": ["order"], "count": 1,
    }  # fmt: skip
    assert [one for one in told(ledger) if one[2] == "denied"] == [("bob", "bob", "denied")] * 3 + [
        ("eve", "eve", "denied")
    ]


def test_a_grant_on_all_covers_each_and_granting_again_changes_nothing(ledger: Any) -> None:
    ana = acting(ledger, "ana")
    assert ana.grant("bob", "write")
    acting(ledger, "bob").require("write", ["order", "visit", "yet_to_come"], "push")
    revision = ledger.revision()
    assert not ana.grant("bob", "write")
    assert ledger.revision() == revision


def test_one_of_several_is_enough_where_it_is_said_so(ledger: Any) -> None:
    acting(ledger, "ana").grant("bob", "write", "visit")
    bob = acting(ledger, "bob")
    bob.require("write", ["order", "visit"], "push", one=True)
    with pytest.raises(AccessError, match="'order'"):
        bob.require("write", ["order", "visit"], "push")
    with pytest.raises(AccessError, match="'order' or feature set 'other'"):
        bob.require("write", ["order", "other"], "push", one=True)


def test_only_an_admin_decides(ledger: Any) -> None:
    acting(ledger, "ana").grant("bob", "define")
    bob = acting(ledger, "bob")
    for attempt in (
        lambda: bob.grant("bob", "admin"),
        lambda: bob.revoke("ana", "admin"),
        lambda: bob.token("ana"),
        lambda: bob.revoke_tokens("ana"),
    ):
        with pytest.raises(AccessError, match=r"bob may not .* the role admin"):
            attempt()
    # Not even by writing into the ledger: an entry of one who was no admin changes nothing.
    ledger.append(ACCESS, "bob", {"action": "grant", "role": "admin", "feature_set": None}, at=1, actor="bob")
    ledger.append(ACCESS, "ana", {"action": "revoke", "role": "admin", "feature_set": None}, at=1, actor="bob")
    ledger.append(ACCESS, "bob", {"action": "token", "sha256": sha256(b"x")}, at=1, actor="bob")
    now = acting(ledger, "x").now()
    assert (now.admin("ana"), now.admin("bob"), now.tokens) == (True, False, {})


def test_the_last_admin_stays_whoever_was_first(ledger: Any) -> None:
    ana = acting(ledger, "ana")
    ana.grant("bob", "admin")
    with pytest.raises(NotFoundError, match=r"bob was not granted write on all feature sets.*one of: admin"):
        ana.revoke("bob", "write")
    # Both remove each other at once: the first in the ledger wins, the other is no admin any more.
    for actor, principal in (("ana", "bob"), ("bob", "ana")):
        body = {"action": "revoke", "role": "admin", "feature_set": None}
        ledger.append(ACCESS, principal, body, at=1, actor=actor)
    assert (ana.now().admin("ana"), ana.now().admin("bob")) == (True, False)
    with pytest.raises(InputError, match="ana is the last admin"):
        ana.revoke("ana", "admin")
    ledger.append(ACCESS, "ana", {"action": "revoke", "role": "admin", "feature_set": None}, at=1, actor="ana")
    assert ana.now().admin("ana")
    assert not ana.now().open


def test_two_who_are_first_at_once(ledger: Any) -> None:
    for actor in ("ana", "bob"):
        ledger.append(ACCESS, actor, {"action": "grant", "role": "admin", "feature_set": None}, at=1, actor=actor)
    assert (acting(ledger, "x").now().admin("ana"), acting(ledger, "x").now().admin("bob")) == (True, False)
    with pytest.raises(AccessError):
        acting(ledger, "bob").grant("eve", "write")


def test_revoking_takes_effect_for_everybody_who_follows(ledger: Any) -> None:
    ana, bob = acting(ledger, "ana"), acting(ledger, "bob")
    ana.grant("bob", "read_offline", "order")
    bob.require("read_offline", ["order"], "train")
    ana.revoke("bob", "read_offline", "order")
    with pytest.raises(AccessError):
        bob.require("read_offline", ["order"], "train")


def test_a_token_is_returned_once_and_only_its_digest_is_recorded(ledger: Any) -> None:
    ana = acting(ledger, "ana")
    with pytest.raises(InputError, match="the project is open"):
        ana.token("bob")
    ana.grant("bob", "read_online", "order")
    first, second = ana.token("bob"), ana.token("bob")
    assert len({first, second}) == 2
    assert min(len(first), len(second)) >= 40
    assert ana.now().tokens == {sha256(first.encode()): "bob", sha256(second.encode()): "bob"}
    assert not any(first in str(one.body) or second in str(one.body) for one in ledger.entries())
    with pytest.raises(NotFoundError, match="eve has no role"):
        ana.token("eve")
    assert ana.revoke_tokens("bob") == 2
    assert ana.now().tokens == {}
    with pytest.raises(NotFoundError, match="bob has no token"):
        ana.revoke_tokens("bob")
    assert [one[2] for one in told(ledger)] == ["grant", "grant", "token", "token", "revoke_tokens"]


def test_who_there_is(ledger: Any) -> None:
    ana = acting(ledger, "ana")
    ana.grant("bob", "read_online", "order")
    ana.grant("bob", "write")
    ana.token("bob")
    ana.record(Denial("eve", "write", ("order",), "push"), 41)
    with pytest.raises(AccessError):
        acting(ledger, "eve").require("write", ["order"], "push")
    assert [one.as_dict() for one in ana.principals()] == [
        {"name": "ana", "roles": [{"role": "admin", "feature_set": None}], "tokens": 0, "denied": 0},
        {
            "name": "bob",
            "roles": [{"role": "read_online", "feature_set": "order"}, {"role": "write", "feature_set": None}],
            "tokens": 1,
            "denied": 0,
        },
        {"name": "eve", "roles": [], "tokens": 0, "denied": 42},
    ]


@pytest.mark.parametrize(
    ("principal", "role", "feature_set", "told"),
    [
        (
            "bob",
            "read",
            "order",
            "there is no role 'read'.*read_online, .*write, define, promote, approve, admin",
        ),
        ("bob", "write", "ordr", "there is no feature set 'ordr'.*order"),
        ("bob", "admin", "order", "admin is a role on everything"),
        ("", "write", "order", "cannot name a principal"),
        ("a b", "write", "order", "cannot name a principal"),
        ("(home)", "write", "order", "cannot name a principal"),
        ("(unknown)", "write", "order", "cannot name a principal"),
    ],
)
def test_what_cannot_be_granted(ledger: Any, principal: str, role: str, feature_set: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        acting(ledger, "ana").grant(principal, role, feature_set)
    assert ledger.revision() == 0


def test_an_entry_that_was_changed_is_refused(tmp_path: Path) -> None:
    ledger = LocalLedger(tmp_path / "ledger.sqlite")
    acting(ledger, "ana").grant("bob", "read_online", "order")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("DROP TRIGGER ledger_no_update")
        connection.execute("UPDATE ledger SET body = replace(body, 'read_online', 'admin') WHERE subject = 'bob'")
    connection.close()
    with pytest.raises(IntegrityError, match="was changed"):
        acting(ledger, "bob").require("admin", [None], "do everything")


def test_what_is_asked_often_is_read_again_after_a_moment(ledger: Any) -> None:
    ana, bob = acting(ledger, "ana"), acting(ledger, "bob")
    ana.grant("bob", "read_online", "order")
    bob.require("read_online", ["order"], "look", often=True)
    ana.revoke("bob", "read_online", "order")
    bob.require("read_online", ["order"], "look", often=True)  # what was read a moment ago
    bob._read_at -= 0.1
    with pytest.raises(AccessError):
        bob.require("read_online", ["order"], "look", often=True)


def test_state_is_replaced_never_changed() -> None:
    before = Access()
    after = before.granted("ana", Grant("admin")).with_token("ana", "d")
    assert (before.grants, before.tokens) == ({}, {})
    assert after.without_tokens("ana").tokens == {}
    assert after.tokens == {"d": "ana"}
