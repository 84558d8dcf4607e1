"""Owners: whom the records of buckets, objects and uploads name, and what documents call them."""

import re
from typing import Final

from objstore.iam.identities import ANONYMOUS_ID, Identities, Identity, derived_canonical_id
from objstore.ondisk.record import Bucket
from objstore.wire.documents import Owner

# A canonical id as AWS makes them, and as they are here unless the operator chose another.
_CANONICAL_ID: Final = re.compile(r"[0-9a-f]{64}")


def owner_of(stored: str, identities: Identities) -> Owner:
    """Return the owner that documents name for one that is stored.

    Records hold canonical ids; those written before there were several identities hold access
    keys. Of an identity that is not known any more, documents show the id alone.
    """
    identity = identities.owner(stored)
    if identity is not None:
        return shown(identity)
    if stored == ANONYMOUS_ID or _CANONICAL_ID.fullmatch(stored) is not None:
        return Owner(stored, "")
    return Owner(derived_canonical_id(stored), "")


def shown(identity: Identity) -> Owner:
    """Return an identity as documents name it."""
    return Owner(identity.canonical_id, identity.display_name)


def owns(identity: Identity, bucket: Bucket, identities: Identities) -> bool:
    """Tell whether a bucket is an identity's own."""
    return owner_of(bucket.owner, identities).canonical_id == identity.canonical_id


def is_owner_expected(expected: str, bucket: Bucket, identities: Identities) -> bool:
    """Tell whether `expected` names a bucket's owner, by account number or by canonical id.

    "The account ID of the expected bucket owner. If the account ID that you provide does not
    match the actual owner of the bucket, the request fails with the HTTP status code 403
    Forbidden (access denied)."
    """
    identity = identities.owner(bucket.owner)
    if identity is not None and expected == identity.account:
        return True
    return expected == owner_of(bucket.owner, identities).canonical_id
