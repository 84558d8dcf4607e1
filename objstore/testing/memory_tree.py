"""The tree of a drive in memory: worked out anew for every question, from all that is held."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from objstore.drive.job_states import TreeCheck, TreePage
from objstore.drive.ops import CheckTree, Op, ReadTree
from objstore.errors import DriveRefusal
from objstore.names import BucketName, DriveId, ObjectKey, UploadId
from objstore.ondisk.record import Bucket
from objstore.ondisk.tree import LEVEL_MAX, TOTAL_MASK, TreeHash, TreeNode, place_of
from objstore.testing.memory_rows import HeldRow, HeldUpload, lacks_shards


class Holding(Protocol):
    """What a tree is made of."""

    trusted: bool
    rows: dict[tuple[BucketName, ObjectKey], list[HeldRow]]
    buckets: dict[BucketName, tuple[Bucket, bytes]]
    uploads: dict[UploadId, HeldUpload]


class MemoryTree:
    """Answers about the tree of `held`."""

    def __init__(self, held: Holding, deployment: str, drive_id: DriveId) -> None:
        self._held = held
        self.hash: Final = TreeHash(deployment, drive_id)

    def handlers(self) -> Mapping[type[Op[Any]], Callable[[Any], Any]]:
        """Return what answers each call."""
        return {
            ReadTree: self._read,
            CheckTree: self._check,
        }

    def hashes(self) -> dict[bytes, list[int]]:
        """Return the hashes of everything that is held, by place."""
        found: dict[bytes, list[int]] = {}
        for name, (bucket, _) in self._held.buckets.items():
            place = place_of(name)
            found.setdefault(place, []).append(self.hash.bucket(place, bucket.stamp))
        for upload_id, upload in self._held.uploads.items():
            if upload.taken is not None:
                continue
            here = found.setdefault(place_of(upload.upload.bucket), [])
            here.append(self.hash.upload(upload_id))
            newest = dict(sorted(upload.parts))
            here += [self.hash.part(upload_id, *part) for part in newest.items()]
        for (bucket_name, key), rows in self._held.rows.items():
            place = place_of(bucket_name, key.encode())
            found.setdefault(place, []).extend(self._row(place, row) for row in rows)
        return {place: hashes for place, hashes in found.items() if hashes}

    def _row(self, place: bytes, row: HeldRow) -> int:
        if row.damaged:
            return self.hash.unknown_row(place, row.order)
        lacks = lacks_shards(row.record)
        return self.hash.row(place, row.order, int(row.kind), lacks_shards=lacks)

    def _read(self, op: ReadTree) -> TreePage:
        if not 0 <= op.level <= LEVEL_MAX:
            raise DriveRefusal(f"no level {op.level}")
        if any(place and b"\0" not in place for place in (op.begin, op.end)):
            raise DriveRefusal("no place")
        if op.end and op.end <= op.begin:
            return TreePage((), None, self._held.trusted)
        nodes: dict[bytes, list[int]] = {} if op.level == 0 else {op.begin: []}
        for place, hashes in sorted(self.hashes().items()):
            if place < op.begin or (op.end and place >= op.end):
                continue
            if op.level == 0 or self.hash.begins(place, op.level):
                nodes.setdefault(place, [])
            nodes[max(nodes)] += hashes
        limit = max(1, op.limit)
        page = [
            TreeNode(place, len(hashes), sum(hashes) & TOTAL_MASK)
            for place, hashes in list(nodes.items())[:limit]
        ]
        more = list(nodes)[limit:]
        return TreePage(tuple(page), more[0] if more else None, self._held.trusted)

    def _check(self, op: CheckTree) -> TreeCheck:
        """Nothing is kept, so nothing can be wrong."""
        entries = sum(len(hashes) for place, hashes in self.hashes().items() if place >= op.begin)
        return TreeCheck(None, entries, 0)
