"""Notifiers that post JSON to a URL: CloudEvents to any webhook, blocks to what speaks as Slack does.

The URL is a secret as a whole (Slack's is): no error shows more of it than its host. It is https, or of this machine.
Redirects are not followed: a message goes where it was configured to go.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from backstay.core.errors import BackstayError, InputError
from backstay.monitoring.notifiers.message import Message, cloud_event, slack_blocks

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Webhook:
    """Posts a message as a CloudEvent, in structured mode.

    url: https://host/path; a password in it is sent as Basic authentication, a user alone as a bearer token

    >>> Webhook("http://example.com/hook")
    Traceback (most recent call last):
    backstay.core.errors.InputError: the URL is http:// (at notify.webhook); expected https://, or http:// of this \
machine. Fix: put TLS in front of it
    """

    name, kind = "webhook", "application/cloudevents+json; charset=UTF-8"
    form: Callable[[Message], dict[str, Any]] = staticmethod(cloud_event)

    def __init__(self, url: str) -> None:
        self._url = _checked(url, f"notify.{self.name}")

    def send(self, message: Message, timeout: float) -> None:
        """Post it; any answer but a 2xx is a `BackstayError`, and so is none within `timeout` seconds."""
        url, where = self._url, f"notify.{self.name}, {self._url.hostname}"
        body = json.dumps(self.form(message), ensure_ascii=False, allow_nan=False).encode()
        secure = url.scheme == "https"
        assert url.hostname is not None
        connection = (HTTPSConnection if secure else HTTPConnection)(url.hostname, url.port, timeout=timeout)
        try:
            connection.request("POST", _target(url), body, {"Content-Type": self.kind, **_authorized(url)})
            status = connection.getresponse().status
        except (OSError, HTTPException) as error:
            raise BackstayError(f"it cannot be reached: {_said(error)}", where=where) from None
        finally:
            connection.close()
        if not 200 <= status < 300:
            more = "; redirects are not followed" if 300 <= status < 400 else ""
            raise BackstayError(f"it answered {status}{more}", where=where, expected="a 2xx")


class Slack(Webhook):
    """Posts a message as Slack's incoming webhooks take it: {"text", "blocks"}."""

    name, kind = "slack", "application/json; charset=UTF-8"
    form = staticmethod(slack_blocks)


def _checked(url: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_read = parts.port
    except ValueError:
        raise InputError("it is no URL", where=where, expected="https://host/path") from None
    del port_is_read
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError("it is no URL of the web", where=where, expected="https://host/path")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise InputError(
            "the URL is http://", where=where, expected="https://, or http:// of this machine",
            fix="put TLS in front of it",
        )  # fmt: skip
    return parts


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _authorized(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    if url.password is None:
        return {"Authorization": f"Bearer {unquote(url.username)}"}
    pair = f"{unquote(url.username)}:{unquote(url.password)}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _said(error: Exception) -> str:
    """What went wrong, without anything of the URL."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return text or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
