"""Connections to one Redis or Valkey server: a question, an answer, and what goes wrong between them in our words.

redis-py connects, authenticates and parses; a command goes straight to one of its connections, since its client costs
half as much again as the question itself. Each connection is used by one thread at a time and kept when it is idle.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from backstay.core.errors import BackstayError, InputError

_DATABASE = re.compile(r"/?\d*")
SCHEMES = ("redis://", "rediss://", "unix://")


class Connections:
    """Connections to the server at `url`, made when they are needed.

    No wait for the server (to connect, to send, to receive) lasts more than `timeout` seconds. Raises `InputError` for
    a url that is not one.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.where = shown(url)
        self._redis, self._hiredis = _drivers()
        self._kind, self._options = _options(self._redis, url, self.where)
        self._options |= {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2}
        self._timeout = timeout
        self._idle: list[Any] = []
        self._closed = False
        self._made()

    def ask(self, *command: bytes | int, again: bool) -> Any:
        """The server's answer, as bytes, whole numbers, None, or lists of them.

        `again`: the command may be sent twice, so it is when a connection turns out to be dead that was idle. Otherwise
        an idle connection is probed before it is used, and a failure after that leaves open whether the command was
        done. Raises `BackstayError`.
        """
        packed = [self._hiredis.pack_command(command)]
        while True:
            connection, fresh = self._take(probe=not again)
            try:
                connection.send_packed_command(packed, check_health=False)
                answer = connection.read_response(disable_decoding=True)
            except self._redis.ResponseError as error:
                self._give(connection)
                raise self._refusal(error) from error
            except self._redis.RedisError as error:
                connection.disconnect()
                if again and not fresh and type(error) is self._redis.ConnectionError:
                    self._drop()  # the server has gone away: so are the others
                    continue
                raise self._failure(error, "" if again else "; whether the write was done is not known") from error
            except BaseException:
                connection.disconnect()  # its answer is still to come: it is of no use to anybody else
                raise
            self._give(connection)
            return answer

    def close(self) -> None:
        """Close what is idle now, and what is in use when it comes back. Asking is refused from now on."""
        self._closed = True
        self._drop()

    def check_open(self) -> None:
        """Raise `BackstayError` once closed."""
        if self._closed:
            raise BackstayError("the online state is closed", where=self.where)

    def _take(self, *, probe: bool) -> tuple[Any, bool]:
        """A connection, and whether it is fresh."""
        self.check_open()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connected(), True
            if not probe or _alive(connection, self._redis):
                return connection, False
            connection.disconnect()

    def _give(self, connection: Any) -> None:
        self._idle.append(connection)
        if self._closed:
            self._drop()

    def _drop(self) -> None:
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:  # another thread was first
                return

    def _made(self) -> Any:
        try:
            return self._kind(**self._options)
        except (TypeError, ValueError, self._redis.RedisError):
            raise InputError(
                "the url of the online state has an option that the driver does not know",
                where=self.where,
                expected="an address, and at most a user, a password and a number of the database",
            ) from None

    def _connected(self) -> Any:
        connection = self._made()
        try:
            connection.connect()
            self._refuse_evicting(connection)
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, self._redis.RedisError):
                raise self._failure(error) from error
            raise
        return connection

    def _refuse_evicting(self, connection: Any) -> None:
        """A server that throws out histories when its memory is full makes them look as if there never were any."""
        try:
            connection.send_command("INFO", "memory", check_health=False)
            told = connection.read_response(disable_decoding=True)
        except self._redis.ResponseError:  # not every user may ask
            return
        if b"maxmemory_policy:allkeys" in told:
            raise BackstayError(
                "the server evicts any key when its memory is full",
                where=self.where,
                expected="one that keeps what has no time to live",
                fix="set its maxmemory-policy to noeviction",
            )

    def _failure(self, error: Exception, doubt: str = "") -> BackstayError:
        late = isinstance(error, self._redis.TimeoutError)
        what = f"it did not answer within {self._timeout:g} s" if late else str(error).rstrip(". ")
        return BackstayError(
            f"the online state cannot be reached: {what}{doubt}",
            where=self.where,
            fix="see that the server runs there and that this machine may connect, then retry",
        )

    def _refusal(self, error: Exception) -> BackstayError:
        return BackstayError(
            f"the server of the online state refused: {error}", where=self.where, fix="mend what it names, then retry"
        )


def shown(url: str) -> str:
    """The url without user, password and options, as errors show it."""
    if not isinstance(url, str) or not url.startswith(SCHEMES):
        raise InputError(
            "the url of the online state is of no kind we know", where="online.url", expected=" or ".join(SCHEMES)
        )
    try:
        parts = urlsplit(url)
        if "@" in parts.path + parts.query or not (parts.scheme == "unix" or _DATABASE.fullmatch(parts.path)):
            raise ValueError  # the rest of a password: a "/" or "?" in it ended what was taken for the host
        host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
        return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError:  # it may quote the password: a "/" in one, say
        raise InputError(
            "the url of the online state cannot be read",
            where="online.url",
            expected="redis://user:password@host:port/database",
            fix="write special characters of the password as %XX",
        ) from None


def _drivers() -> tuple[Any, Any]:
    try:
        import hiredis
        import redis.connection
    except ImportError as error:
        raise BackstayError(
            f"the driver of Redis and Valkey is not installed: {error}",
            where="online.url",
            fix='pip install "backstay[redis]"',
        ) from error
    return redis, hiredis


def _options(redis: Any, url: str, where: str) -> tuple[Any, dict[str, Any]]:
    """The class of connections that the url asks for, and its arguments."""
    try:
        options = redis.connection.parse_url(url)
    except ValueError as error:
        raise InputError(f"the url of the online state cannot be read: {error}", where=where) from None
    kind = options.pop("connection_class", redis.connection.Connection)
    if kind is not redis.connection.UnixDomainSocketConnection:
        options["socket_keepalive"] = True
    return kind, options


def _alive(connection: Any, redis: Any) -> bool:
    """Whether an idle connection can be used: open, and with nothing left to read."""
    try:
        return not connection.can_read(0)
    except (redis.RedisError, OSError):
        return False
