"""What a power cut may leave of a sequence of file operations, as ALICE (OSDI '14) enumerates it.

The model promises as little as POSIX does: what was written to a file counts once the file was
synced, a name once its directory was. Everything else may be kept, lost, or kept in part, each
file and each name by itself. What a sync that failed was asked to write is lost for good, even if
the next sync succeeds (as on ext4, xfs and btrfs: "Can applications recover from fsync failures?",
ATC '20), until it is written anew.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from posixpath import dirname
from typing import Final

import xxhash

from tests.crash.disk_faults import Event, Kind
from tests.crash.local_set import Snapshot

_SECTOR_BYTES: Final = 512
_UNSEEN: Final = "-shm"  # SQLite makes it anew


class Loss(Enum):
    """What becomes of that which was not synced."""

    KEPT = "kept"  # all of it is there: what a kill leaves
    DROPPED = "dropped"
    NAMES = "names only"  # new files are there, and hold zeros
    DATA = "data only"  # files are there under their old names
    TORN = "torn"  # each write and each name by itself, or a part of a write


@dataclass(frozen=True, slots=True)
class _Write:
    offset: int
    data: bytes | None  # None: cut (or grown) to `offset` bytes

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(self.offset - len(content)))
            return
        end = self.offset + len(self.data)
        content.extend(bytes(max(0, end - len(content))))
        content[self.offset : end] = self.data

    def zeroed(self) -> "_Write":
        """Return the write as it looks when a file grew and its data never came."""
        return self if self.data is None else _Write(self.offset, bytes(len(self.data)))

    def torn(self, chance: random.Random) -> "_Write | None":
        """Return the write, its first sectors, or None."""
        if chance.random() < 0.5:
            return None
        if self.data is None or chance.random() < 0.5:
            return self
        sectors = chance.randrange(len(self.data) // _SECTOR_BYTES + 1)
        return _Write(self.offset, self.data[: sectors * _SECTOR_BYTES])


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    cached: bytearray = field(default_factory=bytearray)
    pending: list[_Write] = field(default_factory=list)

    def write(self, write: _Write) -> None:
        write.apply(self.cached)
        self.pending.append(write)

    def sync(self) -> None:
        for write in self.pending:
            write.apply(self.durable)
        self.pending.clear()

    def after(self, loss: Loss, chance: random.Random) -> bytes:
        """Return its content after a power cut."""
        if loss is Loss.KEPT or (loss is Loss.DATA):
            return bytes(self.cached)
        left = bytearray(self.durable)
        if loss is Loss.DROPPED:
            return bytes(left)
        for write in self.pending:
            kept = write.zeroed() if loss is Loss.NAMES else write.torn(chance)
            if kept is not None:
                kept.apply(left)
        return bytes(left)


@dataclass(frozen=True, slots=True)
class _Naming:
    """A change of names: `gone` is removed, `path` leads to `file` (a directory: None)."""

    path: str
    file: "_File | None" = None
    gone: str = ""
    directory: bool = False

    def apply(self, names: dict[str, "_File | None"]) -> None:
        if self.gone:
            names.pop(self.gone, None)
        if self.path and (self.file is not None or self.directory):
            names[self.path] = self.file

    def is_in(self, directory: str) -> bool:
        """Whether syncing `directory` makes it durable: for a rename, where the file went."""
        return dirname(self.path or self.gone) == directory


class DriveModel:
    """The files of one drive, as the kernel shows them and as the medium has them."""

    def __init__(self, root: Path, files: Mapping[str, bytes]) -> None:
        """Begin with `files`, which lie durably at `root`."""
        self.names: dict[str, _File | None] = {}
        self._inodes: dict[int, _File] = {}
        for path, content in files.items():
            file = _File(bytearray(content), bytearray(content))
            self.names[path] = file
            if (root / path).exists():
                self._inodes[(root / path).stat().st_ino] = file
        self._durable = dict(self.names)
        self.pending: list[_Naming] = []

    def apply(self, event: Event) -> None:
        """Follow one call."""
        if event.failed:
            if event.kind is Kind.SYNC and event.inode in self._inodes:
                self._inodes[event.inode].pending.clear()
        elif event.kind in (Kind.WRITE, Kind.TRUNCATE, Kind.SYNC):
            self._change(event)
        elif event.kind is Kind.SYNC_DIR:
            self._sync_names(event.path)
        elif not event.path.endswith(_UNSEEN):
            self._rename(event)

    def _change(self, event: Event) -> None:
        file = self._inodes.get(event.inode)
        if file is None:
            return  # without a name, or of no interest
        if event.kind is Kind.SYNC:
            file.sync()
        else:
            data = event.data if event.kind is Kind.WRITE else None
            file.write(_Write(event.offset, data))

    def _rename(self, event: Event) -> None:
        naming = _Naming("", gone=event.path)
        if event.kind is Kind.CREATE:
            naming = _Naming(event.path, self._inodes.setdefault(event.inode, _File()))
        elif event.kind is Kind.MKDIR:
            naming = _Naming(event.path, directory=True)
        elif event.kind is Kind.RENAME:
            naming = _Naming(event.other, self.names.get(event.path), gone=event.path)
        naming.apply(self.names)
        self.pending.append(naming)

    def _sync_names(self, directory: str) -> None:
        for naming in self.pending:
            if naming.is_in(directory):
                naming.apply(self._durable)
        self.pending = [naming for naming in self.pending if not naming.is_in(directory)]

    def is_durable(self, path: str) -> bool:
        """Whether a file's content and its name would survive a power cut."""
        file = self.names.get(path)
        return file is not None and not file.pending and self._durable.get(path) is file

    def leads_to(self, path: str, inode: int) -> bool:
        """Whether the file with this inode is the one at `path`."""
        file = self.names.get(path)
        return file is not None and self._inodes.get(inode) is file

    def has_unsynced(self, path: str) -> bool:
        """Whether something was written to a file since it was last synced."""
        file = self.names.get(path)
        return file is not None and bool(file.pending)

    def after(self, loss: Loss, chance: random.Random) -> tuple[dict[str, bytes], set[str]]:
        """Return the files and the directories after a power cut."""
        names = dict(self._durable)
        for naming in self.pending:
            if loss in (Loss.KEPT, Loss.NAMES) or (loss is Loss.TORN and chance.random() < 0.5):
                naming.apply(names)
        directories = {path for path, file in names.items() if file is None}
        files = {path: file.after(loss, chance) for path, file in names.items() if file is not None}
        return files, directories


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Power was cut before event `index`; `acknowledged`: the client had been told."""

    index: int
    loss: Loss
    seed: int
    acknowledged: bool
    digest: str = ""


BEGIN: Final = "begin"
ACKNOWLEDGED: Final = "acknowledged"


def _models(roots: Sequence[Path], start: Snapshot) -> list[DriveModel]:
    return [DriveModel(root, files) for root, files in zip(roots, start.files, strict=True)]


class History:
    """A log of events over a set's drives, and the states in which a crash may leave them."""

    def __init__(
        self, events: Sequence[Event], make_models: Callable[[], list[DriveModel]]
    ) -> None:
        self._events = events
        self._make_models = make_models

    @classmethod
    def of(cls, events: Sequence[Event], roots: Sequence[Path], start: Snapshot) -> "History":
        """Take a log that began when the drives at `roots` held `start`, as they still do."""
        begun = _models(roots, start)  # inodes are looked up now: later they are others

        def copy() -> list[DriveModel]:
            return [_copied(model) for model in begun]

        return cls(events, copy)

    def with_events(self, events: Sequence[Event]) -> "History":
        """Return the history of what happened since this one was made."""
        return History(events, self._make_models)

    def after_mark(self, mark: str) -> int:
        """Return the number of the event that follows a mark."""
        marks = [event.path if event.kind is Kind.MARK else "" for event in self._events]
        return marks.index(mark) + 1

    def events(self) -> Iterator[tuple[Event, list[DriveModel]]]:
        """Yield each event from BEGIN on, with the drives as they are before it."""
        for index, _, models in self.steps():
            if index < len(self._events):
                yield self._events[index], models

    def steps(self) -> Iterator[tuple[int, bool, list[DriveModel]]]:
        """Yield, from BEGIN on: the events so far, whether it was acknowledged, the drives."""
        models = self._make_models()
        begun = acknowledged = False
        for index, event in enumerate(self._events):
            if begun:
                yield index, acknowledged, models
            if event.kind is Kind.MARK:
                begun |= event.path == BEGIN
                acknowledged |= event.path == ACKNOWLEDGED
            else:
                models[event.drive].apply(event)
        yield len(self._events), acknowledged, models

    def crash_points(self, seeds: int) -> list[CrashPoint]:
        """Return every crash point that leaves another state than those before it."""
        found: dict[tuple[str, bool], CrashPoint] = {}
        for index, acknowledged, models in self.steps():
            for loss in Loss:
                for seed in range(seeds if loss is Loss.TORN else 1):
                    point = CrashPoint(index, loss, seed, acknowledged)
                    digest = _digest(state_after(models, point))
                    found.setdefault((digest, acknowledged), point)
        return list(found.values())

    def states(self, points: Sequence[CrashPoint]) -> Iterator[tuple[CrashPoint, Snapshot]]:
        """Yield the state of each point."""
        wanted: dict[int, list[CrashPoint]] = {}
        for point in points:
            wanted.setdefault(point.index, []).append(point)
        for index, _, models in self.steps():
            for point in wanted.get(index, ()):
                yield point, state_after(models, point)


def state_after(models: Sequence[DriveModel], point: CrashPoint) -> Snapshot:
    """Return what a power cut leaves: of each drive something else, where chance decides."""
    files, directories = [], []
    for number, model in enumerate(models):
        chance = random.Random(f"{point.index}/{point.seed}/{number}")
        held, made = model.after(point.loss, chance)
        files.append(held)
        directories.append(frozenset(made))
    return Snapshot(tuple(files), tuple(directories))


def _copied(model: DriveModel) -> DriveModel:
    fresh = DriveModel(Path("/nonexistent"), {})
    copies = {
        id(file): _File(bytearray(file.durable), bytearray(file.cached))
        for file in model._inodes.values()
    }
    fresh._inodes = {inode: copies[id(file)] for inode, file in model._inodes.items()}
    fresh.names = {path: copies[id(file)] for path, file in model.names.items() if file is not None}
    fresh._durable = dict(fresh.names)
    return fresh


def _digest(state: Snapshot) -> str:
    whole = xxhash.xxh3_128()
    for files, directories in zip(state.files, state.directories, strict=True):
        for path in sorted(files):
            whole.update(f"\0{path}\0{len(files[path])}\0".encode())
            whole.update(files[path])
        whole.update("\0".join(sorted(directories)).encode())
    return whole.hexdigest()
