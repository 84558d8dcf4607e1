"""A fault under traffic: what was served and refused, how fast, and how soon it is well again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.cluster.host_cluster import HostCluster
from tests.cluster.hosts import Host
from tests.cluster.traffic import Answers, Traffic
from tests.e2e.faults import within

READS = ("get", "list")
# On a busy machine everything takes longer: by the slowest request of the time before the fault,
# and by this for the moments in which the fault is made.
BUSY_S = 0.7
_CALM_ANSWERS = 32


@dataclass(frozen=True)
class Seen:
    """The answers before a fault and during it."""

    before: Answers
    during: Answers

    @property
    def late(self) -> Answers:
        """What was answered when the fault was no news any more."""
        return self.during.between(self.during.every[-1].began_s - 1.5)

    @property
    def allowance_s(self) -> float:
        """How much longer than by the product's own bounds a request may take here."""
        return BUSY_S + self.before.slowest_s()


def under_fault(
    cluster: HostCluster,
    cause: Callable[[], object],
    *,
    through: Sequence[int],
    for_s: float = 4.0,
    clients: int = 4,
    meanwhile: Callable[[], object] = lambda: None,
) -> Seen:
    """Cause a fault under traffic through some servers; the fault is there when this returns."""
    traffic = Traffic(cluster, "bucket", servers=through, clients=clients)
    with traffic.running() as answers:
        within(30, lambda: len(answers.every) >= _CALM_ANSWERS, "requests are answered")
        caused_s = time.monotonic()
        cause()
        ends_s = time.monotonic() + for_s
        meanwhile()
        time.sleep(max(0.0, ends_s - time.monotonic()))
    before, during = answers.between(0.0, caused_s), answers.between(caused_s)
    # A request that the fault caught belongs to it.
    caught = [a for a in before.every if a.began_s + a.took_s > caused_s]
    before = Answers([a for a in before.every if a not in caught])
    seen = Seen(before, Answers(caught + during.every))
    slowest = max(seen.during.every, key=lambda answer: answer.took_s)
    print(f"before: {seen.before}\nduring: {seen.during}\n{slowest}, the fault at {caused_s:.2f}")
    return seen


def returns_by_itself(cluster: HostCluster, *, within_s: float) -> float:
    """Take the faults back, and wait until every drive is well to every server again."""
    began_s = time.monotonic()
    cluster.network.heal()
    cluster.wait_online(within_s)
    took_s = time.monotonic() - began_s
    print(f"well again after {took_s:.1f} s")
    return took_s


def silent(cluster: HostCluster, kind: str, host: Host) -> Callable[[], object]:
    """Return what makes a host silent: nothing says that it went."""
    others = [other for other in cluster.network.hosts if other is not host]
    network = cluster.network
    return {
        "frozen": host.freeze,
        "unplugged": host.unplug,
        "unheard": lambda: network.lose((host, other) for other in others),
        "deaf": lambda: network.lose((other, host) for other in others),
    }[kind]
