"""The store as clients reach it: what needs a server that is away for a moment waits for it.

Whatever the engine refuses for want of a quorum is tried again when the awaited server is back.
That is the same as the client's own repetition, which `503` asks for, but it comes in time: an
SDK gives up after about a second. What a client sent can not be read twice, so a write whose
body was touched is refused, and the client's repetition waits.

Where the operator asked for it (`stale_reads`), a read that too few drives answer to be certain is
answered from those that do. What they have is shown; what they do not have may be elsewhere, and
is refused as before. Nothing is ever decided or written by such a read.
"""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, TypeVar

from objstore.drive.api import Buffer
from objstore.engine.absences import Absences
from objstore.engine.get import StoredObject
from objstore.engine.ports import (
    UNCONDITIONAL,
    Attributes,
    Body,
    ObjectReader,
    Precondition,
    UploadedPartResult,
)
from objstore.engine.sets import Context
from objstore.engine.store import Store
from objstore.errors import QuorumError, ReadQuorumLost, RequestRefused, WriteQuorumLost
from objstore.names import CURRENT, BucketName, ObjectKey, UploadId, VersionId
from objstore.ondisk.record import Version
from objstore.wire.customer_key import CustomerKey
from objstore.wire.digests import Digests

P = ParamSpec("P")
T = TypeVar("T")


def _patient(
    method: Callable[Concatenate[Store, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["PatientStore", P], Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def patient(self: "PatientStore", /, *args: P.args, **named: P.kwargs) -> T:
        return await self.patience.tried(lambda: method(self, *args, **named))

    return patient


def _patient_read(
    method: Callable[Concatenate[Store, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["PatientStore", P], Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def patient(self: "PatientStore", /, *args: P.args, **named: P.kwargs) -> T:
        return await self.read(lambda store: method(store, *args, **named))

    return patient


class Patience:
    """Tries again what failed for want of servers that are away for a moment."""

    def __init__(self, context: Context, absences: Absences) -> None:
        self._sets = context.sets
        self._absences = absences

    @property
    def returns(self) -> int:
        """How often a server has come back; to be noted before a try."""
        return self._absences.returns

    async def helps(self, error: QuorumError, seen: int) -> bool:
        """Wait, and say whether to try again; `seen` is `returns` from before the try."""
        write = isinstance(error, WriteQuorumLost)
        return await self._absences.wait(seen, self._sets, write=write)

    async def tried(
        self,
        attempt: Callable[[], Coroutine[Any, Any, T]],
        *,
        repeatable: Callable[[], bool] = lambda: True,
    ) -> T:
        """Return what `attempt` gives, as soon as it does.

        Raises:
            QuorumError: it is not `repeatable` (any more), or waiting does not help.
        """
        while True:
            seen = self.returns
            try:
                return await attempt()
            except QuorumError as error:
                if not repeatable() or not await self.helps(error, seen):
                    raise


class PatientStore(Store):
    """A store whose operations wait for servers in `absences`.

    With `stale_reads`, reads that cannot be certain are answered from the drives that are left.
    """

    def __init__(self, context: Context, absences: Absences, *, stale_reads: bool = False) -> None:
        super().__init__(context)
        self.patience = Patience(context, absences)
        self._stale = Store(_stale(context)) if stale_reads else None

    async def read(self, attempt: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """Return what `attempt` reads from this store, or, if that is lost, from what is left.

        Raises:
            ReadQuorumLost: it is lost, and what is left does not have it.
        """
        try:
            return await self.patience.tried(lambda: attempt(self))
        except ReadQuorumLost as lost:
            if self._stale is None:
                raise
            try:
                return await attempt(self._stale)
            except RequestRefused:
                raise lost from None

    create_bucket = _patient(Store.create_bucket)
    change_bucket = _patient(Store.change_bucket)
    head_bucket = _patient_read(Store.head_bucket)
    delete_bucket = _patient(Store.delete_bucket)
    list_buckets = _patient_read(Store.list_buckets)
    delete_object = _patient(Store.delete_object)
    edit_object = _patient(Store.edit_object)
    list_objects = _patient_read(Store.list_objects)
    list_versions = _patient_read(Store.list_versions)
    create_upload = _patient(Store.create_upload)
    read_upload = _patient(Store.read_upload)
    list_parts = _patient(Store.list_parts)
    list_uploads = _patient(Store.list_uploads)
    complete_upload = _patient(Store.complete_upload)
    abort_upload = _patient(Store.abort_upload)

    async def open_object(
        self, bucket: BucketName, key: ObjectKey, version_id: VersionId = CURRENT
    ) -> ObjectReader:
        """Find an object, or a delete marker, for reading; see Store."""
        found = await self.read(lambda store: Store.open_object(store, bucket, key, version_id))
        assert isinstance(found, StoredObject)
        return PatientReader(found, self.patience)

    async def put_object(
        self,
        bucket: BucketName,
        key: ObjectKey,
        body: Body,
        *,
        attributes: Attributes,
        digests: Digests,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Version:
        """Store an object; see Store."""
        putting, watched = super().put_object, _WatchedBody(body)
        return await self.patience.tried(
            lambda: putting(
                bucket,
                key,
                watched,
                attributes=attributes,
                digests=digests,
                precondition=precondition,
            ),
            repeatable=lambda: not watched.touched,
        )

    async def put_part(
        self,
        bucket: BucketName,
        key: ObjectKey,
        upload_id: UploadId,
        number: int,
        body: Body,
        *,
        digests: Digests,
        customer_key: CustomerKey | None = None,
    ) -> UploadedPartResult:
        """Store a part of an upload; see Store."""
        putting, watched = super().put_part, _WatchedBody(body)
        return await self.patience.tried(
            lambda: putting(
                bucket, key, upload_id, number, watched, digests=digests, customer_key=customer_key
            ),
            repeatable=lambda: not watched.touched,
        )


def _stale(context: Context) -> Context:
    """Return the same sets, for reads that take what they can get."""
    pools = tuple(tuple(replace(handle, stale=True) for handle in pool) for pool in context.pools)
    return replace(context, pools=pools)


class _WatchedBody:
    """A body that knows whether any of it was read."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self.touched = False

    @property
    def size(self) -> int | None:
        """That of the body."""
        return self._body.size

    async def read(self) -> Buffer:
        """Return the next piece; empty at the end. See Body."""
        self.touched = True
        return await self._body.read()


class PatientReader:
    """An object that was found; a download that began goes on when the awaited server is back."""

    def __init__(self, found: StoredObject, patience: Patience) -> None:
        self._found = found
        self._patience = patience

    @property
    def version(self) -> Version:
        """The version that answers."""
        return self._found.version

    async def read(self, start: int, stop: int) -> AsyncIterator[Buffer]:
        """Yield bytes `start` to `stop` (exclusive) of the object. See ObjectReader."""
        found = self._found
        while True:
            seen = self._patience.returns
            try:
                async for piece in found.read(start, stop):
                    start += len(piece)
                    yield piece
            except QuorumError as error:
                if not await self._patience.helps(error, seen):
                    raise
                found = self._found.afresh()
            else:
                return


_READS: type[ObjectReader] = PatientReader
