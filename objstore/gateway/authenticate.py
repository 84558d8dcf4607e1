"""The one gate: no request reaches a handler without a credential that signed it."""

from typing import Final

from objstore.errors import RequestRefused
from objstore.gateway.context import GatewayContext
from objstore.iam.identities import Identity
from objstore.wire.request import Request
from objstore.wire.signing import SigningKeys
from objstore.wire.sigv4 import Anonymous, Verified, verify

_NS_PER_S: Final = 1_000_000_000


class Authenticator:
    """Verifies signatures, and keeps the signing keys it derived."""

    def __init__(self, context: GatewayContext) -> None:
        self._identities = context.identities
        self._region = context.region
        self._sigv2_links = context.sigv2_links
        self._clock = context.clock
        self._keys = SigningKeys()

    def authenticate(
        self, request: Request, *, query_body: str | None = None
    ) -> tuple[Identity, Verified]:
        """Return who signed `request`, and how it says it sends its body.

        Args:
            request: the request.
            query_body: the SHA-256 of the whole body of a request to IAM or STS; None for S3.

        Raises:
            RequestRefused: nobody signed it (AccessDenied), or the signature does not hold.
        """
        verdict = verify(
            request,
            secret_of=self._identities.secret_of,
            region=self._region,
            now_s=self._clock.now_ns() // _NS_PER_S,
            keys=self._keys,
            sigv2_links=self._sigv2_links,
            query_body=query_body,
        )
        if isinstance(verdict, Anonymous):
            raise RequestRefused("AccessDenied")
        caller = self._identities.by_access_key(verdict.access_key)
        assert caller is not None
        return caller, verdict

    def authenticate_root(self, request: Request) -> None:
        """Require that root signed `request`.

        Raises:
            RequestRefused: nobody, or another identity did (AccessDenied), or the signature does
                not hold.
        """
        caller, _ = self.authenticate(request)
        if not caller.root:
            raise RequestRefused("AccessDenied")
