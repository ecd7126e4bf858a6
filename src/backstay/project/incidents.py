"""The incidents of a project: `project.incidents`. What is wrong, since when, whose it is; and telling people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from backstay.core.errors import InputError
from backstay.core.settings import NOTIFY, SETTINGS, expanded
from backstay.core.show import Shown, dated
from backstay.core.times import duration, instant, instant_text
from backstay.definitions import Model
from backstay.lifecycle import incidents as kept
from backstay.lifecycle.incidents import Kept, last_looked, reference, standing
from backstay.lifecycle.notifying import Delivery, Make, deliver, deliveries, sent, undelivered
from backstay.lifecycle.records import Records
from backstay.monitoring import incidents as doing
from backstay.monitoring.alerts import as_yaml, rules
from backstay.monitoring.dashboard import dashboard
from backstay.monitoring.gauges import Watch, written
from backstay.monitoring.incidents import Incident, ranked, spent
from backstay.monitoring.notifiers.loading import Notifier, notifier
from backstay.monitoring.notifiers.message import Message
from backstay.project.loading import Definitions
from backstay.project.permits import Permits

_FIXED = {one.name for one in SETTINGS}


@dataclass(frozen=True, slots=True)
class Story(Shown):
    """One incident with all that is known of it.

    timeline:   what happened to it, in order
    deliveries: every try to tell people
    so_far:     what it has cost by its estimate; None where no cost is declared
    """

    now: Kept
    timeline: tuple[Kept, ...]
    deliveries: tuple[Delivery, ...]
    so_far: float | None

    def as_dict(self) -> dict[str, Any]:
        steps = [
            {
                "at": instant_text(one.at), "event": one.incident.event, "by": one.incident.who or one.actor,
                "why": one.incident.why, "entry": one.entry_id,
            }
            for one in self.timeline
        ]  # fmt: skip
        return {
            **told(self.now), "so_far": self.so_far, "timeline": steps,
            "deliveries": [one.as_dict() for one in self.deliveries],
        }  # fmt: skip


def told(one: Kept) -> dict[str, Any]:
    """An incident as plain data, its times as text."""
    data = one.as_dict()
    members = [dated(member, "since", "last") for member in data["members"]]
    before = [dated(change, "at") for change in data["before"]]
    return {
        **dated(data, "onset", "first", "seen", "until", "ended", "at"), "members": members, "before": before,
    }  # fmt: skip


class Incidents:
    """Shows incidents and acts on them. That they are opened and end is for `tick`.

    project.incidents.list()
    project.incidents.acknowledge(3, why="looking at the feed")
    project.incidents.resolve(3, why="the feed was mended")
    """

    def __init__(
        self, records: Records, definitions: Definitions, permits: Permits, settings: Mapping[str, Any], name: str
    ) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits
        self._settings, self._name = settings, name

    def list(self, model: str | None = None, *, all: bool = False, as_of: str | int | None = None) -> list[Kept]:
        """What is wrong with the models, or the one that is named: what costs most comes first.

        all:   also what is over
        as_of: as the ledger had it then; by default now
        """
        moment = None if as_of is None else instant(as_of, where="as_of")
        names = [self._definitions.model(model).name] if model is not None else [*self._definitions.models]
        found: dict[tuple[str, int], Kept] = {}
        for name in names:
            self._permits.model(self._definitions.model(name), "look at incidents of", "read_offline")
            found |= {(name, one.incident.number): one for one in kept.incidents(self._records, name, as_of=moment)}
        order = ranked([one.incident for one in found.values() if all or one.incident.active])
        return [found[one.model, one.number] for one in order]

    def show(self, number: int, model: str | None = None, *, as_of: str | int | None = None) -> Story:
        """One incident: as it is, what changed before it, its timeline, whom it was told to; or as it was then."""
        one, records = self._model(model, "look at incidents of", act=False), self._records
        moment = None if as_of is None else instant(as_of, where="as_of")
        now = kept.incident(records, one.name, number, as_of=moment)
        return Story(
            now, tuple(kept.timeline(records, one.name, number, as_of=moment)),
            tuple(deliveries(records, one.name, number, as_of=moment)),
            spent(now.incident, records.clock.now() if moment is None else moment),
        )  # fmt: skip

    def acknowledge(self, number: int, model: str | None = None, *, why: str = "") -> Kept:
        """Somebody is on it: it is told again only when it gets worse."""
        return self._act(number, model, lambda one, _: doing.acknowledge(one, self._records.actor, why))

    def snooze(
        self, number: int, model: str | None = None, *, until: str | int | None = None, span: str | None = None,
        why: str = "",
    ) -> Kept:  # fmt: skip
        """Nothing is told of it until then, or for so long, unless it gets worse."""
        if (until is None) == (span is None):
            raise InputError("it takes one of until and for", expected="a moment, or how long", fix="--for 3d")

        def snoozed(one: Incident, now: int) -> Incident:
            end = now + duration(span, where="for") if span is not None else instant(until or 0, where="until")
            return doing.snooze(one, self._records.actor, end, now, why)

        return self._act(number, model, snoozed)

    def resolve(self, number: int, model: str | None = None, *, why: str, accept: bool = False) -> Kept:
        """It is over: what was done, in a sentence. If its signals come back in a later window it opens again.

        accept: what it is about is how the world is now; its signals are no news until another version answers
        """

        def resolved(one: Incident, now: int) -> Incident:
            version = reference(self._records, one.model) if accept else None
            return doing.resolve(one, self._records.actor, now, why, version)

        return self._act(number, model, resolved)

    def own(self, number: int, owner: str, model: str | None = None, *, why: str = "") -> Kept:
        """It is somebody else's from now on."""
        return self._act(number, model, lambda one, _: doing.own(one, self._records.actor, owner, why))

    def rules(self) -> str:
        """Prometheus' alert rules for the models of the project, as the text of a rules file."""
        return as_yaml(rules(self._name, [*self._definitions.models.values()]))

    def dashboard(self) -> dict[str, Any]:
        """A Grafana dashboard of the project, to be imported."""
        return dashboard(self._name, [*self._definitions.models])

    def metrics(self) -> str:
        """What these rules go by, as it is now, in Prometheus' text form."""
        records = self._records
        watches = [
            Watch(name, standing(records, one), last_looked(records, name), undelivered(records, name))
            for name, one in self._definitions.models.items()
        ]
        for one in self._definitions.models.values():
            self._permits.model(one, "look at incidents of", "read_offline")
        return written(watches, records.clock.now())

    def tell(self, model: Model, *, after: int = 0) -> tuple[Delivery, ...]:
        """Tell people what has happened and was not delivered yet, by every notifier that is configured.

        after: entries after this one were written just now, and are sent at once
        """
        makers = configured(self._settings)
        mine = range(after + 1, self._records.ledger.revision() + 1) if makers else range(0)
        seconds, least = self._seconds, self._settings["notify.least"]
        return tuple(deliver(self._records, model.name, self._name, makers, timeout=seconds, least=least, mine=mine))

    def trial(self) -> dict[str, str]:
        """Send every notifier a message that tells of nothing; by name what went wrong, "" where it arrived."""
        self._permits.everything("try notifiers", "promote")
        message, seconds = Message.trial(self._name, self._records.clock.now()), self._seconds
        return {name: sent(make, message, seconds) for name, make in configured(self._settings).items()}

    @property
    def _seconds(self) -> float:
        return float(self._settings["notify.timeout_ms"]) / 1000

    def _act(self, number: int, model: str | None, change: Any) -> Kept:
        one = self._model(model, "act on incidents of", act=True)
        return kept.act(self._records, one, number, change)

    def _model(self, name: str | None, what: str, *, act: bool) -> Model:
        one = self._definitions.model(name)
        self._permits.model(one, what, "promote" if act else "read_offline")
        return one


def configured(settings: Mapping[str, Any]) -> dict[str, Make]:
    """By name, what makes each notifier that the settings have: a secret is read, and a mistake found, only then."""
    given = {name: text for name, text in settings.items() if name.startswith(NOTIFY) and name not in _FIXED}
    return {name.removeprefix(NOTIFY): partial(_made, name, text) for name, text in given.items()}


def _made(name: str, text: str) -> Notifier:
    return notifier(name.removeprefix(NOTIFY), expanded(text, name) or "")
