"""What the supervisor tells a process it starts: one line of JSON on its standard input.

Secrets go this way, and not through the environment or the command line, where others see them.
A second line, the deployment, tells a worker to begin. Each further line is a change of what can
change while it runs.
"""

from enum import Enum
from typing import Final

import msgspec

from objstore.config import Secrets, Settings

EXIT_REFUSED: Final = 2  # of a process that refuses its configuration: starting again is useless


class Role(Enum):
    """What a process of a server does."""

    WORKER = "worker"
    BACKGROUND = "background"


class LogFormat(Enum):
    """How lines of the log look."""

    TEXT = "text"
    JSON = "json"


class StartOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a process needs to begin."""

    role: Role
    index: int
    parent: int  # the supervisor's process id
    server: str  # this server's name in the layout, "" for a purely local one
    settings: Settings
    secrets: Secrets
    log_format: LogFormat
    replay_descriptor: int  # the table of used nonces, shared by the workers
    buckets_descriptor: int  # the mark of the last change of a bucket; see shared_mark.py


class LiveChange(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration from now on; it differs in what configuration.py calls live alone."""

    settings: Settings
    secrets: Secrets


_decoder = msgspec.json.Decoder(StartOrder)
_change_decoder = msgspec.json.Decoder(LiveChange)


def encode_order(order: StartOrder) -> bytes:
    """Encode an order as one line."""
    return msgspec.json.encode(order) + b"\n"


def decode_order(line: bytes) -> StartOrder:
    """Read an order that `encode_order` wrote."""
    return _decoder.decode(line)


def encode_change(change: LiveChange) -> bytes:
    """Encode a change as one line."""
    return msgspec.json.encode(change) + b"\n"


def decode_change(line: bytes) -> LiveChange:
    """Read a change that `encode_change` wrote."""
    return _change_decoder.decode(line)
