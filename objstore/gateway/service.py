"""Paths that are not S3's: health, metrics and the operator's routes.

They begin with `/.objstore/` or `/minio/`, or are `/metrics`; on a virtual-host bucket the same
paths are keys. `/metrics` could also be a listing of a bucket of that name, so it is a scrape
only when it is open to everybody and nobody signed it, or when it bears the token of scrapes.
What has to be signed, root signs.
"""

import asyncio
import hmac
from typing import Final

from aiohttp import web

from objstore.gateway import metrics
from objstore.gateway.admin import answer_admin
from objstore.gateway.admission import Admission
from objstore.gateway.authenticate import Authenticator
from objstore.gateway.context import GatewayContext
from objstore.gateway.health import Probe, answer_probe
from objstore.gateway.metrics import Metrics
from objstore.gateway.ports import ADMIN_PREFIX, ClusterInfo
from objstore.s3.call import Reply
from objstore.wire.request import Headers, Query, Request, bucket_of_host

# One comparison decides for nearly every request that none of this concerns it.
_PREFIXES: Final = ("/.objstore/", "/minio/", "/metrics")
_SCRAPE_PATHS: Final = frozenset({"/minio/v2/metrics/cluster", "/minio/v2/metrics/node"})
_OPEN_SCRAPE_PATH: Final = "/metrics"
_INFO_DEADLINE_S: Final = 2.0


def concerns_service(target: str) -> bool:
    """Tell, fast, whether a request target may be one of these paths."""
    return target.startswith(_PREFIXES)


class Service:
    """Answers everything that is not S3."""

    def __init__(
        self,
        context: GatewayContext,
        authenticator: Authenticator,
        admission: Admission,
        counters: Metrics,
        *,
        secure: bool,
    ) -> None:
        self._context = context
        self._authenticator = authenticator
        self._admission = admission
        self._metrics = counters
        self._secure = secure

    async def answer(self, http: web.BaseRequest, target: str, request_id: str) -> Reply | None:
        """Answer a request; None when it is S3's after all.

        Raises:
            RequestRefused: root did not sign it and has to, or the route refuses.
        """
        path, _, raw_query = target.partition("?")
        if self._addresses_bucket(http.headers.get("Host", "")):
            return None
        if path.startswith(ADMIN_PREFIX):
            request = self._request(http, path, raw_query, request_id)
            self._authenticator.authenticate_root(request)
            return await answer_admin(
                self._context.admin,
                method=request.method,
                name=path[len(ADMIN_PREFIX) :],
                query=request.query,
            )
        if http.method not in ("GET", "HEAD"):
            return None
        probe = Probe(
            cluster=self._context.cluster_status,
            admission=self._admission,
            maintenance=Query(raw_query).get("maintenance") == "true",
        )
        return answer_probe(path, probe) or await self._scrape(http, path, raw_query, request_id)

    async def _scrape(
        self, http: web.BaseRequest, path: str, raw_query: str, request_id: str
    ) -> Reply | None:
        public = self._context.metrics_public
        token = self._bears_token(http.headers.get("Authorization", ""))
        if path == _OPEN_SCRAPE_PATH:
            anybody = public and "Authorization" not in http.headers
            if raw_query or not (anybody or token):
                return None
        elif path not in _SCRAPE_PATHS:
            return None
        elif not (public or token):
            self._authenticator.authenticate_root(self._request(http, path, raw_query, request_id))
        text = self._metrics.render(self._context.cluster_status.sets(), await self._info())
        return Reply(200, {"Content-Type": metrics.CONTENT_TYPE}, text)

    def _bears_token(self, authorization: str) -> bool:
        expected = self._context.metrics_token
        scheme, _, token = authorization.partition(" ")
        return (
            bool(expected)
            and scheme.lower() == "bearer"
            and hmac.compare_digest(token.strip().encode(errors="replace"), expected.encode())
        )

    async def _info(self) -> ClusterInfo | None:
        """Ask for the cluster's state; a scrape goes without it rather than late."""
        try:
            async with asyncio.timeout(_INFO_DEADLINE_S):
                return await self._context.admin.info()
        except TimeoutError:
            return None

    def _addresses_bucket(self, host: str) -> bool:
        domains = self._context.domains
        return bool(domains and host) and bucket_of_host(host, domains) is not None

    def _request(
        self, http: web.BaseRequest, path: str, raw_query: str, request_id: str
    ) -> Request:
        """Describe a request that addresses neither bucket nor object, for its signature."""
        return Request(
            method=http.method,
            raw_path=path,
            query=Query(raw_query),
            headers=Headers(http.headers.items()),
            bucket=None,
            key=None,
            host=http.headers.get("Host", ""),
            secure=self._secure,
            remote=http.remote or "",
            request_id=request_id,
            virtual_host=False,
        )
