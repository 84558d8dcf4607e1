"""A signed HTTP call to a server's admin routes, by the standard library alone."""

import http.client
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from objstore.cli.trust import client_context, connection_problem
from objstore.clock import Clock
from objstore.errors import ConfigError
from objstore.gateway.ports import ADMIN_PREFIX
from objstore.wire.sigv4 import sign

_NS_PER_S: Final = 1_000_000_000
_TIMEOUT_S: Final = 30.0
_ERROR_CODE: Final = re.compile(r"<Code>([^<]+)</Code>")
_ERROR_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")


class AdminError(Exception):
    """The cluster could not be asked, or refused; the message is for the operator."""


class AdminClient:
    """Asks the first of `endpoints` that answers."""

    def __init__(
        self,
        endpoints: Sequence[str],
        access_key: str,
        secret_key: str,
        *,
        region: str,
        clock: Clock,
        ca_file: Path | None = None,
    ) -> None:
        """Speak to `endpoints`; those of https are believed by the system's CAs and `ca_file`'s."""
        if not endpoints:
            raise AdminError("no endpoint is known: give --endpoint")
        self._endpoints = tuple(endpoints)
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._clock = clock
        self._ca_file = ca_file

    def get(self, route: str, **query: str) -> bytes:
        """GET one admin route; returns its JSON.

        Raises:
            AdminError: no server answered, or the one that did refused.
        """
        return self._call("GET", route, query)

    def post(self, route: str, **query: str) -> bytes:
        """POST to one admin route; returns its JSON. Raises as `get` does."""
        return self._call("POST", route, query)

    def _call(self, method: str, route: str, query: dict[str, str]) -> bytes:
        problems: list[str] = []
        for endpoint in self._endpoints:
            try:
                return self._call_one(endpoint, method, route, query)
            except (OSError, http.client.HTTPException) as error:
                problems.append(f"{endpoint}: {connection_problem(error)}")
        raise AdminError("no server answers: " + "; ".join(problems))

    def _call_one(self, endpoint: str, method: str, route: str, query: dict[str, str]) -> bytes:
        parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        if parts.hostname is None or parts.scheme not in ("http", "https"):
            raise AdminError(f"{endpoint!r} is no endpoint: expected http://host:port")
        target = ADMIN_PREFIX + route
        if query:
            target += "?" + urlencode(query, quote_via=quote)
        headers = sign(
            method=method,
            raw_target=target,
            headers={"host": parts.netloc},
            access_key=self._access_key,
            secret_key=self._secret_key,
            region=self._region,
            now_s=self._clock.now_ns() // _NS_PER_S,
        )
        connection = self._connection(parts.scheme, parts.hostname, parts.port)
        try:
            connection.request(method, target, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise AdminError(_refusal(answer.status, body))
        return body

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            context = client_context(self._ca_file)
        except ConfigError as error:
            raise AdminError(str(error)) from error
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def _refusal(status: int, body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    code = _ERROR_CODE.search(text)
    message = _ERROR_MESSAGE.search(text)
    if code is None:
        return f"HTTP {status}: {text[:200]}"
    return f"{code[1]}: {message[1]}" if message is not None else code[1]
