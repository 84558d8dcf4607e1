"""drive.json and cluster.json: who a drive is, and which drive has which slot.

Format page: docs/format/drive.md. Both are JSON that a person can read, of numbered format, with
a checksum over their content: a drive whose identity was damaged or edited says so, instead of
passing for another drive. Reading is strict; whatever is not as written is a ConfigError that
says what was found, what was expected, and what to do.
"""

import json
import re
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
import xxhash

from objstore.errors import ConfigError
from objstore.names import DriveId

FORMAT: Final = 1

_ID: Final = re.compile(r"[0-9a-f]{32}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{1,128}")


class DriveIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who a drive is. Written once, when the drive is formatted, and never changed."""

    deployment: str  # 32 hex digits, the same on every drive
    drive: DriveId
    pool: int
    set: int  # index within the pool
    slots: tuple[int, ...]  # the slots of the set that lie on this drive
    endpoint: str  # as configured when the drive was formatted
    layout: str  # fingerprint of the layout it was formatted for
    created_ms: int


class ClusterDrive(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One drive of the cluster, as the others know it."""

    pool: int
    set: int
    slots: tuple[int, ...]
    endpoint: str
    drive: DriveId
    mount_point: bool  # formatted on a mount point: an unmounted directory is not the drive


class ClusterMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which drive has which slot. A copy lies on every drive; the highest generation counts."""

    deployment: str
    layout: str
    generation: int  # from 1; one more with every drive that is replaced
    drives: tuple[ClusterDrive, ...]

    def drive_at(self, pool: int, set_index: int, slot: int) -> ClusterDrive | None:
        """Return the drive that has a slot, or None if the map has no such slot."""
        for drive in self.drives:
            if (drive.pool, drive.set) == (pool, set_index) and slot in drive.slots:
                return drive
        return None

    def find(self, drive_id: DriveId) -> ClusterDrive | None:
        """Return where a drive belongs, or None if the cluster does not know it."""
        return next((drive for drive in self.drives if drive.drive == drive_id), None)


_Drives = Sequence[DriveIdentity] | Sequence[ClusterDrive]
_T = TypeVar("_T", DriveIdentity, ClusterMap)


def encode_identity(identity: DriveIdentity) -> bytes:
    """Return the content of drive.json."""
    _check(identity.deployment, identity.layout, [identity])
    return _encode(identity)


def decode_identity(content: bytes, *, where: str) -> DriveIdentity:
    """Read drive.json. `where` names the file for whoever reads the error.

    Raises:
        ConfigError: it is damaged, of a newer format, or not a drive.json.
    """
    identity = _decode(content, DriveIdentity, where=where)
    _require(identity.deployment, identity.layout, [identity], where=where)
    return identity


def encode_cluster(cluster: ClusterMap) -> bytes:
    """Return the content of cluster.json."""
    assert cluster.generation >= 1
    _check(cluster.deployment, cluster.layout, cluster.drives)
    return _encode(cluster)


def decode_cluster(content: bytes, *, where: str) -> ClusterMap:
    """Read cluster.json. `where` names the file for whoever reads the error.

    Raises:
        ConfigError: it is damaged, of a newer format, or contradicts itself.
    """
    cluster = _decode(content, ClusterMap, where=where)
    _require(cluster.deployment, cluster.layout, cluster.drives, where=where)
    if cluster.generation < 1:
        raise _refuse(where, f"generation {cluster.generation}", "1 or more")
    return cluster


# --- the envelope: format, content, checksum -------------------------------------------


def _encode(value: DriveIdentity | ClusterMap) -> bytes:
    content = {"format": FORMAT, **msgspec.to_builtins(value)}
    return (json.dumps({**content, "checksum": _checksum(content)}, indent=2) + "\n").encode()


def _checksum(content: dict[str, object]) -> str:
    """Hash the content in one canonical spelling, so that white space does not count."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(canonical.encode())


def _decode(content: bytes, kind: type[_T], *, where: str) -> _T:
    try:
        fields = msgspec.json.decode(content, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refuse(where, f"no JSON object ({error})", "one") from error
    number = fields.pop("format", None)
    if isinstance(number, int) and number > FORMAT:
        raise ConfigError(
            found=f"{where} has format {number}",
            expected=f"format {FORMAT} or older",
            remedy="start the objstore version that formatted this drive, or a newer one",
        )
    if number != FORMAT or isinstance(number, bool):
        raise _refuse(where, f"format {number!r}", f"format {FORMAT}")
    checksum = fields.pop("checksum", None)
    if checksum != _checksum({"format": number, **fields}):
        raise _refuse(where, "content that does not match its checksum", "unchanged content")
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise _refuse(where, str(error), "the fields of docs/format/drive.md") from error


# --- what the fields may be ------------------------------------------------------------


def _complaints(deployment: str, layout: str, drives: _Drives) -> list[tuple[str, str]]:
    """Return (found, expected) for everything that cannot be."""
    bad = []
    if not _ID.fullmatch(deployment):
        bad.append((f"deployment {deployment!r}", "32 hex digits"))
    if not _FINGERPRINT.fullmatch(layout):
        bad.append((f"layout {layout!r}", "hex digits"))
    places = [(drive.pool, drive.set, slot) for drive in drives for slot in drive.slots]
    for drive in drives:
        if not _ID.fullmatch(drive.drive):
            bad.append((f"drive {drive.drive!r}", "32 hex digits"))
        if not drive.slots or min(drive.pool, drive.set, *drive.slots) < 0:
            bad.append((f"pool {drive.pool}, set {drive.set}, slots {drive.slots}", "a place"))
    if len(set(places)) != len(places):
        bad.append(("a slot named twice", "each slot once"))
    if len({drive.drive for drive in drives}) != len(drives):
        bad.append(("a drive named twice", "each drive once"))
    return bad


def _check(deployment: str, layout: str, drives: _Drives) -> None:
    complaints = _complaints(deployment, layout, drives)
    assert not complaints, complaints


def _require(
    deployment: str,
    layout: str,
    drives: _Drives,
    *,
    where: str,
) -> None:
    for found, expected in _complaints(deployment, layout, drives):
        raise _refuse(where, found, expected)


def _refuse(where: str, found: str, expected: str) -> ConfigError:
    return ConfigError(
        found=f"{where}: {found}",
        expected=expected,
        remedy="the file was damaged or edited: put back a copy of it, or, if the drive's data may "
        "go, empty the drive and let objstore format and rebuild it",
    )
