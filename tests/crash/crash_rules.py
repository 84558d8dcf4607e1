"""Rules of docs/format/ORDERING.md that can be read off a record of file operations."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from objstore.ondisk.paths import ShardName, parse_shard_path
from objstore.quorum.thresholds import write_quorum
from tests.crash.crash_states import DriveModel, History
from tests.crash.disk_faults import Event, Kind
from tests.crash.local_set import SCHEME

_WAL = "journal.db-wal"


def broken_rules(
    history: History, *, hides_objects: bool = True
) -> tuple[list[str], Mapping[str, int]]:
    """Return what breaks a rule, and how often each rule was looked at.

    "A committed record never names a shard that is not durable": when a data id is written to a
    journal, the drive's shard of that name, and its name, are on the medium.
    "A shard is never deleted while a version that was acknowledged may still need it": when a shard
    leaves its place, the journals of W drives hold what superseded it. (`hides_objects`: not so for
    an Abort, which supersedes no object: there the drive's own journal is enough.)
    """
    needed = write_quorum(SCHEME) if hides_objects else 1
    looked: Counter[str] = Counter({"shard before record": 0, "record before removal": 0})
    wrong: list[str] = []
    models: Sequence[DriveModel] = ()
    synced: set[int] = set()
    for event, models in history.events():
        if event.failed:
            continue
        model = models[event.drive]
        if event.kind is Kind.WRITE and model.leads_to(_WAL, event.inode):
            for path in _named_by(event, model):
                looked["shard before record"] += 1
                if not model.is_durable(path):
                    wrong.append(f"drive {event.drive} commits {path} before it is durable")
        if event.kind is Kind.SYNC and model.leads_to(_WAL, event.inode):
            synced.add(event.drive)
        if event.kind in (Kind.UNLINK, Kind.RENAME) and parse_shard_path(event.path) is not None:
            looked["record before removal"] += 1
            if len(synced) < needed or model.has_unsynced(_WAL):
                wrong.append(
                    f"drive {event.drive} removes {event.path} before {needed} journals are synced"
                )
    return wrong, looked


def _named_by(event: Event, model: DriveModel) -> Iterator[str]:
    """Yield the paths of the drive's shards whose data id is in what is written."""
    for path in tuple(model.names):
        name: ShardName | None = parse_shard_path(path)
        if name is not None and event.data.find(name.data_id) >= 0:
            yield path
