"""Who may do what: asked once for every request, between the route and the handler.

What is decided before a body is read is decided here. Where a document or the source of a copy
says more, its handler asks again, by the same gate: each key of a DeleteObjects, the tags that a
copy takes along, a policy's conditions on the content of a document.
docs/protocol/authorization.md tells the order of the decision.
"""

from typing import Final

from objstore.access.acl import Acl
from objstore.access.actions import OF_ACCOUNTS, OF_UPLOADS
from objstore.access.decide import NOT_ALLOWED, Resource, decide
from objstore.access.ownership import ENFORCED
from objstore.access.public_access import NO_BLOCK
from objstore.access.request_context import version_keys
from objstore.errors import RequestRefused
from objstore.names import BucketName
from objstore.s3.asked import DOCUMENT_KEYS, actions_of, named
from objstore.s3.bucket_access import mentions
from objstore.s3.call import Call, Reply, upload_id_of
from objstore.s3.copy_source import CopySource, source_of
from objstore.s3.expected_digests import require_digest
from objstore.s3.gate import ABSENCES, NOTHING, Gate, gate_of, passes, principal_of
from objstore.s3.operations import Spec
from objstore.s3.owners import is_owner_expected
from objstore.wire.headers import parameter
from objstore.wire.route import EXPECTED_OWNER, EXPECTED_SOURCE_OWNER

_NO_BUCKET: Final = Resource("", None, "", "", Acl(()), None)


async def answer(call: Call, spec: Spec) -> Reply:
    """Let the handler answer, if the caller may ask, and may know what it says.

    "If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403
    (Access Denied) error" for an object that is not there.
    """
    await authorize(call, spec)
    if spec.needs_digest:
        require_digest(call.request)
    try:
        return await spec.handler(call)
    except RequestRefused as refused:
        if refused.reason in ABSENCES and not await _may_know_absence(call, spec):
            raise RequestRefused("AccessDenied") from refused
        raise


async def authorize(call: Call, spec: Spec) -> None:
    """Refuse what the caller may not do, and a bucket whose owner is not the one expected.

    A bucket that does not exist is said to be missing, as on AWS: names of buckets are no secret.

    Raises:
        RequestRefused: AccessDenied, MethodNotAllowed; NoSuchBucket, NoSuchKey.
    """
    if spec.action in OF_ACCOUNTS:
        _require_account(call, spec)
        return
    gate = await _enter(call, call.bucket, EXPECTED_OWNER)
    if spec.copies:
        source = source_of(call)
        source_gate = await _enter(call, source.bucket, EXPECTED_SOURCE_OWNER)
        if gate is not None:
            await _require(gate, call, spec)
        if source_gate is not None:
            await _require_source(source_gate, source)
    elif gate is not None:
        await _require(gate, call, spec)


def _require_account(call: Call, spec: Spec) -> None:
    """Decide what concerns no bucket that is there: names that are taken are refused as such."""
    decision = decide(
        principal_of(call),
        spec.action,
        _NO_BUCKET,
        NOTHING,
        policy=None,
        ownership=ENFORCED,
        block=NO_BLOCK,
    )
    if not decision.allowed:
        raise RequestRefused(decision.code)


async def _enter(call: Call, name: BucketName, header: str) -> Gate | None:
    """Return a bucket's gate; None when it stands open for the caller."""
    bucket = await call.store.head_bucket(name)
    expected = parameter(call.request, header)
    if expected is not None and not is_owner_expected(expected, bucket, call.identities):
        raise RequestRefused("AccessDenied")
    return None if passes(call, bucket) else Gate(call, bucket)


async def _require(gate: Gate, call: Call, spec: Spec) -> None:
    key = call.request.key
    if spec.per_key:
        if not gate.may_allow:
            raise gate.refusal(NOT_ALLOWED)
    elif spec.action in OF_UPLOADS:
        await _require_upload(gate, call, spec.action)
    elif not _waits_for_document(gate, spec.action):
        actions = actions_of(
            call.request, spec.action, creates=spec.creates, acls_act=gate.access.acls_act
        )
        await gate.require(actions, key, call.request.query.get("versionId"))


def _waits_for_document(gate: Gate, action: str) -> bool:
    """Whether the policy's answer depends on what the body says; `require_said` decides then."""
    return action in DOCUMENT_KEYS and mentions(gate.bucket, DOCUMENT_KEYS[action])


async def _require_upload(gate: Gate, call: Call, action: str) -> None:
    """Decide about an upload: of those who may not otherwise, its initiator may."""
    decision = gate.decide(action, call.key)
    if decision is NOT_ALLOWED and not gate.principal.anonymous:
        try:
            upload = await call.store.read_upload(call.bucket, call.key, upload_id_of(call))
        except RequestRefused as refused:
            if refused.reason != "NoSuchUpload":
                raise
        else:
            initiator = upload.initiator or upload.owner
            decision = gate.decide(action, call.key, owner=initiator)
    if not decision.allowed:
        raise gate.refusal(decision)


async def _require_source(gate: Gate, source: CopySource) -> None:
    version = source.version_id or None
    more = NOTHING if version is None else version_keys(version)
    action = named("s3:GetObject", versioned=version is not None)
    await gate.require([action], source.key, version, more=more)


async def _may_know_absence(call: Call, spec: Spec) -> bool:
    if not (await gate_of(call, call.bucket)).may_know_absence():
        return False
    return not spec.copies or (await gate_of(call, source_of(call).bucket)).may_know_absence()
