"""The little of an S3 client that commands need, by the standard library alone."""

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from objstore.cli.trust import client_context, connection_problem
from objstore.clock import Clock
from objstore.config import Secrets
from objstore.wire.sigv4 import sign

_TIMEOUT_S: Final = 30.0
_ERROR: Final = re.compile(r"<Code>([^<]+)</Code>(?:\s*<Message>([^<]*)</Message>)?")


class S3Failed(Exception):
    """The server refused or could not be reached; `code` is S3's, "" when it could not."""

    def __init__(self, message: str, *, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class S3Client:
    """Speaks to one endpoint; a connection for each request."""

    def __init__(
        self,
        endpoint: str,
        credentials: Secrets,
        *,
        region: str,
        clock: Clock,
        ca_file: Path | None = None,
    ) -> None:
        """Speak to `endpoint`; one of https is believed by the system's CAs and `ca_file`'s.

        Raises:
            ConfigError: `ca_file` can not be read.
        """
        parts = urlsplit(endpoint)
        assert parts.scheme in {"http", "https"}
        assert parts.hostname is not None
        self._tls = client_context(ca_file) if parts.scheme == "https" else None
        self._netloc = parts.netloc
        self._credentials = credentials
        self._region = region
        self._clock = clock

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket, unless it is there already; raises S3Failed."""
        try:
            self.request("PUT", f"/{quote(bucket)}")
        except S3Failed as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise S3Failed(
                    f"bucket {bucket!r} could not be created: {error}",
                    code=error.code,
                    status=error.status,
                ) from error

    def put_object(self, bucket: str, key: str, body: bytes) -> Answer:
        """Store an object; raises S3Failed."""
        return self.request("PUT", f"/{quote(bucket)}/{quote(key)}", body)

    def get_object(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes; raises S3Failed."""
        return self.request("GET", f"/{quote(bucket)}/{quote(key)}").body

    def request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a signed request.

        Raises:
            S3Failed: the answer is an error, or there is none.
        """
        signed = sign(
            method=method,
            raw_target=target,
            headers={"host": self._netloc, **(headers or {})},
            access_key=self._credentials.root_user,
            secret_key=self._credentials.root_password,
            region=self._region,
            now_s=self._clock.now_ns() // 1_000_000_000,
        )
        connection = self._connection()
        try:
            connection.request(method, target, body=body, headers=signed)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise S3Failed(f"{self._netloc}: {connection_problem(error)}") from error
        finally:
            connection.close()
        if response.status >= 300:
            raise _failure(response.status, content)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, content)

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._netloc, timeout=_TIMEOUT_S)
        return http.client.HTTPSConnection(self._netloc, timeout=_TIMEOUT_S, context=self._tls)


def _failure(status: int, content: bytes) -> S3Failed:
    match = _ERROR.search(content.decode("utf-8", "replace"))
    code = match[1] if match else ""
    message = f"{code}: {match[2] or ''}" if match else f"HTTP {status}"
    return S3Failed(message, code=code, status=status)
