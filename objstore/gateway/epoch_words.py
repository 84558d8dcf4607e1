"""The epoch of two servers with a witness, in words: who may write alone, and what that means.

The health document is for everybody, so it says "this server" and "the other one"; the operator
is told addresses.
"""

from datetime import UTC, datetime

from objstore.gateway.ports import WitnessInfo

_AWAY = (
    "the witness does not answer: as long as both servers are there nothing else changes, and one "
    "alone refuses everything"
)


def epoch_words(witness: WitnessInfo, *, addresses: bool) -> str:
    """Say what holds now, in one sentence without an end."""
    if not witness.confirmed:
        reason = f" ({witness.reason})" if addresses and witness.reason else ""
        return f"{_AWAY}{reason}"
    if not witness.mode:
        return "nothing is agreed on yet: the servers have not seen each other since it was set"
    return {"whole": _whole, "solo": _solo, "returning": _returning}[witness.mode](
        witness, addresses
    )


def _whole(_witness: WitnessInfo, _addresses: bool) -> str:  # noqa: FBT001  one shape for all rows
    return "whole: nothing was written by one server alone that the other lacks"


def _solo(witness: WitnessInfo, addresses: bool) -> str:  # noqa: FBT001
    since = datetime.fromtimestamp(witness.since_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{_name(witness, addresses=addresses)} writes alone since {since}"


def _returning(witness: WitnessInfo, addresses: bool) -> str:  # noqa: FBT001
    done = "its drives wait to be compared"
    if witness.objects_total:
        done = f"{witness.objects_done} of {witness.objects_total} keys are compared"
    return f"{_name(witness, addresses=addresses, other=True)} returns: {done}"


def _name(witness: WitnessInfo, *, addresses: bool, other: bool = False) -> str:
    """Name the server that the epoch speaks of, or the other one."""
    if addresses:
        return witness.other if other else witness.server
    return "this server" if (witness.server == witness.asked) != other else "the other server"
