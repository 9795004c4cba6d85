"""The address of a Redis server: a URL that is checked when the store is made, and shown without its password."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import attrs

from dagflow.core.secrets import Secret

__all__ = ["Address"]

EXAMPLES: Final = "redis://localhost:6379/0, rediss://user:password@host/0 or unix:///path/redis.sock?db=0"
OPTIONS: Final = {"db", "client_name", "ssl_keyfile", "ssl_certfile", "ssl_ca_certs", "ssl_cert_reqs"}


@attrs.frozen
class Address:
    """Where a server is; `shown` has neither user name nor password, `url` is for the client library."""

    shown: str
    url: Secret
    secrets: tuple[Secret, ...] = ()

    def __str__(self) -> str:
        return self.shown

    @classmethod
    def of(cls, url: str) -> Address:
        """Read a URL; raises `ValueError`, which names no part of what may be a password."""
        if not isinstance(url, str):
            raise TypeError(f"url must be a string, not {type(url).__name__}")
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError(f"the URL of a RedisStore is like {EXAMPLES}; this one begins otherwise")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if options.keys() - OPTIONS:  # which, is not told: an unescaped ? in a password brings us here as well
            raise ValueError(f"behind its ? the URL of a RedisStore may have {', '.join(sorted(OPTIONS))}, and no more")
        shown = shown_socket(parts, options) if parts.scheme == "unix" else shown_host(parts, options)
        if parts.scheme == "rediss":
            # Left to itself, coredis takes any valid certificate, whoever it was given to.
            url += ("&" if parts.query else "?") + ("ssl_check_hostname=" + str(checks_names(options)).lower())
        passwords = {parts.password, unquote(parts.password)} if parts.password else set()
        return cls(shown, Secret(url), tuple(map(Secret, passwords)))


def checks_names(options: dict[str, str]) -> bool:
    return options.get("ssl_cert_reqs") != "none"


def shown_socket(parts: SplitResult, options: dict[str, str]) -> str:
    path = unquote(parts.path)
    if parts.hostname or not path.startswith("/"):
        raise ValueError("the URL of a Unix socket has an absolute path, after three slashes: unix:///path/redis.sock")
    return f"unix://{path}{database(options.get('db', ''), '?db=')}"


def shown_host(parts: SplitResult, options: dict[str, str]) -> str:
    try:
        host, port = parts.hostname, parts.port or 6379
    except ValueError:  # its text would hold what stands where the port belongs, a piece of a password say
        host, port = None, 0
    path = parts.path.strip("/")
    if not host or parts.fragment or "/" in path:
        raise ValueError(
            f"the URL of a RedisStore is like {EXAMPLES}; in a password, write / as %2F, # as %23, ? as %3F, @ as %40"
        ) from None
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{port}{database(options.get('db', path), '/')}"


def database(number: str, before: str) -> str:
    if number and not (number.isascii() and number.isdigit()):
        raise ValueError("the database of a Redis URL is a number, as in redis://localhost:6379/0")
    return f"{before}{number}" if number else ""
