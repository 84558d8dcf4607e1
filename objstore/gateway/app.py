"""The gateway: from a connection's bytes to one call of a handler, and back.

For each request: check the framing, admit, parse, authenticate, route, authorise, hand the handler
its body as a stream, send its reply; whatever goes wrong on the way becomes an S3 error document.
After an answer to a body that was not read to its end the connection is closed, so that nothing
left over is ever taken for a request.
"""

import asyncio
import base64
import socket
import ssl
from typing import Final

import structlog
from aiohttp import web

from objstore.errors import QuorumError, RequestRefused
from objstore.gateway.admission import Admission
from objstore.gateway.authenticate import Authenticator
from objstore.gateway.body import open_body
from objstore.gateway.connection import Connection, ConnectionFactory
from objstore.gateway.context import GatewayContext
from objstore.gateway.cross_origin import answer_preflight, cross_origin_headers
from objstore.gateway.form import open_form
from objstore.gateway.framing import check_framing, malformed_reason
from objstore.gateway.metrics import Metrics
from objstore.gateway.query_api import answer_query
from objstore.gateway.respond import AnswerCut, send
from objstore.gateway.service import Service, concerns_service
from objstore.limits import TLS_HANDSHAKE_DEADLINE_S
from objstore.s3.authorize import answer
from objstore.s3.call import Call, Reply
from objstore.s3.error_codes import S3Error, error_document, error_headers, s3_error_of
from objstore.s3.expected_digests import prepare_digests
from objstore.s3.operations import OPERATIONS, BodyKind
from objstore.s3.post_object import put_request
from objstore.wire.post_fields import posts_form, require_form_alone
from objstore.wire.query_protocol import query_error
from objstore.wire.request import Request, parse_request
from objstore.wire.route import Operation, route, shape_of
from objstore.wire.signature_claim import claimed_service
from objstore.wire.signing import SERVICE

SERVER_NAME: Final = "objstore"
# Logged without an access log too; 501 is the client asking for what is not there.
_OUR_FAILURES: Final = frozenset({500, 503})
_NS_PER_MS: Final = 1_000_000
_UNKNOWN_OPERATION: Final = "Unknown"
_SERVICE_OPERATION: Final = "Service"
_PREFLIGHT_OPERATION: Final = "Preflight"
_BACKLOG: Final = 1024
_FORCED_STOP_S: Final = 1.0

_log = structlog.get_logger("objstore.gateway")


class Exchange:
    """One request while it is answered: what its log line and its metrics will say."""

    __slots__ = (
        "admitted",
        "operation",
        "reason",
        "request",
        "request_id",
        "sent",
        "service",
        "started_s",
        "status",
        "target",
    )

    def __init__(self, request_id: str, started_s: float) -> None:
        self.request_id = request_id
        self.started_s = started_s
        self.target = ""
        self.operation = _UNKNOWN_OPERATION
        self.request: Request | None = None  # once it was understood and is S3's
        self.service = SERVICE
        self.admitted = False
        self.status = 0
        self.reason = ""
        self.sent = 0


class Gateway:
    """Answers the requests of one worker."""

    def __init__(self, context: GatewayContext, *, secure: bool = False) -> None:
        self._context = context
        self._secure = secure
        self._metrics = Metrics(context.metrics_directory)
        self._admission = Admission(context.requests_max)
        self._authenticator = Authenticator(context)
        self._service = Service(
            context, self._authenticator, self._admission, self._metrics, secure=secure
        )
        self._host_id = base64.b64encode(context.entropy.draw(24)).decode()
        self._connections = ConnectionFactory(
            self.handle,
            self,
            header_deadline_s=context.deadlines.header_s,
            idle_deadline_s=context.deadlines.idle_s,
            linger_s=context.deadlines.linger_s,
        )

    def renew(self, context: GatewayContext) -> None:
        """Use `context` from the next request on.

        Only what is read for each request may differ from the one before: who may sign, and the
        switches. A request under way ends as it began. Keys that were derived from the secrets of
        before are forgotten.
        """
        self._context = context
        self._admission.limit(context.requests_max)
        self._authenticator = Authenticator(context)
        self._service = Service(
            context, self._authenticator, self._admission, self._metrics, secure=self._secure
        )

    @property
    def connections(self) -> ConnectionFactory:
        """What to give to an event loop's `create_server`."""
        return self._connections

    # --- one request -----------------------------------------------------------------

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; the answer has been sent when this returns."""
        context = self._context
        exchange = Exchange(self._draw_request_id(), context.clock.monotonic_s())
        self._metrics.started()
        connection = http.protocol
        assert isinstance(connection, Connection)
        connection.begin_body(http.content)
        try:
            return await self._answer(http, connection, exchange)
        except AnswerCut as cut:
            self._note_cut(exchange, cut)
            raise ConnectionResetError from cut  # quiet: aiohttp drops the connection
        finally:
            if exchange.admitted:
                self._admission.leave()
            self._finish(http, exchange)

    async def _answer(
        self, http: web.BaseRequest, connection: Connection, exchange: Exchange
    ) -> web.StreamResponse:
        try:
            reply = await self._reply(http, exchange)
            return await self._send(http, connection, reply, exchange)
        except AnswerCut:
            raise
        except Exception as problem:  # noqa: BLE001 - the outermost loop: total by s3_error_of
            reply = self._refuse(problem, exchange)
        return await self._send(http, connection, reply, exchange)

    async def _reply(self, http: web.BaseRequest, exchange: Exchange) -> Reply:
        target = exchange.target = check_framing(http)
        if concerns_service(target):
            reply = await self._service.answer(http, target, exchange.request_id)
            if reply is not None:
                exchange.operation = _SERVICE_OPERATION
                return reply
        if not self._admission.try_enter():
            raise RequestRefused("SlowDown")
        exchange.admitted = True
        context = self._context
        request = parse_request(
            method=http.method,
            raw_target=target,
            headers=http.headers.items(),
            domains=context.domains,
            secure=self._secure,
            remote=http.remote or "",
            request_id=exchange.request_id,
        )
        if request.method == "OPTIONS":
            exchange.operation = _PREFLIGHT_OPERATION
            return await answer_preflight(context.store, request)
        exchange.request = request
        service = claimed_service(request)
        if service != SERVICE:
            exchange.operation = exchange.service = service
            exchange.request = None
            return await answer_query(
                http, request, service, authenticator=self._authenticator, context=context
            )
        return await self._reply_s3(http, request, exchange)

    async def _reply_s3(self, http: web.BaseRequest, request: Request, exchange: Exchange) -> Reply:
        if posts_form(request) and shape_of(request).operation is Operation.POST_OBJECT:
            return await self._reply_to_form(http, request, exchange)
        context = self._context
        caller, verified = self._authenticator.authenticate(request)
        operation = route(request)
        exchange.operation = operation.value
        spec = OPERATIONS[operation]
        body = open_body(http, request, verified, context)
        digests = None
        if spec.body is not BodyKind.NONE:
            digests = prepare_digests(request, operation, verified.payload_sha256)
            body.hand_trailers_to(digests)
        call = Call(
            store=context.store,
            request=request,
            body=body,
            caller=caller,
            identities=context.identities,
            region=context.region,
            digests=digests,
            now_ms=context.clock.now_ns() // _NS_PER_MS,
            ssec_over_http=context.ssec_over_http,
            lifecycle_day_s=context.lifecycle_day_s,
            tls_version=_tls_version(http) if self._secure else "",
        )
        return await answer(call, spec)

    async def _reply_to_form(
        self, http: web.BaseRequest, request: Request, exchange: Exchange
    ) -> Reply:
        """Store the file of a form; who sent it is known once its fields were read."""
        context = self._context
        exchange.operation = Operation.POST_OBJECT.value
        require_form_alone(request)
        route(request)  # which refuses a query
        assert request.bucket is not None
        form = open_form(http, request, context)
        fields = await form.read_fields(context.deadlines.header_s)
        context = self._context  # who may sign may have changed meanwhile
        verified = self._authenticator.authenticate_form(fields, request.bucket)
        form.limit(verified.sizes)
        put = put_request(request, fields)
        call = Call(
            store=context.store,
            request=put,
            body=form,
            caller=verified.caller,
            identities=context.identities,
            region=context.region,
            digests=prepare_digests(put, Operation.PUT_OBJECT, None),
            now_ms=context.clock.now_ns() // _NS_PER_MS,
            ssec_over_http=context.ssec_over_http,
            form=fields,
            lifecycle_day_s=context.lifecycle_day_s,
            tls_version=_tls_version(http) if self._secure else "",
        )
        return await answer(call, OPERATIONS[Operation.POST_OBJECT])

    async def _send(
        self, http: web.BaseRequest, connection: Connection, reply: Reply, exchange: Exchange
    ) -> web.StreamResponse:
        self._brand(reply, exchange)
        if exchange.request is not None:
            reply.headers.update(await cross_origin_headers(self._context.store, exchange.request))
        exchange.status = reply.status
        response, exchange.sent = await send(
            http,
            reply,
            close=self._must_close(http, connection),
            stall_s=self._context.deadlines.stall_s,
        )
        return response

    def _must_close(self, http: web.BaseRequest, connection: Connection) -> bool:
        if self._admission.draining or not http.content.is_eof():
            return True
        headers = http.headers
        if "Transfer-Encoding" in headers and not connection.ended_without_trailers:
            return True
        if "Expect" in headers and not connection.said_continue:
            return True
        return "Upgrade" in headers

    def _refuse(self, problem: Exception, exchange: Exchange) -> Reply:
        error = s3_error_of(problem)
        # An operator wants to know which slots failed why; the client is told the code alone.
        exchange.reason = str(problem) if isinstance(problem, QuorumError) else error.code
        if error.is_bug:
            _log.error(
                "request failed",
                request_id=exchange.request_id,
                operation=exchange.operation,
                exc_info=problem,
            )
        if exchange.operation is _UNKNOWN_OPERATION:
            self._metrics.rejected(error.code)
        return self._error_reply(error, exchange)

    def _error_reply(self, error: S3Error, exchange: Exchange) -> Reply:
        if exchange.service != SERVICE:
            document = query_error(
                exchange.service,
                error.code,
                error.message,
                status=error.status,
                request_id=exchange.request_id,
            )
            return Reply(
                error.status, error_headers(error) | {"Content-Type": "text/xml"}, document
            )
        document = error_document(
            error,
            resource=exchange.target.partition("?")[0],
            request_id=exchange.request_id,
            host_id=self._host_id,
        )
        return Reply(error.status, error_headers(error), document)

    def _brand(self, reply: Reply, exchange: Exchange) -> None:
        """Add the headers that every answer has."""
        headers = reply.headers
        headers["x-amz-request-id"] = exchange.request_id
        headers["x-amz-id-2"] = self._host_id
        headers["Server"] = SERVER_NAME

    def _note_cut(self, exchange: Exchange, cut: AnswerCut) -> None:
        exchange.sent = cut.sent
        self._metrics.aborted(cut.cause)
        if cut.cause == "server":
            _log.error(
                "answer cut short",
                request_id=exchange.request_id,
                operation=exchange.operation,
                sent=cut.sent,
                exc_info=cut.__cause__,
            )

    def _finish(self, http: web.BaseRequest, exchange: Exchange) -> None:
        seconds = self._context.clock.monotonic_s() - exchange.started_s
        received = http.content.total_bytes
        self._metrics.finished(
            exchange.operation,
            exchange.status,
            seconds=seconds,
            received=received,
            sent=exchange.sent,
        )
        if self._context.access_log or exchange.status in _OUR_FAILURES:
            # The path without its query, which may carry a signature.
            _log.info(
                "request",
                request_id=exchange.request_id,
                remote=http.remote,
                method=http.method,
                path=exchange.target.partition("?")[0],
                operation=exchange.operation,
                status=exchange.status,
                reason=exchange.reason,
                received=received,
                sent=exchange.sent,
                ms=round(seconds * 1000, 2),
            )

    def _draw_request_id(self) -> str:
        return self._context.entropy.draw(8).hex().upper()

    # --- what a connection asks (connection.Edge) ------------------------------------

    def answer_malformed(self, problem: BaseException | None, status: int) -> web.Response:
        """Return the error document for what is no HTTP request, or for a bug."""
        exchange = Exchange(self._draw_request_id(), 0.0)
        exchange.reason = "InternalError" if status >= 500 else malformed_reason(problem)
        self._metrics.rejected(exchange.reason)
        reply = self._error_reply(s3_error_of(RequestRefused(exchange.reason)), exchange)
        self._brand(reply, exchange)
        response = web.Response(status=reply.status, headers=reply.headers, body=reply.body)
        response.force_close()
        return response

    def admits_connection(self) -> bool:
        """Tell whether one more connection may be opened."""
        return self._connections.connection_count < self._context.connections_max

    def report_escape(self, problem: BaseException | None) -> None:
        """Log an exception that escaped a request: a bug."""
        _log.error("an exception escaped a request", exc_info=problem)

    async def drain(self, drain_s: float) -> bool:
        """Admit nothing more and wait for the requests in flight."""
        return await self._admission.drain(drain_s)


def _tls_version(http: web.BaseRequest) -> str:
    """Return the version of TLS that a request came by, as conditions write it."""
    tls = None if http.transport is None else http.transport.get_extra_info("ssl_object")
    return "" if tls is None else (tls.version() or "").removeprefix("TLSv")


class Running:
    """A gateway that accepts connections, until it is stopped."""

    def __init__(self, server: asyncio.Server, gateway: Gateway) -> None:
        self._server = server
        self._gateway = gateway

    def renew(self, context: GatewayContext) -> None:
        """Use `context` from the next request on; see Gateway.renew."""
        self._gateway.renew(context)

    async def stop(self, drain_s: float) -> bool:
        """Take no more connections, let requests finish, then close what is left.

        Returns whether every request was answered within `drain_s` seconds.
        """
        self._server.close()
        connections = self._gateway.connections
        connections.close_idle()
        drained = await self._gateway.drain(drain_s)
        await connections.close_all(_FORCED_STOP_S)
        return drained


async def serve(
    context: GatewayContext, sock: socket.socket, *, tls: ssl.SSLContext | None = None
) -> Running:
    """Answer requests on a bound socket (workers share its port by SO_REUSEPORT)."""
    gateway = Gateway(context, secure=tls is not None)
    server = await asyncio.get_running_loop().create_server(
        gateway.connections,
        sock=sock,
        backlog=_BACKLOG,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else TLS_HANDSHAKE_DEADLINE_S,
    )
    return Running(server, gateway)
