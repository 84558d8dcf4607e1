"""Layouts: which drive is which slot of which set.

A layout is computed from the settings alone, so every server that was given the same settings
computes the same one; `Layout.fingerprint` lets them check that. Nothing here looks at a drive.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from objstore.config import PoolSettings, Settings
from objstore.errors import ConfigError
from objstore.limits import SLOTS_PER_SET_MAX, SLOTS_PER_SET_MIN
from objstore.names import REDUCED_REDUNDANCY, Scheme, shard_letter
from objstore.topology.endpoints import PORT_MAX, DriveAddress, expand, set_size_of

__all__ = [
    "DriveAddress",
    "Layout",
    "SetLayout",
    "default_parity",
    "layout_of",
    "reduced_layout",
    "scheme_of",
]

_FINGERPRINT_DIGITS: Final = 32
# Parity of a set of so many slots when nobody says one. It is MinIO's table except for sets
# of 4: those take 1 (two servers with two drives: 3 + 1), where MinIO takes 2.
_DEFAULT_PARITY: Final = (0, 0, 1, 1, 1, 2, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4)
assert len(_DEFAULT_PARITY) == SLOTS_PER_SET_MAX + 1


@dataclass(frozen=True, slots=True)
class SetLayout:
    """One erasure set. Slot `s` lies on `drives[slots[s]]`."""

    pool: int
    index: int  # within the pool
    scheme: Scheme
    drives: tuple[DriveAddress, ...]
    slots: tuple[int, ...]
    rotate: bool  # false: slot s holds shard s of every object, as a literal layout says
    reduced_parity: int = 1  # of the storage class REDUCED_REDUNDANCY, where it is less

    def __post_init__(self) -> None:
        assert len(self.slots) == self.scheme.slots
        assert all(0 <= drive < len(self.drives) for drive in self.slots)

    def scheme_for(self, storage_class: str) -> Scheme:
        """Return the scheme of an object of this class while every slot is there.

        What parity REDUCED_REDUNDANCY does without becomes data, so that an object has a shard
        for every slot whatever its class. It never has more parity than the set's others, nor
        more than half but in full copies, which scheme_of would refuse.
        """
        parity = min(self.reduced_parity, self.scheme.slots // 2)
        if storage_class != REDUCED_REDUNDANCY or parity >= self.scheme.m:
            return self.scheme
        return Scheme(self.scheme.slots - parity, parity)

    def slots_of_drive(self, drive: int) -> tuple[int, ...]:
        """Return the slots that lie on `drives[drive]`; none for a drive that holds nothing."""
        return tuple(slot for slot, holder in enumerate(self.slots) if holder == drive)

    def slots_of_server(self, server: str) -> tuple[int, ...]:
        """Return the slots whose drives belong to `server`."""
        return tuple(
            slot for slot, holder in enumerate(self.slots) if self.drives[holder].server == server
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """Every set of every pool, in order, and the servers in the order they are first named."""

    sets: tuple[SetLayout, ...]
    servers: tuple[str, ...]
    pools: int
    fingerprint: str  # 32 hex digits; equal exactly when the layouts are
    secure: bool = False  # the endpoints say https

    def sets_of_pool(self, pool: int) -> tuple[SetLayout, ...]:
        """Return the sets of one pool, in order."""
        return tuple(one for one in self.sets if one.pool == pool)

    def drives_of_server(self, server: str) -> tuple[DriveAddress, ...]:
        """Return every drive of `server`, over all sets, in the layout's order."""
        return tuple(d for one in self.sets for d in one.drives if d.server == server)


def reduced_layout(layout: Layout) -> Layout | None:
    """Return the layout as objects of REDUCED_REDUNDANCY have it; None when it is no other."""
    sets = tuple(replace(one, scheme=one.scheme_for(REDUCED_REDUNDANCY)) for one in layout.sets)
    return replace(layout, sets=sets) if sets != layout.sets else None


def default_parity(slots: int) -> int:
    """Return the parity of a set of `slots` when the operator says none."""
    assert SLOTS_PER_SET_MIN <= slots <= SLOTS_PER_SET_MAX
    return _DEFAULT_PARITY[slots]


def scheme_of(slots: int, parity: int) -> Scheme:
    """Return the scheme EC:`parity` of a set of `slots`.

    Raises:
        ConfigError: the parity is above half of the slots without being full copies.
    """
    half = slots // 2
    if parity == slots - 1 or 0 <= parity <= half:
        return Scheme(slots - parity, parity)
    if parity >= slots:
        why = "at least one shard must carry data"
    else:
        why = "more parity than data, which objstore has only as full copies"
    raise ConfigError(
        found=f"EC:{parity} for sets of {slots} slots ({why})",
        expected=f"EC:0 to EC:{half}, or EC:{slots - 1} for {slots} full copies",
        remedy=f"choose a parity up to {half}, or EC:{slots - 1}",
    )


def layout_of(settings: Settings) -> Layout:
    """Compute the layout that `settings` describe.

    Raises:
        ConfigError: there are no drives, or the endpoints, set sizes, parities or literal
            shards do not make a layout.
    """
    if not settings.pools:
        raise ConfigError(
            found="no drives",
            expected="the drives as arguments, or pools in the configuration file",
            remedy="name them, as in: objstore server /data/drive{1...4}",
        )
    texts = [pool.endpoints or tuple(d.endpoint for d in pool.literal) for pool in settings.pools]
    expansion = expand(texts, literal=[bool(pool.literal) for pool in settings.pools])
    plain: list[SetLayout] = []
    for index, (pool, drives) in enumerate(zip(settings.pools, expansion.pools, strict=True)):
        plain += _literal(index, pool, drives) if pool.literal else _divided(index, pool, drives)
    sets = [replace(one, reduced_parity=settings.reduced_redundancy_parity) for one in plain]
    servers = tuple(dict.fromkeys(drive.server for one in sets for drive in one.drives))
    _check_servers(settings, servers)
    if settings.witness:
        _check_witness(sets, servers)
    return Layout(
        sets=tuple(sets),
        servers=servers,
        pools=len(settings.pools),
        fingerprint=_fingerprint(sets),
        secure=expansion.secure,
    )


def _divided(pool: int, settings: PoolSettings, drives: Sequence[DriveAddress]) -> list[SetLayout]:
    servers = len({drive.server for drive in drives})
    size = set_size_of(len(drives), servers, settings.set_size)
    parity = default_parity(size) if settings.parity is None else settings.parity
    scheme = scheme_of(size, parity)
    return [
        SetLayout(
            pool=pool,
            index=start // size,
            scheme=scheme,
            drives=tuple(drives[start : start + size]),
            slots=tuple(range(size)),
            rotate=True,
        )
        for start in range(0, len(drives), size)
    ]


def _literal(pool: int, settings: PoolSettings, drives: Sequence[DriveAddress]) -> list[SetLayout]:
    if len(drives) != len(settings.literal):
        raise ConfigError(
            found=f"{len(drives)} drives in the {len(settings.literal)} entries that name shards",
            expected="one drive in each entry that names its shards",
            remedy="write each drive out, without {1...4}",
        )
    holder: dict[str, int] = {}
    for index, drive in enumerate(settings.literal):
        for name in drive.shards:
            if name in holder:
                raise ConfigError(
                    found=f"shard {name} on {drives[holder[name]]} and on {drives[index]}",
                    expected="every shard in exactly one place",
                    remedy="remove it from one of the two, or give it the next letter",
                )
            holder[name] = index
    scheme = _literal_scheme(tuple(holder))
    if settings.parity is not None and settings.parity != scheme.m:
        raise ConfigError(
            found=f"parity EC:{settings.parity} beside shards that make {scheme}",
            expected=f"EC:{scheme.m}, which is what the parity shards say",
            remedy="leave parity out for a pool that names its shards",
        )
    slots = tuple(holder[shard_letter(scheme, shard)] for shard in range(scheme.slots))
    return [SetLayout(pool, 0, scheme, tuple(drives), slots, rotate=False)]


def _literal_scheme(names: tuple[str, ...]) -> Scheme:
    """Find the scheme whose shards have exactly these names."""
    count = len(names)
    if SLOTS_PER_SET_MIN <= count <= SLOTS_PER_SET_MAX:
        for k in range(1, count + 1):
            scheme = Scheme(k, count - k)
            if {shard_letter(scheme, shard) for shard in range(count)} == set(names):
                return scheme_of(count, scheme.m)
    raise ConfigError(
        found=f"the shards {', '.join(sorted(names)) or 'none'}",
        expected=f"{SLOTS_PER_SET_MIN} to {SLOTS_PER_SET_MAX} shards: data named A, B, C ... and "
        "parity named P, Q, R ..., without gaps",
        remedy="for four data shards and one parity write A, B, C, D and P",
    )


def _check_servers(settings: Settings, servers: Sequence[str]) -> None:
    """Check that this server is one of the layout's and that no two use the same port."""
    if settings.server and settings.server not in servers:
        raise ConfigError(
            found=f"server = {settings.server}",
            expected=f"one of the servers of the endpoints: {', '.join(servers) or 'none'}",
            remedy="write it exactly like the host and port of its endpoints",
        )
    users = {server: f"S3 of {server}" for server in servers if server}
    for server in servers:
        internal = settings.internal_port_of(server)
        place = f"{server.rpartition(':')[0]}:{internal}"
        if place in users or internal > PORT_MAX:
            raise ConfigError(
                found=f"{place} as internal port of {server}"
                + (f" and for {users[place]}" if place in users else ""),
                expected=f"a free port up to {PORT_MAX} for each server's internal traffic "
                "(its S3 port + 2 unless internal_port says another)",
                remedy="leave 10 between the ports of servers on one host, "
                "and set internal_port only when each server has its own host",
            )
        users[place] = f"the internal port of {server}"


def _check_witness(sets: Sequence[SetLayout], servers: Sequence[str]) -> None:
    """Check that a witness makes sense: two servers, and half of every set on each."""
    if len(servers) != 2:
        count = f"{len(servers)} servers" if servers != ("",) else "one server"
        raise ConfigError(
            found=f"witness with {count}",
            expected="exactly two servers: a witness lets one of two write without the other, and "
            "with more servers the majority goes on without one",
            remedy="leave out witness",
        )
    for one in sets:
        here, there = (len(one.slots_of_server(server)) for server in servers)
        if here != there:
            raise ConfigError(
                found=f"witness, and {here} and {there} slots of set {one.index} of pool "
                f"{one.pool} on {servers[0]} and {servers[1]}",
                expected="half of every set's slots on each server: only then has each of them a "
                "part of every write of both",
                remedy="give both servers as many drives in every pool, or leave out witness",
            )


def _fingerprint(sets: Sequence[SetLayout]) -> str:
    """Hash everything that servers must agree on.

    That is not the parity of REDUCED_REDUNDANCY: every version says its own scheme.
    No field can be mistaken for another: a path holds no control characters, so NUL and
    newline separate.
    """
    digest = hashlib.sha256(b"objstore layout 1\n")
    for one in sets:
        numbers = (one.pool, one.index, one.scheme.k, one.scheme.m, int(one.rotate), *one.slots)
        digest.update((",".join(map(str, numbers)) + "\n").encode())
        for drive in one.drives:
            digest.update(f"{drive.server}\0{drive.path}\n".encode())
    return digest.hexdigest()[:_FINGERPRINT_DIGITS]
