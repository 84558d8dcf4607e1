"""True, False, and None for "can not be known": what fails closed in either direction.

A statement that may or may not apply does not allow, and does deny. These are Kleene's
connectives: an unknown part matters only where the known ones do not decide.
"""

from collections.abc import Iterable


def any_of(verdicts: Iterable[bool | None]) -> bool | None:
    """True when one is, else None when one is, else False."""
    unknown = False
    for verdict in verdicts:
        if verdict:
            return True
        unknown = unknown or verdict is None
    return None if unknown else False


def all_of(verdicts: Iterable[bool | None]) -> bool | None:
    """False when one is, else None when one is, else True."""
    unknown = False
    for verdict in verdicts:
        if verdict is False:
            return False
        unknown = unknown or verdict is None
    return None if unknown else True


def negation(verdict: bool | None) -> bool | None:  # noqa: FBT001 -- it is the value itself
    """The opposite; what is unknown stays so."""
    return None if verdict is None else not verdict
