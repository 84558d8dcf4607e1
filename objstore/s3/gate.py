"""A bucket's gate: what its record, the caller and the request say, put to access/decide.py.

A gate is made for one call and one bucket; the source of a copy has its own. Most requests are
root's or the bucket owner's on a bucket without a policy, where nothing can be refused: they pass
without a question. The version that a key names is read only where the answer can depend on it.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from objstore.access.actions import ACTIONS, DECIDED_BY_BUCKET, Target
from objstore.access.decide import (
    GRANTED,
    NOT_ALLOWED,
    Decision,
    Resource,
    decide,
    may_know_absence,
)
from objstore.access.facts import Context
from objstore.access.principals import ANONYMOUS, Principal
from objstore.access.request_context import existing_tag_keys, request_context, request_tag_keys
from objstore.errors import RequestRefused
from objstore.iam.identities import Identity
from objstore.names import CURRENT, BucketName, Kind, ObjectKey
from objstore.ondisk.record import Bucket, Version
from objstore.s3.asked import actions_of, named
from objstore.s3.bucket_access import (
    OWNERSHIP,
    POLICY,
    BucketAccess,
    access_of,
    acl_held,
)
from objstore.s3.call import Call
from objstore.s3.copy_source import CopySource
from objstore.s3.object_version import find_version, read_version_id
from objstore.s3.owners import owner_of, owns
from objstore.s3.signature_facts import signature_facts
from objstore.wire.config_documents.tagging import read_tagging_header
from objstore.wire.headers import parameter

NOTHING: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
# What is answered for something that is not there.
ABSENCES: Final = frozenset({"NoSuchKey", "NoSuchVersion"})
_EXISTING_TAG: Final = "s3:existingobjecttag/"
_PUT_ACL: Final = "s3:PutObjectAcl"


@lru_cache(maxsize=256)
def _principal(identity: Identity) -> Principal:
    return Principal(
        identity.canonical_id, identity.account, identity.name, identity.arn, identity.root
    )


def principal_of(call: Call) -> Principal:
    """Return who asks, as decisions name them."""
    return ANONYMOUS if call.caller is None else _principal(call.caller)


def passes(call: Call, bucket: Bucket) -> bool:
    """Whether nothing that the caller may ask of a bucket can be refused."""
    if call.caller is None or POLICY in bucket.settings:
        return False
    if call.caller.root:
        return True
    return OWNERSHIP not in bucket.settings and owns(call.caller, bucket, call.identities)


class Gate:
    """One bucket, as one caller finds it."""

    __slots__ = ("_account", "_call", "_context", "access", "bucket", "principal", "unlimited")

    def __init__(self, call: Call, bucket: Bucket) -> None:
        self._call = call
        self.bucket = bucket
        self.principal = principal_of(call)
        self.access: BucketAccess = access_of(bucket, call.identities)
        self.unlimited = passes(call, bucket)
        self._context: dict[str, tuple[str, ...]] | None = None

    @property
    def may_allow(self) -> bool:
        """Whether anything that the caller asks of this bucket can be allowed at all."""
        owner = self.principal.root or self.principal.is_owner(self.access.owner)
        return owner or self.access.policy is not None or self.access.acls_act

    async def require(
        self,
        actions: Iterable[str],
        key: ObjectKey | None = None,
        version: str | None = None,
        *,
        more: Context = NOTHING,
    ) -> None:
        """Refuse the caller who may not do all of `actions`.

        Of the first one the others are additions: an ACL that lets somebody write an object lets
        them say who may use it, unless the policy denies that.

        Args:
            actions: "s3:..." each.
            key: what they are done with; None: the bucket.
            version: the version of it that is named, as it was sent.
            more: condition keys that are not the request's in general.

        Raises:
            RequestRefused: AccessDenied or MethodNotAllowed; NoSuchKey or NoSuchVersion to those
                who may know of what is not there.
        """
        if self.unlimited:
            return
        granted = False
        for action in actions:
            held, absence = await self._look(action, key, version)
            decision = self.decide(action, key, held, more=more)
            granted = granted or decision is GRANTED
            if decision.allowed or (granted and action == _PUT_ACL and decision is NOT_ALLOWED):
                continue
            if absence is not None and decision is NOT_ALLOWED and self.may_know_absence():
                raise absence
            raise self.refusal(decision)

    def allows(self, action: str, key: ObjectKey, held: Version) -> bool:
        """Whether the caller may do `action` with the version `held`."""
        return self.unlimited or self.decide(action, key, held).allowed

    def decide(
        self,
        action: str,
        key: ObjectKey | None,
        held: Version | None = None,
        *,
        owner: str = "",
        more: Context = NOTHING,
    ) -> Decision:
        """Decide; `held` is the version that is there, `owner` whoever began an upload."""
        access = self.access
        stored_owner = owner or ("" if held is None else held.owner)
        if stored_owner:
            stored_owner = owner_of(stored_owner, self._call.identities).canonical_id
        acl = None if held is None else acl_held(held.acl, stored_owner or access.owner)
        resource = Resource(self.bucket.name, key, access.owner, stored_owner, access.acl, acl)
        return decide(
            self.principal,
            action,
            resource,
            self._context_of(action, held, more),
            policy=access.policy,
            ownership=access.ownership,
            block=access.block,
        )

    def may_know_absence(self) -> bool:
        """Whether the caller is told that a key is not there."""
        access = self.access
        if self.unlimited:
            return True
        resource = Resource(self.bucket.name, None, access.owner, "", access.acl, None)
        return may_know_absence(
            self.principal,
            resource,
            self._context_of("s3:ListBucket", None, NOTHING),
            policy=access.policy,
            ownership=access.ownership,
            block=access.block,
        )

    def refusal(self, decision: Decision) -> RequestRefused:
        """Return what a refusal answers."""
        if decision.code == "MethodNotAllowed":
            return RequestRefused(
                decision.code, Method=self._call.request.method, ResourceType="BUCKETPOLICY"
            )
        return RequestRefused(decision.code)

    def looks_at_object(self, action: str) -> bool:
        """Whether a decision depends on the object that is there."""
        row = ACTIONS.get(action)
        if row is None or row.target is not Target.OBJECT:
            return False
        if self.access.acls_act and action not in DECIDED_BY_BUCKET:
            return True
        policy = self.access.policy
        return policy is not None and policy.reads_tags and row.takes(_EXISTING_TAG)

    async def _look(
        self, action: str, key: ObjectKey | None, version: str | None
    ) -> tuple[Version | None, RequestRefused | None]:
        """Return the version that an action is about, or why there is none, if it matters."""
        if key is None or not self.looks_at_object(action):
            return None, None
        name: BucketName = self.bucket.name
        try:
            version_id = read_version_id(version)
            held = (await find_version(self._call, name, key, version_id)).version
        except RequestRefused as refused:
            if refused.reason not in ABSENCES:
                raise
            return None, refused
        if held.kind is not Kind.DELETE_MARKER:
            return held, None
        return None, RequestRefused("NoSuchKey", Key=key) if version_id == CURRENT else None

    def _context_of(self, action: str, held: Version | None, more: Context) -> Context:
        if self.access.policy is None:
            return NOTHING  # nobody asks for it
        if self._context is None:
            self._context = self._read_context()
        added = dict(more)
        if held is not None and ACTIONS[action].takes(_EXISTING_TAG):
            added |= existing_tag_keys(held.tags.items())
        return self._context | added if added else self._context

    def _read_context(self) -> dict[str, tuple[str, ...]]:
        call = self._call
        owner = call.identities.owner(self.bucket.owner)
        context = request_context(
            call.request,
            self.principal,
            now_ms=call.now_ms,
            region=call.region,
            bucket_account="" if owner is None else owner.account,
            signature=signature_facts(call),
            tls_version=call.tls_version,
        )
        tags = parameter(call.request, "x-amz-tagging")
        if tags:
            sent = [(tag.key, tag.value) for tag in read_tagging_header(tags)]
            context |= request_tag_keys(sent)
        return context


async def gate_of(call: Call, name: BucketName) -> Gate:
    """Return the gate of a bucket; raises NoSuchBucket."""
    return Gate(call, await call.store.head_bucket(name))


async def require_said(call: Call, action: str, more: Context) -> None:
    """Decide about an object's request whose document says what conditions ask for.

    Every handler of such a request calls it: where nothing depends on the document it was decided
    before the document was read, and is decided again with the same outcome.

    Args:
        call: the request.
        action: what its operation is called by policies, without a version.
        more: the condition keys of the document.

    Raises:
        RequestRefused: as Gate.require.
    """
    gate = await gate_of(call, call.bucket)
    if gate.unlimited:
        return
    actions = actions_of(call.request, action, creates=False, acls_act=gate.access.acls_act)
    await gate.require(actions, call.key, call.request.query.get("versionId"), more=more)


async def require_copied_tags(call: Call, source: CopySource, tags: Mapping[str, str]) -> None:
    """Decide about a copy that takes the tags of its source along, once it is known to have any.

    Raises:
        RequestRefused: AccessDenied.
    """
    version = source.version_id or None
    reads = named("s3:GetObjectTagging", versioned=version is not None)
    of_source = await gate_of(call, source.bucket)
    await of_source.require([reads], source.key, version)
    gate = await gate_of(call, call.bucket)
    held = request_tag_keys(tags.items())
    if not gate.decide("s3:PutObjectTagging", call.key, more=held).allowed:
        raise RequestRefused("AccessDenied")
