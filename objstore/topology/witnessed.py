"""What a witness makes of a layout of two servers: what goes on when either is away (ADR 7).

One server alone stores what is new over its own slots: half of them carry data, and the rest
parity. With two drives each that is a full copy on both.
"""

from dataclasses import dataclass
from typing import Final

from objstore.names import Scheme
from objstore.topology.layout import Layout, SetLayout

_LOST: Final = (
    "With the witness, either server may be lost and the other goes on: its first write comes "
    "within {:g} s."
)
_MEANWHILE: Final = (
    "The server that the witness does not reach refuses reads and writes while the other is away.",
    "Without the witness both servers go on as before; one that is alone refuses everything.",
    "A server that comes back is brought what it missed; until then all of it needs the other one.",
)


@dataclass(frozen=True, slots=True)
class Alone:
    """What the server that is left can do in one set."""

    reads_old: bool  # what both servers wrote
    left: int  # shards of such an object
    needed: int
    scheme: Scheme  # of what is written meanwhile, over this server's slots


def alone_in(one: SetLayout, server: str) -> Alone:
    """Return what `server` can do in a set without the other one."""
    own = len(one.slots_of_server(server))
    data = max(1, own // 2)
    away = one.scheme.slots - own
    return Alone(
        reads_old=away <= one.scheme.m,
        left=own,
        needed=one.scheme.k,
        scheme=Scheme(data, own - data),
    )


def witness_sentences(layout: Layout, *, first_write_s: float) -> tuple[str, ...]:
    """Say what goes on with a witness; a first write comes about `first_write_s` after a loss."""
    every = {alone_in(one, server) for one in layout.sets for server in layout.servers}
    return (
        _LOST.format(first_write_s),
        *dict.fromkeys(sentence for alone in every for sentence in _of(alone)),
        *_MEANWHILE,
    )


def _of(alone: Alone) -> tuple[str, ...]:
    k, m = alone.scheme.k, alone.scheme.m
    if k == 1 and m:
        how = f"as full copies on the {k + m} slots of that server"
    else:
        how = f"as {alone.scheme} on the slots of that server"
    lost = "no lost drive" if not m else "the loss of one slot" if m == 1 else f"{m} lost slots"
    old = (
        "Everything is read and written meanwhile, what was written before too."
        if alone.reads_old
        else "Objects written before cannot be read meanwhile: "
        f"{alone.left} of their shards are left and reading takes {alone.needed}. "
        "New objects are written and read."
    )
    new = f"What is written meanwhile is stored {how}, and survives {lost}"
    return old, f"{new}; writing takes all of its drives."
