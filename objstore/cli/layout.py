"""`objstore layout explain`: where shards go, what may be lost, and how likely that is."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from objstore.config import Settings, load_settings
from objstore.errors import ConfigError
from objstore.limits import SOLO_FIRST_WRITE_S
from objstore.names import REDUCED_REDUNDANCY, shard_letter
from objstore.quorum.thresholds import degraded_scheme, read_quorum_any, write_quorum
from objstore.topology.layout import Layout, SetLayout, layout_of, reduced_layout
from objstore.topology.reliability import Assumptions, Reliability, reliability, set_shape
from objstore.topology.survival import (
    Outcome,
    Quorums,
    number_drives,
    summarise,
    without_each_drive,
    without_each_server,
    xor_notes,
)
from objstore.topology.witnessed import witness_sentences

QUORUMS: Final = Quorums(
    write=lambda scheme, missing: write_quorum(degraded_scheme(scheme, missing)),
    read=lambda scheme: read_quorum_any(scheme.slots),
    degraded=degraded_scheme,
)
_DEFAULTS: Final = Assumptions()
_ANY_WITNESS: Final = ("http://witness:2379",)  # that there is one is all that counts here
_ROWS_MAX: Final = 32
_ROWS_APART_MAX: Final = 8  # beyond it, rows that say the same become one
_PLACE_WIDTH: Final = 24

_STALE_READS: Final = (
    "With stale_reads, what cannot be read for certain is read from the drives that are left, as "
    "long as they have the shards; it may be older than what was acknowledged."
)

app = typer.Typer(
    rich_markup_mode="markdown",
    help="Layouts: where shards go and what may be lost.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Keep `explain` a sub-command although it is the only one."""


@app.command()
def explain(  # noqa: PLR0913, PLR0917  typer reads one parameter for each option
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG.toml | ENDPOINT...]", help="A configuration file, or endpoints."
        ),
    ] = None,
    servers: Annotated[int | None, typer.Option(min=1, help="Servers, when no source.")] = None,
    drives: Annotated[int | None, typer.Option(min=1, help="Drives on each of them.")] = None,
    parity: Annotated[str | None, typer.Option(help="Parity shards, as 1 or EC:1.")] = None,
    set_size: Annotated[int | None, typer.Option(help="Slots in each set.")] = None,
    drive_afr: Annotated[
        float, typer.Option(help="Share of drives that fail in a year.")
    ] = _DEFAULTS.drive_afr,
    rebuild_hours: Annotated[
        float, typer.Option(help="From a drive's failure until it is rebuilt.")
    ] = _DEFAULTS.rebuild_h,
    server_failures: Annotated[
        float, typer.Option(help="Failures of one server in a year.")
    ] = _DEFAULTS.server_failures_per_year,
    server_repair_hours: Annotated[
        float, typer.Option(help="Until a failed server is back.")
    ] = _DEFAULTS.server_repair_h,
    server_loss_ratio: Annotated[
        float, typer.Option(help="Share of server failures that destroy its drives.")
    ] = _DEFAULTS.server_loss_ratio,
    witness: Annotated[
        bool, typer.Option("--witness", help="As if the setting witness were on.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print where every shard goes, and what the loss of each drive and server means.

    Without a source the layout is two servers with two drives each, or what --servers and
    --drives say. Nothing is started and no drive is touched.
    """
    try:
        options: dict[str, object] = {"parity": parity, "set_size": set_size}
        options["witness"] = _ANY_WITNESS if witness else None
        layout, settings = _layout(source or [], servers, drives, options)
        assumptions = Assumptions(
            drive_afr=drive_afr,
            rebuild_h=rebuild_hours,
            server_failures_per_year=server_failures,
            server_repair_h=server_repair_hours,
            server_loss_ratio=server_loss_ratio,
        )
    except ConfigError as error:
        Console(stderr=True, highlight=False).print(Text(str(error)))
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(describe(layout, assumptions, settings), indent=2))
    else:
        render(layout, assumptions, Console(highlight=False), settings)


def _layout(
    source: list[str], servers: int | None, drives: int | None, options: dict[str, object]
) -> tuple[Layout, Settings]:
    """Return the layout, and what else is set."""
    counted = servers is not None or drives is not None
    if source and counted:
        raise ConfigError(
            found=f"--servers or --drives beside {' '.join(source)}",
            expected="a configuration file, or endpoints, or numbers of servers and drives",
            remedy="leave out one of them",
        )
    if len(source) == 1 and (source[0].endswith(".toml") or Path(source[0]).is_file()):
        settings = load_settings(config=Path(source[0]), environment={}, options=options, cores=1)
    else:
        endpoints = source or [_pattern(servers or 2, drives or 2)]
        settings = load_settings(endpoints=endpoints, environment={}, options=options, cores=1)
    return layout_of(settings), settings


def _pattern(servers: int, drives: int) -> str:
    path = f"/mnt/drive{{1...{drives}}}"
    return path if servers == 1 else f"http://server{{1...{servers}}}:9000{path}"


# --- figures ----------------------------------------------------------------------------


def _figures(layout: Layout, assumptions: Assumptions) -> list[tuple[SetLayout, int, Reliability]]:
    """Compute each distinct shape of set once: (one such set, how many there are, figures)."""
    shapes: dict[object, list[SetLayout]] = {}
    for one in layout.sets:
        shapes.setdefault(set_shape(one), []).append(one)
    return [
        (same[0], len(same), reliability(same[0], assumptions, QUORUMS)) for same in shapes.values()
    ]


def _overhead(one: SetLayout) -> float:
    return one.scheme.slots / one.scheme.k


def describe(
    layout: Layout, assumptions: Assumptions, settings: Settings | None = None
) -> dict[str, Any]:
    """Return what `explain` prints as plain data, for --json."""
    figures = _figures(layout, assumptions)
    return {
        "servers": list(layout.servers),
        "pools": layout.pools,
        "fingerprint": layout.fingerprint,
        "sets": [
            {
                "pool": one.pool,
                "index": one.index,
                "data": one.scheme.k,
                "parity": one.scheme.m,
                "overhead": _overhead(one),
                "rotate": one.rotate,
                "write_quorum": QUORUMS.write(one.scheme, 0),
                "read_quorum": QUORUMS.read(one.scheme),
            }
            for one in layout.sets
        ],
        "drives": [
            {
                "number": drive.number,
                "server": drive.address.server,
                "path": drive.address.path,
                "set": drive.set_position,
                "slots": list(layout.sets[drive.set_position].slots_of_drive(drive.drive)),
                "shards": _roles(layout.sets[drive.set_position], drive.drive),
            }
            for drive in number_drives(layout)
        ],
        "without_drive": [_plain(o) for o in without_each_drive(layout, QUORUMS)],
        "without_server": [_plain(o) for o in without_each_server(layout, QUORUMS)],
        "summary": list(summarise(layout, QUORUMS)),
        "settings": list(_settings_words(layout, settings)),
        "notes": list(xor_notes(layout)),
        "reduced_redundancy": _reduced(layout),
        "assumptions": asdict(assumptions),
        "reliability": [
            {
                "pool": one.pool,
                "sets": count,
                "yearly_loss_probability": result.loss,
                "read_availability": 1 - result.unreadable,
                "write_availability": 1 - result.unwritable,
            }
            for one, count, result in figures
        ],
    }


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "number": outcome.number,
        "address": outcome.address,
        "read": outcome.read.possible,
        "read_reason": outcome.read.reason,
        "write": outcome.write.possible,
        "write_reason": outcome.write.reason,
    }


def _roles(one: SetLayout, drive: int) -> list[str]:
    """Name the drive's shards: all at once when literal, else one for each rotation."""
    slots, count = one.slots_of_drive(drive), one.scheme.slots
    turns = range(count) if one.rotate else range(1)
    return [shard_letter(one.scheme, (slot - turn) % count) for turn in turns for slot in slots]


# --- tables -----------------------------------------------------------------------------


def render(
    layout: Layout, assumptions: Assumptions, console: Console, settings: Settings | None = None
) -> None:
    """Print the whole explanation."""
    console.print(Text(_headline(layout), style="bold"))
    for pool in range(layout.pools):
        console.print(_scheme_words(layout.sets_of_pool(pool), layout.pools))
    console.print()
    console.print(_placement_table(layout))
    for sentence in _placement_words(layout):
        console.print(Text(sentence))
    drives, servers = without_each_drive(layout, QUORUMS), without_each_server(layout, QUORUMS)
    for noun, outcomes in (("drive", drives), ("server", servers)):
        console.print()
        console.print(_outcome_table(noun, outcomes))
    console.print()
    sentences = (*summarise(layout, QUORUMS), *xor_notes(layout), *_reduced_words(layout))
    for sentence in sentences:
        console.print(Text(sentence))
    for sentence in _settings_words(layout, settings):
        console.print(Text(sentence))
    console.print()
    console.print(_reliability_table(layout, _figures(layout, assumptions)))
    console.print()
    console.print(Text(_assumed(assumptions)))


def _headline(layout: Layout) -> str:
    drives = sum(len(one.drives) for one in layout.sets)
    return ", ".join(
        _count(number, noun)
        for number, noun in (
            (len(layout.servers), "server"),
            (drives, "drive"),
            (layout.pools, "pool"),
            (len(layout.sets), "set"),
        )
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _scheme_words(sets: tuple[SetLayout, ...], pools: int) -> Text:
    one = sets[0]
    scheme = one.scheme
    name = f"EC:{scheme.m} on {_count(len(sets), 'set')} of {scheme.slots} slots"
    where = f"Pool {one.pool + 1}: {name}" if pools > 1 else name
    if scheme.k == 1 and scheme.m:
        what = f"{scheme.slots} full copies of every object"
    else:
        what = f"{_count(scheme.k, 'data shard')} and {_count(scheme.m, 'parity shard')}"
    return Text(
        f"{where} ({scheme}): {what}.\n"
        f"Every byte stored takes {_overhead(one):.4g} bytes of the drives "
        f"(overhead {_overhead(one):.4g}).\n"
        f"A write needs {QUORUMS.write(scheme, 0)} of {scheme.slots} slots; a read needs "
        f"{_count(scheme.k, 'shard')} and {_count(QUORUMS.read(scheme), 'answer')}."
    )


def _settings_words(layout: Layout, settings: Settings | None) -> Iterator[str]:
    """Say what settings that are on make of the layout."""
    if settings is not None and settings.witness:
        yield from witness_sentences(layout, first_write_s=SOLO_FIRST_WRITE_S)
    if settings is not None and settings.stale_reads:
        yield _STALE_READS


def _reduced_words(layout: Layout) -> tuple[str, ...]:
    """Say what objects of REDUCED_REDUNDANCY survive, where that is less."""
    reduced = reduced_layout(layout)
    if reduced is None:
        return ()
    schemes = ", ".join(dict.fromkeys(f"{one.scheme}" for one in reduced.sets))
    overheads = ", ".join(dict.fromkeys(f"{_overhead(one):.4g}" for one in reduced.sets))
    return (
        f"Objects of the class {REDUCED_REDUNDANCY} take {schemes} (overhead {overheads}).",
        *(f"Such objects with {one[0].lower()}{one[1:]}" for one in summarise(reduced, QUORUMS)),
    )


def _reduced(layout: Layout) -> dict[str, Any] | None:
    reduced = reduced_layout(layout)
    if reduced is None:
        return None
    return {
        "sets": [
            {"data": one.scheme.k, "parity": one.scheme.m, "overhead": _overhead(one)}
            for one in reduced.sets
        ],
        "summary": list(summarise(reduced, QUORUMS)),
    }


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)


def _placement_table(layout: Layout) -> Table:
    table = _table("Where the shards go")
    table.add_column("drive", justify="right")
    table.add_column("server", overflow="fold", max_width=_PLACE_WIDTH)
    table.add_column("path", overflow="fold", max_width=_PLACE_WIDTH)
    if len(layout.sets) > 1:
        table.add_column("set", justify="right")
    table.add_column("shards", overflow="fold")
    for drive in number_drives(layout)[:_ROWS_MAX]:
        one = layout.sets[drive.set_position]
        row = [str(drive.number), drive.address.server or "this one", drive.address.path]
        if len(layout.sets) > 1:
            row.append(str(drive.set_position + 1))
        shards = _roles(one, drive.drive)
        separator = " " if one.rotate else ", "
        table.add_row(*map(Text, [*row, separator.join(shards) or "nothing"]))
    return table


def _placement_words(layout: Layout) -> list[str]:
    words = []
    if any(one.rotate for one in layout.sets):
        words.append(
            "One column of letters is one object. The object's name decides which column it\n"
            "takes, each equally often, so that every drive has every role in turn."
        )
    drives = sum(len(one.drives) for one in layout.sets)
    if drives > _ROWS_MAX:
        words.append(f"{drives - _ROWS_MAX} more drives follow in the same way; see --json.")
    return words


def _outcome_table(noun: str, outcomes: tuple[Outcome, ...]) -> Table:
    table = _table(f"Without one {noun}")
    table.add_column(noun, justify="right")
    table.add_column("read")
    table.add_column("write")
    table.add_column("why", overflow="fold")
    for numbers, one, read, write in _grouped(noun, outcomes):
        reason = f"{read}." if read == write else f"{read}.\n{write[0].upper()}{write[1:]}."
        table.add_row(numbers, _yes(one.read.possible), _yes(one.write.possible), Text(reason))
    return table


def _grouped(noun: str, outcomes: tuple[Outcome, ...]) -> Iterator[tuple[str, Outcome, str, str]]:
    """Yield (numbers, an outcome, why read, why write): one row each, or one for a like run."""

    def words(one: Outcome) -> tuple[str, str]:
        if len(outcomes) <= _ROWS_APART_MAX:
            return one.read.reason, one.write.reason
        name, each = f"{noun} {one.number} ", f"each {noun} "
        return one.read.reason.replace(name, each), one.write.reason.replace(name, each)

    for (read, write), run in groupby(outcomes, words):
        alike = list(run)
        first, last = alike[0].number, alike[-1].number
        yield str(first) if first == last else f"{first}-{last}", alike[0], read, write


def _yes(possible: bool) -> Text:
    return Text("yes", style="green") if possible else Text("no", style="bold red")


def _reliability_table(layout: Layout, figures: list[tuple[SetLayout, int, Reliability]]) -> Table:
    table = _table("How likely, by the assumptions below")
    table.show_header = False
    table.add_column("what")
    table.add_column("how much", overflow="fold")
    several = len(layout.sets) > 1
    for one, count, result in figures:
        if several:
            table.add_row(f"each of {count} like set {layout.sets.index(one) + 1}", "")
        table.add_row("  objects lost in a year", _odds(result.loss))
        table.add_row("  can be read", _share(result.unreadable))
        table.add_row("  can be written", _share(result.unwritable))
    if several:
        most = min(1.0, sum(count * result.loss for _, count, result in figures))
        table.add_row("all sets together", "")
        table.add_row("  objects lost in a year", f"at most {_odds(most)}")
    return table


def _odds(probability: float) -> str:
    if probability <= 0:
        return "never"
    if probability < 1e-15:
        return "less than 1 in 10^15"
    if probability > 0.1:
        return f"{probability:.0%}".replace("%", " %")
    inverse = float(f"{1 / probability:.2g}")
    return (
        f"{probability * 100:.2g} % (1 in {f'{inverse:,.0f}' if inverse < 1e9 else f'{inverse:g}'})"
    )


def _share(missing: float) -> str:
    """Say a share of the time so that the nines can be told apart."""
    if missing <= 0:
        return "always"
    if missing < 1e-11:
        return "more than 99.999999999 % of the time"
    digits = min(9, max(2, 1 - math.floor(math.log10(missing * 100))))
    lost = _duration(missing * 365.25 * 24 * 60)
    return f"{100 - missing * 100:.{digits}f} % of the time ({lost} a year without)"


def _duration(minutes: float) -> str:
    if minutes >= 48 * 60:
        return f"{minutes / 1440:.0f} days"
    if minutes >= 120:
        return f"{minutes / 60:.1f} hours"
    return f"{minutes:.1f} minutes" if minutes >= 1 else f"{minutes * 60:.2g} seconds"


def _assumed(given: Assumptions) -> str:
    rows = (
        ("drive-afr", given.drive_afr, "share of drives that fail in a year"),
        ("rebuild-hours", given.rebuild_h, "from a drive's failure until it is rebuilt"),
        ("server-failures", given.server_failures_per_year, "failures of one server in a year"),
        ("server-repair-hours", given.server_repair_h, "until it is back, drives intact"),
        ("server-loss-ratio", given.server_loss_ratio, "share of them that destroy its drives"),
    )
    return "\n".join(
        (
            "Assumed, each an option:",
            *(f"  --{name} {value:g}: {meaning}" for name, value, meaning in rows),
            "Failures are independent, and a drive counts as missing until it is rebuilt.",
            "Left out: one fire for all servers, mistakes of operators, errors in software.",
        )
    )
