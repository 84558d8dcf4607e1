"""The demonstrations' S3 client: many requests at a time over kept connections."""

import io
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from objstore.clock import Clock
from objstore.config import Secrets
from objstore.wire.sigv4 import sign

REGION: Final = "us-east-1"
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_TIMEOUT_S: Final = 60.0
_CODE: Final = re.compile(r"<Code>([^<]+)</Code>")


class S3Refusal(Exception):
    """The server answered with an error, or not at all (`status` 0)."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class NotAnswered(aiohttp.ClientError):
    """The connection broke; whether the server did what it was asked is not known."""


async def ask_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send a request once: aiohttp would send a PUT whose connection broke again, and say nothing.

    Sent twice it could take effect twice, with another client's write between.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise NotAnswered(type(error).__name__) from error


class DemoClient:
    """Talks to one endpoint."""

    def __init__(
        self, http: aiohttp.ClientSession, endpoint: str, credentials: Secrets, clock: Clock
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self._credentials = credentials
        self._clock = clock

    async def put(self, bucket: str, key: str, data: bytes) -> None:
        """Store an object."""
        await self.call("PUT", f"/{bucket}/{quote(key, safe='/~')}", data)

    async def get(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes."""
        return await self.call("GET", f"/{bucket}/{quote(key, safe='/~')}")

    async def delete(self, bucket: str, key: str) -> None:
        """Delete an object."""
        await self.call("DELETE", f"/{bucket}/{quote(key, safe='/~')}")

    async def call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bytes:
        """Send one request and return the answer's body.

        Raises:
            S3Refusal: any answer of 300 and above, a broken answer, or none.
        """
        signed = sign(
            method=method,
            raw_target=target,
            headers={"host": urlsplit(self._endpoint).netloc, **headers},
            access_key=self._credentials.root_user,
            secret_key=self._credentials.root_password,
            region=REGION,
            now_s=self._clock.now_ns() // 1_000_000_000,
        )
        try:
            async with self._http.request(
                method,
                URL(self._endpoint + target, encoded=True),
                data=io.BytesIO(body) if body else None,  # large bytes it would warn of
                headers=signed,
                skip_auto_headers=("Content-Type",),  # it would have to be signed
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise S3Refusal(0, _name(error)) from error
        if answer.status >= 300:
            found = _CODE.search(content.decode("utf-8", "replace"))
            raise S3Refusal(answer.status, found[1] if found else "")
        return content


def _name(error: Exception) -> str:
    """Name what happened to a connection; the words differ each time, and can not be counted."""
    return str(error) if isinstance(error, NotAnswered) else type(error).__name__
