"""What one process knows of the epoch: it asks the witness again and again, one question at a time.

A witness that hangs or refuses lets what is known run out (SOLO_CONFIRMED_S), and nothing else.
"""

import asyncio

from objstore.clock import Clock
from objstore.cluster.witness import Kept, Witness
from objstore.engine.sets import Solo
from objstore.errors import WitnessError
from objstore.limits import SOLO_ASK_S
from objstore.quorum.solo import SoloView


class EpochWatch:
    """Implements the engine's Solo."""

    def __init__(self, witness: Witness, *, own: str, other: str, clock: Clock) -> None:
        """Watch for server `own` of the two that there are, called as in the layout."""
        self.witness = witness
        self.view = SoloView(own, other)
        self.kept = Kept()  # as the witness said last
        self.answers = 0  # that came
        self.trouble = "it was not asked yet"  # why its last answer was none; "": it was one
        self.since_ms = 0  # when this process first heard of the epoch
        self._clock = clock

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(SOLO_ASK_S)

    async def ask(self) -> None:
        """Ask once, and take in the answer."""
        asked_s = self._clock.monotonic_s()
        try:
            kept = await self.witness.read()
        except WitnessError as error:
            self.trouble = str(error)
            return
        self.kept, self.trouble = kept, ""
        self.answers += 1
        if kept.epoch is None:
            return  # nothing was agreed on: nobody may write alone, and nobody may rely on it
        before = self.view.epoch
        now_s = self._clock.monotonic_s()
        self.view.learn(kept.epoch, asked_s=asked_s, now_s=now_s)
        if self.view.epoch != before:
            self.since_ms = self._clock.now_ns() // 1_000_000

    # --- what holds now ---------------------------------------------------------------

    def may_have_written(self) -> frozenset[str]:
        return self.view.may_have_written(self._clock.monotonic_s())

    def may_write(self) -> str:
        return self.view.own if self.view.may_write(self._clock.monotonic_s()) else ""

    @property
    def is_confirmed(self) -> bool:
        """Whether what is known of the epoch still holds."""
        return self.view.is_confirmed(self._clock.monotonic_s())

    @property
    def is_settled(self) -> bool:
        """Whether nobody goes by an earlier epoch any more."""
        return self.view.is_settled(self._clock.monotonic_s())


_CONFORMS: type[Solo] = EpochWatch
