"""What may be damaged now: a simulation that destroys more than the code repairs proves nothing.

Servers that are down and ways that are cut take nothing away, so any number of them may be. Damage
does: a drive that was replaced by an empty one, a shard or a record that rotted. It is allowed as
long as every version that could be read before can be read after it, and every version that may be
acknowledged still may: so that at most m shards of any object are damaged at any time, those that a
write left out and those that were not healed yet among them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from objstore.errors import ShardCorrupt
from objstore.names import BucketName, Kind, ObjectKey
from objstore.ondisk.shard_file import ShardChecker
from objstore.quorum.thresholds import write_quorum, write_quorum_least
from objstore.testing.memory_rows import HeldRow, ShardKey
from objstore.testing.sim_drive import Bay
from objstore.topology.layout import SetLayout

_Version = tuple[str, str, bytes]


@dataclass
class _Seen:
    row: HeldRow
    drives: dict[int, set[int]] = field(default_factory=dict)  # drive -> good shards


class Atlas:
    """All drives of a set, as nobody inside the simulation sees them."""

    def __init__(self, layout: SetLayout, bays: dict[int, Bay], *, alone: bool) -> None:
        """`alone`: a server may acknowledge writes that only its own drives have."""
        self._alone = alone
        self._layout = layout
        self._bays = bays
        self.rotten: set[tuple[int, ShardKey]] = set()

    def may_lose_drive(self, index: int) -> bool:
        """Whether a drive may lose all it has."""
        places = {place for bay in self._bays.values() for place in bay.memory.rows}
        return (
            self._may_be_unsure({index})
            and all(self._may_be_unsure({index, *self._damaged(place)}) for place in places)
            and all(self._survives(seen, gone={index}) for seen in self._versions().values())
            and self._uploads_survive(index)
        )

    def _damaged(self, place: tuple[BucketName, ObjectKey]) -> set[int]:
        """Return the drives whose word on a key is worth nothing, as a record of it is damaged."""
        return {
            drive
            for drive, bay in self._bays.items()
            if any(row.damaged for row in bay.memory.rows.get(place, []))
        }

    def _may_be_unsure(self, drives: set[int]) -> bool:
        """Whether the others can tell what there is, without these and those not trusted."""
        drives |= {drive for drive, bay in self._bays.items() if not bay.memory.trusted}
        slots = sum(len(self._layout.slots_of_drive(drive)) for drive in drives)
        if slots > self._layout.scheme.m or slots >= write_quorum_least(len(self._layout.slots)):
            return False
        # A server that wrote alone has to be left with something that knows of it.
        servers = {bay.server for bay in self._bays.values()}
        return not self._alone or all(
            any(bay.server == server for drive, bay in self._bays.items() if drive not in drives)
            for server in servers
        )

    def may_rot(self, index: int, row: HeldRow) -> bool:
        """Whether what a drive holds of one version may rot, its record or its shards."""
        version = row.record.version
        seen = self._versions().get((version.bucket, version.key, row.order))
        if not self._may_be_unsure({index, *self._damaged((version.bucket, version.key))}):
            return False
        # A damaged record makes the drive's word on its whole key worth nothing.
        of_key = [
            one
            for (bucket, key, _), one in self._versions().items()
            if (bucket, key) == (version.bucket, version.key)
        ]
        return seen is not None and all(self._survives(one, gone={index}) for one in of_key)

    def _versions(self) -> dict[_Version, _Seen]:
        found: dict[_Version, _Seen] = {}
        for index, bay in self._bays.items():
            for (bucket, key), rows in bay.memory.rows.items():
                for row in rows:
                    if not row.damaged:
                        seen = found.setdefault((bucket, key, row.order), _Seen(row))
                        seen.drives[index] = set(self._good_shards(index, bay, row))
        return found

    def _good_shards(self, index: int, bay: Bay, row: HeldRow) -> Iterator[int]:
        version = row.record.version
        for held in row.record.held:
            names = [
                (part.data_id, part.number, held.shard)
                for part in version.parts_with_bytes
                if held.inline is None
            ]
            whole = not held.missing_parts and all(
                name in bay.memory.files and not self._is_rotten(index, name) for name in names
            )
            if whole:
                yield held.shard

    def _is_rotten(self, index: int, name: ShardKey) -> bool:
        """Whether a file rotted and was not written anew since."""
        if (index, name) not in self.rotten:
            return False
        checker = ShardChecker(*name)
        try:
            checker.feed(bytes(self._bays[index].memory.files[name].data))
            checker.finish()
        except ShardCorrupt:
            return True
        self.rotten.discard((index, name))
        return False

    def _survives(self, seen: _Seen, gone: Collection[int]) -> bool:
        version = seen.row.record.version
        left = {drive: shards for drive, shards in seen.drives.items() if drive not in gone}
        good = sum(map(len, left.values()))
        if version.kind is Kind.OBJECT:
            had = sum(map(len, seen.drives.values()))
            # One that could not be read anyway was never acknowledged.
            return good >= version.k or had < version.k
        unsure = [
            drive for drive, bay in self._bays.items() if drive in gone or not bay.memory.trusted
        ]
        may_be = good + sum(
            len(self._layout.slots_of_drive(drive)) for drive in unsure if drive not in left
        )
        return bool(left) and (may_be >= write_quorum(version.scheme) or len(left) < 2)

    def _uploads_survive(self, index: int) -> bool:
        """Whether every part of an upload that has k shards keeps them."""
        holders: defaultdict[tuple[bytes, int], int] = defaultdict(int)
        lost: defaultdict[tuple[bytes, int], int] = defaultdict(int)
        for drive, bay in self._bays.items():
            for data_id, part, _ in bay.memory.files:
                holders[data_id, part] += 1
                lost[data_id, part] += drive == index
        k = self._layout.scheme.k
        return all(count < k or count - lost[part] >= k for part, count in holders.items())
