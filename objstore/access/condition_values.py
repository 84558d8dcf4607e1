"""Numbers, dates, addresses, booleans and bytes as conditions write them: grammar first, bounded.

Every reader returns None for what it can not read.
"""

import base64
import binascii
import re
from calendar import timegm
from datetime import datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_EPOCH_S: Final = re.compile(r"[0-9]{1,12}")
_DATE: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r"(?:Z|(?P<sign>[+-])(?P<offset_hour>[0-9]{2}):?(?P<offset_minute>[0-9]{2})))?"
)
_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%[!-~]{1,32})?")
_NETWORK: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_BOOLEANS: Final = {"true": True, "false": False}
_MAPPED_BITS: Final = 96  # ::ffff:0:0/96 are IPv4's addresses


def read_number(text: str) -> Decimal | None:
    """Read an integer or a decimal fraction."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def read_boolean(text: str) -> bool | None:
    """Read "true" or "false", in any case."""
    return _BOOLEANS.get(text.lower())


def read_bytes(text: str) -> bytes | None:
    """Read base64."""
    if _BASE64.fullmatch(text) is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def read_date(text: str) -> int | None:
    """Return milliseconds since the epoch of an ISO 8601 date, or of seconds since the epoch."""
    if _EPOCH_S.fullmatch(text):
        return int(text) * 1000
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    field = {name: int(value or 0) for name, value in found.groupdict().items() if name != "sign"}
    if field["offset_hour"] > 23 or field["offset_minute"] > 59:
        return None
    try:
        moment = datetime(  # noqa: DTZ001 -- the offset is applied below, beyond year 9999 too
            field["year"],
            field["month"],
            field["day"],
            field["hour"],
            field["minute"],
            min(field["second"], 59) if field["second"] == 60 else field["second"],
        )
    except ValueError:
        return None
    offset_s = (field["offset_hour"] * 60 + field["offset_minute"]) * 60
    seconds = timegm(moment.timetuple()) - (-offset_s if found["sign"] == "-" else offset_s)
    return seconds * 1000 + int((found["fraction"] or "0")[:3].ljust(3, "0"))


def read_address(text: str) -> Address | None:
    """Read an IP address. An IPv4 address that came over an IPv6 socket is an IPv4 address."""
    if _ADDRESS.fullmatch(text) is None:
        return None
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def read_network(text: str) -> Network | None:
    """Read an address or a range in CIDR notation, with bits of the host or without."""
    if _NETWORK.fullmatch(text) is None:
        return None
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network
