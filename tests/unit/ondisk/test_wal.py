"""A log that SQLite wrote is well; one that was damaged where it counts is not."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore.ondisk.wal import FRAME_BYTES, WAL_HEADER_BYTES, wal_damage

TRANSACTIONS = 6


def damage_of(wal: bytes, *, chunk_frames: int = 3) -> str:
    size = chunk_frames * FRAME_BYTES
    rest = wal[WAL_HEADER_BYTES:]
    chunks = (rest[start : start + size] for start in range(0, len(rest), size))
    return wal_damage(wal[:WAL_HEADER_BYTES], chunks)


@pytest.fixture
def wal(tmp_path: Path) -> Iterator[bytes]:
    """Return a log of some transactions of three frames or so each."""
    connection = sqlite3.connect(tmp_path / "d", isolation_level=None)
    connection.execute("PRAGMA page_size = 4096")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
    for number in range(TRANSACTIONS - 1):
        connection.execute("INSERT INTO t VALUES (?, ?)", (number, bytes([number]) * 9000))
    yield (tmp_path / "d-wal").read_bytes()
    connection.close()


def commits(wal: bytes) -> list[int]:
    """Return the frames that end a transaction."""
    count = (len(wal) - WAL_HEADER_BYTES) // FRAME_BYTES
    starts = [WAL_HEADER_BYTES + index * FRAME_BYTES for index in range(count)]
    return [index for index, start in enumerate(starts) if any(wal[start + 4 : start + 8])]


@pytest.mark.parametrize("chunk_frames", [1, 2, 1000])
def test_what_sqlite_wrote_is_well(wal: bytes, chunk_frames: int) -> None:
    assert len(commits(wal)) == TRANSACTIONS
    assert damage_of(wal, chunk_frames=chunk_frames) == ""


def test_nothing_and_what_was_never_written_are_well(wal: bytes) -> None:
    for short in (b"", wal[:31], wal[:32], wal[:1000], bytes(len(wal))):
        assert damage_of(short) == ""


def test_a_log_that_a_crash_cut_off_anywhere_is_well(wal: bytes) -> None:
    for length in range(0, len(wal), 1009):
        assert damage_of(wal[:length]) == ""
        # Room that the file system gave, and that was never written.
        assert damage_of(wal[:length] + bytes(len(wal) - length)) == ""


@pytest.mark.parametrize("place", [0, 5, 9, 17, 24, 2000, 4119])
def test_a_flip_in_front_of_two_later_transactions_is_seen(wal: bytes, place: int) -> None:
    ends = commits(wal)
    for frame in range((len(wal) - WAL_HEADER_BYTES) // FRAME_BYTES):
        damaged = bytearray(wal)
        damaged[WAL_HEADER_BYTES + frame * FRAME_BYTES + place] ^= 0x10
        own_end = next(index for index, end in enumerate(ends) if end >= frame)
        certain = own_end + 2 < TRANSACTIONS
        in_size = 4 <= place < 8  # what says that a frame ends a transaction
        last = own_end == TRANSACTIONS - 1 and not in_size
        found = damage_of(bytes(damaged))
        if certain:
            assert f"frame {frame} " in found
        if last:
            assert found == ""


def test_a_damaged_header_is_seen(wal: bytes) -> None:
    for place in range(WAL_HEADER_BYTES):
        damaged = bytearray(wal)
        damaged[place] ^= 1
        assert "header" in damage_of(bytes(damaged)), place


def test_what_an_earlier_crash_left_behind_is_no_damage(wal: bytes) -> None:
    """A transaction was cut off, and later ones lie over its beginning: its end is still there."""
    ends = commits(wal)
    start = WAL_HEADER_BYTES + (ends[2] + 1) * FRAME_BYTES
    stop = WAL_HEADER_BYTES + (ends[3] + 1) * FRAME_BYTES
    tail = bytearray(wal[start:stop])
    tail[3000] ^= 1  # the frame that did not reach the medium
    assert damage_of(wal[:start] + bytes(tail)) == ""
    twice = bytes(tail) + bytes(tail)[-FRAME_BYTES:]  # and the end of another one, further back
    assert damage_of(wal[:start] + twice) == ""
