"""A key as every drive that answers sees it: what healing and forgetting decide by."""

from collections.abc import Mapping
from dataclasses import dataclass

from objstore.engine.resolve import read_history, read_key
from objstore.engine.sets import Context, SetHandle
from objstore.errors import ReadQuorumLost
from objstore.names import BucketName, ObjectKey, Order
from objstore.quorum.reduce import describe_errors
from objstore.versions.select import Choice, DriveAnswer, Outcome


@dataclass(frozen=True, slots=True)
class KeyHealth:
    """A key as every drive that answered sees it."""

    answers: Mapping[int, DriveAnswer]
    choices: tuple[Choice, ...]  # of every version that counts, newest first, tombstones too
    answering: bool  # every drive did
    complete: bool  # and is trusted, and has no damaged row
    asked_s: float  # when they were asked, by the monotonic clock

    @property
    def skipped(self) -> tuple[Order, ...]:
        """Versions that were never acknowledged."""
        return self.choices[-1].skipped

    @property
    def found(self) -> tuple[Choice, ...]:
        """The versions that can be read, or that say something is gone."""
        return tuple(choice for choice in self.choices if choice.outcome is Outcome.FOUND)

    def find(self, order: Order) -> Choice | None:
        """Return the choice of this very row."""
        for choice in self.found:
            if choice.newest == order:
                return choice
        return None


async def examine(
    context: Context, handle: SetHandle, bucket: BucketName, key: ObjectKey
) -> KeyHealth:
    """Ask every drive for all of a key.

    Raises:
        ReadQuorumLost: those that answered cannot tell what there is.
    """
    asked_s = context.clock.monotonic_s()
    history = await read_history(context, handle, read_key(bucket, key))
    answers, last = history.answers, history.choices[-1]
    if last.outcome is Outcome.UNDECIDED:
        raise ReadQuorumLost(f"{last.reason}; {describe_errors(history.errors)}")
    whole = all(answer.trusted and not answer.unknown for answer in answers.values())
    answering = handle.is_every_slot_on(answers)
    return KeyHealth(answers, history.choices, answering, whole and answering, asked_s)
