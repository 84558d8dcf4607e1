"""The one gate: no request reaches a handler without a credential that signed it."""

from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.gateway.context import GatewayContext
from objstore.iam.identities import Identity
from objstore.names import BucketName
from objstore.wire.post_fields import POLICY_FIELD, Fields
from objstore.wire.post_policy import SizeRange, check_policy, read_policy
from objstore.wire.post_signature import verify_post
from objstore.wire.request import Request
from objstore.wire.signing import SERVICE, SigningKeys
from objstore.wire.sigv4 import Anonymous, Verified, verify

_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class FormVerified:
    """A form whose signature holds and whose fields keep its policy."""

    caller: Identity | None
    sizes: SizeRange  # of its file


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
    ) -> tuple[Identity | None, Verified]:
        """Return who signed `request` (None: nobody), and how it says it sends its body.

        Args:
            request: the request.
            query_body: the SHA-256 of the whole body of a request to IAM or STS; None for S3.

        Raises:
            RequestRefused: the signature does not hold.
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
            unsigned = Verified(
                "", SERVICE, self._region, verdict.payload, verdict.payload_sha256, None,
                presigned=False,
            )  # fmt: skip
            return None, unsigned
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
        if caller is None or not caller.root:
            raise RequestRefused("AccessDenied")

    def authenticate_form(self, fields: Fields, bucket: BucketName) -> FormVerified:
        """Return who signed a form's policy, once the form is what the policy allows.

        Raises:
            RequestRefused: the signature does not hold, the policy is none
                (InvalidPolicyDocument), or it says no (AccessDenied).
        """
        now_s = self._clock.now_ns() // _NS_PER_S
        access_key = verify_post(
            fields,
            secret_of=self._identities.secret_of,
            region=self._region,
            now_s=now_s,
            keys=self._keys,
            sigv2=self._sigv2_links,
        )
        if not access_key:
            return FormVerified(None, SizeRange())
        policy = read_policy(fields[POLICY_FIELD])
        check_policy(policy, fields, bucket=bucket, now_s=now_s)
        return FormVerified(self._identities.by_access_key(access_key), policy.sizes)
