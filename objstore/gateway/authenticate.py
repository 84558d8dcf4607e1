"""The one gate: no request reaches a handler without a credential that signed it."""

from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.gateway.context import GatewayContext
from objstore.names import BucketName
from objstore.wire.post_fields import POLICY_FIELD, Fields
from objstore.wire.post_policy import SizeRange, check_policy, read_policy
from objstore.wire.post_signature import verify_post
from objstore.wire.request import Request
from objstore.wire.signing import SigningKeys
from objstore.wire.sigv4 import Anonymous, Verified, verify

_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class FormVerified:
    """A form whose signature holds and whose fields keep its policy."""

    access_key: str
    sizes: SizeRange  # of its file


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

    def authenticate_form(self, fields: Fields, bucket: BucketName) -> FormVerified:
        """Return who signed a form's policy, once the form is what the policy allows.

        Raises:
            RequestRefused: nobody signed it (AccessDenied), the signature does not hold, the
                policy is none (InvalidPolicyDocument), or it says no (AccessDenied).
        """
        now_s = self._clock.now_ns() // _NS_PER_S
        access_key = verify_post(
            fields,
            secret_of=self._secret_of,
            region=self._region,
            now_s=now_s,
            keys=self._keys,
            sigv2=self._sigv2_links,
        )
        if not access_key:
            raise RequestRefused("AccessDenied")
        policy = read_policy(fields[POLICY_FIELD])
        check_policy(policy, fields, bucket=bucket, now_s=now_s)
        return FormVerified(access_key, policy.sizes)
