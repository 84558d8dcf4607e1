"""What a call changes is found by its key: no statement reads all of a journal to find it."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore.drive import session
from objstore.drive.journal_schema import open_journal
from objstore.drive.ops import (
    AbortUpload,
    ClearMissed,
    DiscardShards,
    Forget,
    Op,
    Settle,
    Undo,
)
from objstore.names import Kind, ObjectKey, UploadId
from objstore.ondisk.tree import TreeHash
from objstore.testing.drive_values import (
    BUCKET,
    commit,
    data_id,
    order,
    put_bucket,
    put_part,
    put_upload,
    version,
)
from objstore.testing.local_drives import local_drive, memory_directory

KEY = ObjectKey("k")
# Of these there may be millions; of buckets and the like there are few.
_ALL = re.compile(
    r"SCAN (rows|records|shards|uploads|parts|missed|tree)\b(?! USING)"
    r"|SEARCH (rows|missed) USING [^(]*\(bucket=\?\)$"
)
CALLS: tuple[Op[Any], ...] = (
    put_bucket(),
    commit(version(1, key=KEY)),
    commit(version(2, key=KEY)),
    Settle(BUCKET, KEY, order(2), missed=(1,), size=1),
    commit(version(3, key=KEY)),
    Undo(BUCKET, KEY, order(3)),
    commit(version(4, key=KEY, kind=Kind.TOMBSTONE)),
    Settle(BUCKET, KEY, order(4)),
    Forget(BUCKET, KEY, order(4), 1),
    ClearMissed(BUCKET, KEY, order(2), (1,)),
    put_upload("upload"),
    put_part("upload", 1, data_id(8)),
    AbortUpload(UploadId("upload")),
    DiscardShards(((data_id(9), 1, 0),)),
)


@pytest.fixture
def directory() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


async def test_no_call_reads_a_table_from_end_to_end(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: set[str] = set()
    really = open_journal

    def traced(path: Path, tree: TreeHash, *, cache_kib: int, writes: bool) -> sqlite3.Connection:
        connection = really(path, tree, cache_kib=cache_kib, writes=writes)
        if writes:
            connection.set_trace_callback(said.add)
        return connection

    monkeypatch.setattr(session, "open_journal", traced)
    async with local_drive(directory / "d") as drive:
        for call in CALLS:
            await drive.call(call)
    statements = sorted(one for one in said if one.split()[0] in {"SELECT", "DELETE", "UPDATE"})
    assert len(statements) > len(CALLS)
    journal = sqlite3.connect(directory / "d" / "journal.db")
    for statement in statements:
        plan = [row[3] for row in journal.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not [step for step in plan if _ALL.search(step)], f"{statement}: {plan}"
    journal.close()
