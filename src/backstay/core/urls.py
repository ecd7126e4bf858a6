"""URLs with `${NAME}` in them: what stands in the environment goes into the part of the URL where its name stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

NAME = re.compile(r"\$\{(\w+)\}")
_AUTHORITY = re.compile(r"[^/?#]*")


def filled_url(url: str, value: Callable[[str], str]) -> str:
    """The URL with each `${NAME}` replaced by its value; one that is nothing but a name is that value.

    A password may hold any character, and must neither end its part of the URL nor become the host: in the user, the
    password and the options a value is percent-encoded. Host and path are as they are.

    >>> filled_url("redis://svc:${PW}@db:6379/0?ca=${CA}", {"PW": "p@top/secret", "CA": "a b"}.__getitem__)
    'redis://svc:p%40top%2Fsecret@db:6379/0?ca=a%20b'
    """
    if NAME.fullmatch(url):
        return value(url[2:-1])

    def plain(text: str) -> str:
        return NAME.sub(lambda found: value(found[1]), text)

    def coded(text: str) -> str:
        return NAME.sub(lambda found: quote(value(found[1]), safe=""), text)

    scheme, colon, rest = url.partition("://") if "://" in url else ("", "", url)
    authority = _AUTHORITY.match(rest)
    account, at, host = authority[0].rpartition("@") if authority else ("", "", "")
    path, mark, options = rest[len(account + at + host) :].partition("?")
    return plain(scheme) + colon + coded(account) + at + plain(host) + plain(path) + mark + coded(options)
