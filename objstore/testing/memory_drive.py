"""A drive in dicts: the slow, obvious twin of drive/local.py, and the simulator's disk.

Every answer is worked out from all that is held, without an index. A property test compares it
with LocalDrive; so it says what the journal means, and the journal says it fast.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from objstore.clock import Clock
from objstore.drive.api import Buffer, Drive, ShardSink
from objstore.drive.journal_rows import files_named
from objstore.drive.ops import (
    AbortUpload,
    BucketPage,
    ClearMissed,
    Commit,
    CommitMode,
    Committed,
    DiscardShards,
    DriveStatus,
    Forget,
    KeyEntry,
    KeyPage,
    KeyState,
    ListBuckets,
    ListKeys,
    ListMissed,
    ListTombstones,
    ListUploads,
    ListVersions,
    Missed,
    MissedPage,
    Op,
    PutBucket,
    PutPart,
    PutUpload,
    R,
    ReadBucket,
    ReadKey,
    ReadStatus,
    ReadUpload,
    ReadUsage,
    Settle,
    Tombstone,
    TombstonePage,
    Undo,
    UploadPage,
    UploadState,
    Usage,
    VerifyShard,
    VersionPage,
    WriteProgress,
)
from objstore.errors import (
    BucketMissing,
    BucketNotEmpty,
    DriveRefusal,
    ShardCorrupt,
    ShardMissing,
    Superseded,
    UploadMissing,
)
from objstore.limits import SHARD_REWRITE_AGE_S
from objstore.names import (
    NO_ORDER,
    BucketName,
    DataId,
    DriveId,
    Kind,
    ObjectKey,
    Order,
    UploadId,
)
from objstore.ondisk.record import (
    Bucket,
    Record,
    decode_bucket,
    decode_part,
    decode_record,
    decode_upload,
    encode_record,
    encode_version,
)
from objstore.ondisk.shard_file import ShardChecker
from objstore.testing.memory_files import MemorySink
from objstore.testing.memory_jobs import MemoryJobs
from objstore.testing.memory_rows import (
    DEPLOYMENT,
    HeldFile,
    HeldRow,
    HeldUpload,
    ShardKey,
    common_prefix,
    descending,
    entry_of,
    filled_in,
)
from objstore.testing.memory_tree import MemoryTree
from objstore.versions.visible import visible

_Key = tuple[BucketName, ObjectKey]
_CAPACITY: Final = 1 << 40


class MemoryDrive:
    """Everything a drive holds. What is public is for tests to look at and to damage."""

    def __init__(
        self,
        drive_id: DriveId,
        clock: Clock,
        *,
        trusted: bool = True,
        deployment: str = DEPLOYMENT,
    ) -> None:
        self._drive_id = drive_id
        self._clock = clock
        self.trusted = trusted
        self.emptied_ms = 0 if trusted else self._now_ms()
        self.rows: dict[_Key, list[HeldRow]] = {}
        self.files: dict[ShardKey, HeldFile] = {}
        self.repairs: dict[ShardKey, HeldFile] = {}
        self.buckets: dict[BucketName, tuple[Bucket, bytes]] = {}
        self.uploads: dict[UploadId, HeldUpload] = {}
        self._missed: dict[_Key, Missed] = {}
        self.jobs = MemoryJobs()
        self.tree = MemoryTree(self, deployment, drive_id)
        self._handle = {**self._handlers(), **self.jobs.handlers(), **self.tree.handlers()}

    @property
    def drive_id(self) -> DriveId:
        return self._drive_id

    can_read = True
    can_write = True
    is_slow = False

    async def call(self, op: Op[R]) -> R:
        result: R = self._handle[type(op)](op)
        return result

    async def create_shard(self, data_id: DataId, part: int, shard: int) -> ShardSink:
        name = (data_id, part, shard)
        old = self.files.get(name)
        instead = old is not None and self._is_named(name)
        if instead and self._is_whole(name):
            raise DriveRefusal("is named by a record, and whole")
        written = self.repairs.get(name) if instead else old
        if written and self._now_ms() - written.written_ms < SHARD_REWRITE_AGE_S * 1000:
            raise DriveRefusal("being written by another")
        file = HeldFile(bytearray(), self._now_ms())
        (self.repairs if instead else self.files)[name] = file
        return MemorySink(self.files, self.repairs, name, file, instead=instead)

    async def read_shard(
        self, data_id: DataId, part: int, shard: int, *, offset: int, size: int
    ) -> Buffer:
        file = self.files.get((data_id, part, shard))
        if file is None:
            raise ShardMissing(f"{data_id.hex()}.{part}.{shard}")
        data = bytes(file.data[offset : offset + size])
        if len(data) != size:
            raise ShardCorrupt(f"{data_id.hex()}.{part}.{shard} is short")
        return data

    async def close(self) -> None:
        """Nothing to let go of."""

    def damage(self, bucket: BucketName, key: ObjectKey, order: Order) -> None:
        """Make a record fail its checksum."""
        for row in self.rows.get((bucket, key), []):
            if row.order == order:
                row.damaged = True

    def _handlers(self) -> Mapping[type[Op[Any]], Callable[[Any], Any]]:
        return {
            Commit: self._commit,
            Undo: self._undo,
            Settle: self._settle,
            Forget: self._forget,
            ReadKey: self._read_key,
            ListKeys: self._list_keys,
            ListVersions: self._list_versions,
            ReadUsage: self._read_usage,
            PutBucket: self._put_bucket,
            ReadBucket: self._read_bucket,
            ListBuckets: self._list_buckets,
            PutUpload: self._put_upload,
            PutPart: self._put_part,
            ReadUpload: self._read_upload,
            ListUploads: self._list_uploads,
            AbortUpload: self._abort_upload,
            DiscardShards: self._discard_shards,
            VerifyShard: self._verify_shard,
            ListMissed: self._list_missed,
            ClearMissed: self._clear_missed,
            ListTombstones: self._list_tombstones,
            ReadStatus: self._read_status,
            WriteProgress: self._write_progress,
        }

    # --- what is held ------------------------------------------------------------------

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000

    def _held(self, bucket: BucketName, key: ObjectKey) -> list[HeldRow]:
        """The rows of a key, newest first."""
        return sorted(self.rows.get((bucket, key), []), key=lambda row: row.order, reverse=True)

    def _find(self, bucket: BucketName, key: ObjectKey, order: Order) -> HeldRow | None:
        return next((row for row in self._held(bucket, key) if row.order == order), None)

    def _is_named(self, name: ShardKey) -> bool:
        owners: Iterable[HeldRow | HeldUpload] = (
            *(row for rows in self.rows.values() for row in rows),
            *self.uploads.values(),
        )
        return any(name in owner.names() for owner in owners)

    def _is_whole(self, name: ShardKey) -> bool:
        try:
            self._verify_shard(VerifyShard(*name))
        except (ShardMissing, ShardCorrupt):
            return False
        return True

    def _remove(self, bucket: BucketName, key: ObjectKey, gone: Iterable[HeldRow]) -> None:
        orders = {row.order for row in gone}
        names = {name for row in gone for name in row.names()}
        kept = [row for row in self._held(bucket, key) if row.order not in orders]
        self.rows[bucket, key] = kept
        self._retire(names)

    def _retire(self, names: Iterable[ShardKey]) -> None:
        for name in names:
            if not self._is_named(name):
                self.files.pop(name, None)

    def _end_upload(self, upload_id: UploadId) -> None:
        self._retire(self.uploads.pop(upload_id).names())

    def _taken_by(self, bucket: BucketName, key: ObjectKey, order: Order) -> list[UploadId]:
        return [
            upload_id
            for upload_id, held in self.uploads.items()
            if (held.upload.bucket, held.upload.key, held.taken) == (bucket, key, order)
        ]

    # --- versions ----------------------------------------------------------------------

    def _commit(self, op: Commit) -> Committed:
        record = decode_record(op.record)
        version = record.version
        bucket = self.buckets.get(version.bucket)
        ordered = op.mode is CommitMode.ORDERED
        if bucket is None or (ordered and bucket[0].deleted):
            raise BucketMissing(version.bucket)
        held = self._held(version.bucket, version.key)
        if op.not_above is not None and not self.trusted:
            raise DriveRefusal("may have lost a newer row")
        if ordered and held and version.stamp <= held[0].record.version.stamp:
            raise Superseded(held[0].record.version.stamp)
        if op.not_above is not None and held and held[0].order > op.not_above:
            raise Superseded(held[0].record.version.stamp)
        if op.mode is CommitMode.REVISED:
            assert op.base is not None
            later = [row for row in held if row.record.version.stamp == version.stamp][:1]
            if later and later[0].order > op.base and later[0].order != version.order:
                raise Superseded(version.stamp)
        sealed = op.record
        if op.completes is not None:
            upload = self.uploads.get(op.completes)
            if upload is None and any(row.order == version.order for row in held):
                return self._committed(version.bucket, version.key, version.order)
            if upload is None or upload.taken not in (None, version.order, op.instead_of):
                raise UploadMissing(op.completes)
            record = Record(version, filled_in(record, upload))
            sealed = encode_record(encode_version(version), record.held)
            upload.taken = version.order
        row = HeldRow(sealed, record)
        self._check_shards(op, row)
        gone = [row for row in held if row.order in (version.order, op.instead_of)]
        self.rows[version.bucket, version.key] = [
            *(row for row in held if row not in gone),
            row,
        ]
        self._retire({name for row in gone for name in row.names()})
        return self._committed(version.bucket, version.key, version.order)

    def _check_shards(self, op: Commit, row: HeldRow) -> None:
        if op.instead_of is None or op.completes is not None:
            return
        for name in files_named(row.record):
            if (name.data_id, name.part, name.shard) not in self.files:
                raise ShardMissing(f"{name.data_id.hex()}.{name.part}.{name.shard}")

    def _committed(self, bucket: BucketName, key: ObjectKey, order: Order) -> Committed:
        mine = self._find(bucket, key, order)
        assert mine is not None
        superseded = any(row.superseded_by(mine) for row in self._held(bucket, key))
        return Committed(superseded, mine.record.lacks)

    def _undo(self, op: Undo) -> None:
        row = self._find(op.bucket, op.key, op.order)
        if row is None:
            return
        self._remove(op.bucket, op.key, [row])
        for upload_id in self._taken_by(op.bucket, op.key, op.order):
            self.uploads[upload_id].taken = None

    def _settle(self, op: Settle) -> None:
        row = self._find(op.bucket, op.key, op.order)
        if row is not None:
            self._settle_row(op, row)
        if op.missed:
            self._remember_missed(op)

    def _settle_row(self, op: Settle | Forget, row: HeldRow) -> None:
        gone = [old for old in self._held(op.bucket, op.key) if old.superseded_by(row)]
        self._remove(op.bucket, op.key, gone)
        for order in (row.order, *(old.order for old in gone)):
            for upload_id in self._taken_by(op.bucket, op.key, order):
                self._end_upload(upload_id)

    def _remember_missed(self, op: Settle) -> None:
        old = self._missed.get((op.bucket, op.key))
        order, size = op.order, op.size
        slots = set(op.missed)
        since_ms = self._now_ms()
        if old is not None:
            slots |= set(old.slots)
            since_ms = old.since_ms
            if old.order > order:
                order, size = old.order, old.size
        self._missed[op.bucket, op.key] = Missed(
            op.bucket, op.key, order, tuple(sorted(slots)), since_ms, size
        )

    def _forget(self, op: Forget) -> None:
        row = self._find(op.bucket, op.key, op.order)
        if row is not None and row.record.version.kind is Kind.TOMBSTONE:
            self._settle_row(op, row)
            self._remove(op.bucket, op.key, [row])
        self.jobs.forget(op.number)

    def _read_key(self, op: ReadKey) -> KeyState:
        wanted = [row for row in self._held(op.bucket, op.key) if row.asked_for_by(op)]
        rows: list[HeldRow] = []
        for row in wanted:
            if sum(one.kind is not Kind.TOMBSTONE for one in rows) == max(1, op.limit):
                break
            rows.append(row)
        intact = tuple(row.sealed for row in rows if not row.damaged)
        damaged = tuple(row.order for row in rows if row.damaged)
        more = len(rows) < len(wanted)
        return KeyState(intact, len(damaged), self.trusted, more, self.emptied_ms, damaged)

    def _shown(self, bucket: BucketName, key: ObjectKey) -> list[HeldRow]:
        """The rows of a key that count."""
        return list(visible(self._held(bucket, key)))

    def _current(self, bucket: BucketName, key: ObjectKey) -> HeldRow | None:
        """The row that a listing shows of a key: the newest that counts, or a tombstone."""
        return next(iter([*self._shown(bucket, key), *self._held(bucket, key)]), None)

    # --- listings ----------------------------------------------------------------------

    def _list_keys(self, op: ListKeys) -> KeyPage:
        found: dict[str, tuple[str, KeyEntry]] = {}  # where a page may end -> (prefix, entry)
        skipped = common_prefix(op, op.after) if op.after.endswith(op.delimiter or "\0") else None
        for key in sorted(key for bucket, key in self.rows if bucket == op.bucket):
            row = self._current(op.bucket, key)
            if row is None or not key.startswith(op.prefix) or key <= op.after:
                continue
            common = common_prefix(op, key)
            if common is not None and (common == skipped or not row.live):
                continue
            found.setdefault(common or key, (common or "", entry_of(row)))
        page = list(found.items())[: max(1, op.limit)]
        more = self._anything_after(op, page[-1][0]) if len(page) == max(1, op.limit) else False
        return KeyPage(
            entries=tuple(entry for _, (prefix, entry) in page if not prefix),
            prefixes=tuple((prefix, entry) for _, (prefix, entry) in page if prefix),
            next_after=page[-1][0] if more else None,
            trusted=self.trusted,
        )

    def _anything_after(self, op: ListKeys, last: str) -> bool:
        return any(
            bucket == op.bucket
            and rows
            and key.startswith(op.prefix)
            and key > last
            and not (op.delimiter and last == common_prefix(op, key))
            for (bucket, key), rows in self.rows.items()
        )

    def _list_versions(self, op: ListVersions) -> VersionPage:
        found: dict[tuple[str, bytes], tuple[str, KeyEntry]] = {}  # where it sorts -> what it is
        after = op.after_key, descending(op.after_order)
        skipped = None
        if not op.after_order and op.after_key.endswith(op.delimiter or "\0"):
            skipped = common_prefix(op, op.after_key)
        for key in sorted(key for bucket, key in self.rows if bucket == op.bucket):
            common = common_prefix(op, key)
            if not key.startswith(op.prefix) or (common is not None and common == skipped):
                continue
            for row in self._shown(op.bucket, key):
                if (key, descending(row.order)) <= after:
                    continue
                name = (key, descending(row.order)) if common is None else (common, b"")
                found.setdefault(name, (common or "", entry_of(row)))
        page = list(found.values())[: max(1, op.limit)]
        more = len(found) > len(page)
        prefix, entry = page[-1] if page else ("", None)
        last = (prefix, NO_ORDER) if prefix or entry is None else (entry.key, entry.order)
        return VersionPage(
            entries=tuple(entry for prefix, entry in page if not prefix),
            prefixes=tuple((prefix, entry) for prefix, entry in page if prefix),
            next_after=last if more else None,
            trusted=self.trusted,
        )

    def _read_usage(self, op: ReadUsage) -> Usage:
        shown = [
            rows
            for name, key in self.rows
            if name == op.bucket and (rows := self._shown(name, key))
        ]
        live = [rows[0].record.version.size for rows in shown if rows[0].live]
        sizes = [row.record.version.size for rows in shown for row in rows]
        return Usage(len(live), sum(live), len(sizes), sum(sizes), self.trusted)

    def _list_tombstones(self, op: ListTombstones) -> TombstonePage:
        found = [
            Tombstone(bucket, key, row.order)
            for bucket, key in sorted(self.rows)
            for row in reversed(self._held(bucket, key))
            if (bucket, key, row.order) > (op.after_bucket, op.after_key, op.after_order)
            and row.kind is Kind.TOMBSTONE
            and row.record.version.stamp < op.before
        ]
        return TombstonePage(tuple(found[: max(1, op.limit)]))

    # --- buckets -----------------------------------------------------------------------

    def _put_bucket(self, op: PutBucket) -> None:
        bucket = decode_bucket(op.record)
        held = self.buckets.get(bucket.name)
        if held is not None and bucket.stamp <= held[0].stamp:
            raise Superseded(held[0].stamp)
        if held is not None and op.base is not None and held[0].stamp > op.base:
            raise Superseded(held[0].stamp)
        uploads = [
            upload_id
            for upload_id, held in self.uploads.items()
            if held.upload.bucket == bucket.name
        ]
        if bucket.deleted and op.force:
            for upload_id in uploads:
                self._end_upload(upload_id)
        elif bucket.deleted:
            used = any(name == bucket.name and self._shown(name, key) for name, key in self.rows)
            if used or any(self.uploads[upload_id].taken is None for upload_id in uploads):
                raise BucketNotEmpty(bucket.name)
        self.buckets[bucket.name] = (bucket, op.record)

    def _read_bucket(self, op: ReadBucket) -> BucketPage:
        held = self.buckets.get(op.name)
        return BucketPage((held[1],) if held else (), self.trusted)

    def _list_buckets(self, _: ListBuckets) -> BucketPage:
        return BucketPage(
            tuple(sealed for _, (_, sealed) in sorted(self.buckets.items())), self.trusted
        )

    # --- uploads -----------------------------------------------------------------------

    def _open_upload(self, upload_id: UploadId) -> HeldUpload:
        held = self.uploads.get(upload_id)
        if held is None or held.taken is not None:
            raise UploadMissing(upload_id)
        return held

    def _put_upload(self, op: PutUpload) -> None:
        upload = decode_upload(op.record)
        bucket = self.buckets.get(upload.bucket)
        if bucket is None or bucket[0].deleted:
            raise BucketMissing(upload.bucket)
        held = self.uploads.setdefault(upload.upload_id, HeldUpload(op.record, upload))
        held.sealed = op.record

    def _put_part(self, op: PutPart) -> None:
        uploaded = decode_part(op.record)
        part = uploaded.part
        held = self._open_upload(uploaded.upload_id)
        before = held.names()
        held.parts[part.number, uploaded.stamp] = (op.record, part.data_id, op.shards)
        self._retire(before)

    def _read_upload(self, op: ReadUpload) -> UploadState:
        held = self.uploads.get(op.upload_id)
        if held is None:
            return UploadState(None, (), self.trusted)
        newest = {number: sealed for (number, _), (sealed, _, _) in sorted(held.parts.items())}
        parts = [sealed for number, sealed in newest.items() if number > op.after_part]
        return UploadState(held.sealed, tuple(parts[: max(1, op.limit)]), self.trusted)

    def _list_uploads(self, op: ListUploads) -> UploadPage:
        found = sorted(
            (held.upload.key, upload_id, held.sealed)
            for upload_id, held in self.uploads.items()
            if held.upload.bucket == op.bucket
            and held.taken is None
            and held.upload.key.startswith(op.prefix)
            and (held.upload.key, upload_id) > (op.after_key, op.after_upload)
        )
        limit = max(1, op.limit)
        page = tuple(sealed for _, _, sealed in found[:limit])
        return UploadPage(page, len(found) > limit, self.trusted)

    def _abort_upload(self, op: AbortUpload) -> None:
        self._open_upload(op.upload_id)
        self._end_upload(op.upload_id)

    # --- shards, healing, state ----------------------------------------------------------

    def _discard_shards(self, op: DiscardShards) -> None:
        self._retire(op.shards)

    def _verify_shard(self, op: VerifyShard) -> None:
        file = self.files.get((op.data_id, op.part, op.shard))
        if file is None:
            raise ShardMissing(f"{op.data_id.hex()}.{op.part}.{op.shard}")
        checker = ShardChecker(op.data_id, op.part, op.shard)
        checker.feed(bytes(file.data))
        checker.finish()

    def _list_missed(self, op: ListMissed) -> MissedPage:
        found = [
            missed
            for place, missed in sorted(self._missed.items())
            if place > (op.after_bucket, op.after_key)
        ]
        return MissedPage(tuple(found[: max(1, op.limit)]))

    def _clear_missed(self, op: ClearMissed) -> None:
        held = self._missed.get((op.bucket, op.key))
        if held is None or held.order > op.order:
            return
        left = tuple(slot for slot in held.slots if slot not in op.slots)
        del self._missed[op.bucket, op.key]
        if left:
            self._missed[op.bucket, op.key] = Missed(
                op.bucket, op.key, held.order, left, held.since_ms, held.size
            )

    def _sizes(self) -> list[int]:
        """Return the sizes of all objects."""
        newest = (next(visible(self._held(*place)), None) for place in self.rows)
        return [row.record.version.size for row in newest if row is not None and row.live]

    def _read_status(self, _: ReadStatus) -> DriveStatus:
        sizes = self._sizes()
        missed = self._missed.values()
        used = sum(len(file.data) for file in self.files.values())
        return DriveStatus(
            total_bytes=_CAPACITY,
            free_bytes=_CAPACITY - used,
            trusted=self.trusted,
            objects=len(sizes),
            object_bytes=sum(sizes),
            missed=len(missed),
            missed_bytes=sum(entry.size for entry in missed),
            missed_since_ms=min((entry.since_ms for entry in missed), default=0),
            progress=self.jobs.progress,
            heal_requested_ms=self.jobs.heal_requested_ms,
            scrub=self.jobs.scrub,
            scrub_requested_ms=self.jobs.scrub_requested.requested_ms,
            scrub_full_speed=self.jobs.scrub_requested.full_speed,
            quarantine=self.jobs.quarantine,
            comparison=self.jobs.comparison,
            compare_requested_ms=self.jobs.compare_requested_ms,
            forgotten=self.jobs.forgotten,
        )

    def _write_progress(self, op: WriteProgress) -> None:
        self.jobs.progress = op.progress
        if op.trusted is not None:
            self.trusted = op.trusted


_CONFORMS: type[Drive] = MemoryDrive
