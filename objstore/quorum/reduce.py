"""Make one outcome of many drives' errors, and say in words who failed why."""

from collections.abc import Mapping

from objstore.errors import DriveError, DriveRefusal, Superseded
from objstore.names import Stamp


def describe_errors(errors: Mapping[int, DriveError], *, what: str = "drive") -> str:
    """Say which of `what` failed why, those with one reason together.

    As in "drives 0, 2: DriveOffline: no answer; drive 3: DriveFull".
    """
    groups: dict[str, list[int]] = {}
    for index in sorted(errors):
        groups.setdefault(_reason(errors[index]), []).append(index)
    if not groups:
        return "none failed"
    return "; ".join(
        f"{what}{'s' if len(members) > 1 else ''} {', '.join(map(str, members))}: {reason}"
        for reason, members in groups.items()
    )


def agreed_refusal(errors: Mapping[int, DriveError], *, needed: int) -> type[DriveRefusal] | None:
    """Return the refusal that at least `needed` slots gave, such as BucketMissing.

    With `needed` the read quorum it is the truth about the set, not one drive's lag. Superseded
    is never one: it asks for a higher stamp, not for an answer.
    """
    counts: dict[type[DriveRefusal], int] = {}
    for error in errors.values():
        if isinstance(error, DriveRefusal) and not isinstance(error, Superseded):
            counts[type(error)] = counts.get(type(error), 0) + 1
    agreed = [kind for kind, count in counts.items() if count >= needed]
    return max(agreed, key=lambda kind: counts[kind], default=None)


def newest_held(errors: Mapping[int, DriveError]) -> Stamp | None:
    """Return the newest stamp that any Superseded names, or None without one."""
    held = [error.held for error in errors.values() if isinstance(error, Superseded)]
    return max(held, default=None)


def _reason(error: DriveError) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
