"""Deciding for one server when either may write alone (ADR 7), and what its drives owe afterwards.

One process of each server decides: it looks at the drives (`sight_of`), asks quorum/solo.py for the
next epoch, and has the witness change it. The other processes only ask the witness.

    nothing is kept            the first epoch, whole, once both servers see each other
    the other server is away   solo: this one writes alone
    it is back                 returning: it compares its drives with this one's
    its drives are compared    whole

The first epoch is not made by one server alone: one that is configured without the witness
(because it was not restarted yet) would never ask who wrote, and refuses this one at once.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from objstore.background.ports import Comparisons, OwnDrive
from objstore.cluster.epoch_watch import EpochWatch
from objstore.engine.sets import SetDrive, SetHandle
from objstore.errors import WitnessError
from objstore.limits import SOLO_ASK_S
from objstore.quorum.solo import FIRST, Epoch, Mode, Sight, next_epoch

log = structlog.get_logger()


def sight_of(
    handles: Sequence[SetHandle], own: str, *, caught_up: bool, awaited: bool = False
) -> Sight:
    """Tell what the drives look like to server `own`; those without slots do not count.

    A server that said it stops for a moment is `awaited`: it is not away before that time is over,
    so that a restart does not make it compare all that its drives hold.
    """
    mine: list[SetDrive] = []
    theirs: list[SetDrive] = []
    for handle in handles:
        for index, drive in enumerate(handle.drives):
            if handle.slots_of_drive[index]:
                (mine if handle.layout.drives[index].server == own else theirs).append(drive)
    return Sight(
        own_drives_well=all(drive.can_read and drive.can_write for drive in mine),
        peer_away=not awaited and not any(drive.can_read for drive in theirs),
        peer_back=all(drive.can_read for drive in theirs),
        caught_up=caught_up,
    )


def reason_for(epoch: Epoch, *, own: str, other: str) -> str:
    """Say in words why this server changes to `epoch`."""
    match epoch.mode:
        case Mode.SOLO:
            return f"no drive of {other} answers: {own} writes alone"
        case Mode.RETURNING:
            return f"all drives of {other} answer again: it is brought what it missed"
        case Mode.WHOLE if epoch == FIRST:
            return "both servers see each other and ask the same witness"
        case Mode.WHOLE:
            return f"the drives of {own} have everything again"


class Returning:
    """Which drives of this server were compared with their sets since the other wrote alone."""

    def __init__(self, watch: EpochWatch) -> None:
        self._watch = watch
        self._compared: dict[tuple[int, int, int], int] = {}  # drive -> the epoch's number

    def is_near(self) -> bool:
        """Whether the drives are to be compared as soon as everybody knows of the epoch."""
        watch = self._watch
        return bool(self._number()) and watch.is_confirmed and not watch.is_settled

    def due(self, drive: OwnDrive) -> int:
        """Return the number of the epoch in which a drive is to be compared now; 0: none is.

        Not before everybody knows that the other server does not write alone any more: only what
        a walk finds that begins then is all there is.
        """
        number = self._number()
        done = self._compared.get(_place(drive)) == number
        return 0 if done or not self._watch.is_settled else number

    def _number(self) -> int:
        """Return the epoch's number while this server returns, else 0."""
        view, epoch = self._watch.view, self._watch.view.epoch
        returns = epoch is not None and epoch.mode is Mode.RETURNING and epoch.server != view.own
        return epoch.number if epoch is not None and returns else 0

    def compared(self, drive: OwnDrive, number: int) -> None:
        """Take note that a walk which began in epoch `number` left nothing undone."""
        if number:
            self._compared[_place(drive)] = number

    def lost(self, drive: OwnDrive) -> None:
        """Take note that a drive went away: whatever comes back is compared again."""
        self._compared.pop(_place(drive), None)

    def is_complete(self, drives: Sequence[OwnDrive]) -> bool:
        """Whether every one of `drives` was compared in the epoch that is now."""
        epoch = self._watch.view.epoch
        return epoch is not None and all(
            self._compared.get(_place(drive)) == epoch.number for drive in drives
        )


_CONFORMS: type[Comparisons] = Returning


def _place(drive: OwnDrive) -> tuple[int, int, int]:
    return drive.handle.layout.pool, drive.handle.layout.index, drive.index


def _nobody_is(_server: str) -> bool:
    return False


class Decider:
    """Changes the epoch for one server when it is time."""

    def __init__(
        self,
        watch: EpochWatch,
        returning: Returning,
        *,
        handles: Sequence[SetHandle],
        drives: Sequence[OwnDrive],
        is_awaited: Callable[[str], bool] = _nobody_is,
    ) -> None:
        """Decide by the drives of `handles`, of which `drives` are this server's."""
        self._watch = watch
        self._returning = returning
        self._handles = handles
        self._drives = drives
        self._is_awaited = is_awaited
        self._used = 0  # the number of the witness's answer that was acted on
        self._known: Epoch | None = None
        self._silent = False

    async def run(self) -> None:
        """Decide until cancelled."""
        while True:
            await self.decide()
            await asyncio.sleep(SOLO_ASK_S)

    async def decide(self) -> None:
        """Look once, and change the epoch if it has to be another."""
        watch, view = self._watch, self._watch.view
        self._tell()
        kept = watch.kept
        if watch.trouble or watch.answers == self._used:
            return  # the next answer tells what became of it
        wanted = self._wanted(kept.epoch)
        if wanted is None:
            return
        self._used = watch.answers
        try:
            changed = await watch.witness.change(kept.revision, wanted)
        except WitnessError as error:
            log.warning("the witness was to change the epoch", epoch=wanted.number, why=str(error))
            return
        if changed:
            log.warning(
                "epoch changed",
                epoch=wanted.number,
                mode=wanted.mode.value,
                why=reason_for(wanted, own=view.own, other=view.other),
            )

    def _wanted(self, epoch: Epoch | None) -> Epoch | None:
        complete = self._returning.is_complete(self._drives)
        view = self._watch.view
        sight = sight_of(
            self._handles, view.own, caught_up=complete, awaited=self._is_awaited(view.other)
        )
        known = view.epoch
        if epoch is not None and (known is None or epoch.number >= known.number):
            return next_epoch(epoch, view.own, sight)
        if not sight.peer_back:
            return None
        # A witness that lost its data is told what held before.
        return FIRST if known is None else Epoch(known.number + 1, known.mode, known.server)

    def _tell(self) -> None:
        """Log an epoch that became known, whoever made it, and a witness that does not answer."""
        watch = self._watch
        silent = bool(watch.trouble) and not watch.is_confirmed
        if silent and not self._silent:
            log.warning("the witness does not answer", why=watch.trouble)
        elif self._silent and not silent:
            log.info("the witness answers again")
        self._silent = silent
        epoch = watch.view.epoch
        if epoch is not None and epoch != self._known:
            self._known = epoch
            log.info("epoch", number=epoch.number, mode=epoch.mode.value, server=epoch.server)
