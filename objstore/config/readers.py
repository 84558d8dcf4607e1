"""Readers of values: from TOML's types, or from text, to a checked value or a ConfigError.

Nothing is guessed: an unknown name is refused with the nearest known one.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

from objstore.errors import ConfigError
from objstore.limits import SLOTS_PER_SET_MAX, SLOTS_PER_SET_MIN, WITNESS_ENDPOINTS_MAX

Reader = Callable[[str, object], object]


def refusal(name: str, value: object, expected: str, remedy: str = "") -> ConfigError:
    """Return the refusal of a value; not for secrets, because it shows the value."""
    return ConfigError(
        found=f"{name} = {value!r}", expected=expected, remedy=remedy or f"correct {name}"
    )


def integer_reader(low: int, high: int) -> Callable[[str, object], int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(name: str, value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise refusal(name, value, f"a whole number from {low} to {high}")
        return value

    return read


def read_fraction(name: str, value: object) -> float:
    """Read a number from 0 to 1."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise refusal(name, value, "a number from 0 to 1")
    return float(value)


def read_switch(name: str, value: object) -> bool:
    """Read true or false."""
    if isinstance(value, str):
        value = {"on": True, "true": True, "off": False, "false": False}.get(value, value)
    if not isinstance(value, bool):
        raise refusal(name, value, "true or false (in the environment also on or off)")
    return value


def text_reader(grammar: str, expected: str) -> Callable[[str, object], str]:
    """Return a reader of texts that `grammar` matches."""

    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(grammar, value):
            raise refusal(name, value, expected)
        return value

    return read


read_file_name = text_reader(
    r"(/[^\x00-\x1f]{1,4095})?", "an absolute path, the same on every server, or nothing"
)


def read_domains(name: str, value: object) -> tuple[str, ...]:
    """Read host names, of which none ends in another."""
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    label = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    if not isinstance(names, list | tuple) or not all(
        isinstance(one, str) and re.fullmatch(rf"{label}(?:\.{label})*", one) for one in names
    ):
        raise refusal(name, value, 'a list of lower-case host names, such as ["s3.example.com"]')
    for one in names:
        for other in names:
            if one is not other and (one == other or one.endswith("." + other)):
                raise refusal(
                    name,
                    value,
                    f"domains of which none ends in another ({one} could mean a bucket of {other})",
                )
    return tuple(names)


def read_witness(name: str, value: object) -> tuple[str, ...]:
    """Read where the members of the witness answer; their order means nothing."""
    urls = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    urls = [] if urls == [""] else urls
    host = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})"
    if (
        not isinstance(urls, list | tuple)
        or not all(
            isinstance(one, str) and re.fullmatch(rf"https?://{host}:[0-9]{{1,5}}", one)
            for one in urls
        )
        or len(set(urls)) != len(urls)
        or len(urls) > WITNESS_ENDPOINTS_MAX
        or len({one.partition(":")[0] for one in urls}) > 1
    ):
        raise refusal(
            name,
            value,
            f"up to {WITNESS_ENDPOINTS_MAX} client URLs of etcd's members, each once, all http or "
            'all https, such as ["http://10.0.0.1:2379", "http://10.0.0.2:2379", '
            '"http://10.0.0.3:2379"]',
            f"correct {name}; docs/operating/witness.md shows how to set it up",
        )
    return tuple(sorted(urls))


def read_parity(name: str, value: object) -> int:
    """Read how many parity shards objects have."""
    if isinstance(value, str) and (match := re.fullmatch(r"(?:EC:)?([0-9]{1,2})", value)):
        value = int(match[1])
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value:
        raise refusal(name, value, 'parity shards per object, as "EC:1" or 1')
    return value


read_set_size = integer_reader(SLOTS_PER_SET_MIN, SLOTS_PER_SET_MAX)


def check_names(where: str, table: Mapping[str, object], known: Sequence[str]) -> None:
    """Refuse a name that is not `known`, with the nearest one that is."""
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            raise ConfigError(
                found=f"{name} in {where}",
                expected=f"one of {', '.join(sorted(known))}",
                remedy=f"write {near[0]}" if near else f"remove {name}",
            )
