"""Which answer of a version's gate holds, and what keeps one from being acted on."""

from __future__ import annotations

from dataclasses import dataclass

from backstay.core.errors import RefusedError
from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.lifecycle.judgement import GATE, Judgement, fallen, read_judgement
from backstay.lifecycle.overrides import applied, in_force
from backstay.lifecycle.records import Records
from backstay.registry.versions import ModelVersion
from backstay.rollout import Check
from backstay.storage.ports import Entry


@dataclass(frozen=True, slots=True)
class Standing(Shown):
    """The gate's last answer about a version, with the overrides that are in force, and why it does not hold ("")."""

    judgement: Judgement | None
    why: str = ""


def standing(records: Records, model: Model, version: ModelVersion, *, as_of: int) -> Judgement | None:
    """The gate's last answer about a version, if it holds at a moment, whatever it says; else None.

    It holds while it has not expired, is about this manifest, by the policy and with the rule that are in force, and
    against the champion there is (or once the version is champion itself). Its decision counts the overrides that are
    in force at that moment, and no other.
    """
    found = where_it_stands(records, model, version, as_of=as_of)
    return None if found.why else found.judgement


def where_it_stands(
    records: Records, model: Model, version: ModelVersion, *, as_of: int, entry: Entry | None = None
) -> Standing:
    """The same, with the reason. entry: of this answer, instead of the last."""
    entry = records.ledger.last(GATE, f"{model.name}/{version.number}", as_of=as_of) if entry is None else entry
    if entry is None:
        return Standing(None, "it has not been judged")
    if why := fallen(records, model, version, entry, as_of=as_of):
        return Standing(_judgement(records, model, version, entry, as_of) if _mine(version, entry) else None, why)
    judgement = _judgement(records, model, version, entry, as_of)
    champion = records.registry.alias(model.name, "champion", as_of=as_of)
    now = None if champion is None else champion.to
    if now not in (judgement.against, version.number):
        before = "the base rate" if judgement.against is None else f"version {judgement.against}"
        return Standing(judgement, f"it was compared with {before}; version {now} is champion now")
    return Standing(judgement)


def confirmed(
    records: Records, model: Model, version: ModelVersion, judgement: Judgement, *, as_of: int, now: int
) -> Judgement:
    """The judgement as the ledger has it, with the overrides in force now; `RefusedError` where it is not the last of
    this version, is about another manifest, or has expired at `as_of`."""
    where = f"{model.name}/{judgement.number}"
    last = records.ledger.last(GATE, where)
    if last is None or last.id != judgement.entry_id:
        said = "there is no such answer of its gate" if last is None else "its gate has answered again since"
        raise RefusedError(said, where=where, expected="the gate's last answer", fix=_again(model, version))
    if why := fallen(records, model, version, last, as_of=as_of):
        raise RefusedError(why, where=where, expected="an answer that holds", fix=_again(model, version))
    return _judgement(records, model, version, last, now)


def _again(model: Model, version: ModelVersion) -> str:
    return f"backstay check {version.number} --model {model.name}"


def _mine(version: ModelVersion, entry: Entry) -> bool:
    return bool(entry.body["manifest"] == version.digest)


def _judgement(records: Records, model: Model, version: ModelVersion, entry: Entry, as_of: int) -> Judgement:
    recorded = [Check.from_dict(one) for one in entry.body["decision"]["checks"]]
    found = in_force(records, version, as_of=as_of)
    return read_judgement(model, entry, applied(recorded, found, against=entry.body["against"]))
