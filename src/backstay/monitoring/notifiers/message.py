"""A message about an incident, and the forms it is sent in: a CloudEvent, Slack's blocks, a plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from backstay.core.show import Shown
from backstay.core.times import SECOND, instant_text
from backstay.monitoring.incidents import ENDED, OPENED, REOPENED, RESOLVED, WOKE, WORSENED, Incident, spent, words
from backstay.monitoring.signals import INPUT_DRIFT

TOLD = (OPENED, WORSENED, REOPENED, WOKE, ENDED, RESOLVED)
"""What is told of an incident. That it grew, or that somebody took it over, is in its timeline alone."""
TRIED = "tried"
"""The event of a message by which somebody finds out whether messages come."""


@dataclass(frozen=True, slots=True)
class Message(Shown):
    """What is told of an incident.

    id:    the same each time it is sent: who gets it twice can tell
    at:    when it happened, microseconds UTC
    event: what happened; since: the onset; cost: of a day, so_far: until `at`; None where no cost is declared
    """

    id: str
    project: str
    model: str
    number: int
    event: str
    state: str
    severity: str
    cause: str
    text: str
    at: int
    since: int
    cost: float | None
    so_far: float | None
    owner: str
    runbook: str

    @classmethod
    def of(cls, project: str, incident: Incident, at: int, entry: int) -> Message:
        """The message of an incident as it stands in an entry of the ledger, written at `at`."""
        return cls(
            f"{incident.model}/{incident.number}/{entry}", project, incident.model, incident.number, incident.event,
            incident.state, incident.severity, incident.cause, incident.text, at, incident.onset, incident.cost,
            spent(incident, at), incident.owner, incident.runbook,
        )  # fmt: skip

    @classmethod
    def trial(cls, project: str, at: int) -> Message:
        """A message that tells of nothing, to find out whether messages come."""
        said = "this is a trial: nothing is wrong"
        return cls(
            f"{TRIED}/{at}", project, "no model", 0, TRIED, "resolved", INPUT_DRIFT, INPUT_DRIFT, said, at, at, None,
            None, "", "",
        )  # fmt: skip

    @property
    def subject(self) -> str:
        """All of it in one line."""
        if self.event == TRIED:
            return f"[{self.project}] {self.text}"
        return f"[{self.project}] {self.model}: incident {self.number} {self.event} ({words(self.severity)})"

    @property
    def facts(self) -> dict[str, str]:
        """What a person wants to know, by its name; only what is known."""
        cost = "" if self.cost is None else f"{self.cost:.4g} a day"
        if self.so_far is not None:
            cost += f", {self.so_far:.4g} so far"
        known = {
            "severity": words(self.severity), "cause": words(self.cause), "since": _minute(self.since),
            "estimated cost": cost, "owner": self.owner, "runbook": self.runbook,
            "see": "" if self.event == TRIED else f"backstay incidents show {self.number} --model {self.model}",
        }  # fmt: skip
        return {name: said for name, said in known.items() if said}

    @property
    def plain(self) -> str:
        """The message as a text of its own."""
        return "\n".join([self.subject, "", self.text, "", *(f"{name}: {said}" for name, said in self.facts.items())])


def _minute(micros: int) -> str:
    return instant_text(micros // SECOND * SECOND)


def cloud_event(message: Message) -> dict[str, Any]:
    """A message as a CloudEvent 1.0 in its structured JSON form (CNCF CloudEvents specification, version 1.0.2).

    source and id together are the same for the same happening, and of nothing else.
    """
    data = message.as_dict()
    return {
        "specversion": "1.0", "id": message.id, "source": f"/backstay/{quote(message.project, safe='')}",
        "type": f"backstay.incident.{message.event}", "subject": f"{message.model}/{message.number}",
        "time": instant_text(message.at), "datacontenttype": "application/json", "severity": message.severity,
        "data": {**data, "at": instant_text(message.at), "since": instant_text(message.since)},
    }  # fmt: skip


def slack_blocks(message: Message) -> dict[str, Any]:
    """A message as Slack's incoming webhooks take it, and what speaks as they do (Mattermost, Rocket.Chat, Discord)."""
    facts = "\n".join(f"*{_escaped(name)}*: {_escaped(said)}" for name, said in message.facts.items())
    return {
        "text": _escaped(f"{message.subject}: {message.text}"),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": message.subject[:150]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": _escaped(message.text)[:3000]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": facts[:3000]}},
        ],
    }


def _escaped(text: str) -> str:
    """A text in which Slack sees no mark-up, no link and nobody's name."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
