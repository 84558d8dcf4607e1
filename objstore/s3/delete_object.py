"""DeleteObject and DeleteObjects."""

import asyncio
from collections.abc import Iterator
from typing import Final

from objstore.errors import QuorumError, RequestRefused
from objstore.s3.call import Call, Reply, check_object_key, check_version_id, read_body, xml_reply
from objstore.s3.error_codes import s3_error_of
from objstore.s3.expected_digests import body_claim
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
    check_version_id(call.request.query.get("versionId"))
    await call.store.delete_object(call.bucket, call.key)
    return Reply(204, {})


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
    failures: dict[int, DeleteFailure] = {}
    queue = iter(enumerate(wanted.objects))
    async with asyncio.TaskGroup() as group:
        for _ in range(min(_DELETES_AT_ONCE, len(wanted.objects))):
            group.create_task(_delete_from(call, queue, failures))
    deleted = [
        Deleted(entry.key, entry.version_id)
        for at, entry in enumerate(wanted.objects)
        if at not in failures
    ]
    failed = [failures[at] for at in sorted(failures)]
    return xml_reply(delete_result(deleted, failed, quiet=wanted.quiet))


async def _delete_from(
    call: Call, queue: Iterator[tuple[int, ObjectToDelete]], failures: dict[int, DeleteFailure]
) -> None:
    """Take entries from the queue that several tasks share, until it is empty."""
    for at, entry in queue:
        try:
            await _delete_one(call, entry)
        except (RequestRefused, QuorumError) as problem:
            error = s3_error_of(problem)
            failures[at] = DeleteFailure(entry.key, entry.version_id, error.code, error.message)


async def _delete_one(call: Call, entry: ObjectToDelete) -> None:
    if entry.conditional:
        raise RequestRefused("NotImplemented", "Conditional deletes are not implemented.")
    check_version_id(entry.version_id)
    await call.store.delete_object(call.bucket, check_object_key(entry.key))
