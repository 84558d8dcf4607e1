"""Metrics of the cluster as the server that is scraped sees it: sets, drives, servers, operations.

Every server tells all of it, so that one that is up tells of those that are not; a query takes
the worst of what they say (`min by (server, drive)`), never the sum.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from objstore.gateway.explain import AWAY_STATES, NO_WRITES_STATES, explain
from objstore.gateway.minio_metrics import minio_families
from objstore.gateway.ports import (
    CertificateInfo,
    ClusterInfo,
    DriveInfo,
    ServerInfo,
    SetInfo,
    SetStatus,
    WitnessInfo,
)

_Row = tuple[str, str, Iterable[float]]
_SET: Final = ("pool", "set")
_DRIVE: Final = ("server", "drive")
_DEGRADED: Final = (
    "Versions that some slot of their set is known to miss: the heal queue's length. What lies on "
    "a drive that is away, or is being rebuilt, is not among them"
)


def cluster_families(sets: Sequence[SetStatus], info: ClusterInfo | None) -> Iterator[Metric]:
    """Return what a scrape says; without `info` (it came too late) what is known anyway."""
    yield from _of_sets(sets)
    yield _operations(sets, info)
    if info is not None:
        yield from _of_degraded(info.sets)
        yield from _of_drives(info.drives)
        yield from _of_scrubs(info.drives)
        yield from _of_servers(info.servers)
        yield _certificates(info.certificates)
        yield from _of_witness(info.witness)
    yield from minio_families(sets, info)


def gauges(
    prefix: str, labels: Sequence[str], values_of: Sequence[Sequence[str]], rows: Iterable[_Row]
) -> Iterator[Metric]:
    """Return a family for each row; its values are in the order of the label values."""
    for name, meaning, values in rows:
        family = GaugeMetricFamily(prefix + name, meaning, labels=labels)
        for label_values, value in zip(values_of, values, strict=True):
            family.add_metric(label_values, value)
        yield family


def _of_sets(sets: Sequence[SetStatus]) -> Iterator[Metric]:
    rows: tuple[_Row, ...] = (
        ("slots", "Slots", (one.slots for one in sets)),
        ("online_slots", "Slots that answer", (one.online for one in sets)),
        ("writable_slots", "Slots that take new data", (one.count_writable for one in sets)),
        ("trusted_slots", "Slots that answer and are rebuilt", (one.trusted for one in sets)),
        ("write_needs_slots", "Slots a write needs now", (one.write_quorum for one in sets)),
        ("read_needs_slots", "Slots a read needs", (max(s.read_quorum, s.data) for s in sets)),
        (
            "write_slots_to_spare",
            "Slots that may be lost and writes go on; below 0 they do not",
            (_to_spare_for_writes(one) for one in sets),
        ),
        (
            "read_slots_to_spare",
            "Slots that may be lost and reads go on; below 0 they do not",
            (min(one.online - one.data, one.trusted - one.read_quorum) for one in sets),
        ),
    )
    yield from gauges("objstore_set_", _SET, [_place(one) for one in sets], rows)


def _to_spare_for_writes(one: SetStatus) -> int:
    """Lose slots one by one: each takes parity instead, as long as the scheme allows it."""
    if one.alone:
        return 0  # one server writes alone with all of its slots or not at all
    left = one.count_writable
    if left < one.write_quorum_with(left):
        return left - one.write_quorum_with(left)
    lost = 0
    while left - lost - 1 >= one.write_quorum_with(left - lost - 1):
        lost += 1
    return lost


def _of_degraded(sets: Sequence[SetInfo]) -> Iterator[Metric]:
    rows: tuple[_Row, ...] = (
        (
            "objects",
            _DEGRADED,
            (one.degraded for one in sets),
        ),
        ("bytes", "Their sizes, before encoding", (one.degraded_bytes for one in sets)),
        (
            "oldest_timestamp_seconds",
            "Since when the oldest of them is; 0 without any",
            (one.degraded_since_ms / 1000 for one in sets),
        ),
        (
            "quarantined_keys",
            "Keys that can not be read or healed now, because fewer than k shards can be read",
            (one.quarantined for one in sets),
        ),
    )
    places = [(str(one.pool), str(one.index)) for one in sets]
    yield from gauges("objstore_degraded_", _SET, places, rows)


def _of_drives(drives: Sequence[DriveInfo]) -> Iterator[Metric]:
    rows: tuple[_Row, ...] = (
        (
            "online",
            "1 when the drive answers",
            (float(one.state not in AWAY_STATES) for one in drives),
        ),
        (
            "writable",
            "1 when it takes new data",
            (float(one.state not in AWAY_STATES | NO_WRITES_STATES) for one in drives),
        ),
        ("slow", "1 when small calls take long", (float(one.state == "slow") for one in drives)),
        ("trusted", "1 when it is completely rebuilt", (float(one.trusted) for one in drives)),
        ("total_bytes", "Size, as it said last", (one.total_bytes for one in drives)),
        ("free_bytes", "Free, as it said last", (one.free_bytes for one in drives)),
        ("objects", "Keys it holds with an object, as it said last", (o.objects for o in drives)),
        (
            "missed_notes",
            "Notes it keeps of versions that other drives missed",
            (one.missed for one in drives),
        ),
    )
    yield from gauges("objstore_drive_", _DRIVE, [(d.server, d.path) for d in drives], rows)
    busy = [(drive, drive.progress) for drive in drives if drive.progress is not None]
    work: tuple[_Row, ...] = (
        (
            "objects_done",
            "Keys looked at by its present rebuild",
            (p.objects_done for _, p in busy),
        ),
        ("objects_expected", "Of so many, 0 while unknown", (p.objects_total for _, p in busy)),
        ("bytes_done", "Bytes its rebuild has written", (p.bytes_done for _, p in busy)),
    )
    yield from gauges("objstore_drive_heal_", _DRIVE, [(d.server, d.path) for d, _ in busy], work)


def _of_scrubs(drives: Sequence[DriveInfo]) -> Iterator[Metric]:
    """Tell of the scrub. Totals go back to 0 with the journal that keeps them."""
    told = [(drive, drive.scrub) for drive in drives if drive.scrub is not None]
    rows: tuple[_Row, ...] = (
        ("running", "1 while a pass is under way", (float(s.under_way) for _, s in told)),
        (
            "bytes_done",
            "Read by the present pass, or the last one",
            (s.bytes_done for _, s in told),
        ),
        ("bytes_expected", "Of so many, roughly", (s.bytes_total for _, s in told)),
        ("read_bytes", "Read by all passes", (s.bytes_ever for _, s in told)),
        ("repaired", "Seen whole again, of what was found", (s.repaired_ever for _, s in told)),
        ("passes", "Passes that were completed", (s.passes for _, s in told)),
        (
            "last_pass_timestamp_seconds",
            "When the last complete pass ended; 0: none did",
            (s.finished_ms / 1000 for _, s in told),
        ),
        (
            "unnamed_files",
            "Files that no record names, for the reaper",
            (s.unnamed for _, s in told),
        ),
        ("foreign_files", "Files whose names are not ours", (s.foreign for _, s in told)),
    )
    places = [(drive.server, drive.path) for drive, _ in told]
    yield from gauges("objstore_scrub_", _DRIVE, places, rows)
    found = GaugeMetricFamily(
        "objstore_scrub_found", "Found by all passes, by kind", labels=(*_DRIVE, "kind")
    )
    for drive, scrub in told:
        for kind, count in sorted(scrub.found_ever.items()):
            found.add_metric((drive.server, drive.path, kind), count)
    yield found


def _of_servers(servers: Sequence[ServerInfo]) -> Iterator[Metric]:
    rows: tuple[_Row, ...] = (
        ("online", "1 when the server answers", (float(s.state == "online") for s in servers)),
        ("uptime_seconds", "Since its process, or the session with it, began",
         (one.uptime_s for one in servers)),
        ("clock_ahead_seconds", "How far its clock is ahead of the one of the server that tells",
         (one.clock_ahead_ms / 1000 for one in servers)),
    )  # fmt: skip
    yield from gauges("objstore_server_", ("server",), [(one.address,) for one in servers], rows)
    told = InfoMetricFamily(
        "objstore_server",
        "Its version and a hash of its configuration, empty when it does not answer",
        labels=("server", "version", "configuration"),
    )
    for one in servers:
        told.add_metric((one.address, one.version, one.configuration), {})
    yield told


def _operations(sets: Sequence[SetStatus], info: ClusterInfo | None) -> Metric:
    family = GaugeMetricFamily(
        "objstore_operation_works",
        "1 when operations of this family work for every key; admin info says why they do not",
        labels=("operation",),
    )
    for one in info.operations if info is not None and info.operations else explain(sets):
        family.add_metric((one.name,), float(one.works))
    return family


def _place(one: SetStatus) -> tuple[str, str]:
    return str(one.pool), str(one.index)


def _certificates(certificates: Sequence[CertificateInfo]) -> Metric:
    family = GaugeMetricFamily(
        "objstore_tls_certificate_expiry_seconds",
        "Until the certificate of a port expires; negative once it has",
        labels=("port",),
    )
    for one in certificates:
        family.add_metric((one.port,), one.expires_in_s)
    return family


def _of_witness(witness: WitnessInfo | None) -> Iterator[Metric]:
    """Tell of the epoch; without a witness the families are there, and empty."""
    known = [] if witness is None else [witness]
    servers = sorted({name for one in known for name in (one.asked, one.server, one.other)} - {""})
    rows: tuple[_Row, ...] = (
        (
            "witness_up",
            "1 when the witness answered this server's last question",
            (float(one.answers) for one in known),
        ),
        (
            "epoch_number",
            "How often it changed which server may write alone, as this server was told last",
            (one.epoch for one in known),
        ),
    )
    yield from gauges("objstore_", (), [() for _ in known], rows)
    alone: tuple[_Row, ...] = (
        (
            "solo",
            "1 while the server writes alone",
            (float(w.mode == "solo" and s == w.server) for w in known for s in servers),
        ),
        (
            "returning",
            "1 while the server is brought what the other wrote alone",
            (float(w.mode == "returning" and s == w.other) for w in known for s in servers),
        ),
    )
    yield from gauges("objstore_", ("server",), [(one,) for one in servers], alone)
