"""A witness in memory, which can be told to be away, to hang, or to answer late."""

import asyncio

from objstore.cluster.witness import Kept, Witness
from objstore.errors import WitnessError
from objstore.quorum.solo import Epoch


class FakeWitness:
    """Several processes may share one: it is the register itself."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.away = False  # every call fails
        self.forgets_to_say = False  # a change is made, and its answer lost
        self.hold: asyncio.Event | None = None  # an answer waits for it, when it is set already
        self.asked = 0  # calls that came
        self.waiting = 0  # calls that are answered now

    async def read(self) -> Kept:
        kept = self._answer()
        await self._wait()
        return kept

    async def change(self, revision: int, epoch: Epoch) -> bool:
        kept = self._answer()
        if kept.revision != revision:
            return False
        self.kept = Kept(epoch, kept.revision + 1)
        if self.forgets_to_say:
            raise WitnessError("the answer was lost")
        await self._wait()
        return True

    def _answer(self) -> Kept:
        self.asked += 1
        if self.away:
            raise WitnessError("it is away")
        return self.kept

    async def _wait(self) -> None:
        """Hold an answer back, as a slow network would: what it says is of before."""
        self.waiting += 1
        try:
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self.waiting -= 1


_CONFORMS: type[Witness] = FakeWitness
