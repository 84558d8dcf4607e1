"""Cut a body into stripes, and write encoded stripes as shards on the drives of a set."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from objstore.drive.api import Buffer, ShardSink
from objstore.engine.fanout import Fanout
from objstore.engine.ports import Body
from objstore.engine.sets import Context, Place, WritePlan
from objstore.erasure.codec import codec_for
from objstore.erasure.geometry import block_bytes
from objstore.errors import DriveError, WriteQuorumLost
from objstore.limits import SHARD_CALL_DEADLINE_S, WRITE_GIVE_UP_S, WRITE_STRAGGLER_S
from objstore.names import DataId, Scheme
from objstore.ondisk.record import HeldShard
from objstore.ondisk.shard_file import ShardHeader, block_checksum, encode_header
from objstore.quorum.reduce import describe_errors

Blocks = NDArray[np.uint8]  # [shards, block bytes]


@dataclass(frozen=True, slots=True)
class Stripe:
    """One stripe: `size` bytes of payload, as k data blocks with zeros behind the last byte."""

    index: int
    size: int
    data: Blocks  # [k, block]
    parity: Blocks  # [m, block], to be filled by `encode`

    @property
    def payload(self) -> memoryview:
        """The client's bytes."""
        return self.data.reshape(-1).data[: self.size]

    def block(self, shard: int) -> Blocks:
        """One shard's block."""
        k = len(self.data)
        block: Blocks = self.data[shard] if shard < k else self.parity[shard - k]
        return block


class StripeReader:
    """Fill stripes from a body. Two buffers take turns, so one stripe may still be hashed."""

    def __init__(self, body: Body, scheme: Scheme, stripe_bytes: int) -> None:
        self._body = body
        self._scheme = scheme
        self._stripe_bytes = stripe_bytes
        self._full_block = block_bytes(stripe_bytes, scheme.k)
        self._buffers: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        self._rest = memoryview(b"")
        self._index = 0
        self._ended = False

    async def next(self) -> Stripe | None:
        """Return the next stripe, or None at the end of the body.

        The stripe before the last one returned must no longer be in use.
        """
        data, parity = self._buffer()
        view = data.data
        filled = 0
        while filled < self._stripe_bytes and not await self.at_end():
            taken = min(len(self._rest), self._stripe_bytes - filled)
            view[filled : filled + taken] = self._rest[:taken]
            self._rest = self._rest[taken:]
            filled += taken
        if not filled:
            return None
        k, m = self._scheme.k, self._scheme.m
        block = block_bytes(filled, k)
        data[filled : k * block] = 0
        stripe = Stripe(
            self._index,
            filled,
            data[: k * block].reshape(k, block),
            parity[: m * block].reshape(m, block),
        )
        self._index += 1
        return stripe

    async def at_end(self) -> bool:
        """Whether the body has no more bytes than the stripes returned so far."""
        if not self._rest and not self._ended:
            self._rest = memoryview(await self._body.read())
            self._ended = not self._rest
        return self._ended and not self._rest

    def _buffer(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if len(self._buffers) < 2:
            self._buffers.append(
                (
                    np.empty(self._scheme.k * self._full_block, np.uint8),
                    np.empty(self._scheme.m * self._full_block, np.uint8),
                )
            )
            return self._buffers[-1]
        return self._buffers[self._index % 2]


def encode(stripe: Stripe, scheme: Scheme, bracket: tuple[int, ...] | None) -> None:
    """Fill the stripe's parity. With `bracket`, k shards, decode them and compare.

    Bracketing proves that what is about to be stored gives back what came in, before anybody is
    told that it is stored.
    """
    codec = codec_for(scheme)
    codec.encode(stripe.data, stripe.parity)
    if bracket is None:
        return
    wanted = [shard for shard in range(scheme.k) if shard not in bracket]
    if not wanted:
        return
    out = np.empty((len(wanted), stripe.data.shape[1]), np.uint8)
    codec.rebuild({shard: stripe.block(shard) for shard in bracket}, wanted, out)
    for row, shard in enumerate(wanted):
        assert np.array_equal(out[row], stripe.data[shard]), "encoding does not decode"


def inline_shards(stripe: Stripe, data_id: DataId, scheme: Scheme) -> list[bytes]:
    """Return every shard of a one-stripe object, as a record carries it."""
    shards = []
    for shard in range(scheme.slots):
        block = stripe.block(shard).tobytes()
        shards.append(block_checksum(data_id, shard, stripe.index, block) + block)
    return shards


class ShardWriter:
    """The shard files of one part, one sink for each shard whose drive can be written.

    A drive that fails, or that the others leave behind, is left out from then on; the write goes on
    while as many as its plan needs are left.
    """

    def __init__(
        self,
        context: Context,
        place: Place,
        plan: WritePlan,
        data_id: DataId,
        part: int,
    ) -> None:
        self._context = context
        self._place = place
        self._scheme = plan.scheme
        self._data_id = data_id
        self._part = part
        self._needed = plan.needed
        self._sinks: dict[int, ShardSink] = {}
        self._errors: dict[int, DriveError] = {}
        # What is left of the time for stragglers: some, and as long as the others took.
        self._patience_s = WRITE_STRAGGLER_S

    async def open(self, header: Callable[[int], ShardHeader], shards: tuple[int, ...]) -> None:
        """Begin a file for each of `shards`, headed by what `header` says."""
        handle = self._place.handle
        drive_of = {shard: handle.drive_of_slot(self._place.slots[shard]) for shard in shards}
        chosen = handle.for_new_data(self._needed)

        async def begin(shard: int) -> None:
            drive = handle.drives[drive_of[shard]]
            sink = await drive.create_shard(self._data_id, self._part, shard)
            self._sinks[shard] = sink
            await sink.write(encode_header(header(shard)))

        await self._each({s: partial(begin, s) for s in shards if drive_of[s] in chosen})

    async def write(self, stripe: Stripe) -> None:
        """Append one block to every shard."""
        await self._each_sink(partial(self._write_block, stripe))

    async def _write_block(self, stripe: Stripe, shard: int, sink: ShardSink) -> None:
        block: Buffer = stripe.block(shard).data
        await sink.write(block_checksum(self._data_id, shard, stripe.index, block), block)

    async def finish(self, trailer: bytes) -> tuple[int, ...]:
        """End each file with `trailer` and make it durable; return the shards that are."""

        async def finish(_shard: int, sink: ShardSink) -> None:
            await sink.write(trailer)
            await sink.finish()

        await self._each_sink(finish)
        return tuple(sorted(self._sinks))

    async def abort(self) -> None:
        """Remove what was written."""
        await self._give_up(tuple(self._sinks))

    async def _each_sink(self, work: Callable[[int, ShardSink], Awaitable[None]]) -> None:
        await self._each({s: partial(work, s, sink) for s, sink in self._sinks.items()})

    async def _each(self, calls: Mapping[int, Callable[[], Awaitable[None]]]) -> None:
        """Do one step for each shard, and give up those that fail or are left behind by W."""

        def settled(fanout: Fanout[None]) -> bool | None:
            if len(fanout.answers) >= self._needed:
                return True
            return False if len(calls) - len(fanout.errors) < self._needed else None

        clock = self._context.clock
        fanout = Fanout(self._context.group, calls)
        began_s = clock.monotonic_s()
        try:
            if await fanout.until(settled, deadline_s=SHARD_CALL_DEADLINE_S):
                settled_s = clock.monotonic_s()
                self._patience_s += settled_s - began_s
                await fanout.finished(deadline_s=self._patience_s)
                self._patience_s -= clock.monotonic_s() - settled_s
        finally:
            fanout.cancel()
        lost = calls.keys() - fanout.answers.keys()
        self._errors |= dict.fromkeys(lost, DriveError("no answer in time")) | fanout.errors
        await self._give_up(tuple(lost))
        self._require_quorum()

    async def _give_up(self, shards: tuple[int, ...]) -> None:
        """Remove what was written of these. A drive that hangs does so without us."""
        sinks = {shard: self._sinks.pop(shard) for shard in shards if shard in self._sinks}
        aborts = Fanout(self._context.group, {s: sink.abort for s, sink in sinks.items()})
        await aborts.finished(deadline_s=WRITE_GIVE_UP_S)

    def _require_quorum(self) -> None:
        if len(self._sinks) < self._needed:
            raise WriteQuorumLost(
                f"{len(self._sinks)} of {self._scheme.slots} shards could be written, "
                f"{self._needed} are needed: {describe_errors(self._errors)}"
            )


def held_by_drive(
    place: Place, durable: tuple[int, ...], inline: list[bytes] | None = None
) -> dict[int, tuple[HeldShard, ...]]:
    """Say which durable shards each drive holds, as its record will."""
    held: dict[int, tuple[HeldShard, ...]] = {}
    for drive, shards in place.by_drive().items():
        mine = tuple(
            HeldShard(shard, None if inline is None else inline[shard])
            for shard in shards
            if shard in durable
        )
        if mine:
            held[drive] = mine
    return held
