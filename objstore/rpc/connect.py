"""Opening the WebSocket of a session, and why that failed, in words for the operator."""

import os
import ssl
from typing import Final

import aiohttp

from objstore.errors import RpcError
from objstore.limits import CLOCK_DRIFT_SECONDS_MAX
from objstore.rpc.frame import MESSAGE_BYTES_MAX
from objstore.rpc.session import PeerRefused, Transport

CLOSE_S: Final = 0.1

# What OpenSSL says when the other end does not speak TLS, or speaks it and wants no such peer.
_PLAIN_REASONS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_ALERTS: Final = ("ALERT", "CERTIFICATE_REQUIRED")


async def connect(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], tls: Transport
) -> aiohttp.ClientWebSocketResponse:
    """Open a WebSocket.

    Raises:
        PeerRefused: the peer was reached, and the operator has to act.
        RpcError: it can not be reached, or does not answer as it should.
    """
    try:
        return await http.ws_connect(
            url,
            headers=headers,
            compress=0,
            max_msg_size=MESSAGE_BYTES_MAX,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
            ssl=tls,
        )
    except aiohttp.WSServerHandshakeError as error:
        if error.status == 403:
            raise PeerRefused(
                "it refused this server's token: the cluster secrets differ, or the clocks are "
                f"more than {CLOCK_DRIFT_SECONDS_MAX} s apart"
            ) from error
        if error.status == 400 and tls is True:
            raise PeerRefused(
                "it expects TLS on its internal port, and this server has none there: give every "
                "server the same internal_tls_ settings"
            ) from error
        raise RpcError(f"it answered {error.status} on its internal port") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise PeerRefused(certificate_problem(error.certificate_error)) from error
    except aiohttp.ClientConnectionError as error:
        raise _unreachable(error) from error


def certificate_problem(error: Exception) -> str:
    """Say why a peer's certificate is not believed."""
    why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
    return (
        f"its certificate is refused: {why.rstrip('.')}; it needs one that a CA of "
        "internal_tls_ca here signed, with the peer's host among its names"
    )


def _unreachable(error: aiohttp.ClientConnectionError) -> RpcError:
    problem = _tls_problem(error)
    if problem is not None:
        reason = problem.reason or str(problem)
        if reason in _PLAIN_REASONS:
            return PeerRefused(
                "it does not speak TLS on its internal port, and this server does: give every "
                "server the same internal_tls_ settings"
            )
        if any(mark in reason for mark in _ALERTS):
            return PeerRefused(
                f"it refuses this server's certificate ({reason.lower().replace('_', ' ')}): a CA "
                "of its internal_tls_ca has to have signed internal_tls_certificate here"
            )
        return RpcError(f"no TLS with it: {reason.lower().replace('_', ' ')}")
    return RpcError(f"cannot be reached: {_words(error)}")


def _tls_problem(error: BaseException) -> ssl.SSLError | None:
    """Return the error of TLS that a client's error stands for, if it is one."""
    # aiohttp's own are an SSLError by inheritance, and say nothing as one.
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    found = (inner, error.__cause__, error.__context__)
    return next((one for one in found if isinstance(one, ssl.SSLError)), None)


def _words(error: aiohttp.ClientConnectionError) -> str:
    """Return what the system says, without the address, which whoever reads this knows."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else str(error)
