"""How many slots must agree. The only place that computes it.

For N = k + m: **W = max(k, N // 2 + 1)** commits make a write, and **R = N - W + 1** answers make
a fresh read. Any W slots and any R slots share one, so a read that hears R slots hears of every
acknowledged write; any two sets of W share one, so of two writes one knows of the other; and W
slots hold the k shards that decoding takes.

A version written while slots were missing carries a scheme with more parity (`degraded_scheme`)
and so, maybe, a smaller W: 4 + 1 asks for 4 of 5, its degraded 3 + 2 for 3. A reader does not
know the scheme of what it has not seen. Its answer is fresh when the slots it has not heard are
fewer than `write_quorum_least`, which no write of that set can go below, whatever its scheme.
"""

from collections.abc import Collection
from typing import Final

from objstore.limits import SLOTS_PER_SET_MAX
from objstore.names import Scheme


def write_quorum(scheme: Scheme) -> int:
    """Return W, how many slots must commit a version of `scheme` before it is acknowledged."""
    return max(scheme.k, scheme.slots // 2 + 1)


def is_acknowledged(scheme: Scheme, slots: Collection[int], solo_slots: Collection[int]) -> bool:
    """Whether a version that these slots committed is acknowledged.

    `solo_slots` are those of the server that wrote it alone (ADR 7), all of which suffice; empty
    for any other version.
    """
    if len(slots) >= write_quorum(scheme):
        return True
    return bool(solo_slots) and set(solo_slots) <= set(slots)


def write_quorum_least(slots: int) -> int:
    """Return the smallest W of any scheme of `slots` slots: what an unseen write has at least."""
    return slots // 2 + 1


def read_quorum(scheme: Scheme) -> int:
    """Return R, how many slots must answer to hear of every version written with `scheme`.

    Sets whose writes may be degraded need `read_quorum_any` instead.
    """
    return scheme.slots - write_quorum(scheme) + 1


def read_quorum_any(slots: int) -> int:
    """Return how many of `slots` must answer to hear of every version, whatever its scheme."""
    return slots - write_quorum_least(slots) + 1


def degraded_scheme(scheme: Scheme, missing_slots: int) -> Scheme:
    """Return the scheme for a write to a set of `scheme` while `missing_slots` are away.

    One data shard becomes parity for each missing slot, until half of the set is parity: what is
    written then can lose as many more slots as it could on a whole set. Parity is never lowered.
    """
    assert 0 <= missing_slots <= scheme.slots
    more = max(0, min(missing_slots, scheme.slots // 2 - scheme.m))
    return Scheme(scheme.k - more, scheme.m + more)


def solo_scheme(slots: int, own_slots: int) -> Scheme:
    """Return the scheme of what a server with half of a set's slots writes alone.

    Half of its own slots decode: with two drives each holds a full copy. The other server's shards
    are parity like any other, and are made when it returns.
    """
    k = max(1, own_slots // 2)
    return Scheme(k, slots - k)


def schemes_up_to(slots: int) -> tuple[Scheme, ...]:
    """Return every scheme of one to `slots` slots, smallest sets first."""
    return tuple(Scheme(n - m, m) for n in range(1, slots + 1) for m in range(n))


def _assert_quorums_intersect(scheme: Scheme) -> None:
    n, w, r = scheme.slots, write_quorum(scheme), read_quorum(scheme)
    assert 1 <= r <= w <= n, scheme
    assert w + r > n, scheme
    assert 2 * w > n, scheme
    assert w >= scheme.k, scheme
    assert w >= write_quorum_least(n), scheme
    assert w + read_quorum_any(n) > n, scheme
    for missing in range(n + 1):
        degraded = degraded_scheme(scheme, missing)
        assert degraded.slots == n, scheme
        assert degraded.m >= scheme.m, scheme
        assert w >= write_quorum(degraded) >= degraded.k, scheme
        assert write_quorum(degraded) + read_quorum_any(n) > n, scheme


_SCHEMES: Final = schemes_up_to(SLOTS_PER_SET_MAX)
for _scheme in _SCHEMES:
    _assert_quorums_intersect(_scheme)
