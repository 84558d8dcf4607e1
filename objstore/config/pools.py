"""The drives: `[[pools]]` sections of the file, or endpoints from the command line."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from objstore.config.readers import check_names, read_parity, read_set_size, refusal
from objstore.errors import ConfigError

_POOL_KEYS: Final = ("endpoints", "parity", "set_size", "drives")
_DRIVE_KEYS: Final = ("endpoint", "shards")


@dataclass(frozen=True, slots=True)
class LiteralDrive:
    """One drive of a pool whose author says which drive holds which shards."""

    endpoint: str
    shards: tuple[str, ...]  # letters: data A, B, C ..., parity P, Q, R ...; may be empty


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """One pool: either `endpoints`, or `literal` drives with their shards."""

    endpoints: tuple[str, ...] = ()
    parity: int | None = None  # None: what topology/layout.py takes for the set size
    set_size: int | None = None  # None: the largest that treats the servers alike
    literal: tuple[LiteralDrive, ...] = ()

    def __post_init__(self) -> None:
        assert bool(self.endpoints) != bool(self.literal)


def _absolute(endpoint: str) -> str:
    """Make a relative local path absolute. What looks like a host stays, to be refused."""
    if not endpoint or re.match(r"[^/]*:", endpoint):
        return endpoint
    return os.path.abspath(endpoint)  # noqa: PTH100  Path.absolute would keep ".."


def pools_of_endpoints(endpoints: Sequence[str]) -> tuple[PoolSettings, ...]:
    """Return the pools that arguments name.

    Raises:
        ConfigError: some have a range and some have none.
    """
    absolute = [_absolute(one) for one in endpoints]
    ranged = [one for one in absolute if "{" in one]
    if ranged and len(ranged) < len(absolute):
        single = next(one for one in absolute if "{" not in one)
        raise ConfigError(
            found=f"{single!r} without a range beside {ranged[0]!r} with one",
            expected="a range in every argument (each is a pool), or in none (one pool)",
            remedy="write each pool with its range, or list every drive; "
            "or use a configuration file",
        )
    if ranged:
        return tuple(PoolSettings(endpoints=(one,)) for one in ranged)
    return (PoolSettings(endpoints=tuple(absolute)),) if absolute else ()


def pools_of_file(tables: object) -> tuple[PoolSettings, ...]:
    """Return the pools of the `[[pools]]` sections.

    Raises:
        ConfigError: a section is malformed, or says two things.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise refusal("pools", tables, "one [[pools]] section for each pool")
    return tuple(_pool(f"pool {index}", table) for index, table in enumerate(tables, start=1))


def _pool(where: str, table: dict[str, object]) -> PoolSettings:
    check_names(where, table, _POOL_KEYS)
    parity = read_parity(f"{where} parity", table["parity"]) if "parity" in table else None
    size = read_set_size(f"{where} set_size", table["set_size"]) if "set_size" in table else None
    endpoints = _names(f"{where} endpoints", table.get("endpoints", []))
    literal = _literal(where, table.get("drives", []))
    if bool(endpoints) == bool(literal) or (literal and size is not None):
        raise ConfigError(
            found=f"{where} with {', '.join(table) or 'nothing in it'}",
            expected="either endpoints, or drives with their shards (and then no set_size)",
            remedy="keep one of the two",
        )
    return PoolSettings(
        endpoints=endpoints,
        parity=parity,
        set_size=size,
        literal=literal,
    )


def _literal(where: str, tables: object) -> tuple[LiteralDrive, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise refusal(
            f"{where} drives", tables, 'a list such as [{ endpoint = "/d1", shards = ["A"] }, ...]'
        )
    drives = []
    for number, table in enumerate(tables, start=1):
        place = f"{where} drive {number}"
        check_names(place, table, _DRIVE_KEYS)
        endpoint = table.get("endpoint")
        if not isinstance(endpoint, str) or "shards" not in table:
            raise refusal(
                place, table, 'endpoint = "..." and shards = ["A", ...] ([] holds nothing)'
            )
        drives.append(LiteralDrive(endpoint, _names(f"{place} shards", table["shards"])))
    return tuple(drives)


def _names(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise refusal(where, value, "a list of texts")
    return tuple(value)


def with_parity(
    pools: tuple[PoolSettings, ...], values: Mapping[str, object], explicit: Mapping[str, object]
) -> tuple[PoolSettings, ...]:
    """Give each pool its parity and set size: explicit ones win, then its own, then the file's."""

    def chosen(name: str, own: int | None) -> int | None:
        value = explicit.get(name, own if own is not None else values.get(name))
        assert value is None or isinstance(value, int)
        return value

    return tuple(
        pool
        if pool.literal and not explicit.keys() & {"parity"}
        else PoolSettings(
            endpoints=pool.endpoints,
            parity=chosen("parity", pool.parity),
            set_size=None if pool.literal else chosen("set_size", pool.set_size),
            literal=pool.literal,
        )
        for pool in pools
    )
