"""Access control lists: of buckets and objects, read and set, and of what is about to be made.

A new ACL comes from x-amz-acl, from x-amz-grant- headers, or from a document. Whether it counts is
the bucket's ownership setting's to say. Its bytes in records are access/acl.py's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from objstore.access.acl import (
    EC2_ID,
    GROUP_URIS,
    Acl,
    Grant,
    Permission,
    acl_of,
    decode_acl,
    encode_acl,
    private,
)
from objstore.access.acl_headers import Directory, grant_to, requested_acl
from objstore.access.ownership import (
    owner_of_new_object,
    refuse_acl_of_new_bucket,
    refuse_acl_when_disabled,
)
from objstore.access.public_access import refuse_public_acl
from objstore.errors import RequestRefused
from objstore.iam.identities import ANONYMOUS_ID, Identities
from objstore.ondisk.record import Bucket, Version
from objstore.s3.asked import sends_acl
from objstore.s3.bucket_access import (
    ACL,
    OWNERSHIP,
    access_of,
    block_of,
    ownership_of,
)
from objstore.s3.bucket_settings import with_setting
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.s3.gate import principal_of
from objstore.s3.object_version import current_version, version_of
from objstore.s3.owners import owner_of
from objstore.wire.config_documents import acl as documents
from objstore.wire.config_documents.grantees import (
    CANONICAL_USER,
    EMAIL,
    GROUP,
    Grantee,
)
from objstore.wire.config_documents.grantees import Grant as ShownGrant
from objstore.wire.config_documents.ownership_controls import (
    ENFORCED,
    read_ownership_header,
    write_ownership_controls,
)
from objstore.wire.documents import Owner
from objstore.wire.headers import parameter

_OWNERSHIP_HEADER: Final = "x-amz-object-ownership"
# Grantees that an ACL may show, and so may be sent back, and that no identity is.
_NO_IDENTITIES: Final = frozenset({ANONYMOUS_ID, EC2_ID})
_KINDS: Final = {CANONICAL_USER: "id", EMAIL: "emailaddress", GROUP: "uri"}
assert {permission.name for permission in Permission} == set(documents.PERMISSIONS)


# --- of what is about to be made ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewObject:
    """Whose a new object is, and its ACL as records have it."""

    owner: str
    acl: bytes


def new_object(call: Call, bucket: Bucket) -> NewObject:
    """Return whose an object that the call writes is, and who else may use it.

    Raises:
        RequestRefused: InvalidArgument, InvalidRequest, MalformedACLError,
            UnresolvableGrantByEmailAddress for an ACL that is none; AccessControlListNotSupported
            where ACLs are disabled; AccessDenied for a public one that the bucket blocks.
    """
    if OWNERSHIP not in bucket.settings and not sends_acl(call.request):  # nearly every write
        return NewObject(owner_of(bucket.owner, call.identities).canonical_id, b"")
    access = access_of(bucket, call.identities)
    canned = _sent(call)("x-amz-acl") or ""
    owner = owner_of_new_object(
        access.ownership, principal_of(call), bucket_owner=access.owner, canned=canned
    )
    acl = requested_acl(
        _sent(call), owner=owner, bucket_owner=access.owner, directory=_directory(call.identities)
    )
    if acl is None:
        return NewObject(owner, b"")
    if not access.acls_act:
        granted = not canned and acl != private(owner)
        refuse_acl_when_disabled(access.ownership, canned=canned, granted=granted)
        return NewObject(owner, b"")
    refuse_public_acl(access.block, acl)
    return NewObject(owner, encode_acl(acl, owner=owner))


def new_bucket_settings(call: Call) -> dict[str, bytes]:
    """Return the settings that CreateBucket's headers ask for: ownership, and an ACL.

    Raises:
        RequestRefused: InvalidBucketAclWithObjectOwnership, and as `new_object`.
    """
    lookup = _sent(call)
    sent = lookup(_OWNERSHIP_HEADER)
    controls = None if sent is None else read_ownership_header(sent)
    acl = requested_acl(
        lookup,
        owner=call.caller_id,
        bucket_owner=None,
        directory=_directory(call.identities),
    )
    canned = lookup("x-amz-acl") or ""
    refuse_acl_of_new_bucket(
        ENFORCED if controls is None else controls.ownership,
        canned="" if canned == "bucket-owner-full-control" else canned,  # "ignores it"
        granted=acl is not None and not canned and acl != private(call.caller_id),
    )
    settings: dict[str, bytes] = {}
    if controls is not None:
        settings[OWNERSHIP] = write_ownership_controls(controls)
    encoded = b"" if acl is None else encode_acl(acl, owner=call.caller_id)
    if encoded:
        settings[ACL] = encoded
    return settings


def _sent(call: Call) -> Callable[[str], str | None]:
    return lambda name: parameter(call.request, name)


def _directory(identities: Identities) -> Directory:
    def by_id(canonical_id: str) -> str | None:
        known = identities.by_canonical_id(canonical_id) is not None
        return canonical_id if known or canonical_id in _NO_IDENTITIES else None

    def by_email(email: str) -> str | None:
        found = identities.by_email(email)
        return None if found is None else found.canonical_id

    return Directory(by_id, by_email)


# --- buckets --------------------------------------------------------------------------


async def get_bucket_acl(call: Call) -> Reply:
    """Answer GetBucketAcl: the owner's full control alone where ACLs are disabled."""
    access = access_of(await call.store.head_bucket(call.bucket), call.identities)
    acl = access.acl if access.acls_act else private(access.owner)
    return _shown(call, access.owner, acl)


async def put_bucket_acl(call: Call) -> Reply:
    """Answer PutBucketAcl."""
    wanted = await _read(call)

    def change(bucket: Bucket) -> Bucket:
        owner = owner_of(bucket.owner, call.identities).canonical_id
        if not access_of(bucket, call.identities).acls_act:
            _refuse_unless_so_anyway(call, wanted, ownership_of(bucket), owner)
            return bucket
        acl = wanted(owner, None)
        refuse_public_acl(block_of(bucket), acl)
        return with_setting(bucket, ACL, encode_acl(acl, owner=owner) or None)

    await call.store.change_bucket(call.bucket, change)
    return Reply(200, {})


# --- objects --------------------------------------------------------------------------


async def get_object_acl(call: Call) -> Reply:
    """Answer GetObjectAcl."""
    access = access_of(await call.store.head_bucket(call.bucket), call.identities)
    version = await current_version(call)
    if not access.acls_act:
        return _shown(call, access.owner, private(access.owner))
    owner = _owner_of(call, version, access.owner)
    return _shown(call, owner, decode_acl(version.acl, owner=owner))


async def put_object_acl(call: Call) -> Reply:
    """Answer PutObjectAcl.

    The version that is changed is of the owner of that which the caller was allowed to change.
    """
    wanted = await _read(call)
    access = access_of(await call.store.head_bucket(call.bucket), call.identities)
    if not access.acls_act:
        _refuse_unless_so_anyway(call, wanted, access.ownership, access.owner)
        await current_version(call)
        return Reply(200, {})
    owner = _owner_of(call, await current_version(call), access.owner)
    acl = wanted(owner, access.owner)
    refuse_public_acl(access.block, acl)

    def change(version: Version) -> Version:
        if _owner_of(call, version, access.owner) != owner:
            raise RequestRefused("OperationAborted")
        return msgspec.structs.replace(version, acl=encode_acl(acl, owner=owner))

    await call.store.edit_object(call.bucket, call.key, version_of(call), change)
    return Reply(200, {})


def _owner_of(call: Call, version: Version, bucket_owner: str) -> str:
    return owner_of(version.owner or bucket_owner, call.identities).canonical_id


# --- documents ------------------------------------------------------------------------

# The ACL that is wanted, by the owner of what it is for and the owner of its bucket.
_Wanted = Callable[[str, str | None], Acl]


async def _read(call: Call) -> _Wanted:
    """Read what a Put asks for: in headers or in a document, and in one of them alone.

    Raises:
        RequestRefused: UnexpectedContent for both, MissingSecurityHeader for neither;
            MalformedACLError.
    """
    body = await read_body(call)
    lookup, directory = _sent(call), _directory(call.identities)
    in_headers = requested_acl(lookup, owner="", bucket_owner=None, directory=directory)
    if in_headers is not None:
        if body.strip():
            raise RequestRefused("UnexpectedContent")

        def from_headers(owner: str, bucket_owner: str | None) -> Acl:
            acl = requested_acl(lookup, owner=owner, bucket_owner=bucket_owner, directory=directory)
            assert acl is not None
            return acl

        return from_headers
    if not body.strip():
        raise RequestRefused(
            "MissingSecurityHeader",
            "Your request was missing a required header",
            MissingHeaderName="x-amz-acl",
        )
    policy = documents.read_acl(body)
    acl = acl_of(
        grant_to(
            _KINDS[one.grantee.kind],
            one.grantee.identifier,
            Permission[one.permission],
            directory,
        )
        for one in policy.grants
    )

    def from_document(owner: str, _: str | None) -> Acl:
        # What a document says of an owner changes none.
        if policy.owner.canonical_id != owner:
            raise RequestRefused("AccessDenied")
        return acl

    return from_document


def _refuse_unless_so_anyway(call: Call, wanted: _Wanted, ownership: str, owner: str) -> None:
    """Refuse a Put of an ACL where ACLs are disabled, unless its document is what holds there.

    "PUT requests that [...] specify bucket owner full control ACLs, such as [...] an equivalent
    form of this ACL expressed in the XML format" are accepted. s3cmd sends one after each copy:
    what it was shown.

    Raises:
        RequestRefused: AccessControlListNotSupported.
    """
    in_headers = requested_acl(
        _sent(call), owner=owner, bucket_owner=None, directory=_directory(call.identities)
    )
    so_anyway = in_headers is None and wanted(owner, None) == private(owner)
    refuse_acl_when_disabled(ownership, granted=not so_anyway)


def _shown(call: Call, owner: str, acl: Acl) -> Reply:
    grants = tuple(_shown_grant(call, grant) for grant in acl.grants)
    policy = documents.AccessControlPolicy(owner_of(owner, call.identities), grants)
    return xml_reply(documents.write_acl(policy))


def _shown_grant(call: Call, grant: Grant) -> ShownGrant:
    if grant.group is not None:
        return ShownGrant(Grantee(GROUP, GROUP_URIS[grant.group]), grant.permission.name)
    user: Owner = owner_of(grant.canonical_id, call.identities)
    return ShownGrant(
        Grantee(CANONICAL_USER, user.canonical_id, user.display_name), grant.permission.name
    )
