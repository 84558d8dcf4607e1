"""The health endpoints: MinIO's paths and headers, and the same as one JSON document.

They need no credential, so they say how many slots are there and never which: no address, no
path and no reason of a fault. They answer from
what this server already observed, so that a probe costs nothing and never waits for a drive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from objstore.gateway.admission import Admission
from objstore.gateway.epoch_words import epoch_words
from objstore.gateway.explain import explain
from objstore.gateway.ports import ClusterStatus, HealthDocument, SetStatus
from objstore.s3.call import Reply

_encoder = msgspec.json.Encoder()
_OFFLINE: Final = {"x-minio-server-status": "offline"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a probe asks, and of whom."""

    cluster: ClusterStatus
    admission: Admission
    maintenance: bool  # "could this server be stopped?"


def _default_parity(slots: int) -> int:
    """Return the parity MinIO chooses for a set of that many drives when none is asked for."""
    return min(slots // 2, 4)


def _all_can_write(sets: Sequence[SetStatus]) -> bool:
    return all(one.can_write() for one in sets)


def _all_can_read(sets: Sequence[SetStatus]) -> bool:
    return all(one.can_read() for one in sets)


def _without_this_server(sets: Sequence[SetStatus]) -> tuple[SetStatus, ...]:
    return tuple(one.without_this_server() for one in sets)


def _live(probe: Probe) -> Reply:
    return Reply(200, {} if probe.cluster.ready() else dict(_OFFLINE))


def _ready(probe: Probe) -> Reply:
    headers = {} if probe.cluster.ready() else dict(_OFFLINE)
    return Reply(503 if probe.admission.full else 200, headers)


def _verdict(*, works: bool, works_without: bool, maintenance: bool) -> int:
    if not works:
        return 503
    # "412 Precondition Failed": it works, and would not without this server.
    return 412 if maintenance and not works_without else 200


def _cluster(probe: Probe) -> Reply:
    if not probe.cluster.ready():
        return Reply(503, dict(_OFFLINE))
    sets = probe.cluster.sets()
    status = _verdict(
        works=_all_can_write(sets),
        works_without=_all_can_write(_without_this_server(sets)),
        maintenance=probe.maintenance,
    )
    by_default = all(one.slots - one.data == _default_parity(one.slots) for one in sets)
    return Reply(
        status,
        {
            "x-minio-write-quorum": str(max((one.write_quorum for one in sets), default=0)),
            "x-minio-storage-class-defaults": "true" if by_default else "false",
            "x-minio-healing-drives": str(sum(one.healing_drives for one in sets)),
        },
    )


def _cluster_read(probe: Probe) -> Reply:
    if not probe.cluster.ready():
        return Reply(503, dict(_OFFLINE))
    sets = probe.cluster.sets()
    status = _verdict(
        works=_all_can_read(sets),
        works_without=_all_can_read(_without_this_server(sets)),
        maintenance=probe.maintenance,
    )
    quorum = max((max(one.read_quorum, one.data) for one in sets), default=0)
    return Reply(status, {"x-minio-read-quorum": str(quorum)})


def _document(probe: Probe) -> Reply:
    ready = probe.cluster.ready()
    sets = tuple(probe.cluster.sets())
    left = _without_this_server(sets) if probe.maintenance else ()
    operations = explain(sets, ready=ready)
    without = explain(left, ready=ready) if probe.maintenance else ()
    witness = probe.cluster.witness()
    document = HealthDocument(
        ready=ready,
        can_read=ready and _all_can_read(sets),
        can_write=ready and _all_can_write(sets),
        sets=sets,
        operations=operations,
        without_this_server=without,
        epoch="" if witness is None else epoch_words(witness, addresses=False),
        witness_answers=None if witness is None else witness.answers,
    )
    status = _verdict(
        works=all(one.works for one in operations),
        works_without=all(one.works for one in without),
        maintenance=probe.maintenance,
    )
    headers = {"Content-Type": "application/json"}
    return Reply(status, headers, _encoder.encode(document))


PROBES: Final[dict[str, Callable[[Probe], Reply]]] = {
    "/minio/health/live": _live,
    "/minio/health/ready": _ready,
    "/minio/health/cluster": _cluster,
    "/minio/health/cluster/read": _cluster_read,
    "/.objstore/health": _document,
}


def answer_probe(path: str, probe: Probe) -> Reply | None:
    """Answer a probe; None when `path` is not one."""
    answer = PROBES.get(path)
    return None if answer is None else answer(probe)
