"""Two servers and a witness: who may acknowledge writes alone, and who may have (ADR 7).

An epoch is kept under one key by the witness (etcd) and changed by compare-and-set only:

    whole          W slots acknowledge a write, as without a witness
    solo(A)        all slots of A may acknowledge a write too, while B is away
    returning(A)   W slots again; what A acknowledged alone is being brought to B

Each process asks the witness again and again. What it was told holds for SOLO_CONFIRMED_S from when
it asked; whoever begins to write alone first waits until what others were told before has run out.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from objstore.limits import SOLO_CONFIRMED_S, SOLO_WAIT_S


class Mode(Enum):
    """What an epoch allows."""

    WHOLE = "whole"
    SOLO = "solo"
    RETURNING = "returning"


class Epoch(msgspec.Struct, frozen=True):
    """A state, its number (every change adds one), and the server it speaks of ("" when whole)."""

    number: int = 0
    mode: Mode = Mode.WHOLE
    server: str = ""


FIRST: Final = Epoch()


def encode_epoch(epoch: Epoch) -> bytes:
    """Return an epoch as the witness keeps it: JSON, so that an operator can read it."""
    return msgspec.json.encode(epoch)


def decode_epoch(data: bytes) -> Epoch:
    """Open what the witness keeps.

    Raises:
        ValueError: it is none of ours.
    """
    epoch = msgspec.json.decode(data, type=Epoch)
    if epoch.number < 0 or (epoch.mode is Mode.WHOLE) != (not epoch.server):
        raise ValueError(f"no epoch: {data!r}")
    return epoch


@dataclass(frozen=True, slots=True)
class Sight:
    """What the server that decides sees at one moment."""

    own_drives_well: bool  # every drive of this server can be read and written
    peer_away: bool  # no drive of the other server answers
    peer_back: bool  # every drive of the other server answers
    caught_up: bool  # every drive of this server was compared with its set in this epoch


def next_epoch(epoch: Epoch, own: str, sight: Sight) -> Epoch | None:
    """Return the epoch that server `own` asks the witness for; None: there is nothing to change."""
    mine = epoch.server == own
    alone = sight.peer_away and sight.own_drives_well
    match epoch.mode:
        case Mode.WHOLE if alone:
            mode, server = Mode.SOLO, own
        case Mode.SOLO if mine and sight.peer_back:
            mode, server = Mode.RETURNING, own
        case Mode.RETURNING if mine and alone:
            mode, server = Mode.SOLO, own
        case Mode.RETURNING if not mine and sight.caught_up:
            mode, server = Mode.WHOLE, ""
        case _:
            return None
    return Epoch(epoch.number + 1, mode, server)


class SoloView:
    """What one process of server `own` knows of the epoch. Times are of its monotonic clock."""

    def __init__(self, own: str, other: str) -> None:
        """Know nothing yet."""
        self.own = own
        self.other = other
        self.epoch: Epoch | None = None
        self._asked_s = float("-inf")
        self._since_s = 0.0

    def learn(self, epoch: Epoch, *, asked_s: float, now_s: float) -> None:
        """Take in an answer of the witness to a question that was sent at `asked_s`."""
        if self.epoch is not None and epoch.number < self.epoch.number:
            return  # answers may overtake each other
        if self.epoch is None or epoch.number > self.epoch.number:
            self._since_s = now_s
        self.epoch = epoch
        self._asked_s = max(self._asked_s, asked_s)

    def is_confirmed(self, now_s: float) -> bool:
        """Whether what is known still holds."""
        return self.epoch is not None and now_s - self._asked_s <= SOLO_CONFIRMED_S

    def is_settled(self, now_s: float) -> bool:
        """Whether nobody goes by an earlier epoch any more."""
        return self.is_confirmed(now_s) and now_s - self._since_s >= SOLO_WAIT_S

    def may_have_written(self, now_s: float) -> frozenset[str]:
        """Return the servers that may have acknowledged writes that only they have."""
        if self.epoch is None or not self.is_confirmed(now_s):
            return frozenset({self.own, self.other})
        return frozenset({self.epoch.server} - {""})

    def may_write(self, now_s: float) -> bool:
        """Whether this server may acknowledge writes alone at this moment."""
        return (
            self.epoch is not None
            and self.epoch.mode is Mode.SOLO
            and self.epoch.server == self.own
            and self.is_settled(now_s)
        )
