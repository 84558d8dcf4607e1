"""Every name under a drive's directory, made here and recognised here.

    drive.json            the drive's identity       (ondisk/drive_identity.py)
    cluster.json          which drive has which slot (ondisk/drive_identity.py)
    journal.db            records                    (SQLite; -wal and -shm beside it)
    journal.lock          held by the server that uses the drive
    journal.damaged       why the journal is to be made anew, while it is
    journal.broken-<ms>/  a damaged journal that was set aside, for an operator to look at
    shards/xx/<data id>.<part>.<shard>               (ondisk/shard_file.py)
    trash/                what the reaper may delete, and repairs that are not complete

All names are relative to the drive's directory and use "/". A name that no function here makes
is not ours: it is reported, and never read, moved or deleted.
"""

import re
from dataclasses import dataclass
from typing import Final

from objstore.limits import PART_NUMBER_MAX, SLOTS_PER_SET_MAX
from objstore.names import DataId

DRIVE_JSON: Final = "drive.json"
CLUSTER_JSON: Final = "cluster.json"
JOURNAL_DB: Final = "journal.db"
JOURNAL_LOG: Final = f"{JOURNAL_DB}-wal"
JOURNAL_LOCK: Final = "journal.lock"
JOURNAL_DAMAGED: Final = "journal.damaged"
SHARDS_DIR: Final = "shards"
TRASH_DIR: Final = "trash"

# An identity is replaced by writing it beside itself and renaming: these are the names beside.
DRIVE_JSON_NEW: Final = "drive.json.new"
CLUSTER_JSON_NEW: Final = "cluster.json.new"
JOURNAL_DAMAGED_NEW: Final = "journal.damaged.new"
JOURNAL_FILES: Final = (JOURNAL_DB, JOURNAL_LOG, f"{JOURNAL_DB}-shm")
# What mkfs leaves in an empty file system.
FILE_SYSTEM_NAMES: Final = frozenset({"lost+found"})

SHARD_DIRS: Final = tuple(f"{first:02x}" for first in range(256))

_OWN_NAMES: Final = frozenset(
    {
        DRIVE_JSON,
        CLUSTER_JSON,
        DRIVE_JSON_NEW,
        CLUSTER_JSON_NEW,
        JOURNAL_LOCK,
        JOURNAL_DAMAGED,
        JOURNAL_DAMAGED_NEW,
        SHARDS_DIR,
        TRASH_DIR,
        *JOURNAL_FILES,
        f"{JOURNAL_DB}-journal",  # SQLite's own, while the journal is made: a crash may leave it
    }
)
_DATA_ID_BYTES: Final = 16
_SHARD_PATH: Final = re.compile(
    r"shards/([0-9a-f]{2})/(\1[0-9a-f]{30})\.([1-9][0-9]{0,4})\.(0|[1-9][0-9]?)"
)
_TRASH_PATH: Final = re.compile(
    r"trash/(([0-9a-f]{2})[0-9a-f]{30}\.[1-9][0-9]{0,4}\.(?:0|[1-9][0-9]?))"
)
_REPAIR_SUFFIX: Final = ".new"
_JOURNAL_ASIDE: Final = re.compile(r"journal\.broken-[0-9]+")


@dataclass(frozen=True, slots=True)
class ShardName:
    """Which shard a file holds, as its name says."""

    data_id: DataId
    part: int
    shard: int


def shard_dir(data_id: DataId) -> str:
    """Return the directory of a data id's shards."""
    assert len(data_id) == _DATA_ID_BYTES
    return f"{SHARDS_DIR}/{data_id[:1].hex()}"


def shard_path(data_id: DataId, part: int, shard: int) -> str:
    """Return the path of a shard file."""
    assert 1 <= part <= PART_NUMBER_MAX
    assert 0 <= shard < SLOTS_PER_SET_MAX
    return f"{shard_dir(data_id)}/{data_id.hex()}.{part}.{shard}"


def trash_path(data_id: DataId, part: int, shard: int) -> str:
    """Return where a shard file waits for the reaper."""
    return f"{TRASH_DIR}/{shard_path(data_id, part, shard).rpartition('/')[2]}"


def repair_path(data_id: DataId, part: int, shard: int) -> str:
    """Return where a shard is written that will take the place of a damaged one."""
    return trash_path(data_id, part, shard) + _REPAIR_SUFFIX


def is_repair_path(path: str) -> bool:
    """Whether `repair_path` made it."""
    return path.endswith(_REPAIR_SUFFIX) and (
        parse_trash_path(path.removesuffix(_REPAIR_SUFFIX)) is not None
    )


def journal_aside(now_ms: int) -> str:
    """Return the directory for a journal that is set aside."""
    return f"journal.broken-{now_ms}"


def parse_shard_path(path: str) -> ShardName | None:
    """Return what `shard_path` was given to make `path`, or None if it did not make it."""
    return (
        _shard_name(match[2], match[3], match[4]) if (match := _full(_SHARD_PATH, path)) else None
    )


def parse_trash_path(path: str) -> ShardName | None:
    """Return what `trash_path` was given to make `path`, or None if it did not make it."""
    match = _full(_TRASH_PATH, path)
    return _shard_name(*match[1].split(".")) if match else None


def is_own(name: str) -> bool:
    """Whether `name`, directly in a drive's directory, is one that objstore makes."""
    return name in _OWN_NAMES or _JOURNAL_ASIDE.fullmatch(name) is not None


def is_foreign(name: str) -> bool:
    """Whether `name`, directly in a drive's directory, shows that others use the directory."""
    return not is_own(name) and name not in FILE_SYSTEM_NAMES


def _full(pattern: re.Pattern[str], path: str) -> re.Match[str] | None:
    return pattern.fullmatch(path)


def _shard_name(data_id: str, part: str, shard: str) -> ShardName | None:
    name = ShardName(DataId(bytes.fromhex(data_id)), int(part), int(shard))
    in_bounds = name.part <= PART_NUMBER_MAX and name.shard < SLOTS_PER_SET_MAX
    return name if in_bounds else None
