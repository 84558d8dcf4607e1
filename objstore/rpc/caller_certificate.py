"""Whose certificate a caller showed. OpenSSL verified who signed it, and nothing about its names.

The name is held against what the caller says that it is, once for each session: a certificate of
one server does not speak for another, not even with the cluster secret.
"""

from aiohttp import web

from objstore.errors import RpcError
from objstore.rpc.session import Claims
from objstore.wire.certificate import Certificate, read_one


def certificate_of(request: web.BaseRequest) -> Certificate | None:
    """Return the certificate that the caller was asked for; None when it was not asked.

    Raises:
        RpcError: it can not be understood.
    """
    transport = request.transport
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    der = None if tls is None else tls.getpeercert(binary_form=True)
    try:
        return None if der is None else read_one(der)
    except ValueError as error:
        raise RpcError(str(error)) from error


def wrong_name(certificate: Certificate | None, claims: Claims) -> str:
    """Return why a caller with these claims may not use that certificate, or ""."""
    host = claims.get("server", "").rpartition(":")[0]
    if certificate is None or certificate.names_host(host):
        return ""
    held = ", ".join(certificate.names) or "nobody"
    return f"its certificate names {held} and not {host.strip('[]')}"
