"""A drive's directory before it is a drive: look at it, judge it, format it.

`inspect` says what lies there, and changes nothing. `judge` compares that with what belongs
there, as a function of values. `format_drive` makes an empty directory a drive; its identity is
written last, so that a crash leaves a directory that says of itself that it is half-formatted.

Everything here blocks.
"""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from objstore.drive.journal_schema import create_journal
from objstore.drive.posix import drive_error, sync_directory, write_durably
from objstore.errors import ConfigError, DriveFaulty
from objstore.names import DriveId
from objstore.ondisk.drive_identity import DriveIdentity, decode_identity, encode_identity
from objstore.ondisk.paths import (
    DRIVE_JSON,
    DRIVE_JSON_NEW,
    FILE_SYSTEM_NAMES,
    JOURNAL_DAMAGED,
    JOURNAL_DB,
    JOURNAL_FILES,
    JOURNAL_LOCK,
    SHARD_DIRS,
    SHARDS_DIR,
    TRASH_DIR,
    is_foreign,
)

_SHOWN: Final = 5


class Found(Enum):
    """What lies at a drive's path."""

    MISSING = "nothing"
    NOT_A_DIRECTORY = "something that is not a directory"
    UNREADABLE = "a directory that cannot be read"
    EMPTY = "an empty directory"
    FORMATTED = "a formatted drive"
    DAMAGED = "a drive whose identity cannot be read"
    HALF_FORMATTED = "a drive whose formatting did not end"
    FOREIGN = "files of somebody else"


_UNLISTED: Final[Mapping[type[OSError], Found]] = {
    FileNotFoundError: Found.MISSING,
    NotADirectoryError: Found.NOT_A_DIRECTORY,
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect` saw."""

    path: Path
    found: Found
    identity: DriveIdentity | None = None
    mount_point: bool = False
    names: tuple[str, ...] = ()  # some of what lies there, when that is not a drive
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What belongs at a drive's path.

    `deployment` is "" while it is not known. `mount_point` is what the cluster map says of the
    drive that has this place.
    """

    pool: int
    set: int
    slots: tuple[int, ...]
    deployment: str = ""
    mount_point: bool = False


class Verdict(Enum):
    """What may be done with a drive's directory."""

    READY = "ready"
    EMPTY = "empty: it may be formatted"
    UNMOUNTED = "not mounted: nothing may be written there"
    MISSING = "missing"


def inspect(path: Path) -> Inspection:
    """Look at a drive's directory. Reads only."""
    try:
        names = sorted(entry.name for entry in path.iterdir())
        mount_point = os.path.ismount(path)
    except OSError as error:
        found = _UNLISTED.get(type(error), Found.UNREADABLE)
        return Inspection(path, found, problem=str(error.strerror))
    if DRIVE_JSON in names:
        return _inspect_identity(path, mount_point=mount_point)
    own = tuple(name for name in names if not is_foreign(name) and name not in FILE_SYSTEM_NAMES)
    foreign = tuple(name for name in names if is_foreign(name))
    if foreign:
        return Inspection(path, Found.FOREIGN, mount_point=mount_point, names=foreign)
    if own:
        return Inspection(path, Found.HALF_FORMATTED, mount_point=mount_point, names=own)
    return Inspection(path, Found.EMPTY, mount_point=mount_point)


def _inspect_identity(path: Path, *, mount_point: bool) -> Inspection:
    file = path / DRIVE_JSON
    try:
        identity = decode_identity(file.read_bytes(), where=str(file))
    except ConfigError as error:
        return Inspection(path, Found.DAMAGED, mount_point=mount_point, problem=error.found)
    except OSError as error:
        return Inspection(path, Found.DAMAGED, mount_point=mount_point, problem=str(error.strerror))
    # Between a damaged journal and the one that is made anew there is none for a moment.
    journal = () if (path / JOURNAL_DAMAGED).exists() else (JOURNAL_DB,)
    missing = tuple(
        name for name in (*journal, SHARDS_DIR, TRASH_DIR) if not (path / name).exists()
    )
    found = Found.FORMATTED if not missing else Found.DAMAGED
    problem = f"{', '.join(missing)} missing" if missing else ""
    return Inspection(path, found, identity, mount_point, problem=problem)


# --- judging -------------------------------------------------------------------------------


def judge(seen: Inspection, expected: Expected) -> Verdict:
    """Say what may be done with what was seen, given what belongs there.

    Raises:
        ConfigError: somebody has to look: it says what was found, expected, and what to do.
    """
    if seen.found is Found.MISSING:
        return Verdict.MISSING
    if seen.found is Found.EMPTY:
        unmounted = expected.mount_point and not seen.mount_point
        return Verdict.UNMOUNTED if unmounted else Verdict.EMPTY
    if seen.found is Found.FORMATTED:
        assert seen.identity is not None
        check_identity(seen.identity, expected, path=seen.path)
        return Verdict.READY
    raise _refusal(seen)


def check_identity(identity: DriveIdentity, expected: Expected, *, path: Path) -> None:
    """Check that a drive belongs where it was found.

    A drive that the cluster map does not know is accepted when it was formatted for this place:
    it is the replacement of the one the map names.

    Raises:
        ConfigError: it is of another deployment, or belongs to another place.
    """
    if expected.deployment and identity.deployment != expected.deployment:
        raise ConfigError(
            found=f"{path} is a drive of another deployment, {identity.deployment}",
            expected=f"a drive of deployment {expected.deployment}, or an empty directory",
            remedy="mount the right drive there; if this one's data may go, empty it",
        )
    place = (identity.pool, identity.set, identity.slots)
    if place != (expected.pool, expected.set, expected.slots):
        raise ConfigError(
            found=f"{path} is the drive of {_place(*place)}, formatted as {identity.endpoint}",
            expected=f"the drive of {_place(expected.pool, expected.set, expected.slots)}",
            remedy="drives were swapped or the order of the endpoints was changed: put drives and "
            "endpoints back into the order they had",
        )


def check_distinct(drives: Mapping[Path, DriveIdentity]) -> None:
    """Check that no drive is there twice.

    Raises:
        ConfigError: two directories hold copies of one drive.
    """
    seen: dict[DriveId, Path] = {}
    for path, identity in drives.items():
        other = seen.setdefault(identity.drive, path)
        if other != path:
            raise ConfigError(
                found=f"{other} and {path} are both drive {identity.drive}",
                expected="each drive once",
                remedy="one is a copy of the other, or both are mounts of one device: take the "
                "copy away, or empty it so that it becomes a drive of its own",
            )


def _place(pool: int, set_index: int, slots: Sequence[int]) -> str:
    return f"pool {pool}, set {set_index}, slot {', '.join(map(str, slots))}"


def _refusal(seen: Inspection) -> ConfigError:
    names = ", ".join(seen.names[:_SHOWN])
    more = f" and {len(seen.names) - _SHOWN} more" if len(seen.names) > _SHOWN else ""
    listed = f" ({names}{more})" if names else ""
    reason = f": {seen.problem}" if seen.problem else ""
    remedies = {
        Found.NOT_A_DIRECTORY: "give the path of a directory",
        Found.UNREADABLE: "check the permissions and the disk",
        Found.DAMAGED: "the drive was damaged or edited: restore the files named, or, if its data "
        "may go, empty the directory and let objstore format and rebuild it",
        Found.HALF_FORMATTED: "a crash interrupted the formatting, or drive.json was lost. If this "
        "drive never held data, empty the directory and start again; else put its drive.json back",
        Found.MISSING: "make the directory, or mount the drive",
        Found.FORMATTED: "leave it as it is",
        Found.FOREIGN: "give an empty directory, or move these files away",
    }
    return ConfigError(
        found=f"{seen.path}: {seen.found.value}{listed}{reason}",
        expected="a drive of this deployment, or an empty directory",
        remedy=remedies[seen.found],
    )


# --- formatting ----------------------------------------------------------------------------


def format_drive(path: Path, identity: DriveIdentity, *, trusted: bool) -> None:
    """Make the empty directory at `path` the drive `identity`, durably.

    `trusted`: nothing was ever acknowledged in its place, so what it does not have is absent.

    Raises:
        ConfigError: the directory is not empty.
        DriveError: the disk failed.
    """
    seen = inspect(path)
    if seen.found is not Found.EMPTY:
        raise _refusal(seen)
    try:
        _make_directories(path)
        (path / JOURNAL_LOCK).touch(mode=0o600)
        create_journal(path / JOURNAL_DB, trusted=trusted, emptied_ms=identity.created_ms)
        sync_journal(path)
        write_durably(path / DRIVE_JSON, encode_identity(identity), by_way_of=path / DRIVE_JSON_NEW)
    except OSError as error:
        raise drive_error(error, str(path)) from error
    except sqlite3.Error as error:
        raise DriveFaulty(f"{path}: journal: {error}") from error


def _make_directories(path: Path) -> None:
    (path / TRASH_DIR).mkdir(mode=0o700)
    shards = path / SHARDS_DIR
    shards.mkdir(mode=0o700)
    for name in SHARD_DIRS:
        (shards / name).mkdir(mode=0o700)
    sync_directory(shards)


def sync_journal(path: Path) -> None:
    """Make a new journal durable, and its name. Raises OSError."""
    for name in JOURNAL_FILES:
        file = path / name
        if file.exists():
            handle = os.open(file, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    sync_directory(path)
