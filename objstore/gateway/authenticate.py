"""The one gate: no request reaches a handler without a credential that signed it."""

from typing import Final

from objstore.errors import RequestRefused
from objstore.gateway.context import GatewayContext
from objstore.wire.request import Request
from objstore.wire.signing import SigningKeys
from objstore.wire.sigv4 import Anonymous, Verified, verify

_NS_PER_S: Final = 1_000_000_000


class Authenticator:
    """Verifies signatures, and keeps the signing keys it derived."""

    def __init__(self, context: GatewayContext) -> None:
        self._secret_of = context.secret_of
        self._region = context.region
        self._sigv2_links = context.sigv2_links
        self._clock = context.clock
        self._keys = SigningKeys()

    def authenticate(self, request: Request) -> Verified:
        """Return who signed `request`, and how it says it sends its body.

        Raises:
            RequestRefused: nobody signed it (AccessDenied), or the signature does not hold.
        """
        verdict = verify(
            request,
            secret_of=self._secret_of,
            region=self._region,
            now_s=self._clock.now_ns() // _NS_PER_S,
            keys=self._keys,
            sigv2_links=self._sigv2_links,
        )
        if isinstance(verdict, Anonymous):
            raise RequestRefused("AccessDenied")
        return verdict
