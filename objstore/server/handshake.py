"""Handshakes that fail, on the side that listens: said to the log, and to whoever knocked.

Event loops close a connection whose handshake fails without a word to anybody: the alert that
OpenSSL has ready is dropped, and nothing is logged. Here the loop is first told that the handshake
waits for more, so that it sends what is ready; the caller reads it and hangs up, or the deadline
of the handshake ends it. Who spoke plain HTTP is answered in plain HTTP.
"""

import ssl
from collections.abc import Callable
from typing import Final

import structlog

from objstore.clock import Clock

_log = structlog.get_logger(__name__)

_LOG_INTERVAL_S: Final = 10.0  # a stranger may knock as often as he likes
_DOCUMENT: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>InvalidRequest</Code>"
    b"<Message>This port speaks TLS: write https://</Message></Error>\n"
)
_PLAIN_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\nServer: objstore\r\nContent-Type: application/xml\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_DOCUMENT), _DOCUMENT)
)
_HTTP_REASONS: Final = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})


class Failures:
    """Logs failed handshakes of one port, one in a while with the number of those before it."""

    def __init__(self, port: str, clock: Clock) -> None:
        self._port = port
        self._clock = clock
        self._next_s = clock.monotonic_s()
        self._unsaid = 0

    def note(self, error: ssl.SSLError) -> None:
        """Log a failure, or count it."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            self._unsaid += 1
            return
        _log.warning("no TLS with a caller", port=self._port, why=why(error), others=self._unsaid)
        self._next_s, self._unsaid = now_s + _LOG_INTERVAL_S, 0


def why(error: ssl.SSLError) -> str:
    """Say in words why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if getattr(error, "reason", None) in _HTTP_REASONS:
        return "it speaks plain HTTP"
    return (getattr(error, "reason", None) or str(error)).lower().replace("_", " ")


class ListeningObject(ssl.SSLObject):
    """One handshake of a port."""

    outgoing: ssl.MemoryBIO
    failed: Callable[[ssl.SSLError], None]
    failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self.failure = error
            self.failed(error)
            if error.reason in _HTTP_REASONS:
                self.outgoing.write(_PLAIN_ANSWER)
            raise ssl.SSLWantReadError from error


class ListeningContext(ssl.SSLContext):
    """A server's context, whose failed handshakes are told."""

    sslobject_class: type[ssl.SSLObject] = ListeningObject
    failed: Callable[[ssl.SSLError], None]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002  the signature is Python's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(made, ListeningObject)
        made.outgoing, made.failed = outgoing, self.failed
        return made
