"""The health endpoints: MinIO's status codes and headers, from counts of slots."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import pytest

from objstore.gateway.admission import Admission
from objstore.gateway.health import PROBES, Probe, answer_probe
from objstore.gateway.ports import HealthDocument, SetStatus, WitnessInfo
from objstore.names import Scheme
from objstore.quorum.thresholds import degraded_scheme, read_quorum_any, write_quorum
from objstore.s3.call import Reply


@dataclass(frozen=True)
class FixedStatus:
    """A cluster in a state."""

    all_sets: tuple[SetStatus, ...]
    is_ready: bool = True
    told: WitnessInfo | None = None

    def ready(self) -> bool:
        return self.is_ready

    def witness(self) -> WitnessInfo | None:
        return self.told

    def sets(self) -> Sequence[SetStatus]:
        return self.all_sets


def set_of(k: int, m: int, online: int, *, trusted: int | None = None, local: int = 2) -> SetStatus:
    slots = k + m
    write = write_quorum(degraded_scheme(Scheme(k, m), slots - online))
    return SetStatus(
        pool=0,
        index=0,
        data=k,
        slots=slots,
        online=online,
        trusted=online if trusted is None else trusted,
        write_quorum=write,
        read_quorum=read_quorum_any(slots),
        local=min(local, online),
    )


def ask(path: str, *sets: SetStatus, ready: bool = True, maintenance: bool = False) -> Reply:
    probe = Probe(cluster=FixedStatus(sets, ready), admission=Admission(4), maintenance=maintenance)
    reply = answer_probe(path, probe)
    assert reply is not None
    return reply


@pytest.mark.parametrize(
    ("one", "can_write", "can_read"),
    [
        (set_of(3, 1, 4), 200, 200),
        (set_of(3, 1, 3), 200, 200),
        (set_of(3, 1, 2), 503, 503),
        (set_of(2, 2, 4), 200, 200),
        (set_of(2, 2, 3), 200, 200),
        (set_of(2, 2, 2), 503, 200),  # one of two servers is down: reads go on
        (set_of(2, 2, 1), 503, 503),
        (set_of(1, 1, 1), 503, 200),
        (set_of(1, 3, 2), 503, 200),
        (set_of(1, 3, 1), 503, 503),
        (set_of(2, 2, 4, trusted=1), 200, 503),  # three replaced at once: absence is unknown
    ],
)
def test_what_works_with_so_many_slots(one: SetStatus, can_write: int, can_read: int) -> None:
    assert ask("/minio/health/cluster", one).status == can_write
    assert ask("/minio/health/cluster/read", one).status == can_read
    body = ask("/.objstore/health", one).body
    assert isinstance(body, bytes)
    document = msgspec.json.decode(body, type=HealthDocument)
    assert document.can_write == (can_write == 200)
    assert document.can_read == (can_read == 200)
    assert document.sets == (one,)


def test_one_bad_set_is_enough() -> None:
    reply = ask("/minio/health/cluster", set_of(3, 1, 4), set_of(3, 1, 2))
    assert reply.status == 503


def test_maintenance_is_refused_when_the_rest_could_not_go_on() -> None:
    """MinIO: "412 Precondition Failed" when this server cannot be taken down."""
    cluster, read = "/minio/health/cluster", "/minio/health/cluster/read"
    assert ask(cluster, set_of(3, 1, 4), maintenance=True).status == 412
    assert ask(cluster, set_of(3, 1, 4, local=1), maintenance=True).status == 200
    assert ask(cluster, set_of(3, 1, 2), maintenance=True).status == 503
    assert ask(read, set_of(2, 2, 4), maintenance=True).status == 200
    assert ask(read, set_of(3, 1, 4), maintenance=True).status == 412


def test_maintenance_counts_the_parity_that_writes_would_take_instead() -> None:
    """A write takes more parity for each slot that is away, so fewer slots make its quorum."""
    wide = set_of(4, 1, 5, local=1)
    assert ask("/minio/health/cluster", wide, maintenance=True).status == 200
    assert ask("/minio/health/cluster", set_of(4, 1, 4, local=1), maintenance=True).status == 200
    assert ask("/minio/health/cluster", set_of(4, 1, 3, local=1), maintenance=True).status == 412


def test_what_is_left_without_this_server_is_said() -> None:
    reply = ask("/.objstore/health", set_of(2, 2, 4), maintenance=True)
    assert reply.status == 412
    assert isinstance(reply.body, bytes)
    document = msgspec.json.decode(reply.body, type=HealthDocument)
    assert all(one.works for one in document.operations)
    left = {one.name for one in document.without_this_server if one.works}
    assert left == {"reads", "listings"}
    assert ask("/.objstore/health", set_of(2, 2, 4)).status == 200


def test_a_full_drive_is_no_place_for_a_write() -> None:
    full = msgspec.structs.replace(set_of(3, 1, 4), writable=2)
    assert ask("/minio/health/cluster", full).status == 503
    assert ask("/minio/health/cluster/read", full).status == 200


def test_the_headers_are_those_of_minio() -> None:
    one = set_of(2, 2, 3)
    healing = replace_healing(one, 2)
    reply = ask("/minio/health/cluster", healing)
    assert reply.headers == {
        "x-minio-write-quorum": "3",
        "x-minio-storage-class-defaults": "true",
        "x-minio-healing-drives": "2",
    }
    assert (
        ask("/minio/health/cluster", set_of(3, 1, 4)).headers["x-minio-storage-class-defaults"]
        == "false"
    )
    assert ask("/minio/health/cluster/read", one).headers == {"x-minio-read-quorum": "2"}


def replace_healing(one: SetStatus, drives: int) -> SetStatus:
    return msgspec.structs.replace(one, healing_drives=drives)


def test_a_server_that_is_starting_says_so() -> None:
    assert ask("/minio/health/live", ready=False).status == 200
    assert ask("/minio/health/ready", ready=False).status == 200
    assert ask("/minio/health/cluster", ready=False).status == 503
    assert ask("/minio/health/cluster/read", ready=False).status == 503
    for path in PROBES:
        if path.startswith("/minio/"):
            assert ask(path, ready=False).headers == {"x-minio-server-status": "offline"}


async def test_a_full_worker_is_not_ready() -> None:
    admission = Admission(1)
    probe = Probe(cluster=FixedStatus(()), admission=admission, maintenance=False)
    assert admission.try_enter()
    reply = answer_probe("/minio/health/ready", probe)
    assert reply is not None
    assert reply.status == 503
    live = answer_probe("/minio/health/live", probe)
    assert live is not None
    assert live.status == 200


def test_other_paths_are_no_probes() -> None:
    probe = Probe(cluster=FixedStatus(()), admission=Admission(1), maintenance=False)
    for path in ("/minio/health", "/minio/health/live/", "/minio/health/lives", "/.objstore/"):
        assert answer_probe(path, probe) is None


# --- with a witness -----------------------------------------------------------------------

A, B = "10.0.0.1:9000", "10.0.0.2:9000"


def document(told: WitnessInfo | None, *sets: SetStatus) -> HealthDocument:
    probe = Probe(cluster=FixedStatus(sets, told=told), admission=Admission(4), maintenance=False)
    reply = answer_probe("/.objstore/health", probe)
    assert reply is not None
    assert isinstance(reply.body, bytes)
    assert b"10.0.0." not in reply.body
    return msgspec.json.decode(reply.body, type=HealthDocument)


def told(mode: str, server: str = "", **more: object) -> WitnessInfo:
    fields: dict[str, object] = {"answers": True, "confirmed": True, "asked": A, "since_ms": 0}
    other = A if server == B else B
    return msgspec.convert(
        fields | {"mode": mode, "server": server, "other": other} | more, WitnessInfo
    )


@pytest.mark.parametrize(
    ("witness", "words"),
    [
        (None, ""),
        (told("whole"), "whole: nothing was written by one server alone that the other lacks"),
        (told("solo", A), "this server writes alone since 1970-01-01 00:00:00 UTC"),
        (told("solo", B), "the other server writes alone since 1970-01-01 00:00:00 UTC"),
        (
            told("returning", A, objects_done=3, objects_total=7),
            "the other server returns: 3 of 7 keys are compared",
        ),
        (told("returning", B), "this server returns: its drives wait to be compared"),
        (
            told(""),
            "nothing is agreed on yet: the servers have not seen each other since it was set",
        ),
    ],
)
def test_the_epoch_is_said_in_words_without_addresses(
    witness: WitnessInfo | None, words: str
) -> None:
    found = document(witness, set_of(2, 2, 4))
    assert found.epoch == words
    assert found.witness_answers == (None if witness is None else True)


def test_a_witness_that_does_not_answer_is_no_outage_and_is_said() -> None:
    away = told("whole", answers=False, confirmed=False, reason=f"http://{B} does not answer")
    found = document(away, set_of(2, 2, 4))
    assert found.can_write
    assert found.witness_answers is False
    assert found.epoch.startswith("the witness does not answer")


def test_a_server_that_writes_alone_can_write() -> None:
    alone = msgspec.structs.replace(set_of(2, 2, 2), alone=True, other_goes_on=False)
    assert ask("/minio/health/cluster", alone).status == 200
    assert ask("/minio/health/cluster", alone, maintenance=True).status == 412
    assert ask("/minio/health/cluster/read", alone).status == 200
    found = document(told("solo", A), alone)
    assert all(one.works for one in found.operations)


def test_a_server_that_may_be_outdated_can_do_nothing() -> None:
    behind = msgspec.structs.replace(set_of(2, 2, 2), unheard="the other one wrote alone")
    for path in ("/minio/health/cluster", "/minio/health/cluster/read"):
        assert ask(path, behind).status == 503
    found = document(told("solo", B), behind)
    assert not any(one.works for one in found.operations)
    assert all(len(one.why) == 1 for one in found.operations)


def test_with_a_witness_a_server_may_be_stopped() -> None:
    whole = msgspec.structs.replace(set_of(2, 2, 4), other_goes_on=True)
    for path in ("/minio/health/cluster", "/minio/health/cluster/read"):
        assert ask(path, whole, maintenance=True).status == 200
    needed = msgspec.structs.replace(whole, other_goes_on=False)
    for path in ("/minio/health/cluster", "/minio/health/cluster/read"):
        assert ask(path, needed, maintenance=True).status == 412
