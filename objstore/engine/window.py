"""A window: the frames of a few stripes of one part, and the blocks in them. No I/O."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from objstore.drive.api import Buffer
from objstore.erasure.codec import codec_for
from objstore.erasure.geometry import block_bytes, stripe_size
from objstore.erasure.same import same_bytes
from objstore.errors import DriveError, ReadQuorumLost, ShardCorrupt
from objstore.ondisk.record import Part, Version
from objstore.ondisk.shard_file import CHECKSUM_BYTES, frame_bytes, frame_offset, open_frame


@dataclass(slots=True)
class Window:
    """Frames of a few stripes of one part, as they come in, and the blocks in them."""

    version: Version
    part: Part
    stripes: range
    frames: dict[int, memoryview] = field(default_factory=dict)
    tried: set[int] = field(default_factory=set)
    _blocks: list[dict[int, memoryview]] = field(default_factory=list)
    _checked: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._blocks = [{} for _ in self.stripes]

    @property
    def size(self) -> int:
        """How many bytes of data the window has."""
        begin = self.stripes.start * self.version.stripe_bytes
        return min(len(self.stripes) * self.version.stripe_bytes, self.part.size - begin)

    def _block(self, stripe: int) -> int:
        size = stripe_size(stripe, self.part.size, self.version.stripe_bytes)
        return block_bytes(size, self.version.k)

    def span(self) -> tuple[int, int]:
        """Return offset and length of the window's frames in a shard file."""
        full = block_bytes(self.version.stripe_bytes, self.version.k)
        sizes = sum(frame_bytes(self._block(stripe)) for stripe in self.stripes)
        return frame_offset(self.stripes.start, full), sizes

    def check(self) -> dict[int, DriveError]:
        """Open every frame that came in; return the shards with a damaged one."""
        bad: dict[int, DriveError] = {}
        for shard, frames in self.frames.items():
            if shard in self._checked:
                continue
            self._checked.add(shard)
            offset = 0
            for row, stripe in enumerate(self.stripes):
                length = CHECKSUM_BYTES + self._block(stripe)
                frame = frames[offset : offset + length]
                offset += length
                try:
                    self._blocks[row][shard] = open_frame(self.part.data_id, shard, stripe, frame)
                except ShardCorrupt as error:
                    bad[shard] = error
        return bad

    def lacking(self) -> bool:
        """Whether some stripe has fewer than k good blocks."""
        return self.best() < self.version.k

    def best(self) -> int:
        """How many good blocks the worst stripe has."""
        return min(len(blocks) for blocks in self._blocks)

    def pieces(self) -> list[Buffer]:
        """Return the window's data in order, decoding what is missing."""
        out: list[Buffer] = []
        for row, stripe in enumerate(self.stripes):
            left = stripe_size(stripe, self.part.size, self.version.stripe_bytes)
            block = self._block(stripe)
            for data in self._data_blocks(self._blocks[row], block):
                out.append(data[: min(left, block)])
                left -= min(left, block)
        return out

    def _data_blocks(self, blocks: dict[int, memoryview], block: int) -> list[memoryview]:
        missing = [shard for shard in range(self.version.k) if shard not in blocks]
        if missing:
            blocks = blocks | self._rebuilt(blocks, missing, block)
        return [blocks[shard] for shard in range(self.version.k)]

    def _rebuilt(
        self, blocks: dict[int, memoryview], wanted: list[int], block: int
    ) -> dict[int, memoryview]:
        chosen = {shard: blocks[shard] for shard in sorted(blocks)[: self.version.k]}
        out: NDArray[np.uint8] = np.empty((len(wanted), block), np.uint8)
        codec_for(self.version.scheme).rebuild(chosen, wanted, out)
        return {shard: out[row].data for row, shard in enumerate(wanted)}

    def rebuild(self, wanted: list[int]) -> list[dict[int, memoryview]]:
        """Rebuild shards that are lost: for every stripe of the window, shard -> block.

        Nothing comes out that has only one witness. What was rebuilt from k blocks has to be the
        block itself, where the damaged file still has it; else what k other blocks give, when
        more than k were read; else, with it in the place of a block that was read, decoding has
        to give that one back.

        Raises:
            ReadQuorumLost: blocks whose checksums are right contradict each other.
        """
        return [
            self._rebuild_stripe(self._blocks[row], wanted, stripe)
            for row, stripe in enumerate(self.stripes)
        ]

    def _rebuild_stripe(
        self, good: dict[int, memoryview], wanted: list[int], stripe: int
    ) -> dict[int, memoryview]:
        block = self._block(stripe)
        others = {shard: good[shard] for shard in good if shard not in wanted}
        if len(others) < self.version.k:  # only with blocks that the damaged files still have
            lost = [shard for shard in wanted if shard not in good]
            kept = {shard: good[shard] for shard in wanted if shard in good}
            return kept | (self._proven(good, lost, block) if lost else {})
        rebuilt = self._proven(others, wanted, block)
        for shard in wanted:
            if shard in good and not same_bytes(rebuilt[shard], good[shard]):
                raise _contradiction(stripe, shard)
        return rebuilt

    def _proven(
        self, good: dict[int, memoryview], wanted: list[int], block: int
    ) -> dict[int, memoryview]:
        """Decode `wanted` from k of `good`, and prove it by another choice of blocks."""
        rebuilt = self._rebuilt(good, wanted, block)
        chosen = sorted(good)[: self.version.k + 1]
        if len(chosen) > self.version.k:
            second = {shard: good[shard] for shard in chosen[1:]}
            again = self._rebuilt(second, wanted, block)
            for shard in wanted:
                if not same_bytes(again[shard], rebuilt[shard]):
                    raise _contradiction(self.stripes.start, shard)
            return rebuilt
        for shard in wanted:
            left_out = chosen[0]
            second = {other: good[other] for other in chosen[1:]} | {shard: rebuilt[shard]}
            proof = self._rebuilt(second, [left_out], block)[left_out]
            if not same_bytes(proof, good[left_out]):
                raise _contradiction(self.stripes.start, shard)
        return rebuilt


def _contradiction(stripe: int, shard: int) -> ReadQuorumLost:
    return ReadQuorumLost(
        f"shard {shard} can not be rebuilt: near stripe {stripe} the others contradict each other, "
        "although their checksums are right"
    )
