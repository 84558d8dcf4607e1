"""What replacing a drive took, as ratios to what the same machine puts, and what was promised."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.foreground import Waited

MIB = 1024 * 1024
DRIVES = 4
PROMISED_RATIO = 0.5  # of objects healed per second, to those put; large objects
PROMISED_PER_S = 500.0  # small objects
PROMISED_WAIT = 2.0  # the clients' p99, to that without healing
LARGE_BYTES = MIB
_RATES = (
    "| layout | objects | clients | PUT | full redundancy after | rebuilt in | healed "
    "| written to the drive | ratio to PUT | promised | kept |"
)
_WAITS = (
    "| layout | objects healed | clients' | per s | p50, p99 ms before | p50, p99 ms while it "
    "heals | longest ms | failed | p99 ratio | promised | kept |"
)


@dataclass(frozen=True)
class Healing:
    """One drive was replaced by an empty one."""

    redundant_s: float  # from the replacement until nothing was left to heal
    walk_s: float  # of these the rebuild itself
    objects: int
    shard_bytes: int  # in files; of small objects the records carry them
    waited: Mapping[str, Waited] = field(default_factory=dict)  # by clients meanwhile

    @property
    def per_s(self) -> float:
        """Objects made whole per second."""
        return self.objects / self.walk_s


@dataclass(frozen=True)
class Result:
    """One filling of one layout."""

    name: str  # the size of the objects
    parity: int
    objects: int
    object_bytes: int
    puts_per_s: tuple[float, float]  # before and after: on a shared machine they differ
    alone: Healing
    with_clients: Healing
    before: Mapping[str, Waited]  # what clients waited while nothing was healed

    @property
    def put_per_s(self) -> float:
        """Objects put per second."""
        return sum(self.puts_per_s) / 2

    @property
    def is_large(self) -> bool:
        """Whether the promise is about bytes."""
        return self.object_bytes >= LARGE_BYTES

    @property
    def put_mib_per_s(self) -> float:
        """What was put, before encoding."""
        return self.put_per_s * self.object_bytes / MIB

    def mib_per_s(self, healing: Healing) -> float:
        """What was healed in terms of what was put: a shard is a k-th of its object."""
        k = DRIVES - self.parity
        return healing.shard_bytes * k / MIB / healing.walk_s

    def shard_mib_per_s(self, healing: Healing) -> float:
        """What was written onto the new drive."""
        return healing.shard_bytes / MIB / healing.walk_s

    def ratio(self, healing: Healing) -> float:
        """Healing to putting, in the same unit."""
        if self.is_large:
            return self.mib_per_s(healing) / self.put_mib_per_s
        return healing.per_s / self.put_per_s

    def waits(self) -> dict[str, float]:
        """The clients' p99 while it healed, to that before."""
        return {
            kind: waited.p99_ms / self.before[kind].p99_ms
            for kind, waited in self.with_clients.waited.items()
        }

    def kept(self, healing: Healing) -> str:
        """Whether the promise about the rate was kept."""
        if self.is_large:
            return "yes" if self.ratio(healing) >= PROMISED_RATIO else "no"
        return "yes" if healing.per_s >= PROMISED_PER_S else "no"


def table(results: Sequence[Result]) -> str:
    """Return two Markdown tables: how fast it heals, and what clients notice of it."""
    rows = ["", _RATES, "|---" * 11 + "|"]
    for result in results:
        rows.append(_rate_row(result, "none", result.alone))
        rows.append(_rate_row(result, "constant rate", result.with_clients))
    rows += ["", _WAITS, "|---" * 10 + "|"]
    for result in results:
        rows.extend(_wait_row(result, kind) for kind in result.with_clients.waited)
    return "\n".join(rows)


def _rate_row(result: Result, clients: str, healing: Healing) -> str:
    if result.is_large:
        put = f"{result.put_mib_per_s:,.0f} MiB/s"
        healed = f"{result.mib_per_s(healing):,.0f} MiB/s"
        promised = f"at least {PROMISED_RATIO:.2f} x PUT"
    else:
        put = f"{result.put_per_s:,.0f} /s"
        healed = f"{healing.per_s:,.0f} /s"
        promised = f"at least {PROMISED_PER_S:,.0f}/s"
    return (
        f"| EC:{result.parity} of {DRIVES} | {result.objects:,} of {result.name} | {clients} "
        f"| {put} | {healing.redundant_s:,.1f} s | {healing.walk_s:,.1f} s | {healed} "
        f"| {result.shard_mib_per_s(healing):,.0f} MiB/s | {result.ratio(healing):.2f} "
        f"| {promised} | {result.kept(healing)} |"
    )


def _wait_row(result: Result, kind: str) -> str:
    before, during = result.before[kind], result.with_clients.waited[kind]
    ratio = result.waits()[kind]
    per_s = during.requests / result.with_clients.redundant_s
    return (
        f"| EC:{result.parity} of {DRIVES} | {result.objects:,} of {result.name} | {kind} "
        f"| {per_s:,.0f} | {before.p50_ms:,.1f}, {before.p99_ms:,.1f} "
        f"| {during.p50_ms:,.1f}, {during.p99_ms:,.1f} | {during.max_ms:,.0f} "
        f"| {before.failed + during.failed} | {ratio:.2f} | at most {PROMISED_WAIT:.0f} "
        f"| {'yes' if ratio <= PROMISED_WAIT else 'no'} |"
    )


def describe_probes(probes: Mapping[str, float]) -> str:
    """Return what the machine itself does, as a sentence."""
    figures = (
        f"{name} {value:,.0f}{'/s' if '4 KiB' in name else ' MiB/s'}"
        for name, value in probes.items()
    )
    return "\nThe machine: " + ", ".join(figures) + "."


def write_json(path: Path, results: Sequence[Result], probes: Mapping[str, float]) -> None:
    """Write every figure."""
    document = {
        "machine": {"python": platform.python_version(), "system": platform.platform()},
        "probes": dict(probes),
        "results": [asdict(result) for result in results],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
