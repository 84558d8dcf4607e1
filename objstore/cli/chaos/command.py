"""`objstore chaos`: what is asked for, refused, and printed."""

import asyncio
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from objstore.cli.chaos.plan import Kind
from objstore.cli.chaos.report import Report, show
from objstore.cli.chaos.run import Wish, fresh_layout, run_chaos
from objstore.cli.local_cluster import ClusterFailed
from objstore.cli.local_layout import LocalLayout
from objstore.cli.refusal import refusals_exit
from objstore.clock import SystemEntropy
from objstore.errors import ConfigError

EXIT_BROKEN: Final = 1
EXIT_INTERRUPTED: Final = 130
_DURATION: Final = re.compile(r"([0-9]{1,6})(s|m|h)?")
_SECONDS: Final = {None: 1, "s": 1, "m": 60, "h": 3600}
_SEED_BYTES: Final = 4


def chaos(  # noqa: PLR0913, PLR0917  typer reads one parameter for each option
    duration: Annotated[
        str, typer.Option(help="For how long faults are made: 60s, 5m, 1h.")
    ] = "60s",
    faults: Annotated[
        str, typer.Option(help="Which faults, by comma: drive, server, bitrot, partition.")
    ] = "drive,server,bitrot,partition",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Makes the same faults in the same order again.")
    ] = None,
    servers: Annotated[int, typer.Option(min=1, max=8, help="Servers.")] = 2,
    drives: Annotated[int, typer.Option(min=1, max=8, help="Drives of each server.")] = 2,
    parity: Annotated[int, typer.Option(min=1, help="Parity shards of every object.")] = 2,
    beyond: Annotated[
        bool,
        typer.Option(
            "--beyond", help="Sometimes take away more than the layout can serve without."
        ),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the directory afterwards.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON; what happens goes to stderr.")
    ] = False,
) -> None:
    """Hurt a cluster of its own at random while clients use it, and verify every byte.

    It starts servers on 127.0.0.1 in a directory that it makes, and touches nothing else. Faults:
    **drive** (moved away; put back, or replaced by an empty one), **server** (killed, frozen,
    restarted), **bitrot** (bytes flipped in shard files), **partition** (between two servers). At
    the end it waits for full redundancy and reads every object from every server. It exits with 1
    when a promise broke.
    """
    with refusals_exit():
        wish = Wish(
            duration_s=parse_duration(duration),
            kinds=parse_kinds(faults),
            seed=int.from_bytes(SystemEntropy().draw(_SEED_BYTES)) if seed is None else seed,
            servers=servers,
            drives=drives,
            parity=parity,
            beyond=beyond,
        )
        _check(wish)
        raise typer.Exit(_run(wish, keep=keep, json=json))


def parse_duration(text: str) -> float:
    """Return a duration in seconds.

    Raises:
        ConfigError: it is none.
    """
    found = _DURATION.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if seconds == 0:
        raise ConfigError(
            found=f"--duration {text}",
            expected="a number above 0 with s, m or h",
            remedy="write for example 60s or 5m",
        )
    return float(seconds)


def parse_kinds(text: str) -> tuple[Kind, ...]:
    """Return the kinds of faults that a list names.

    Raises:
        ConfigError: one of them is not known, or there is none.
    """
    names = [one.strip() for one in text.split(",") if one.strip()]
    unknown = [one for one in names if one not in set(Kind)]
    if unknown or not names:
        raise ConfigError(
            found=f"--faults {text}",
            expected=f"some of {', '.join(Kind)}, separated by commas",
            remedy="correct " + ", ".join(unknown) if unknown else "name at least one",
        )
    return tuple(kind for kind in Kind if kind in names)


def _check(wish: Wish) -> None:
    if Kind.PARTITION in wish.kinds and wish.servers != 2:
        raise ConfigError(
            found=f"partition with {wish.servers} server(s)",
            expected="two servers: without privileges only the link of two can be cut",
            remedy="leave partition out of --faults, or use --servers 2",
        )


def _run(wish: Wish, *, keep: bool, json: bool) -> int:
    console = Console(highlight=False, stderr=json)
    directory, local = fresh_layout(wish)
    kept = True
    try:
        console.print(f"Seed {wish.seed}. Everything happens in {directory}", soft_wrap=True)
        endpoints = ", ".join(map(local.endpoint, range(1, local.servers + 1)))
        console.print(
            f"with its own servers, {endpoints}. Nothing else is touched.", soft_wrap=True
        )
        report = asyncio.run(_interruptible(wish, directory, local, console))
        kept = keep or bool(report.broken)
        if kept:
            report = msgspec.structs.replace(report, directory=str(directory))
        if json:
            sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        else:
            show(report, console)
    except ConfigError:
        kept = keep
        raise
    except ClusterFailed as error:
        console.print(f"{error}\nIts logs are kept in {directory}", markup=False)
        return EXIT_BROKEN
    finally:
        if not kept:
            shutil.rmtree(directory, ignore_errors=True)
    if report.broken:
        return EXIT_BROKEN
    return EXIT_INTERRUPTED if report.interrupted else 0


async def _interruptible(
    wish: Wish, directory: Path, local: LocalLayout, console: Console
) -> Report:
    """Run until the end, or until Ctrl-C, which ends it in order."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    return await run_chaos(wish, directory, local, console, interrupted)
