"""What `objstore admin` says of the scrub, and of keys that can not be healed now."""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from objstore.cli.admin_tables import format_bytes, format_duration, new_table
from objstore.gateway.ports import DriveInfo, ScrubInfo, SetInfo


def scrub_table(drives: Sequence[DriveInfo], *, now_ms: int) -> Table:
    """One row for each drive with slots."""
    table = new_table("Scrub", "drive", "state", "read", "found", "repaired", "last pass ended")
    for drive in drives:
        if not drive.slots:
            continue
        scrub = drive.scrub
        if scrub is None:
            cells = (drive.state, "?", "?", "?", "?")
        else:
            cells = (
                _state(scrub),
                f"{format_bytes(scrub.bytes_done)}\nof {format_bytes(scrub.bytes_total)}",
                _counts(scrub.found),
                str(scrub.repaired),
                _ago(scrub.finished_ms, now_ms),
            )
        table.add_row(Text(f"{drive.server}\n{drive.path}" if drive.server else drive.path), *cells)
    return table


def scrub_line(drives: Iterable[DriveInfo], *, now_ms: int) -> str:
    """Say in a line what is being read, what was found, and how old the oldest look is."""
    scrubs = [drive.scrub for drive in drives if drive.slots and drive.scrub is not None]
    if not scrubs:
        return ""
    running = sum(scrub.under_way for scrub in scrubs)
    found = sum(sum(scrub.found_ever.values()) for scrub in scrubs)
    repaired = sum(scrub.repaired_ever for scrub in scrubs)
    never = sum(not scrub.finished_ms for scrub in scrubs)
    oldest = min((scrub.finished_ms for scrub in scrubs if scrub.finished_ms), default=0)
    if never:
        last = f"{never} drives were not read to the end yet"
    else:
        last = f"every drive was read to the end, the first of them {_ago(oldest, now_ms)}"
    return f"Scrub: {running} drives are being read, {last}; {found} found, {repaired} repaired"


def quarantine_text(sets: Iterable[SetInfo]) -> Text:
    """Name keys that can not be healed now; nothing when there are none."""
    text = Text()
    for one in sets:
        if not one.quarantined:
            continue
        text.append(
            f"Set {one.pool}.{one.index}: {one.quarantined} keys can not be read or healed now, "
            "and stay as they are until more of their shards are back:\n",
            style="bold red",
        )
        for key in one.quarantined_keys:
            text.append(f"  {key.bucket}/{key.key}: {key.reason}\n")
        if one.quarantined > len(one.quarantined_keys):
            text.append(f"  and {one.quarantined - len(one.quarantined_keys)} more\n")
    return text


def is_scrubbing(drives: Iterable[DriveInfo], *, quarantined: int) -> bool:
    """Tell whether a pass that was asked for waits or runs, or what it found is to be repaired.

    When keys are `quarantined`, some of what was found can not be: then it is not waited for.
    """
    return any(
        scrub.waiting
        or (scrub.asked and scrub.under_way)
        or (scrub.asked and not quarantined and scrub.open > 0)
        for drive in drives
        if (scrub := drive.scrub) is not None and drive.state not in {"offline", "faulty"}
    )


def _state(scrub: ScrubInfo) -> str:
    if scrub.waiting:
        return "waits to begin"
    return f"reads {scrub.stage}" if scrub.under_way else "rests"


def _counts(found: Mapping[str, int]) -> str:
    return "\n".join(f"{count} {kind}" for kind, count in sorted(found.items())) or "nothing"


def _ago(then_ms: int, now_ms: int) -> str:
    return f"{format_duration(max(0, now_ms - then_ms) / 1000)} ago" if then_ms else "never"
