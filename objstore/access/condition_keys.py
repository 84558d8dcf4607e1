"""The condition keys there are, in lower case, as policies are compared without regard to it.

A key that this server fills in, or knows never to be part of a request here, has AWS's meaning
when it is absent. Any other key is unknown: a condition on it can not be judged, and so neither
lets an Allow apply nor keeps a Deny from it. Keys that end in "/" go on with the name of a tag.
"""

from typing import Final


def _keys(namespace: str, names: str) -> frozenset[str]:
    return frozenset(f"{namespace}:{name}" for name in names.split())


# "AWS global condition context keys" that access/request_context.py fills in.
FILLED_GLOBAL_KEYS: Final = _keys(
    "aws",
    "currenttime epochtime principalaccount principalarn principalisawsservice principaltype"
    " referer requestedregion resourceaccount securetransport sourceip useragent userid username"
    " viaawsservice",
)
# Global keys of what does not exist here, and so never are in a request: as on AWS for a request
# that came by no VPC endpoint, from no service, without MFA, by a principal of no organisation.
ABSENT_GLOBAL_KEYS: Final = _keys(
    "aws",
    "calledvia calledviafirst calledvialast federatedprovider multifactorauthage"
    " multifactorauthpresent principalorgid principalorgpaths principalservicename"
    " principalservicenameslist principaltag/ requesttag/ resourceorgid resourceorgpaths"
    " resourcetag/ sourceaccount sourcearn sourceidentity sourceorgid sourceorgpaths sourceowner"
    " sourcevpc sourcevpcarn sourcevpce tagkeys tokenissuetime vpcsourceip",
)
# Keys of S3 that every action takes.
COMMON_S3_KEYS: Final = _keys(
    "s3",
    "accesspointnetworkorigin authtype dataaccesspointaccount dataaccesspointarn resourceaccount"
    " signatureage signatureversion tlsversion x-amz-content-sha256",
)
# Keys of S3 that some actions take; access/actions.py says which.
ACL_KEYS: Final = _keys(
    "s3",
    "x-amz-acl x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write"
    " x-amz-grant-write-acp",
)
LISTING_KEYS: Final = _keys("s3", "delimiter max-keys prefix")
EXISTING_TAG_KEYS: Final = _keys("s3", "existingobjecttag/")
REQUEST_TAG_KEYS: Final = _keys("s3", "requestobjecttag/ requestobjecttagkeys")
BUCKET_TAG_KEYS: Final = _keys("s3", "buckettag/")
VERSION_KEYS: Final = _keys("s3", "versionid")
RETENTION_KEYS: Final = _keys(
    "s3",
    "object-lock-mode object-lock-remaining-retention-days object-lock-retain-until-date",
)
LEGAL_HOLD_KEYS: Final = _keys("s3", "object-lock-legal-hold")
PRECONDITION_KEYS: Final = _keys("s3", "if-match if-none-match objectcreationoperation")
OWNERSHIP_KEYS: Final = _keys("s3", "x-amz-object-ownership")
LOCATION_KEYS: Final = _keys("s3", "locationconstraint")
INVENTORY_KEYS: Final = _keys("s3", "inventoryaccessibleoptionalfields")
STORAGE_CLASS_KEYS: Final = _keys("s3", "x-amz-storage-class")
CREATION_KEYS: Final = (
    _keys(
        "s3",
        "x-amz-copy-source x-amz-metadata-directive x-amz-server-side-encryption"
        " x-amz-server-side-encryption-aws-kms-key-id"
        " x-amz-server-side-encryption-customer-algorithm x-amz-website-redirect-location",
    )
    | ACL_KEYS
    | REQUEST_TAG_KEYS
    | RETENTION_KEYS
    | LEGAL_HOLD_KEYS
    | STORAGE_CLASS_KEYS
)
S3_KEYS: Final = (
    COMMON_S3_KEYS
    | LISTING_KEYS
    | EXISTING_TAG_KEYS
    | BUCKET_TAG_KEYS
    | VERSION_KEYS
    | PRECONDITION_KEYS
    | OWNERSHIP_KEYS
    | LOCATION_KEYS
    | INVENTORY_KEYS
    | CREATION_KEYS
)
KNOWN_KEYS: Final = FILLED_GLOBAL_KEYS | ABSENT_GLOBAL_KEYS | S3_KEYS
assert not FILLED_GLOBAL_KEYS & ABSENT_GLOBAL_KEYS


def key_family(key: str) -> str:
    """Return the row that a lower-case key belongs to: of one with a tag's name, what is before."""
    head, slash, tag = key.partition("/")
    return head + slash if tag else key


def is_known(key: str) -> bool:
    """Whether a request's value for a lower-case key, or its lack, can be relied on."""
    return not key.endswith("/") and key_family(key) in KNOWN_KEYS
