"""What a chaos run found: the numbers, and how they are shown."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from objstore.cli.chaos.judgement import Failure

_BROKEN_SHOWN_MAX: Final = 20


class MadeFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was made. Times are seconds since the load began."""

    what: str
    kind: str
    at_s: float
    hold_s: float
    whole_after_s: float | None = None  # from its end; None: it was not seen whole


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints; fields are only ever appended."""

    kept: bool
    interrupted: bool
    seed: int
    layout: str
    seconds: float
    operations: dict[str, int]  # served, by verb
    faults: tuple[MadeFault, ...]
    errors: dict[str, int]  # seen by clients, by code
    slowest_s: float
    slowest: str
    objects_verified: int  # by sha256, from every server
    reads_verified: int
    full_redundancy_s: float | None  # after the last fault ended
    broken: tuple[str, ...]
    directory: str  # "" when it was removed


def count_codes(failures: Iterable[Failure]) -> dict[str, int]:
    """Count the errors that clients saw; those without an answer by what the client says."""
    counted = Counter(
        f"{one.status} {one.code}" if one.status else f"no answer: {one.code}" for one in failures
    )
    return dict(sorted(counted.items()))


def show(report: Report, console: Console) -> None:
    """Print a report for people."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    served = sum(report.operations.values())
    by_verb = ", ".join(f"{count} {verb}" for verb, count in sorted(report.operations.items()))
    rows = {
        "layout": report.layout,
        "seed": str(report.seed),
        "operations served": f"{served} in {report.seconds:.0f} s ({by_verb})",
        "faults": str(len(report.faults)) + _by_kind(report.faults),
        "errors seen by clients": _counts(report.errors) or "none",
        "slowest request": f"{report.slowest_s:.2f} s ({report.slowest})",
        "objects verified": f"{report.objects_verified}, {report.reads_verified} reads by sha256 "
        "from every server",
        "full redundancy": "not reached"
        if report.full_redundancy_s is None
        else f"{report.full_redundancy_s:.1f} s after the last fault ended",
    }
    if report.directory:
        rows["kept in"] = report.directory
    for name, value in rows.items():
        table.add_row(name, value)
    console.print()
    console.print(table)
    for one in report.broken[:_BROKEN_SHOWN_MAX]:
        console.print(f"BROKEN  {one}", style="red", markup=False)
    if len(report.broken) > _BROKEN_SHOWN_MAX:
        console.print(f"and {len(report.broken) - _BROKEN_SHOWN_MAX} more")
    console.print(_verdict(report))


def _verdict(report: Report) -> str:
    if report.broken:
        return "\n[red]A promise was broken.[/red]"
    if report.interrupted:
        return "\n[yellow]Interrupted: what was seen was right, the rest was not verified.[/yellow]"
    return "\n[green]Every promise was kept.[/green]"


def _by_kind(faults: Iterable[MadeFault]) -> str:
    counts = _counts(dict(sorted(Counter(one.kind for one in faults).items())))
    return f" ({counts})" if counts else ""


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.items())
