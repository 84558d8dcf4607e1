"""DeleteObject and DeleteObjects."""

import asyncio
from collections.abc import Iterator
from typing import Final

from objstore.access.request_context import version_keys
from objstore.errors import QuorumError, RequestRefused
from objstore.names import CURRENT
from objstore.s3.acls import new_object
from objstore.s3.asked import delete_actions
from objstore.s3.call import Call, Reply, check_object_key, read_body, xml_reply
from objstore.s3.error_codes import s3_error_of
from objstore.s3.gate import NOTHING, Gate, gate_of
from objstore.s3.object_lock import deletion_permission
from objstore.s3.object_version import read_version_id, version_of
from objstore.s3.write_conditions import delete_precondition, read_delete_precondition
from objstore.wire.delete_documents import (
    Deleted,
    DeleteFailure,
    ObjectToDelete,
    delete_result,
    read_delete,
)

# Of one DeleteObjects; each delete is a round of small calls to every drive of a set.
_DELETES_AT_ONCE: Final = 32


async def delete_object(call: Call) -> Reply:
    """Answer DeleteObject; deleting what is not there succeeds."""
    deleted = await call.store.delete_object(
        call.bucket,
        call.key,
        version_of(call),
        owner=await _marker_owner(call),
        permission=deletion_permission(call),
        precondition=read_delete_precondition(call.request),
    )
    headers: dict[str, str] = {}
    if deleted.version_id != CURRENT:
        headers["x-amz-version-id"] = deleted.version_id
    if deleted.delete_marker:
        headers["x-amz-delete-marker"] = "true"
    return Reply(204, headers)


async def _marker_owner(call: Call) -> str:
    """Return whose a delete marker is: as an object, that is written without an ACL."""
    return new_object(call, await call.store.head_bucket(call.bucket)).owner


async def delete_objects(call: Call) -> Reply:
    """Answer DeleteObjects: each key succeeds or fails on its own."""
    wanted = read_delete(await read_body(call))
    gate, owner = await gate_of(call, call.bucket), await _marker_owner(call)
    outcomes: dict[int, Deleted | DeleteFailure] = {}
    queue = iter(enumerate(wanted.objects))
    async with asyncio.TaskGroup() as group:
        for _ in range(min(_DELETES_AT_ONCE, len(wanted.objects))):
            group.create_task(_delete_from(call, gate, owner, queue, outcomes))
    ordered = [outcomes[at] for at in range(len(wanted.objects))]
    deleted = [one for one in ordered if isinstance(one, Deleted)]
    failed = [one for one in ordered if isinstance(one, DeleteFailure)]
    return xml_reply(delete_result(deleted, failed, quiet=wanted.quiet))


async def _delete_from(
    call: Call,
    gate: Gate,
    owner: str,
    queue: Iterator[tuple[int, ObjectToDelete]],
    outcomes: dict[int, Deleted | DeleteFailure],
) -> None:
    """Take entries from the queue that several tasks share, until it is empty."""
    for at, entry in queue:
        try:
            outcomes[at] = await _delete_one(call, gate, owner, entry)
        except (RequestRefused, QuorumError) as problem:
            error = s3_error_of(problem)
            outcomes[at] = DeleteFailure(entry.key, entry.version_id, error.code, error.message)


async def _delete_one(call: Call, gate: Gate, owner: str, entry: ObjectToDelete) -> Deleted:
    """Delete one object, if the caller may: every key is decided on its own."""
    modified_ms = entry.modified_ms
    key, version = check_object_key(entry.key), entry.version_id
    asked = delete_actions(call.request, versioned=version is not None, etag=entry.etag)
    named = NOTHING if version is None else version_keys(version)
    await gate.require(asked, key, version, more=named)
    done = await call.store.delete_object(
        call.bucket,
        key,
        read_version_id(version),
        owner=owner,
        permission=deletion_permission(call),
        precondition=delete_precondition(
            etag=entry.etag,
            modified_s=None if modified_ms is None else modified_ms // 1000,
            size=entry.size,
        ),
    )
    marker = done.version_id if done.delete_marker else None
    return Deleted(entry.key, entry.version_id, done.delete_marker, marker)
