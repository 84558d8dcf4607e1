"""What keeps the epoch of two servers: a register that both can read and change, or neither.

A read is linearizable: it sees every change that was made before it was asked. A change is made
only when nothing changed since the answer it goes by. docs/operating/witness.md is for operators.
"""

from dataclasses import dataclass
from typing import Protocol

from objstore.quorum.solo import Epoch


@dataclass(frozen=True, slots=True)
class Kept:
    """What the witness keeps: an epoch, and the revision that a change goes by.

    Without an epoch (a new deployment, or a witness that lost its data) the revision is 0.
    """

    epoch: Epoch | None = None
    revision: int = 0


class Witness(Protocol):
    """The register of one deployment. Every call ends in bounded time."""

    async def read(self) -> Kept:
        """Return what is kept at some moment between the question and the answer.

        Raises:
            WitnessError: nobody can tell now.
        """
        ...

    async def change(self, revision: int, epoch: Epoch) -> bool:
        """Put `epoch` in the place of what was kept at `revision`; 0: of nothing.

        False: something else was kept by then; nothing was changed.

        Raises:
            WitnessError: nobody could tell; it may have been changed, and a read will say.
        """
        ...
