"""The notifier that sends e-mail, by SMTP: over TLS, but to this machine."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import parse_qs, quote, unquote, urlsplit

from backstay.core.errors import BackstayError, InputError
from backstay.core.times import SECOND
from backstay.monitoring.notifiers.message import Message
from backstay.monitoring.notifiers.web import LOOPBACK

_EXPECTED = "smtps://USER:${PASSWORD}@HOST/?from=ADDRESS&to=ADDRESS,ADDRESS"


class Email:
    """Sends a message as a mail; the mails of one incident are one thread.

    url: smtps://user:password@host/?from=a@b.c&to=d@e.f,g@h.i; with smtp:// it is STARTTLS, which must be there unless
         the host is this machine

    >>> Email("smtps://mail.example.com/?from=backstay@example.com")
    Traceback (most recent call last):
    backstay.core.errors.InputError: it names nobody to send to (at notify.email); expected \
smtps://USER:${PASSWORD}@HOST/?from=ADDRESS&to=ADDRESS,ADDRESS
    """

    name = "email"

    def __init__(self, url: str) -> None:
        where = f"notify.{self.name}"
        parts = urlsplit(url)
        try:
            self._port = parts.port
        except ValueError:
            raise InputError("its port is no number", where=where, expected=_EXPECTED) from None
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise InputError("it is no URL of a mail server", where=where, expected=_EXPECTED)
        given = parse_qs(parts.query)
        self._host, self._secure = parts.hostname, parts.scheme == "smtps"
        self._user, self._password = (None if one is None else unquote(one) for one in (parts.username, parts.password))
        self._from = given.get("from", [""])[-1]
        self._to = [one.strip() for text in given.get("to", ()) for one in text.split(",") if one.strip()]
        if not self._to:
            raise InputError("it names nobody to send to", where=where, expected=_EXPECTED)
        if not self._from:
            raise InputError("it names nobody to send from", where=where, expected=_EXPECTED)
        if any("@" not in one or any(c.isspace() for c in one) for one in (self._from, *self._to)):
            raise InputError("an address of it is none", where=where, expected=_EXPECTED)

    def send(self, message: Message, timeout: float) -> None:
        """Send it; what the server refuses, wholly or for one address, is a `BackstayError`."""
        try:
            with self._connected(timeout) as server:
                if self._user is not None:
                    server.login(self._user, self._password or "")
                refused = server.send_message(self._mail(message))
        except (OSError, smtplib.SMTPException) as error:
            raise BackstayError(f"it cannot be sent: {_said(error)}", where=self._where) from None
        if refused:
            raise BackstayError(f"{len(refused)} of {len(self._to)} addresses were refused", where=self._where)

    @property
    def _where(self) -> str:
        return f"notify.{self.name}, {self._host}"

    def _connected(self, timeout: float) -> smtplib.SMTP:
        """A session with the server, encrypted unless it is on this machine."""
        context = ssl.create_default_context()
        if self._secure:
            return smtplib.SMTP_SSL(self._host, self._port or 465, timeout=timeout, context=context)
        server = smtplib.SMTP(self._host, self._port or 587, timeout=timeout)
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
            elif self._host not in LOOPBACK:
                raise BackstayError(
                    "it does not encrypt", where=self._where, expected="STARTTLS", fix="use smtps://, or another server"
                )
        except BaseException:
            server.close()
            raise
        return server

    def _mail(self, message: Message) -> EmailMessage:
        mail, host = EmailMessage(), self._from.rpartition("@")[2]
        mail["Subject"], mail["From"], mail["To"] = message.subject, self._from, ", ".join(self._to)
        mail["Date"] = formatdate(message.at / SECOND)
        of = f"{quote(message.project, safe='')}@{host}"
        mail["Message-ID"] = f"<{message.id.replace('/', '.')}.{of}>"
        mail["References"] = f"<{message.model}.{message.number}.{of}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.plain)
        return mail


def _said(error: Exception) -> str:
    """What went wrong, without what the server quotes: an address may be in it."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the server answered {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"the server refused all {len(error.recipients)} addresses"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "no answer, or none in time"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) and error.strerror else "") or type(error).__name__
