"""Ask the drives of a set for a page of a listing: as many as share a slot with every write."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from objstore.drive.ops import KeyPage, Op, VersionPage
from objstore.engine.fanout import Fanout
from objstore.engine.sets import Context, SetHandle
from objstore.errors import ReadQuorumLost
from objstore.limits import CALL_DEADLINE_S, LIST_HEDGE_S
from objstore.names import STAMP_BYTES, Order
from objstore.quorum.reduce import describe_errors

P = TypeVar("P", KeyPage, VersionPage)
# Where a version stands in a listing: its key, and its order turned round so that newer ones come
# first. A key alone, or a common prefix, stands after all of its versions.
Position = tuple[str, bytes]
_AFTER_ALL: Final = b"\xff" * (2 * STAMP_BYTES + 3)


def position_of(key: str, order: bytes) -> Position:
    """Return where a version of `key` stands; with an empty order, the key itself."""
    if not order:
        return key, _AFTER_ALL
    return key, bytes(255 - byte for byte in order).ljust(len(_AFTER_ALL), b"\xff")


def order_at(position: Position) -> Order:
    """Return the order that `position_of` was given, but for bytes of value 0 at its end."""
    return Order(bytes(255 - byte for byte in position[1]).rstrip(b"\0"))


async def ask_for_pages(
    context: Context, handle: SetHandle, op: Op[P], *, leave_out: frozenset[int] = frozenset()
) -> Mapping[int, P]:
    """Ask as many drives as a fresh answer takes; more when some fail or are not trusted.

    For the healer of one drive, which it is to `leave_out`, all others are enough too, whatever
    they have lost: there is nobody else to ask.

    Raises:
        ReadQuorumLost: those that answered could all have missed an acknowledged write.
    """
    readable = [drive for drive in handle.readable() if drive not in leave_out]
    order = sorted(readable, key=lambda drive: handle.drives[drive].is_slow)
    first = len(order) if handle.stale else 0
    while first < len(order) and not handle.is_fresh(order[:first]):
        first += 1

    def calls(drives: list[int]) -> dict[int, Callable[[], Awaitable[P]]]:
        return {drive: partial(handle.drives[drive].call, op) for drive in drives}

    def fresh(fanout: Fanout[P]) -> bool:
        trusted = tuple(drive for drive, page in fanout.answers.items() if page.trusted)
        told = frozenset(fanout.answers) | leave_out
        everybody = bool(leave_out) and handle.is_every_slot_on(told)
        return everybody or handle.is_fresh(trusted)

    def decide(fanout: Fanout[P]) -> bool | None:
        # Of what may be stale, the more is heard the less it is.
        return True if fresh(fanout) and not (handle.stale and fanout.pending) else None

    fanout = Fanout(context.group, calls(order[:first]))
    try:
        if not await fanout.until(decide, deadline_s=LIST_HEDGE_S):
            fanout.add(calls(order[first:]))
            await fanout.until(decide, deadline_s=CALL_DEADLINE_S / 2)
    finally:
        fanout.cancel()
    if not fresh(fanout):
        raise ReadQuorumLost(
            f"{handle.slots_on(tuple(fanout.answers))} of {handle.total_slots} slots of set "
            f"{handle.layout.index} answered; {describe_errors(fanout.errors)}"
        )
    return dict(fanout.answers)
