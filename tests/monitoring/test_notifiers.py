"""Notifiers, against real servers: what arrives, what is refused, and that no secret and no row is in what is said."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.monitoring.mail_server import MailServer
from tests.monitoring.web_server import listening

from backstay.core.errors import BackstayError, InputError
from backstay.core.times import DAY
from backstay.definitions import IncidentPolicy
from backstay.monitoring.grouping import Looked, fold
from backstay.monitoring.incidents import resolve
from backstay.monitoring.notifiers.loading import notifier, notifiers
from backstay.monitoring.notifiers.mail import Email
from backstay.monitoring.notifiers.message import Message, cloud_event, slack_blocks
from backstay.monitoring.notifiers.web import Slack, Webhook
from backstay.monitoring.signals import Signal

WINDOW = (0, DAY)
SIGNALS = (
    Signal("input_drift", "carrier<delay>", "DRIFT", 0.31, 0.1, 0, WINDOW, {"unseen": "Mrs Smith"}, cost=12.0),
    Signal("realised_loss", "log_loss", "DRIFT", 0.05, 0.01, 0, WINDOW),
)
POLICY = IncidentPolicy(owner="risk", runbook="https://wiki/late")
(INCIDENT,) = fold("late", [], Looked(WINDOW, SIGNALS, 1), {}, POLICY)
MESSAGE = Message.of("shop", INCIDENT, 2 * DAY, 57)


def valid(event: dict[str, Any]) -> None:
    """What CloudEvents 1.0.2 asks of an event in the JSON format: required attributes, types, names of extensions."""
    for name in ("id", "source", "specversion", "type"):
        assert isinstance(event[name], str), name
        assert event[name], name
    assert event["specversion"] == "1.0"
    assert urlsplit(event["source"]).geturl() == event["source"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", event["time"])
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in event)
    for name, value in event.items():
        assert name == "data" or isinstance(value, (str, int, bool)), name


def test_a_webhook_gets_a_cloud_event_in_structured_mode() -> None:
    with listening() as there:
        Webhook(there.url + "?a=b").send(MESSAGE, 2)
    ((path, headers, event),) = there.requests
    assert (path, headers["content-type"]) == ("/hook?a=b", "application/cloudevents+json; charset=UTF-8")
    valid(event)
    assert (event["id"], event["source"], event["subject"]) == ("late/1/57", "/backstay/shop", "late/1")
    assert (event["type"], event["time"], event["severity"]) == (
        "backstay.incident.opened", "1970-01-03T00:00:00Z", "realised_loss",
    )  # fmt: skip
    data = event["data"]
    assert (data["cause"], data["cost"], data["so_far"], data["since"]) == (
        "input_drift", 12.0, 24.0, "1970-01-01T00:00:00Z",
    )  # fmt: skip
    assert event == cloud_event(MESSAGE)


def test_nothing_of_a_row_and_nothing_that_people_wrote_leaves_the_house() -> None:
    over = Message.of("shop", resolve(INCIDENT, "ann", DAY, "Mrs Smith called"), DAY, 58)
    for one in (MESSAGE, over):
        for said in (json.dumps(cloud_event(one)), json.dumps(slack_blocks(one)), one.plain):
            assert "Smith" not in said


def test_slack_gets_text_and_blocks_without_mark_up_of_ours() -> None:
    with listening(200) as there:
        Slack(there.url).send(MESSAGE, 2)
    ((_, headers, body),) = there.requests
    assert headers["content-type"].startswith("application/json")
    assert set(body) == {"text", "blocks"}
    assert "carrier&lt;delay&gt; 0.31, tolerated 0.1" in body["text"]
    assert [block["type"] for block in body["blocks"]] == ["header", "section", "section"]
    assert body["blocks"][0]["text"]["text"] == "[shop] late: incident 1 opened (realised loss)"
    assert "*estimated cost*: 12 a day, 24 so far" in body["blocks"][2]["text"]["text"]


@pytest.mark.parametrize(
    ("before", "header"),
    [("s3cret@", "Bearer s3cret"), ("ann:s%40cret@", "Basic YW5uOnNAY3JldA==")],
)
def test_a_secret_goes_into_the_header(before: str, header: str) -> None:
    with listening() as there:
        Webhook(there.url.replace("//", f"//{before}")).send(MESSAGE, 2)
    assert there.requests[0][1]["authorization"] == header


@pytest.mark.parametrize(("status", "said"), [(500, "it answered 500"), (302, "redirects are not followed")])
def test_what_is_no_2xx_has_failed(status: int, said: str) -> None:
    with listening(status) as there, pytest.raises(BackstayError, match=said):
        Webhook(there.url).send(MESSAGE, 2)
    assert len(there.requests) == 1


def test_who_does_not_answer_is_not_waited_for_and_no_secret_is_told() -> None:
    with listening(hangs=True) as there, pytest.raises(BackstayError, match="no answer in time") as caught:
        Webhook(there.url.replace("//", "//s3cret@")).send(MESSAGE, 0.1)
    assert "s3cret" not in str(caught.value)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(BackstayError, match="Connection refused") as caught:
        Webhook(f"http://s3cret@127.0.0.1:{port}/T0/secret").send(MESSAGE, 1)
    assert "secret" not in str(caught.value).replace("notify.webhook", "")


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://example.com", "https://", "", "https://host:port/"])
def test_a_url_that_is_not_https_or_of_this_machine_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"notify\.slack"):
        Slack(url)


def test_mail() -> None:
    with MailServer() as there:
        sender = Email(f"smtp://127.0.0.1:{there.port}/?from=backstay@shop.example&to=ann@a.example, bob@b.example")
        sender.send(MESSAGE, 2)
        sender.send(replace(MESSAGE, id="late/1/60", event="ended"), 2)
    first, second = there.mails
    assert there.recipients == ["ann@a.example", "bob@b.example"] * 2
    assert first["Subject"] == "[shop] late: incident 1 opened (realised loss)"
    assert (first["Message-ID"], first["References"]) == (
        "<late.1.57.shop@shop.example>", "<late.1.shop@shop.example>",
    )  # fmt: skip
    assert second["References"] == first["References"]
    text = first.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert b"runbook: https://wiki/late" in text
    assert b"backstay incidents show 1 --model late" in text


def test_mail_that_is_refused_or_not_answered() -> None:
    with MailServer(refuse="550 no such user ann@a.example") as there:
        url = f"smtp://127.0.0.1:{there.port}/?from=b@shop.example&to=ann@a.example"
        with pytest.raises(BackstayError, match="refused all 1 addresses") as caught:
            Email(url).send(MESSAGE, 2)
        assert "ann@" not in str(caught.value)
    with MailServer(dumb=True) as there, pytest.raises(BackstayError, match="none in time"):
        Email(f"smtp://127.0.0.1:{there.port}/?from=b@x.example&to=a@x.example").send(MESSAGE, 0.1)


def test_mail_to_another_machine_is_encrypted_or_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Email("smtp://ann:secret@mail.example/?from=b@x.example&to=a@x.example")
    with MailServer() as there:
        connect = socket.create_connection
        monkeypatch.setattr(
            socket, "create_connection", lambda _at, *more, **named: connect(("127.0.0.1", there.port), *more, **named)
        )
        with pytest.raises(BackstayError, match="it does not encrypt"):
            sender.send(MESSAGE, 2)
    assert there.mails == []


@pytest.mark.parametrize(
    "url",
    [
        "mail.example", "smtp://h/?from=a@b", "smtp://h/?to=a@b", "smtp://h:x/?from=a@b&to=a@b",
        "smtps://h/?from=a&to=a@b", "smtps://h/?from=a@b&to=a@b%0d%0aBcc:c@d",
    ],
)  # fmt: skip
def test_a_mail_server_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"notify\.email"):
        Email(url)


def test_they_are_found_by_their_names() -> None:
    assert {"email", "slack", "webhook"} <= {*notifiers()}
    assert isinstance(notifier("slack", "https://hooks.example/x"), Slack)
    with pytest.raises(InputError, match="there is no notifier 'pager'"):
        notifier("pager", "x")
