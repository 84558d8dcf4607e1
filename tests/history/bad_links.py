"""Links between two servers that lose packets, reset connections and are slow, when told to.

What TCP makes of a lost packet is made here: what follows it comes late, by a retransmission or
several. A reset ends a connection in the middle of whatever it carries, both ways.
"""

import asyncio
from collections import Counter
from random import Random

from objstore.cli.chaos.links import Links

_PIECE_BYTES = 64 * 1024
_LOSS = 0.3  # of the pieces
_RESET = 0.02
_RETRANSMISSION_S = 0.2  # the least that Linux waits, doubled each time
_SLOW_BYTES_PER_S = 500_000


class BadLinks(Links):
    """Links that can be spoilt; what happened to pieces is counted."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self.spoilt = False
        self.counts: Counter[str] = Counter()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: asyncio.Event
    ) -> None:
        try:
            while piece := await source.read(_PIECE_BYTES):
                await way.wait()
                if self.spoilt:
                    await self._spoil(len(piece), sink)
                sink.write(piece)
                await sink.drain()
            await way.wait()
        finally:
            sink.close()

    async def _spoil(self, size: int, sink: asyncio.StreamWriter) -> None:
        """Let a piece come late, or never.

        Raises:
            ConnectionResetError: its connection is reset.
        """
        self.counts["pieces"] += 1
        await asyncio.sleep(size / _SLOW_BYTES_PER_S)
        wait_s = _RETRANSMISSION_S
        while self._random.random() < _LOSS:
            self.counts["lost"] += 1
            await asyncio.sleep(wait_s)
            wait_s *= 2
        if self._random.random() < _RESET:
            self.counts["reset"] += 1
            sink.transport.abort()
            raise ConnectionResetError
