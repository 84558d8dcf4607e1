"""Endpoint arguments: from `http://server{1...2}:9000/mnt/drive{1...2}` to drive addresses.

The syntax is MinIO's. A number range in braces with three dots stands for each number in it;
`{01...16}` keeps its zeros. Within a pool the drives alternate between servers (s1d1, s2d1,
s1d2, s2d2): neighbours in a set then fail independently, and a set that is a run of
neighbours has as many slots on one server as on any other.

Invariants of what `expand` returns: no drive twice, no drive inside another one, local paths
or URLs but never both, one of http and https, and in each pool the same number of drives on
every server.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from objstore.errors import ConfigError
from objstore.limits import DRIVES_PER_POOL_MAX, SLOTS_PER_SET_MAX, SLOTS_PER_SET_MIN

DEFAULT_PORT: Final = 9000
PORT_MAX: Final = 65_535

_RANGE: Final = re.compile(r"\{([0-9]{1,9})\.\.\.([0-9]{1,9})\}")
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/.*)"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_EXAMPLE: Final = "http://server{1...2}:9000/mnt/drive{1...2}"


@dataclass(frozen=True, slots=True, order=True)
class DriveAddress:
    """Where a drive is: `server` is "host:port", or "" when the whole layout is local."""

    server: str
    path: str

    def __str__(self) -> str:
        return f"{self.server}{self.path}"


@dataclass(frozen=True, slots=True)
class Expansion:
    """All drives of all pools, in the order that decides which slot each one is."""

    pools: tuple[tuple[DriveAddress, ...], ...]
    secure: bool  # the endpoints say https


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """One endpoint after its ranges were expanded. `scheme` is "" for a local path."""

    written: str
    scheme: str
    drive: DriveAddress


def expand(pools: Sequence[Sequence[str]], *, literal: Sequence[bool] = ()) -> Expansion:
    """Expand the endpoints of every pool and check them against each other.

    A pool whose `literal` is true keeps its order and needs no equal number of drives on its
    servers: its author says which drive holds what.

    Raises:
        ConfigError: an endpoint is malformed, or they contradict each other.
    """
    kept = tuple(literal) + (False,) * (len(pools) - len(literal))
    expanded = [_parse_all(pool) for pool in pools]
    _check_styles([endpoint for pool in expanded for endpoint in pool])
    _check_distinct([endpoint for pool in expanded for endpoint in pool])
    ordered = tuple(
        tuple(e.drive for e in pool) if as_written else _alternate([e.drive for e in pool])
        for pool, as_written in zip(expanded, kept, strict=True)
    )
    secure = any(endpoint.scheme == "https" for pool in expanded for endpoint in pool)
    return Expansion(pools=ordered, secure=secure)


def set_size_of(drives: int, servers: int, wanted: int | None = None) -> int:
    """Return how many slots each set of a pool of `drives` on `servers` has.

    Without `wanted` it is the largest size from 2 to 16 that divides the drives and treats
    the servers alike: a multiple of their number, or a divisor of it.

    Raises:
        ConfigError: no size fits, or `wanted` does not divide the drives.
    """
    allowed = f"{SLOTS_PER_SET_MIN} to {SLOTS_PER_SET_MAX}"
    if wanted is not None:
        if not SLOTS_PER_SET_MIN <= wanted <= SLOTS_PER_SET_MAX or drives % wanted:
            raise ConfigError(
                found=f"a set size of {wanted} for a pool of {drives} drives",
                expected=f"a set size from {allowed} that divides the number of drives",
                remedy=f"choose one of {_sizes(drives, 1) or 'none: change the drives'}",
            )
        return wanted
    sizes = _sizes(drives, servers)
    if not sizes:
        near = [n for n in (drives - servers, drives + servers) if _sizes(n, servers)]
        raise ConfigError(
            found=f"a pool of {drives} drives on {servers} server(s)",
            expected=f"a number of drives that divides into sets of {allowed}, "
            "with every server equally in each set",
            remedy="use "
            + (" or ".join(f"{n} drives" for n in near) or "another number of drives")
            + ", or set set_size, or list the drives with their shards",
        )
    return sizes[-1]


def _sizes(drives: int, servers: int) -> list[int]:
    return [
        size
        for size in range(SLOTS_PER_SET_MIN, SLOTS_PER_SET_MAX + 1)
        if drives and drives % size == 0 and (size % servers == 0 or servers % size == 0)
    ]


# --- text -----------------------------------------------------------------------------


def _parse_all(pool: Sequence[str]) -> list[_Endpoint]:
    found = []
    for argument in pool:
        for text in _texts(argument):
            found.append(_parse(text))
            if len(found) > DRIVES_PER_POOL_MAX:
                raise _too_many(argument)
    return found


def _texts(argument: str) -> Iterator[str]:
    """Yield what `argument` stands for; its first range varies fastest."""
    ranges = [_numbers(match, argument) for match in _RANGE.finditer(argument)]
    pieces = _RANGE.sub("\0", argument).split("\0")
    if any("{" in piece or "}" in piece for piece in pieces) or "\0" in argument:
        raise ConfigError(
            found=f"braces in {argument!r} that are no range of numbers",
            expected=f"a range with three dots, as in {_EXAMPLE}",
            remedy="write {1...4}: two whole numbers with exactly three dots between them",
        )
    total = 1
    for numbers in ranges:
        total *= len(numbers)
    if total > DRIVES_PER_POOL_MAX:
        raise _too_many(argument)
    for index in range(total):
        text, rest = pieces[0], index
        for numbers, piece in zip(ranges, pieces[1:], strict=True):
            rest, position = divmod(rest, len(numbers))
            text += numbers[position] + piece
        yield text


def _numbers(match: re.Match[str], argument: str) -> list[str]:
    first, last = match.groups()
    padded = any(len(number) > 1 and number.startswith("0") for number in (first, last))
    if int(first) > int(last) or (padded and len(first) != len(last)):
        raise ConfigError(
            found=f"the range {match[0]} in {argument!r}",
            expected="a range that counts up, both ends equally long when one has a leading zero",
            remedy="write it like {1...16} or {01...16}",
        )
    if int(last) - int(first) >= DRIVES_PER_POOL_MAX:
        raise _too_many(argument)
    width = len(last) if padded else 0
    return [f"{number:0{width}d}" for number in range(int(first), int(last) + 1)]


def _too_many(argument: str) -> ConfigError:
    return ConfigError(
        found=f"{argument!r}, which brings the pool above {DRIVES_PER_POOL_MAX} drives",
        expected=f"at most {DRIVES_PER_POOL_MAX} drives in one pool",
        remedy="split the drives into several pools, one argument each",
    )


def _parse(text: str) -> _Endpoint:
    if "://" not in text:
        return _Endpoint(text, "", DriveAddress("", _path(text, text)))
    match = _URL.fullmatch(text)
    if match is None or not 0 < int(match["port"] or DEFAULT_PORT) <= PORT_MAX:
        raise ConfigError(
            found=f"the endpoint {text!r}",
            expected="http:// or https://, a host, a port from 1 to 65535 (9000 when left out) "
            "and the drive's path",
            remedy=f"write it like {_EXAMPLE}",
        )
    server = f"{match['host'].lower()}:{int(match['port'] or DEFAULT_PORT)}"
    return _Endpoint(text, match["scheme"], DriveAddress(server, _path(match["path"], text)))


def _path(path: str, written: str) -> str:
    """Return `path` without a slash at its end, or say what is wrong with it."""
    segments = path.rstrip("/").split("/")
    odd = any(segment in {"", ".", ".."} for segment in segments[1:])
    if not path.startswith("/") or len(segments) < 2 or odd or _CONTROL.search(path):
        raise ConfigError(
            found=f"the path {path!r} in the endpoint {written!r}",
            expected="an absolute path of a directory below /, without '.', '..' or '//'",
            remedy="write the drive's full path, as in /data/drive1",
        )
    return "/".join(segments)


# --- endpoints against each other ------------------------------------------------------


def _check_styles(endpoints: Sequence[_Endpoint]) -> None:
    first: dict[str, str] = {}
    for endpoint in endpoints:
        first.setdefault(endpoint.scheme, endpoint.written)
    if len(first) < 2:
        return
    if "" in first:
        other = next(written for scheme, written in first.items() if scheme)
        raise ConfigError(
            found=f"the local path {first['']!r} beside the URL {other!r}",
            expected="either only local paths (one server) or only URLs (several servers)",
            remedy="write every drive as http://host:port/path, also those of this server",
        )
    raise ConfigError(
        found=f"{first['http']!r} beside {first['https']!r}",
        expected="the same of http and https in every endpoint",
        remedy="change them all to https, or all to http",
    )


def _check_distinct(endpoints: Sequence[_Endpoint]) -> None:
    seen: dict[DriveAddress, str] = {}
    ports: dict[tuple[str, str], str] = {}
    for endpoint in endpoints:
        drive = endpoint.drive
        if drive in seen:
            raise ConfigError(
                found=f"{endpoint.written!r}, which is the same drive as {seen[drive]!r}",
                expected="every drive once in all pools together",
                remedy="remove one of the two, or correct its path",
            )
        seen[drive] = endpoint.written
        host, _, port = drive.server.rpartition(":")
        other = ports.setdefault((host, drive.path), port)
        if other != port:
            raise ConfigError(
                found=f"the path {drive.path} of host {host} at port {other} and at port {port}",
                expected="one server for each drive: a host's ports are different servers",
                remedy="use one port for the host, or give each server its own paths",
            )
    for host, path in ports:
        _check_not_nested(host, path, ports)


def _check_not_nested(host: str, path: str, drives: dict[tuple[str, str], str]) -> None:
    parent = path.rpartition("/")[0]
    while parent:
        if (host, parent) in drives:
            raise ConfigError(
                found=f"the drive {path} inside the drive {parent}"
                + (f" of host {host}" if host else ""),
                expected="drives that do not contain each other",
                remedy="give every drive a directory of its own, side by side",
            )
        parent = parent.rpartition("/")[0]


def _alternate(drives: Sequence[DriveAddress]) -> tuple[DriveAddress, ...]:
    """Deal the drives out server by server, keeping each server's own order."""
    by_server: dict[str, list[DriveAddress]] = {}
    for drive in drives:
        by_server.setdefault(drive.server, []).append(drive)
    counts = {server: len(held) for server, held in by_server.items()}
    if len(set(counts.values())) > 1:
        raise ConfigError(
            found=", ".join(f"{n} drive(s) on {server}" for server, n in counts.items()),
            expected="the same number of drives on every server of a pool "
            "(a host with another port counts as another server)",
            remedy="correct the hosts and ports, use several pools, "
            "or list the drives with their shards",
        )
    rounds = zip_longest(*by_server.values())
    return tuple(drive for turn in rounds for drive in turn if drive is not None)
