"""The scrub of one drive: read everything on it, all the time, slowly; find what has rotted.

What is read, stage by stage, is in scrub_plan.py; how fast in scrub_pace.py. What is found goes to
the heal queue, by a note like those of writes that a drive missed, and is looked at again until it
is whole. A journal whose trees are damaged is made anew instead (tend.py). Nothing is changed here
but what follows from a record that is intact (drive/journal_mend.py).

Told apart: a shard that is damaged, one that is missing although a record names it, and one that is
whole and lies under another's name; records and rows of the journal; and files that nobody names,
which are the reaper's and only counted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

import msgspec
import structlog

from objstore.background.bucket_heal import heal_buckets
from objstore.background.ports import BackgroundContext, OwnDrive
from objstore.background.scrub_pace import Pace
from objstore.background.scrub_plan import (
    Due,
    Stage,
    after,
    at,
    begun,
    counted,
    ended,
    found,
    from_the_beginning,
    repaired,
    stages_left,
    what_is_due,
)
from objstore.drive.job_states import ScrubState
from objstore.drive.journal_check import (
    ROW_BYTES,
    TABLES,
    Checked,
    JournalChecker,
    NamedFile,
    Place,
)
from objstore.drive.journal_mend import MendName, MendRows
from objstore.drive.local import LocalDrive
from objstore.drive.ops import CheckTree, DriveStatus, ReadStatus, VerifyShard, WriteScrub
from objstore.drive.shard_files import ShardFiles
from objstore.drive.shard_scan import ShardScan, is_misplaced
from objstore.engine.heal_upload import heal_uploads
from objstore.engine.notes import note_wanting
from objstore.errors import (
    DriveError,
    DriveRefusal,
    QuorumError,
    RecordUnknown,
    ShardCorrupt,
    ShardMissing,
)
from objstore.limits import (
    SCRUB_AGAIN_S,
    SCRUB_BYTES_PER_S,
    SCRUB_FILES_AT_ONCE_MAX,
    SCRUB_LOOK_S,
    SCRUB_OPEN_FINDINGS_MAX,
    SCRUB_SAVE_S,
    SHARD_REWRITE_AGE_S,
)
from objstore.names import BucketName, ObjectKey, UploadId
from objstore.ondisk.paths import SHARD_DIRS, SHARDS_DIR, ShardName, parse_shard_path

log = structlog.get_logger()

_RECHECKED_MAX: Final = 256  # findings in one look


class Finding(NamedTuple):
    """Something that is not as it should be, until it is seen to be whole."""

    kind: str
    bucket: BucketName = BucketName("")
    key: ObjectKey = ObjectKey("")
    name: ShardName | None = None


class _Noted(NamedTuple):
    """When a finding was noted for the heal queue last, and how often; the first time soon again.

    What could not be repaired by then is looked at less often: that reads it all each time.
    """

    at_s: float
    times: int = 1


class _LeftOff(Exception):
    """The journal is to be made anew, or another pass was asked for."""


async def run_scrub(background: BackgroundContext, own: OwnDrive) -> None:
    """Scrub a drive for ever."""
    assert own.local is not None
    scrub = Scrub(background, own, own.local)
    while True:
        try:
            await scrub.look()
        except (DriveError, QuorumError) as error:
            log.info("scrub interrupted", drive=own.path, reason=str(error))
        await asyncio.sleep(SCRUB_LOOK_S)


class Scrub:
    """The scrub of a drive of this server."""

    def __init__(self, background: BackgroundContext, own: OwnDrive, local: LocalDrive) -> None:
        self._context = background.engine
        self._own = own
        self._local = local
        self._drive = own.handle.drives[own.index]
        self._by_itself = background.scrub_bytes_per_s > 0
        self._pace = Pace(background.scrub_bytes_per_s or SCRUB_BYTES_PER_S)
        self._clock = background.engine.clock
        self._began_s = self._clock.monotonic_s()
        self._state: ScrubState | None = None
        self._full_speed = False
        self._open: dict[Finding, _Noted] = {}
        self._saved_s = self._looked_s = self._began_s
        self._stages: Mapping[Stage, Callable[[], Awaitable[None]]] = {
            Stage.PAGES: self._read_pages,
            Stage.STRUCTURE: self._read_structure,
            Stage.BUCKETS: self._read_buckets,
            Stage.UPLOADS: self._read_uploads,
            Stage.ROWS: self._read_rows,
            Stage.TREE: self._read_tree,
            Stage.NAMES: self._read_names,
            Stage.FILES: self._read_files,
        }

    @property
    def state(self) -> ScrubState:
        """How far it is."""
        return self._state or ScrubState()

    @property
    def open(self) -> frozenset[Finding]:
        """What was found and is not whole yet."""
        return frozenset(self._open)

    async def look(self) -> None:
        """Look at what was found earlier, and do a pass if one is due.

        Raises:
            DriveError: the drive went away.
            QuorumError: the set cannot take a note.
        """
        if not self._drive.can_read:
            return
        status = await self._drive.call(ReadStatus())
        if self._state is None:
            self._state = status.scrub or ScrubState()
        if status.journal_damage or not status.trusted:
            return  # it is made anew, or rebuilt, which reads every shard
        await self._look_again()
        due = what_is_due(
            self.state,
            now_ms=self._context.now_ms(),
            requested_ms=status.scrub_requested_ms,
            running_s=self._clock.monotonic_s() - self._began_s,
            by_itself=self._by_itself,
        )
        if due is Due.NOTHING:
            return
        if due is Due.BEGIN:
            self._begin(status)
        self._full_speed = self.state.asked and status.scrub_full_speed
        try:
            await self._pass()
        except _LeftOff:
            await self._save()

    def _begin(self, status: DriveStatus) -> None:
        self._state = begun(
            self.state,
            now_ms=self._context.now_ms(),
            requested_ms=status.scrub_requested_ms,
            bytes_total=status.total_bytes - status.free_bytes,
        )

    async def _pass(self) -> None:
        log.info("scrub", drive=self._own.path, stage=self.state.stage, asked=self.state.asked)
        for stage in stages_left(self.state):
            try:
                await self._stages[stage]()
            except RecordUnknown as error:
                await self._is_broken(str(error))
            self._state = after(self.state, stage)
            await self._save()
        self._state = ended(self.state, now_ms=self._context.now_ms())
        for finding in [one for one in self._open if one.kind == "page"]:
            self._is_repaired(finding)  # what the medium says was checked since
        await self._save()
        log.info(
            "scrub finished",
            drive=self._own.path,
            bytes=self.state.bytes_done,
            found=self.state.found,
            repaired=self.state.repaired,
        )

    # --- the journal -----------------------------------------------------------------

    async def _read_pages(self) -> None:
        offset = 0
        while True:
            began_s = self._clock.monotonic_s()
            size, differs = await self._local.compare_journal(offset)
            if differs:
                self._is_found(Finding("page", key=ObjectKey(str(offset))))
            if not size:
                return
            offset += size
            await self._go_on(size, began_s)

    async def _read_structure(self) -> None:
        await self._checked(JournalChecker.log)
        for table in TABLES:
            await self._checked(partial(JournalChecker.structure, table=table))

    async def _read_buckets(self) -> None:
        checked = await self._checked(JournalChecker.buckets)
        findings = [Finding(*wrong) for wrong in checked.wrong]
        if not findings:
            return
        for finding in findings:
            self._is_found(finding)
        await heal_buckets(self._context, self._own.handle, self._own.index)
        await self._recheck(findings, JournalChecker.buckets)

    async def _read_uploads(self) -> None:
        place: Place | None = Place(key=self.state.key)
        while place is not None:
            place = await self._read_some_uploads(place.key)
            if place is not None:
                self._state = at(self.state, Stage.UPLOADS, key=place.key)

    async def _read_some_uploads(self, after_id: str) -> Place | None:
        """Check some uploads, heal what is wrong, and return where to go on."""
        checked = await self._checked(partial(JournalChecker.uploads, after=after_id))
        await self._mend_names(checked)
        findings = [Finding(*wrong) for wrong in checked.wrong]
        suspects: set[tuple[UploadId, int]] = set()
        for file in checked.files:
            finding = await self._scan(file)
            if finding is not None:
                findings.append(finding)
                suspects.add((file.upload_id, file.name.part))
        for finding in findings:
            self._is_found(finding)
        for bucket in sorted({finding.bucket for finding in findings}):
            with suppress(QuorumError, DriveRefusal):  # it stays open, and the pass goes on
                await heal_uploads(
                    self._context, self._own.handle, self._own.index, bucket, suspects=suspects
                )
        records = [finding for finding in findings if finding.name is None]
        if records:
            await self._recheck(records, partial(JournalChecker.uploads, after=after_id))
        return checked.after

    async def _recheck(
        self, findings: list[Finding], check: Callable[[JournalChecker], Checked]
    ) -> None:
        wrong = {Finding(*one) for one in (await self._local.check(check)).wrong}
        for finding in findings:
            if finding not in wrong:
                self._is_repaired(finding)

    async def _read_rows(self) -> None:
        state = self.state
        place: Place | None = Place(state.bucket, state.key, state.order)
        while place is not None:
            checked = await self._checked(partial(JournalChecker.rows, after=place))
            self._state = counted(self.state, records=checked.count)
            await self._mend_names(checked)
            for wrong in checked.wrong:
                await self._report_row(Finding(*wrong))
            await self._scan_all(checked.files)
            place = checked.after
            if place is not None:
                bucket, key, order = place
                self._state = at(self.state, Stage.ROWS, bucket=bucket, key=key, order=order)

    async def _report_row(self, finding: Finding) -> None:
        """A row follows from its record; a record is healed from those of other drives."""
        if finding.kind != "row":
            await self._report(finding)
            return
        self._is_found(finding)
        if await self._local.call(MendRows(finding.bucket, finding.key)):
            self._is_repaired(finding)

    async def _read_tree(self) -> None:
        """Add up the tree anew; what was wrong is right at once."""
        place: bytes | None = self.state.order
        while place is not None:
            began_s = self._clock.monotonic_s()
            checked = await self._local.call(CheckTree(place))
            for _ in range(checked.mended):
                self._state = repaired(found(self.state, "tree"))
            if checked.mended:
                log.warning("rot found", drive=self._own.path, kind="tree", leaves=checked.mended)
            await self._go_on(checked.entries * ROW_BYTES, began_s)
            place = checked.next
            if place is not None:
                self._state = at(self.state, Stage.TREE, order=place)

    async def _read_names(self) -> None:
        place: Place | None = Place(order=self.state.order)
        while place is not None:
            checked = await self._checked(partial(JournalChecker.names, after=place.order))
            await self._mend_names(checked)
            place = checked.after
            if place is not None:
                self._state = at(self.state, Stage.NAMES, order=place.order)

    async def _mend_names(self, checked: Checked) -> None:
        for wrong in checked.wrong_names:
            if await self._local.call(MendName(wrong.name, wrong.owner)):
                finding = Finding("name", name=wrong.name)
                self._is_found(finding)
                self._is_repaired(finding)
        for wrong in checked.ownerless:
            await self._local.call(MendName(wrong.name, wrong.owner))

    async def _checked(self, check: Callable[[JournalChecker], Checked]) -> Checked:
        began_s = self._clock.monotonic_s()
        checked = await self._local.check(check)
        if checked.broken:
            await self._is_broken(checked.broken)
        await self._go_on(checked.size, began_s)
        return checked

    async def _is_broken(self, why: str) -> None:
        """The journal is to be made anew. Raises _LeftOff."""
        self._is_found(Finding("journal"))
        self._state = from_the_beginning(self.state)
        await self._local.check(lambda checker: checker.root.note_damage(why))
        raise _LeftOff

    # --- files -----------------------------------------------------------------------

    async def _read_files(self) -> None:
        """Count the files that nobody names: the reaper's, and nobody's."""
        for directory in SHARD_DIRS:
            began_s = self._clock.monotonic_s()
            path = f"{SHARDS_DIR}/{directory}"
            files = await self._local.run_io(partial(ShardFiles.names_in, directory=path))
            named = await self._local.check(partial(JournalChecker.named_in, directory=directory))
            oldest_s = self._clock.now_ns() / 1e9 - SHARD_REWRITE_AGE_S
            old = [parse_shard_path(file) for file, written_s, _ in files if written_s < oldest_s]
            self._state = msgspec.structs.replace(
                self.state,
                unnamed=self.state.unnamed
                + sum(one is not None and one not in named for one in old),
                foreign=self.state.foreign + sum(one is None for one in old),
            )
            await self._go_on(0, began_s)

    async def _scan_all(self, files: list[NamedFile]) -> None:
        """Check files, at full speed some of them at once."""
        step = SCRUB_FILES_AT_ONCE_MAX if self._full_speed else 1
        for first in range(0, len(files), step):
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._try_scan(file)) for file in files[first : first + step]
                ]
            for task in tasks:
                result = task.result()
                if isinstance(result, Exception):
                    raise result
                if result is not None:
                    await self._report(result)

    async def _try_scan(self, file: NamedFile) -> Finding | DriveError | _LeftOff | None:
        try:
            return await self._scan(file)
        except (DriveError, _LeftOff) as error:
            return error

    async def _scan(self, file: NamedFile) -> Finding | None:
        """Check one shard file; return what is wrong with it."""
        scan = ShardScan(file.name)
        kind = ""
        try:
            size = 1
            while size:
                began_s = self._clock.monotonic_s()
                size = await self._local.scan(scan)
                self._state = counted(self.state, files=size == 0)
                await self._go_on(size, began_s)
        except ShardMissing:
            kind = "shard missing"
        except ShardCorrupt:
            misplaced = await self._local.run_io(lambda files: is_misplaced(files, file.name))
            kind = "shard misplaced" if misplaced else "shard"
        if not kind or not await self._local.is_named(file.name):
            return None  # whole, or superseded meanwhile
        return Finding(kind, file.bucket, file.key, file.name)

    # --- what was found ----------------------------------------------------------------

    async def _report(self, finding: Finding) -> None:
        """Count it, and have it healed."""
        self._is_found(finding)
        await self._note(finding)

    def _is_found(self, finding: Finding) -> None:
        if finding in self._open:
            return
        self._state = found(self.state, finding.kind)
        log.warning(
            "rot found",
            drive=self._own.path,
            kind=finding.kind,
            bucket=finding.bucket,
            key=finding.key,
        )
        if len(self._open) < SCRUB_OPEN_FINDINGS_MAX:
            self._open[finding] = _Noted(self._clock.monotonic_s())

    def _is_repaired(self, finding: Finding) -> None:
        if self._open.pop(finding, None) is not None:
            self._state = repaired(self.state)

    async def _note(self, finding: Finding) -> None:
        slots = self._own.handle.slots_of_drive[self._own.index]
        await note_wanting(self._context, self._own.handle, finding.bucket, finding.key, slots)

    async def _look_again(self) -> None:
        """Look at what was found earlier: whole by now, or to be noted once more."""
        before = self.state.repaired_ever
        now_s = self._clock.monotonic_s()
        due = [
            (finding, noted)
            for finding, noted in self._open.items()
            if finding.kind != "page" and (noted.times == 1 or now_s - noted.at_s > SCRUB_AGAIN_S)
        ]
        for finding, noted in due[:_RECHECKED_MAX]:
            if await self._is_whole(finding):
                self._is_repaired(finding)
            elif now_s - noted.at_s > SCRUB_AGAIN_S:
                self._open[finding] = _Noted(now_s, noted.times + 1)
                if finding.key:
                    await self._note(finding)
        if self.state.repaired_ever > before:
            await self._save()

    async def _is_whole(self, finding: Finding) -> bool:
        if finding.kind == "journal":
            return True  # nothing is looked at before it is made anew and rebuilt
        name = finding.name
        if name is None:
            return await self._local.check(lambda checker: checker.key(finding.bucket, finding.key))
        try:
            await self._drive.call(VerifyShard(name.data_id, name.part, name.shard))
        except (ShardMissing, ShardCorrupt):
            return not await self._local.is_named(name)  # superseded meanwhile
        return True

    # --- going on ----------------------------------------------------------------------

    async def _go_on(self, size: int, began_s: float) -> None:
        """Count what was read, pause, and do what is due from time to time."""
        self._state = counted(self.state, size=size)
        took_s = self._clock.monotonic_s() - began_s
        pause_s = self._pace.pause_s(
            size, took_s, latency_s=self._own.latency_s(), full_speed=self._full_speed
        )
        if pause_s:
            await asyncio.sleep(pause_s)
        now_s = self._clock.monotonic_s()
        if now_s - self._saved_s >= SCRUB_SAVE_S:
            await self._save()
        if now_s - self._looked_s >= SCRUB_LOOK_S:
            self._looked_s = now_s
            await self._look_around()

    async def _look_around(self) -> None:
        """See whether another pass was asked for, and what became of the findings."""
        status = await self._drive.call(ReadStatus())
        if status.journal_damage or status.scrub_requested_ms > self.state.started_ms:
            raise _LeftOff
        await self._look_again()

    async def _save(self) -> None:
        """Store how far it is, on the drive, where every process can read it."""
        self._saved_s = self._clock.monotonic_s()
        self._state = msgspec.structs.replace(
            self.state, updated_ms=self._context.now_ms(), open=len(self._open)
        )
        await self._drive.call(WriteScrub(self.state))
