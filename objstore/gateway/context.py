"""What the gateway is given: by server.py in production, by the tests with fakes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from objstore import limits
from objstore.clock import Clock, Entropy
from objstore.gateway.ports import Admin, ClusterStatus
from objstore.iam.identities import Identities
from objstore.s3.object_store import ObjectStore

T = TypeVar("T")


class Threads(Protocol):
    """Where heavy hashing runs; engine/cpu.py's Cpu is one."""

    def run(self, size: int, work: Callable[[], T]) -> Awaitable[T]:
        """Run `work` on `size` bytes beside the event loop and return what it returns."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a client may take."""

    header_s: float = limits.HEADER_DEADLINE_S  # for a whole head
    idle_s: float = limits.IDLE_DEADLINE_S  # between two requests
    stall_s: float = limits.BODY_STALL_DEADLINE_S  # without a byte in, or a byte taken
    linger_s: float = 5.0  # how long a refused body is read and dropped before the close


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayContext:
    """Everything below and beside the gateway."""

    store: ObjectStore  # engine/store.Store
    identities: Identities
    region: str
    clock: Clock
    entropy: Entropy
    threads: Threads
    admin: Admin
    cluster_status: ClusterStatus
    domains: tuple[str, ...] = ()  # `bucket.domain` in Host addresses a bucket
    sigv2_links: bool = True  # believe presigned URLs by Signature Version 2
    ssec_over_http: bool = False  # take customers' keys without TLS, for tests
    metrics_public: bool = False  # otherwise a scrape has a token, or root's signature
    metrics_token: str = field(default="", repr=False)  # "": none opens them
    metrics_directory: str | None = None  # prometheus_client's multi-process directory
    lifecycle_day_s: int = limits.LIFECYCLE_DAY_SECONDS  # how long lifecycle rules take a day to be
    access_log: bool = False  # one line for each request, not only for failures
    requests_max: int = limits.REQUESTS_IN_FLIGHT_MAX
    connections_max: int = 4 * limits.REQUESTS_IN_FLIGHT_MAX
    deadlines: Deadlines = field(default_factory=Deadlines)
