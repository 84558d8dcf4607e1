"""The calls of one transaction: what each does, in the order in which they came.

Runs of calls about different keys are applied together, with a few statements for all; any
other call stands alone. journal_keys.py decides; this loads what it needs and makes the change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from objstore.drive.journal_changes import Changes
from objstore.drive.journal_keys import (
    KeyChange,
    decide_commit,
    decide_forget,
    decide_settle,
    decide_undo,
    rows_after,
    usage_of,
)
from objstore.drive.journal_nodes import check_tree
from objstore.drive.journal_rows import (
    NAMES_FILES,
    HeldRow,
    files_named,
    key_bytes,
    open_payload,
    seal_summary,
    summary_of,
)
from objstore.drive.journal_schema import forgotten, is_trusted
from objstore.drive.journal_sql import Key, load_payload, load_rows
from objstore.drive.journal_uploads import (
    SINGLE_CALLS,
    end_upload,
    free_upload,
    load_taken,
    mark_upload,
    remember_forgotten,
    remember_missed,
)
from objstore.drive.ops import CheckTree, Commit, Forget, Op, PutPart, PutUpload, Settle, Undo
from objstore.errors import DriveFull, DriveRefusal, RecordUnknown
from objstore.names import Kind
from objstore.ondisk.record import (
    Bucket,
    Record,
    decode_bucket,
    decode_record,
    encode_record,
    encode_version,
)
from objstore.ondisk.tree import place_of

AnyCall = Op[Any]
Outcome = Any
KeyCall = Commit | Settle | Undo | Forget

_GROWS: Final = (PutUpload, PutPart)


@dataclass(frozen=True, slots=True)
class _KeyWork:
    call: KeyCall
    key: Key
    record: Record | None = None


_Work = _KeyWork | AnyCall | RecordUnknown


def apply_calls(
    changes: Changes,
    calls: Sequence[AnyCall],
    *,
    has_room: bool,
    now_ms: int,
    damaged: bool = False,
) -> list[Outcome]:
    """Apply calls within the transaction that is open; return results and refusals.

    A `damaged` journal may have lost rows, as one that is not trusted.

    Raises:
        sqlite3.Error: the transaction has to be rolled back.
    """
    group = _Group(changes, has_room=has_room, now_ms=now_ms, damaged=damaged)
    outcomes = [outcome for run in _runs(calls) for outcome in group.apply(run)]
    changes.finish()
    return outcomes


def _prepare(call: AnyCall) -> _Work:
    if isinstance(call, Settle | Undo | Forget):
        return _KeyWork(call, (call.bucket, key_bytes(call.key)))
    if not isinstance(call, Commit):
        return call
    try:
        record = decode_record(call.record)
    except RecordUnknown as error:
        return error
    version = record.version
    return _KeyWork(call, (version.bucket, key_bytes(version.key)), record)


def _runs(calls: Sequence[AnyCall]) -> Iterator[list[_Work]]:
    """Cut calls into runs that can be applied together: about different keys, or one call."""
    run: list[_Work] = []
    seen: set[Key] = set()
    for call in calls:
        work = _prepare(call)
        together = isinstance(work, _KeyWork) and not _completes(work.call)
        if run and (not together or not seen or work.key in seen):  # type: ignore[union-attr]
            yield run
            run, seen = [], set()
        run.append(work)
        if together:
            assert isinstance(work, _KeyWork)
            seen.add(work.key)
    if run:
        yield run


def _completes(call: KeyCall) -> bool:
    return isinstance(call, Commit) and call.completes is not None


class _Group:
    def __init__(self, changes: Changes, *, has_room: bool, now_ms: int, damaged: bool) -> None:
        self._changes = changes
        self._has_room = has_room
        self._now_ms = now_ms
        self._damaged = damaged
        self._buckets: dict[str, Bucket | RecordUnknown] = {}

    def apply(self, run: Sequence[_Work]) -> list[Outcome]:
        """Apply a run and write what it changes."""
        first = run[0]
        if isinstance(first, RecordUnknown):
            return [first]
        if isinstance(first, _KeyWork):
            works = [work for work in run if isinstance(work, _KeyWork)]
            outcomes = self._apply_keys(works)
        else:
            outcomes = [self._apply_single(first)]
        self._changes.write()
        return outcomes

    def _apply_single(self, call: AnyCall) -> Outcome:
        if isinstance(call, _GROWS) and not self._has_room:
            return DriveFull("only the reserve is left")
        try:
            if isinstance(call, CheckTree):
                return check_tree(self._changes, call)
            return SINGLE_CALLS[type(call)](self._changes, call)
        except (DriveRefusal, RecordUnknown) as error:
            return error

    # --- calls about keys --------------------------------------------------------------

    def _apply_keys(self, works: Sequence[_KeyWork]) -> list[Outcome]:
        held = load_rows(self._changes.connection, [work.key for work in works])
        self._buckets = self._load_buckets(works)
        outcomes: list[Outcome] = []
        for work, rows in zip(works, held, strict=True):
            try:
                outcomes.append(self._apply_key(work, rows))
            except (DriveRefusal, RecordUnknown, DriveFull) as error:
                outcomes.append(error)
        return outcomes

    def _load_buckets(self, works: Sequence[_KeyWork]) -> dict[str, Bucket | RecordUnknown]:
        found: dict[str, Bucket | RecordUnknown] = {}
        names = {work.key[0] for work in works if work.record is not None}
        for name, sealed in self._changes.buckets(names):
            try:
                found[name] = decode_bucket(sealed)
            except RecordUnknown as error:
                found[name] = error
        return found

    def _apply_key(self, work: _KeyWork, rows: list[HeldRow]) -> Outcome:
        call = work.call
        if isinstance(call, Commit):
            assert work.record is not None
            return self._commit(call, work.record, work.key, rows)
        if isinstance(call, Settle):
            self._make(work.key, rows, decide_settle(call, rows))
            if call.missed:
                remember_missed(self._changes, call, now_ms=self._now_ms)
        elif isinstance(call, Undo):
            self._make(work.key, rows, decide_undo(call, rows))
        else:
            self._make(work.key, rows, decide_forget(call, rows))
            if call.number == forgotten(self._changes.connection) + 1:
                remember_forgotten(self._changes, call.number)
        return None

    def _commit(self, call: Commit, record: Record, key: Key, rows: list[HeldRow]) -> Outcome:
        bucket = self._buckets.get(key[0])
        if isinstance(bucket, RecordUnknown):
            raise RecordUnknown(*bucket.args)
        if record.version.kind == Kind.OBJECT and not self._has_room:
            raise DriveFull("only the reserve is left")
        trusted = not self._damaged and is_trusted(self._changes.connection)
        if call.not_above is not None and not trusted:
            raise DriveRefusal("may have lost a newer row, so it cannot tell")
        upload = load_taken(self._changes, call.completes) if call.completes else None
        change = decide_commit(call, record, rows, bucket, upload)
        self._make(key, rows, change, sealed=None if call.completes else call.record)
        if change.add is not None and call.completes:
            mark_upload(self._changes, call.completes, record.version.order)
        return change.answer

    def _make(
        self, key: Key, rows: list[HeldRow], change: KeyChange, *, sealed: bytes | None = None
    ) -> None:
        for row in change.remove:
            self._remove(key, row)
        added = None if change.add is None else self._add(key, change.add, sealed)
        for order in change.ends_uploads:
            end_upload(self._changes, key, order)
        for order in change.frees_uploads:
            free_upload(self._changes, key, order)
        if added is not None or change.remove:
            self._changes.tree.change_rows(place_of(*key), change.remove, added)
        after = rows_after(rows, change, added)
        self._changes.count_key(key[0], usage_of(rows), usage_of(after))

    def _add(self, key: Key, record: Record, sealed: bytes | None) -> HeldRow:
        """Add a record's row. Without `sealed`, the drive filled in parts that it lacks."""
        version = record.version
        payload = sealed or encode_record(encode_version(version), record.held)
        number = self._changes.add_record(payload)
        kind = int(version.kind)
        summary = summary_of(record)
        row = seal_summary(*key, version.order, kind, number, summary)
        self._changes.add_row((*key, version.order, kind, number, row))
        if summary.flags & NAMES_FILES:
            self._changes.name_files(number, files_named(record))
        return HeldRow(version.order, kind, number, summary)

    def _remove(self, key: Key, row: HeldRow) -> None:
        if row.summary is not None and row.summary.flags & NAMES_FILES:
            payload = load_payload(self._changes.connection, row.record_id)
            record = open_payload(*key, row.order, payload) if payload is not None else None
            if record is not None:
                self._changes.unname_files(row.record_id, files_named(record))
        self._changes.remove_row(key, row)
