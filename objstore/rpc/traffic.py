"""What went between this process and one peer, as its caller: plain counts.

Bytes are those of messages, shards and answers, without the framing of HTTP and TCP.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from objstore.errors import RpcError
from objstore.rpc.session import CallFailed


@dataclass(slots=True)
class Traffic:
    """Counts since the process began."""

    calls: int = 0
    failures: int = 0  # no session, no answer, or a connection that broke
    sent_bytes: int = 0
    received_bytes: int = 0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count one call, and its failure. That the peer's handler refuses is no failure."""
        self.calls += 1
        try:
            yield
        except CallFailed:
            raise
        except (RpcError, TimeoutError):
            self.failures += 1
            raise
