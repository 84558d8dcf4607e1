"""Which operations work now, why others do not, and what brings them back: in words.

One function makes the sentences for the health document and for `objstore admin info`. Whoever
asks for health shows no credential, and is told counts; only where `drives` are given, which root
alone is shown, do addresses, paths and reasons appear.

What each operation needs of every set is what the engine asks for: engine/sets.py and put.py
(writes), delete.py, buckets.py, pages.py (listings) and versions/select.py (reads).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from objstore.gateway.ports import DriveInfo, OperationStatus, SetStatus


class Kind(Enum):
    """How a slot has to be to count."""

    ONLINE = "answer"
    TRUSTED = "answer and are fully rebuilt"
    WRITABLE = "take new data"


@dataclass(frozen=True, slots=True)
class _Need:
    """So many slots of a kind, of one set."""

    kind: Kind
    needed: int
    purpose: str  # "a write needs"
    of_all_keys: bool = False  # without it no key works, in whichever set it is


def _fresh(one: SetStatus) -> _Need:
    # Every request finds its bucket first, and a bucket is in every set.
    return _Need(Kind.TRUSTED, one.read_quorum, "a fresh answer needs", of_all_keys=True)


def _unless_alone(one: SetStatus, kind: Kind, needed: int, purpose: str) -> Iterable[_Need]:
    """What changes anything needs, while this server's slots alone are not enough."""
    return () if one.alone else (_Need(kind, needed, purpose),)


def _reads(one: SetStatus) -> Iterable[_Need]:
    purpose = "decoding what both servers wrote needs" if one.alone else "decoding needs"
    return _Need(Kind.ONLINE, one.data, purpose), _fresh(one)


def _lists(one: SetStatus) -> Iterable[_Need]:
    return (_fresh(one),)


def _writes(one: SetStatus) -> Iterable[_Need]:
    return *_unless_alone(one, Kind.WRITABLE, one.write_quorum, "a write needs"), _fresh(one)


def _deletes(one: SetStatus) -> Iterable[_Need]:
    return *_unless_alone(one, Kind.ONLINE, one.majority, "a deletion needs"), _fresh(one)


def _changes_buckets(one: SetStatus) -> Iterable[_Need]:
    need = _Need(Kind.WRITABLE, one.majority, "a change of a bucket needs", of_all_keys=True)
    return (_fresh(one),) if one.alone else (need, _fresh(one))


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    covers: str
    needs: Callable[[SetStatus], Iterable[_Need]]


_ROWS: Final = (
    _Row("reads", "GetObject, HeadObject, copies of what is read", _reads),
    _Row("listings", "ListBuckets, ListObjects, ListObjectVersions", _lists),
    _Row("writes", "PutObject, CopyObject, multipart uploads, conditional writes", _writes),
    _Row("deletions", "DeleteObject, DeleteObjects, AbortMultipartUpload", _deletes),
    _Row("bucket changes", "CreateBucket, DeleteBucket, bucket settings", _changes_buckets),
)


def explain(
    sets: Sequence[SetStatus], drives: Sequence[DriveInfo] = (), *, ready: bool = True
) -> tuple[OperationStatus, ...]:
    """Say of every operation whether it works for every key, and if not, why and until when."""
    if not ready:
        starting = ("this server is starting: it has not seen all drives yet",)
        return tuple(
            OperationStatus(name=row.name, covers=row.covers, works=False, why=starting)
            for row in _ROWS
        )
    return tuple(_judge(row, sets, drives) for row in _ROWS)


def _judge(row: _Row, sets: Sequence[SetStatus], drives: Sequence[DriveInfo]) -> OperationStatus:
    # What one server wrote alone may be in every bucket: nothing can be told without it.
    why = tuple(
        f"{row.name} are refused: {reason}"
        for reason in dict.fromkeys(one.unheard for one in sets if one.unheard)
    ) or tuple(
        f"{row.name} are refused{_for_keys(one, need, sets)}: {_sentence(one, need, have, drives)}"
        for one in sets
        for need in row.needs(one)
        if (have := _count(one, need.kind)) < need.needed
    )
    return OperationStatus(name=row.name, covers=row.covers, works=not why, why=why)


def _for_keys(one: SetStatus, need: _Need, sets: Sequence[SetStatus]) -> str:
    if need.of_all_keys or len(sets) == 1:
        return ""
    return f" for the keys of set {one.index} of pool {one.pool}"


def _count(one: SetStatus, kind: Kind) -> int:
    return {Kind.ONLINE: one.online, Kind.TRUSTED: one.trusted, Kind.WRITABLE: one.count_writable}[
        kind
    ]


def _sentence(one: SetStatus, need: _Need, have: int, drives: Sequence[DriveInfo]) -> str:
    fault = (
        f"set {one.index} of pool {one.pool} has {have} of {one.slots} slots that "
        f"{need.kind.value}, and {need.purpose} {need.needed}"
    )
    more, missing = need.needed - have, one.slots - have
    which = f"{more} of the {missing} others" if more < missing else f"all {missing} others"
    back = f"they come back when {which} {_does(need.kind)}"
    named = "; ".join(_absences(one, need.kind, drives))
    return f"{fault}; {back}" + (f": {named}" if named else "")


def _does(kind: Kind) -> str:
    return {
        Kind.ONLINE: "can be reached again",
        Kind.TRUSTED: "can be reached and are rebuilt",
        Kind.WRITABLE: "can be reached and written again",
    }[kind]


def _absences(one: SetStatus, kind: Kind, drives: Sequence[DriveInfo]) -> list[str]:
    """Name what is missing: a server whose drives are all away once, other drives one by one."""
    members = [d for d in drives if (d.pool, d.set_index) == (one.pool, one.index) and d.slots]
    away = [drive for drive in members if not _counts(drive, kind)]
    named = []
    for server in dict.fromkeys(drive.server for drive in away):
        gone = [drive for drive in away if drive.server == server]
        whole = [drive for drive in members if drive.server == server] == gone
        if server and whole and all(drive.state == "offline" for drive in gone):
            reason = gone[0].reason.removeprefix(f"{server}: ") or "offline"
            named.append(f"server {server} ({_slots(gone)}: {reason})")
        else:
            named += [f"drive {d.server}{d.path} ({_slots([d])}: {_state(d, kind)})" for d in gone]
    return named


def _counts(drive: DriveInfo, kind: Kind) -> bool:
    if drive.state in AWAY_STATES:
        return False
    if kind is Kind.TRUSTED:
        return drive.trusted
    return kind is Kind.ONLINE or drive.state not in NO_WRITES_STATES


def _slots(drives: Sequence[DriveInfo]) -> str:
    count = sum(len(drive.slots) for drive in drives)
    return f"{count} slot{'s' if count > 1 else ''}"


def _state(drive: DriveInfo, kind: Kind) -> str:
    if kind is Kind.TRUSTED and drive.state not in AWAY_STATES:
        return "being rebuilt"
    return f"{drive.state}: {drive.reason}" if drive.reason else drive.state


# As drive/guarded.py names them.
AWAY_STATES: Final = frozenset({"offline", "faulty"})
NO_WRITES_STATES: Final = frozenset({"full", "read-only"})
