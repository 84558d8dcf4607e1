"""The tables of `objstore admin`: what a cluster reports, laid out for a person.

What came from the cluster is printed as text, never as markup: a path may hold brackets.
"""

import posixpath
from collections.abc import Iterable, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from objstore.gateway.epoch_words import epoch_words
from objstore.gateway.ports import (
    ClusterInfo,
    DriveInfo,
    LocationDocument,
    Progress,
    ServerInfo,
    SetInfo,
    UsageInfo,
)

_PATH_CHARACTERS: Final = 14
_SHORT_COLUMNS: Final = frozenset({"set", "slots", "slot", "shard", "objects", "notes", "free"})
_GOOD_STATES: Final = frozenset({"online", "ok"})


def _state(state: str, reason: str = "") -> Text:
    text = f"{state} ({reason})" if reason else state
    return Text(text, style="green" if state in _GOOD_STATES else "bold red")


def format_bytes(count: float) -> str:
    """Say a number of bytes for a person."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def format_duration(seconds: float) -> str:
    """Say a time for a person."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def _yes(works: bool) -> Text:
    return Text("yes", style="green") if works else Text("NO", style="bold red")


def new_table(title: str, *columns: str) -> Table:
    """Return a table without rows."""
    table = Table(title=Text(title), title_justify="left", show_edge=True)
    for column in columns:
        # A path is folded, never cut: its end is what tells two drives apart.
        table.add_column(column, overflow="fold", no_wrap=column in _SHORT_COLUMNS)
    return table


def servers_table(servers: Iterable[ServerInfo]) -> Table:
    """One row for each server."""
    servers = tuple(servers)
    differ = len({one.configuration for one in servers if one.configuration}) > 1
    table = new_table("Servers", "server", "state", "version", "up", "configuration")
    for server in servers:
        table.add_row(
            Text(server.address or "this machine"),
            _state(server.state, server.reason),
            Text(server.version),
            format_duration(server.uptime_s),
            Text(server.configuration or "?", style="bold red" if differ else ""),
        )
    return table


def operations_text(cluster: ClusterInfo) -> Text:
    """Say what works, what does not and why, and whether the servers are configured alike."""
    text = Text()
    working = [one.name for one in cluster.operations if one.works]
    if working:
        text.append(f"These work: {', '.join(working)}.\n", style="green")
    for one in cluster.operations:
        for sentence in one.why:
            text.append(f"{sentence[:1].upper()}{sentence[1:]}.\n", style="bold red")
    known = {one.configuration for one in cluster.servers if one.configuration}
    if len(known) > 1:
        text.append(
            "The servers run different configurations: compare their files, and restart those "
            "whose log says that a change was refused.\n",
            style="bold red",
        )
    return text


def drives_table(drives: Sequence[DriveInfo]) -> Table:
    """One row for each drive."""
    below = _directory_of(drives)
    table = new_table(
        _title("Drives", below), "drive", "slots", "state", "free", "objects", "notes"
    )
    for drive in drives:
        state = _state(drive.state, drive.reason)
        if drive.progress is not None:
            state.append(f"\n{_progress(drive.progress)}", style="default")
        table.add_row(
            _drive(drive, below),
            f"{drive.pool}.{drive.set_index}: {', '.join(map(str, drive.slots))}",
            state,
            f"{format_bytes(drive.free_bytes)}\nof {format_bytes(drive.total_bytes)}",
            str(drive.objects),
            str(drive.missed),
        )
    return table


def _directory_of(drives: Iterable[DriveInfo]) -> str:
    """Return the directory that all drives are below, when it is worth naming only once."""
    paths = [drive.path for drive in drives]
    if max(map(len, paths), default=0) <= _PATH_CHARACTERS:
        return ""
    common = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    return "" if common in ("", "/") else common


def _title(name: str, below: str) -> str:
    return f"{name}, below {below}" if below else name


def _drive(drive: DriveInfo, below: str) -> Text:
    path = drive.path.removeprefix(f"{below}/") if below else drive.path
    return Text(f"{drive.server}\n{path}" if drive.server else path)


def sets_table(sets: Iterable[SetInfo]) -> Table:
    """One row for each set."""
    table = new_table(
        "Sets", "set", "scheme", "slots online", "read needs", "write needs", "reads", "writes"
    )
    for one in sets:
        table.add_row(
            f"{one.pool}.{one.index}",
            one.scheme,
            f"{one.online} of {one.slots}",
            str(one.read_quorum),
            str(one.write_quorum),
            _yes(one.can_read),
            _yes(one.can_write),
        )
    return table


def summary(cluster: ClusterInfo) -> str:
    """Say in one line what is online and what is still to be healed."""
    online = sum(drive.state != "offline" for drive in cluster.drives)
    missed = sum(one.degraded for one in cluster.sets)
    line = f"{online} drives online, {len(cluster.drives) - online} drives offline"
    return f"{line}, {missed} versions to be caught up with" if missed else line


def certificates_line(cluster: ClusterInfo) -> str:
    """Say how long the certificates of the server that was asked still hold; "" without any."""
    return ", ".join(
        f"certificate of the {one.port} port: {_days_left(one.expires_in_s)}"
        for one in cluster.certificates
    )


def witness_text(cluster: ClusterInfo) -> Text:
    """Say who may write alone, and whether the witness answers; nothing without one."""
    witness = cluster.witness
    if witness is None:
        return Text()
    well = witness.answers and witness.mode == "whole"
    lines = f"Epoch {witness.epoch}: {epoch_words(witness, addresses=True)}.\n"
    if not witness.answers and witness.confirmed:
        lines += f"The witness did not answer when it was asked last: {witness.reason}.\n"
    return Text(lines, style="green" if well else "bold red")


def _days_left(seconds: float) -> str:
    days = abs(seconds) / 86_400
    return f"expired {days:.1f} days ago" if seconds < 0 else f"{days:.1f} days left"


def is_healing(drives: Sequence[DriveInfo], *, quarantined: int = 0) -> bool:
    """Tell whether work is going on, or due, on drives that can be reached.

    Notes that are kept for a drive which is away are due when it is back, and those of the
    `quarantined` keys when more of their shards are.
    """
    away = {_set_of(drive) for drive in drives if _is_away(drive)}
    return any(
        drive.progress is not None
        or not drive.trusted
        or (drive.missed > quarantined and _set_of(drive) not in away)
        for drive in drives
        if not _is_away(drive)
    )


def waiting_line(drives: Sequence[DriveInfo]) -> str:
    """Say which drives are away that others keep notes for; "" when there are none."""
    noted = {_set_of(drive) for drive in drives if drive.missed and not _is_away(drive)}
    away = [drive for drive in drives if _is_away(drive) and _set_of(drive) in noted]
    if not away:
        return ""
    names = ", ".join(f"{drive.server}{drive.path} ({drive.state})" for drive in away)
    return f"What is noted for drives that are away is healed when they are back: {names}"


def _set_of(drive: DriveInfo) -> tuple[int, int]:
    return drive.pool, drive.set_index


def _is_away(drive: DriveInfo) -> bool:
    return bool(drive.slots) and drive.state in {"offline", "faulty"}


def _progress(progress: Progress) -> str:
    if not progress.objects_total:
        return f"{progress.objects_done} objects"
    share = 100 * progress.objects_done / progress.objects_total
    left = "" if progress.remaining_s is None else f", {format_duration(progress.remaining_s)} left"
    return f"{share:.0f} %{left}"


def heal_table(drives: Sequence[DriveInfo]) -> Table:
    """One row for each drive with its progress, rate and remaining time."""
    below = _directory_of(drives)
    table = new_table(
        _title("Healing", below), "drive", "state", "notes", "done", "rate", "remaining"
    )
    for drive in drives:
        progress = drive.progress
        if progress is None:
            cells = ("-", "-", "-")
        else:
            remaining = progress.remaining_s
            cells = (
                f"{progress.objects_done} of {progress.objects_total or '?'}",
                f"{progress.objects_per_s:.0f} objects/s\n{format_bytes(progress.bytes_per_s)}/s",
                "?" if remaining is None else format_duration(remaining),
            )
        table.add_row(
            _drive(drive, below), _state(drive.state, drive.reason), str(drive.missed), *cells
        )
    return table


def compare_table(drives: Sequence[DriveInfo], now_ms: int) -> Table:
    """One row for each drive with what its last comparison came to."""
    below = _directory_of(drives)
    table = new_table(
        _title("Compared", below), "drive", "state", "when", "took", "exchanged", "differed", "left"
    )
    for drive in drives:
        last = drive.comparison
        if last is None:
            cells = ("never", "-", "-", "-", "-")
        else:
            cells = (
                f"{format_duration(max(0, now_ms - last.finished_ms) / 1000)} ago",
                f"{last.seconds:.2f} s",
                format_bytes(last.read_bytes),
                str(last.differences),
                str(last.failed),
            )
        table.add_row(_drive(drive, below), _state(drive.state, drive.reason), *cells)
    return table


def usage_table(usage: UsageInfo) -> Table:
    """One row for each bucket."""
    table = new_table(
        "buckets", "bucket", "versioning", "objects", "size", "versions", "of all versions"
    )
    for bucket in usage.buckets:
        table.add_row(
            Text(bucket.name),
            bucket.versioning or "off",
            str(bucket.objects),
            format_bytes(bucket.object_bytes),
            str(bucket.versions),
            format_bytes(bucket.version_bytes),
        )
    return table


def location_table(location: LocationDocument) -> Table:
    """One row for each shard."""
    title = (
        f"{location.bucket}/{location.key}: {format_bytes(location.size)}, {location.scheme},"
        f" set {location.pool}.{location.set_index}"
    )
    table = new_table(title, "shard", "server", "drive", "slot", "state")
    for place in location.shards:
        table.add_row(
            place.letter,
            Text(place.server or "this machine"),
            Text(place.drive),
            str(place.slot),
            _state(place.state),
        )
    return table
