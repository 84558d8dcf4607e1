"""Compare a drive's tree with those of its set, and heal what differs.

The comparison only nominates: engine/heal.py asks every drive of the set about each place that was
found, and decides. So what differs because it is being written is looked at and left alone. Every
drive is compared by its own server, which heals it and no other; docs/adr/0008-comparing-drives.md.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from objstore.background.bucket_heal import heal_bucket
from objstore.background.ports import OwnDrive
from objstore.background.side_by_side import side_by_side
from objstore.drive.job_states import Comparison, Progress
from objstore.drive.ops import CheckTree, Op, ReadTree, WriteComparison, WriteProgress
from objstore.engine.fanout import call_all
from objstore.engine.forgotten import read_forgotten
from objstore.engine.heal import heal_key
from objstore.engine.notes import note_recoding, note_unhealed
from objstore.engine.sets import Context
from objstore.errors import (
    BucketMissing,
    DriveError,
    DriveRefusal,
    DriveTimeout,
    QuorumError,
    ReadQuorumLost,
)
from objstore.limits import (
    CALL_DEADLINE_S,
    COMPARE_CHECKS_MAX,
    COMPARE_SPANS_AT_ONCE_MAX,
    PROGRESS_INTERVAL_S,
)
from objstore.names import BucketName, ObjectKey
from objstore.ondisk.tree import LEVEL_MAX, TOTAL_MASK, split_place
from objstore.quorum.reduce import describe_errors
from objstore.versions.compare import Found, Root, Side, Span, compare, whole

R = TypeVar("R")

_encoder = msgspec.msgpack.Encoder()


class NoTree(ReadQuorumLost):
    """Drives of servers that run an older version cannot be compared by their trees."""


class Compare:
    """One comparison of one drive. With `job`, its progress is shown as that of this job."""

    def __init__(
        self, context: Context, drive: OwnDrive, job: str = "", *, asked_ms: int = 0
    ) -> None:
        """Prepare it. `asked_ms`: when an operator last asked for one, by another's clock."""
        self._context = context
        self._own = drive
        self._handle = drive.handle
        self._drive = drive.handle.drives[drive.index]
        self._job = job
        self._references: Sequence[int] = ()
        self._unchecked = COMPARE_CHECKS_MAX
        self._healed_bytes = self._healed = 0
        self._written_s = 0.0
        # What is begun because it was asked for begins no earlier, whatever the clocks say.
        started_ms = max(context.now_ms(), asked_ms)
        self._result = Comparison(started_ms=started_ms, finished_ms=0)

    async def run(self) -> Comparison:
        """Compare, heal, and return what it came to.

        Raises:
            NoTree: too many drives have none.
            DriveError: a drive went away; whoever tends this one compares again.
            QuorumError: too few drives could be asked to know that nothing is missing.
        """
        await self._save(force=True)
        counts = await read_forgotten(self._context, self._handle)
        roots = await self._read_roots()
        mine = roots[self._own.index]
        alike = [index for index, root in roots.items() if root.total == mine.total]
        # Drives that are alike need not all be asked: one of each kind that is unlike this one.
        unlike: dict[int, int] = {}
        for index in sorted(roots, key=lambda index: self._handle.drives[index].is_slow):
            if roots[index].total != mine.total:
                unlike.setdefault(roots[index].total, index)
        self._references = sorted(unlike.values())
        first = whole([roots[index] for index in (self._own.index, *self._references)])
        spans = deque([first] if first is not None else [])
        while spans:
            batch = [spans.popleft() for _ in range(min(len(spans), COMPARE_SPANS_AT_ONCE_MAX))]
            found = await self._look_at(batch)
            spans.extendleft(reversed([span for one in found for span in one.spans]))
            await self._heal([place for one in found for place in one.places])
        self._count(finished_ms=self._context.now_ms())
        forgotten = max(counts.get(index, 0) for index in alike)
        await self._drive.call(WriteComparison(self._result, forgotten))
        await self._save(force=True)
        return self._result

    def _count(self, **changed: int) -> None:
        self._result = msgspec.structs.replace(self._result, **changed)

    async def _save(self, *, force: bool = False) -> None:
        """Store the progress of the job."""
        now_s = self._context.clock.monotonic_s()
        if not self._job or (not force and now_s - self._written_s < PROGRESS_INTERVAL_S):
            return
        self._written_s = now_s
        result = self._result
        progress = Progress(
            job=self._job,
            started_ms=result.started_ms,
            updated_ms=self._context.now_ms(),
            keys_done=self._healed,
            keys_total=result.differences,
            bytes_done=self._healed_bytes,
            bytes_total=self._healed_bytes,
            keys_failed=result.failed,
            finished_ms=result.finished_ms,
        )
        await self._drive.call(WriteProgress(progress))

    # --- asking ------------------------------------------------------------------------

    async def _read_roots(self) -> Mapping[int, Root]:
        """Read the root of every drive that can be compared, this one's too."""
        readable = {self._own.index, *self._handle.readable()}
        fanout = await call_all(
            self._context.group,
            {index: partial(self._read_root, index) for index in readable},
            deadline_s=CALL_DEADLINE_S,
        )
        if self._own.index in fanout.errors:
            raise fanout.errors[self._own.index]
        roots = {index: root for index, root in fanout.answers.items() if root.trusted}
        if self._own.index not in fanout.answers:
            raise DriveTimeout("does not tell the root of its tree")
        if self._own.index not in roots or not self._handle.is_fresh(roots):
            older = any(isinstance(error, DriveRefusal) for error in fanout.errors.values())
            raise (NoTree if older else ReadQuorumLost)(
                f"{self._handle.slots_on(roots)} of {self._handle.total_slots} slots can be "
                f"compared; {describe_errors(fanout.errors)}"
            )
        return roots

    async def _read_root(self, index: int) -> Root:
        entries = total = 0
        trusted = True
        begin: bytes | None = b""
        while begin is not None:
            page = await self._call(index, ReadTree(LEVEL_MAX, begin))
            entries += sum(node.entries for node in page.nodes)
            total += sum(node.total for node in page.nodes)
            trusted = trusted and page.trusted
            begin = page.next
        return Root(entries, total & TOTAL_MASK, trusted)

    async def _look_at(self, spans: Sequence[Span]) -> Sequence[Found]:
        fanout = await call_all(
            self._context.group,
            {number: partial(self._look, span) for number, span in enumerate(spans)},
            deadline_s=CALL_DEADLINE_S * (1 + len(self._handle.drives)),
        )
        for error in fanout.errors.values():
            raise error
        if fanout.pending:
            raise DriveTimeout("a drive does not tell a part of its tree")
        return [fanout.answers[number] for number in range(len(spans))]

    async def _look(self, span: Span) -> Found:
        """Ask every side about a span, and compare what they say."""
        op = ReadTree(span.level, span.begin, span.end)
        sides = []
        for index in (self._own.index, *self._references):
            page = await self._call(index, op)
            sides.append(Side(page.nodes, page.next))
        found = compare(span, sides)
        if found == Found() and self._unchecked:
            # The sums differ, and what they are sums of does not: it was just written, or a sum
            # is wrong.
            self._unchecked -= 1
            checked = await self._drive.call(CheckTree(span.begin, limit=1))
            self._count(mended=self._result.mended + checked.mended)
        return found

    async def _call(self, index: int, op: Op[R]) -> R:
        """Call a drive, and count what is exchanged with others."""
        answer = await self._handle.drives[index].call(op)
        if index != self._own.index:
            exchanged = len(_encoder.encode(op)) + len(_encoder.encode(answer))
            self._count(
                calls=self._result.calls + 1, read_bytes=self._result.read_bytes + exchanged
            )
        return answer

    # --- healing -----------------------------------------------------------------------

    async def _heal(self, places: Sequence[bytes]) -> None:
        self._count(differences=self._result.differences + len(places))
        await side_by_side(partial(self._heal_counted, place) for place in places)

    async def _heal_counted(self, place: bytes) -> None:
        if await self._heal_place(place):
            self._healed += 1
        else:
            self._count(failed=self._result.failed + 1)
        await self._save()

    async def _heal_place(self, place: bytes) -> bool:
        """Heal what is at a place; return whether the drive has now what it should."""
        try:
            bucket, key = _names(place)
        except UnicodeDecodeError:
            return False  # damage made the name of something that no one can ask for
        try:
            if key is None:
                return not await heal_bucket(self._context, self._handle, self._own.index, bucket)
            try:
                await self._heal_key(bucket, key)
            except BucketMissing:
                await heal_bucket(self._context, self._handle, self._own.index, bucket)
                await self._heal_key(bucket, key)
        except (QuorumError, DriveError) as error:
            if isinstance(error, ReadQuorumLost) and key is not None:
                await note_unhealed(self._context, self._handle, self._own.index, bucket, key)
            return False
        return True

    async def _heal_key(self, bucket: BucketName, key: ObjectKey) -> None:
        own = frozenset({self._own.index})
        healed = await heal_key(self._context, self._handle, bucket, key, own, verify=False)
        self._healed_bytes += healed.shard_bytes
        await note_recoding(self._context, self._handle, healed, bucket, key)


def _names(place: bytes) -> tuple[BucketName, ObjectKey | None]:
    """Return the bucket and the key of a place; without a key it is the bucket's own."""
    names = split_place(place)
    assert names is not None
    bucket, key = names
    return BucketName(bucket.decode()), ObjectKey(key.decode()) if key else None
