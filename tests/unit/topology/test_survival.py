"""Survival: the verdicts, their reasons, and that both agree with the rule."""

from pathlib import Path

import pytest

from objstore.cli.layout import QUORUMS
from objstore.config import load_settings
from objstore.names import Scheme
from objstore.quorum.thresholds import (
    degraded_scheme,
    read_quorum_any,
    schemes_up_to,
    write_quorum,
)
from objstore.topology.layout import Layout, layout_of
from objstore.topology.survival import (
    Quorums,
    can_read,
    can_write,
    number_drives,
    summarise,
    without_each_drive,
    without_each_server,
    xor_notes,
)

CONFIGS = Path(__file__).parents[3] / "config"
# As if a degraded write needed the quorum of the whole set's scheme.
STRICT = Quorums(
    write=lambda scheme, _missing: write_quorum(scheme),
    read=QUORUMS.read,
    degraded=degraded_scheme,
)


def shipped(name: str) -> Layout:
    return layout_of(load_settings(config=CONFIGS / f"{name}.toml", environment={}))


def given(*endpoints: str, parity: int | None = None) -> Layout:
    return layout_of(load_settings(endpoints=endpoints, environment={}, options={"parity": parity}))


def letters(layout: Layout, *, server: bool = False) -> str:
    """One word for each domain: r, w, rw or - for what goes on without it."""
    outcomes = (without_each_server if server else without_each_drive)(layout, QUORUMS)
    return " ".join(("r" * o.read.possible + "w" * o.write.possible) or "-" for o in outcomes)


@pytest.mark.parametrize(
    ("name", "drives", "servers"),
    [
        ("two-server-ec1", "rw rw rw rw", "- -"),
        ("two-server-ec2", "rw rw rw rw", "r r"),
        ("mirror-two-drives", "r r", "-"),
        ("quad-full-copy", "rw rw rw rw", "rw rw rw rw"),
        ("guide-4-plus-1-on-four-drives", "w rw rw rw", "- w"),
        ("guide-4-plus-1-on-three-drives", "w w rw rw", "- rw"),
        ("repaired-4-plus-2", "rw rw rw rw", "- rw"),
    ],
)
def test_the_shipped_layouts(name: str, drives: str, servers: str) -> None:
    assert letters(shipped(name)) == drives
    assert letters(shipped(name), server=True) == servers


def test_every_shipped_layout_is_in_the_table_above_and_says_the_truth_in_its_comment() -> None:
    files = sorted(CONFIGS.glob("*.toml"))
    assert len(files) == 7
    for path in files:
        comment = " ".join(
            line.removeprefix("#").strip()
            for line in path.read_text().splitlines()
            if line.startswith("#")
        )
        layout = layout_of(load_settings(config=path, environment={}))
        for sentence in summarise(layout, QUORUMS):
            assert sentence in comment, (path.name, sentence)
        scheme = layout.sets[0].scheme
        assert (
            f"{scheme.slots / scheme.k:.3g} times the data".replace("2 t", "2.0 t").replace(
                "4 t", "4.0 t"
            )
            in comment
        )


def test_reasons_of_the_literal_layout() -> None:
    first, second, *_ = without_each_drive(shipped("guide-4-plus-1-on-four-drives"), QUORUMS)
    assert first.read.reason == "drive 1 holds 2 of 5 shards, the code repairs 1"
    assert first.write.reason == (
        "3 slots are left and a write needs 3; new objects are stored as 3 + 2 and can lose no "
        "more shards; objects written before cannot be read until it is back"
    )
    assert second.read.reason == "drive 2 holds 1 of 5 shards, the code repairs 1"
    assert second.write.reason == (
        "4 slots are left and a write needs 3; new objects are stored as 3 + 2 and can lose 1 "
        "more shard"
    )
    empty = without_each_drive(shipped("guide-4-plus-1-on-three-drives"), QUORUMS)[3]
    assert empty.read.reason == empty.write.reason == "drive 4 holds no shard"


def test_the_quorums_are_the_caller_s() -> None:
    first = without_each_drive(shipped("guide-4-plus-1-on-four-drives"), STRICT)[0]
    assert not first.write.possible
    assert first.write.reason == "3 slots are left and a write needs 4"


def test_full_copies_that_cannot_know_what_is_newest_say_so() -> None:
    layout = given("http://s{1...2}/d{1...2}", parity=3)
    assert letters(layout, server=True) == "r r"
    layout = given("/d{1...4}", parity=3)
    (only,) = without_each_server(layout, QUORUMS)
    assert only.read.reason == "server 1 holds 4 of 4 shards, the code repairs 3"
    assert can_read(Scheme(1, 3), 2, QUORUMS)
    assert not can_read(Scheme(1, 3), 3, QUORUMS)
    quad = shipped("quad-full-copy")
    three_of_four = Quorums(QUORUMS.write, lambda _: 4, QUORUMS.degraded)
    assert (
        "takes 4 answers and 3 can come" in without_each_drive(quad, three_of_four)[0].read.reason
    )


@pytest.mark.parametrize("scheme", schemes_up_to(16), ids=str)
def test_the_rule(scheme: Scheme) -> None:
    """A set reads on exactly when k shards and R answers are left, and writes on with W."""
    for missing in range(scheme.slots + 1):
        left = scheme.slots - missing
        assert can_read(scheme, missing, QUORUMS) == (
            left >= scheme.k and left >= read_quorum_any(scheme.slots)
        )
        degraded = degraded_scheme(scheme, missing)
        assert can_write(scheme, missing, QUORUMS) == (left >= write_quorum(degraded))
        assert can_write(scheme, missing, QUORUMS) == (left > scheme.slots // 2)  # a majority


def test_drives_are_numbered_server_by_server() -> None:
    found = number_drives(given("http://s{1...2}/d{1...2}"))
    assert [(d.number, d.server_number, str(d.address)) for d in found] == [
        (1, 1, "s1:9000/d1"),
        (2, 1, "s1:9000/d2"),
        (3, 2, "s2:9000/d1"),
        (4, 2, "s2:9000/d2"),
    ]
    assert [d.drive for d in found] == [0, 2, 1, 3]


def test_a_server_is_judged_by_the_set_it_hurts_most() -> None:
    layout = given("http://a{1...4}/d{1...2}", "http://b{1...2}/d{1...2}")
    assert letters(layout, server=True) == "rw rw rw rw - -"
    reasons = [o.read.reason for o in without_each_server(layout, QUORUMS)]
    assert reasons[0] == "server 1 holds 2 of 8 shards of set 1 in pool 1, the code repairs 4"
    assert reasons[5] == "server 6 holds 2 of 4 shards of set 1 in pool 2, the code repairs 1"


def test_summaries() -> None:
    assert summarise(given("http://s{1...2}/d{1...2}"), QUORUMS) == (
        "One drive lost: reading and writing go on, whichever it is.",
        "One server lost: reading and writing stop.",
    )
    assert summarise(given("http://s{1...2}/d{1...2}", parity=0), QUORUMS) == (
        "One drive lost: reading stops; writing goes on, whichever it is.",
        "One server lost: reading and writing stop.",
    )


def test_the_false_claim_is_named() -> None:
    (note,) = xor_notes(shipped("guide-4-plus-1-on-four-drives"))
    assert '"B xor D xor P gives back A and C" is false. That is only A xor C' in note
    first, second = xor_notes(shipped("guide-4-plus-1-on-three-drives"))
    assert '"B xor D xor P gives back A and C" is false. That is only A xor C' in first
    assert "That is only B xor P" in second
    for other in ("repaired-4-plus-2", "two-server-ec1", "mirror-two-drives"):
        assert xor_notes(shipped(other)) == ()


def test_the_xor_of_the_remaining_shards_is_the_xor_of_the_lost_ones() -> None:
    """Two different objects give the same B, D, P: nobody can tell which A and C were lost."""

    def kept(a: int, b: int, c: int, d: int) -> tuple[int, int, int]:
        return b, d, a ^ b ^ c ^ d

    assert kept(0x11, 2, 0x22, 4) == kept(0x22, 2, 0x11, 4) == kept(0x33, 2, 0x00, 4)
