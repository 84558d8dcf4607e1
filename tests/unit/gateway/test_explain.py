"""What works, what does not and why: the sentences, for a stranger and for root."""

import itertools

import pytest

from objstore.gateway.explain import explain
from objstore.gateway.ports import DriveInfo, OperationStatus, SetStatus
from objstore.names import Scheme
from objstore.quorum.thresholds import (
    degraded_scheme,
    read_quorum_any,
    write_quorum,
    write_quorum_least,
)

EVERYTHING = {"reads", "listings", "writes", "deletions", "bucket changes"}


def set_of(
    k: int, m: int, online: int, *, trusted: int | None = None, writable: int | None = None,
    index: int = 0,
) -> SetStatus:  # fmt: skip
    slots = k + m
    takes = online if writable is None else writable
    return SetStatus(
        pool=0,
        index=index,
        data=k,
        slots=slots,
        online=online,
        trusted=online if trusted is None else trusted,
        writable=takes,
        write_quorum=write_quorum(degraded_scheme(Scheme(k, m), slots - takes)),
        read_quorum=read_quorum_any(slots),
    )


def drive(
    server: int, number: int, state: str = "online", reason: str = "", **more: object
) -> DriveInfo:
    return DriveInfo(
        server=f"10.0.0.{server}:9000",
        path=f"/mnt/drive{number}",
        pool=0,
        set_index=0,
        slots=(2 * (number - 1) + server - 1,),
        state=state,
        reason=reason,
        **more,  # type: ignore[arg-type]
    )


def working(told: tuple[OperationStatus, ...]) -> set[str]:
    assert {one.name for one in told} == EVERYTHING
    assert all(one.works == (not one.why) for one in told)
    return {one.name for one in told if one.works}


def sentences(told: tuple[OperationStatus, ...]) -> str:
    return "\n".join(line for one in told for line in one.why)


@pytest.mark.parametrize(
    ("one", "works"),
    [
        (set_of(3, 1, 4), EVERYTHING),
        (set_of(3, 1, 3), EVERYTHING),
        (set_of(3, 1, 2), {"listings"}),
        (set_of(2, 2, 2), {"reads", "listings"}),  # one of two servers is down
        (set_of(2, 2, 1), set()),
        (set_of(1, 3, 2), {"reads", "listings"}),
        (set_of(1, 3, 1), set()),
        (set_of(3, 1, 4, writable=2), {"reads", "listings", "deletions"}),  # two drives are full
        (set_of(2, 2, 4, trusted=1), set()),  # three replaced at once: absence is unknown
    ],
)
def test_what_works(one: SetStatus, works: set[str]) -> None:
    assert working(explain([one])) == works


def test_one_server_of_two_is_down() -> None:
    drives = [
        drive(1, 1),
        drive(2, 1, "offline", "cannot be reached: Connection refused"),
        drive(1, 2),
        drive(2, 2, "offline", "cannot be reached: Connection refused"),
    ]
    told = explain([set_of(2, 2, 2)], drives)
    (why,) = next(one.why for one in told if one.name == "writes")
    assert why == (
        "writes are refused: set 0 of pool 0 has 2 of 4 slots that take new data, and a write needs"
        " 3; they come back when 1 of the 2 others can be reached and written again: "
        "server 10.0.0.2:9000 (2 slots: cannot be reached: Connection refused)"
    )


def test_drives_of_several_servers_are_named_one_by_one() -> None:
    drives = [
        drive(1, 1, "faulty", "Input/output error"),
        drive(2, 1, "full", "no room left"),
        drive(1, 2),
        drive(2, 2),
    ]
    told = explain([set_of(2, 2, 3, writable=2)], drives)
    assert working(told) == {"reads", "listings", "deletions"}
    assert "drive 10.0.0.1:9000/mnt/drive1 (1 slot: faulty: Input/output error)" in sentences(told)
    assert "drive 10.0.0.2:9000/mnt/drive1 (1 slot: full: no room left)" in sentences(told)
    assert "server 10" not in sentences(told)


def test_a_drive_that_is_rebuilt_is_waited_for() -> None:
    drives = [drive(1, n, trusted=False) for n in (1, 2)] + [
        drive(2, 1, trusted=False),
        drive(2, 2),
    ]
    told = sentences(explain([set_of(2, 2, 4, trusted=1)], drives))
    assert "1 of 4 slots that answer and are fully rebuilt" in told
    assert "drive 10.0.0.1:9000/mnt/drive1 (1 slot: being rebuilt)" in told


def test_strangers_are_told_counts_only() -> None:
    """SECURITY: health needs no credential, so it names no address, path or reason."""
    for online, trusted, writable in itertools.product(range(5), repeat=3):
        if trusted <= online and writable <= online:
            told = sentences(explain([set_of(3, 1, online, trusted=trusted, writable=writable)]))
            assert "10.0" not in told
            assert "/" not in told
            assert "server" not in told


def test_of_several_sets_the_keys_of_one_may_be_refused_and_the_rest_go_on() -> None:
    told = explain([set_of(3, 1, 4), set_of(3, 1, 2, index=1)])
    assert "writes are refused for the keys of set 1 of pool 0: " in sentences(told)
    nothing_fresh = explain([set_of(3, 1, 4), set_of(3, 1, 1, index=1)])
    assert "listings are refused: set 1 of pool 0" in sentences(nothing_fresh)


def test_a_server_that_starts_says_so() -> None:
    told = explain([set_of(3, 1, 4)], ready=False)
    assert working(told) == set()
    assert "starting" in sentences(told)


@pytest.mark.parametrize("scheme", [(k, m) for k in range(1, 9) for m in range(8) if k + m > 1])
def test_the_sentences_say_what_the_quorums_say(scheme: tuple[int, int]) -> None:
    """The twin: `works` by the formulas alone, for every state of every layout."""
    k, m = scheme
    for online in range(k + m + 1):
        one = set_of(k, m, online)
        fresh = online >= read_quorum_any(k + m)
        wanted = {"listings"} if fresh else set()
        wanted |= {"reads"} if fresh and online >= k else set()
        if fresh and online >= write_quorum(degraded_scheme(Scheme(k, m), k + m - online)):
            wanted |= {"writes"}
        if fresh and online >= write_quorum_least(k + m):
            wanted |= {"deletions", "bucket changes"}
        assert working(explain([one])) == wanted
        assert one.can_write() >= ("writes" in wanted)
        assert one.can_read() == ("reads" in wanted)
