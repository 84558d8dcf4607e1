"""DeleteObject and DeleteObjects."""

import asyncio
from collections.abc import Iterator
from typing import Final

from objstore.errors import QuorumError, RequestRefused
from objstore.names import CURRENT
from objstore.s3.call import Call, Reply, check_object_key, read_body, xml_reply
from objstore.s3.error_codes import s3_error_of
from objstore.s3.expected_digests import body_claim
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
from objstore.wire.route import Operation

# Of one DeleteObjects; each delete is a round of small calls to every drive of a set.
_DELETES_AT_ONCE: Final = 32


async def delete_object(call: Call) -> Reply:
    """Answer DeleteObject; deleting what is not there succeeds."""
    deleted = await call.store.delete_object(
        call.bucket,
        call.key,
        version_of(call),
        owner=call.caller_id,
        permission=deletion_permission(call),
        precondition=read_delete_precondition(call.request),
    )
    headers: dict[str, str] = {}
    if deleted.version_id != CURRENT:
        headers["x-amz-version-id"] = deleted.version_id
    if deleted.delete_marker:
        headers["x-amz-delete-marker"] = "true"
    return Reply(204, headers)


async def delete_objects(call: Call) -> Reply:
    """Answer DeleteObjects: each key succeeds or fails on its own.

    "The Content-MD5 request header is required for all Multi-Object Delete requests", or, since
    2022, a x-amz-checksum- header instead.
    """
    claim = body_claim(call.request, Operation.DELETE_OBJECTS)
    if not claim.algorithm and call.request.headers.get("content-md5") is None:
        raise RequestRefused(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )
    wanted = read_delete(await read_body(call))
    await call.store.head_bucket(call.bucket)
    outcomes: dict[int, Deleted | DeleteFailure] = {}
    queue = iter(enumerate(wanted.objects))
    async with asyncio.TaskGroup() as group:
        for _ in range(min(_DELETES_AT_ONCE, len(wanted.objects))):
            group.create_task(_delete_from(call, queue, outcomes))
    ordered = [outcomes[at] for at in range(len(wanted.objects))]
    deleted = [one for one in ordered if isinstance(one, Deleted)]
    failed = [one for one in ordered if isinstance(one, DeleteFailure)]
    return xml_reply(delete_result(deleted, failed, quiet=wanted.quiet))


async def _delete_from(
    call: Call,
    queue: Iterator[tuple[int, ObjectToDelete]],
    outcomes: dict[int, Deleted | DeleteFailure],
) -> None:
    """Take entries from the queue that several tasks share, until it is empty."""
    for at, entry in queue:
        try:
            outcomes[at] = await _delete_one(call, entry)
        except (RequestRefused, QuorumError) as problem:
            error = s3_error_of(problem)
            outcomes[at] = DeleteFailure(entry.key, entry.version_id, error.code, error.message)


async def _delete_one(call: Call, entry: ObjectToDelete) -> Deleted:
    modified_ms = entry.modified_ms
    done = await call.store.delete_object(
        call.bucket,
        check_object_key(entry.key),
        read_version_id(entry.version_id),
        owner=call.caller_id,
        permission=deletion_permission(call),
        precondition=delete_precondition(
            etag=entry.etag,
            modified_s=None if modified_ms is None else modified_ms // 1000,
            size=entry.size,
        ),
    )
    marker = done.version_id if done.delete_marker else None
    return Deleted(entry.key, entry.version_id, done.delete_marker, marker)
