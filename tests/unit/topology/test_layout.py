"""Layouts: schemes, sets, literal slots, and a fingerprint that is the same on every server."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from objstore.config import LiteralDrive, PoolSettings, Settings, load_settings
from objstore.errors import ConfigError
from objstore.limits import SLOTS_PER_SET_MAX
from objstore.names import REDUCED_REDUNDANCY, STANDARD, Scheme
from objstore.quorum.thresholds import schemes_up_to
from objstore.topology.layout import (
    DriveAddress,
    Layout,
    SetLayout,
    default_parity,
    layout_of,
    reduced_layout,
    scheme_of,
)

CONFIGS = Path(__file__).parents[3] / "config"


def layout(*endpoints: str, parity: int | None = None, set_size: int | None = None) -> Layout:
    pool = PoolSettings(endpoints=endpoints, parity=parity, set_size=set_size)
    return layout_of(Settings(pools=(pool,)))


def literal(*shards: list[str], parity: int | None = None) -> Layout:
    drives = tuple(
        LiteralDrive(f"/d{number}", tuple(held)) for number, held in enumerate(shards, start=1)
    )
    return layout_of(Settings(pools=(PoolSettings(literal=drives, parity=parity),)))


def test_two_servers_with_two_drives_take_three_plus_one() -> None:
    found = layout("http://s{1...2}/d{1...2}")
    (only,) = found.sets
    assert only.scheme == Scheme(3, 1)
    assert only.slots == (0, 1, 2, 3)
    assert only.rotate
    assert found.servers == ("s1:9000", "s2:9000")
    assert only.slots_of_drive(2) == (2,)
    assert only.slots_of_server("s2:9000") == (1, 3)
    assert found.drives_of_server("s1:9000") == (
        DriveAddress("s1:9000", "/d1"),
        DriveAddress("s1:9000", "/d2"),
    )


def test_default_parities_are_the_documented_table() -> None:
    assert [default_parity(slots) for slots in range(2, 17)] == [1, 1, 1, 2, 3, 3, *[4] * 9]
    for slots in range(2, 17):
        scheme_of(slots, default_parity(slots))


def test_allowed_parities_for_every_set_size() -> None:
    for slots in range(2, 17):
        allowed = {*range(slots // 2 + 1), slots - 1}
        for parity in range(20):
            if parity in allowed:
                assert scheme_of(slots, parity) == Scheme(slots - parity, parity)
            else:
                with pytest.raises(ConfigError, match=f"EC:{parity} for sets of {slots}"):
                    scheme_of(slots, parity)


def test_several_sets_and_pools_are_numbered() -> None:
    pools = (PoolSettings(endpoints=("/a/d{1...32}",)), PoolSettings(endpoints=("/b/d{1...4}",)))
    found = layout_of(Settings(pools=pools))
    assert [(one.pool, one.index, one.scheme.slots) for one in found.sets] == [
        (0, 0, 16),
        (0, 1, 16),
        (1, 0, 4),
    ]
    assert found.pools == 2
    assert found.sets_of_pool(1) == found.sets[2:]
    assert found.servers == ("",)


def test_literal_slots_follow_the_letters() -> None:
    (only,) = literal(["A", "C"], ["B"], ["D"], ["P"]).sets
    assert only.scheme == Scheme(4, 1)
    assert only.slots == (0, 1, 0, 2, 3)
    assert not only.rotate
    assert only.slots_of_drive(0) == (0, 2)
    (empty,) = literal(["C", "A"], ["P", "B"], ["D"], []).sets
    assert empty.slots == (0, 1, 0, 2, 1)
    assert empty.slots_of_drive(3) == ()
    (reed,) = literal(["A", "C"], ["B", "P"], ["D"], ["Q"]).sets
    assert reed.scheme == Scheme(4, 2)
    assert reed.slots == (0, 1, 0, 2, 1, 3)
    (copies,) = literal(["A"], ["P"], ["Q"]).sets
    assert copies.scheme == Scheme(1, 2)


@pytest.mark.parametrize(
    ("shards", "found"),
    [
        ([["A"], ["A"], ["P"]], "shard A on /d1 and on /d2"),
        ([["A", "A"], ["P"]], "shard A on /d1 and on /d1"),
        ([["A"], ["C"], ["P"]], "the shards A, C, P"),
        ([["A"], ["Q"]], "the shards A, Q"),
        ([["a"], ["P"]], "the shards P, a"),
        ([["P"], ["Q"]], "the shards P, Q"),
        ([["A"], []], "the shards A"),
        ([[], []], "the shards none"),
        ([["A", "B"], ["P", "Q", "R"]], "EC:3 for sets of 5"),
        ([list("ABCDEFGHIJKLMNO"), ["P", "Q"]], "the shards"),
    ],
)
def test_literal_shards_that_make_no_code(shards: list[list[str]], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        literal(*shards)


def test_parity_beside_literal_shards_must_agree() -> None:
    assert literal(["A"], ["B"], ["P"], parity=1).sets[0].scheme == Scheme(2, 1)
    with pytest.raises(ConfigError, match="EC:2 beside shards that make 2"):
        literal(["A"], ["B"], ["P"], parity=2)


def test_an_entry_with_shards_is_one_drive() -> None:
    pool = PoolSettings(literal=(LiteralDrive("/d{1...2}", ("A",)), LiteralDrive("/e", ("P",))))
    with pytest.raises(ConfigError, match="3 drives in the 2 entries"):
        layout_of(Settings(pools=(pool,)))


def test_no_drives() -> None:
    with pytest.raises(ConfigError, match="no drives"):
        layout_of(Settings())


def test_internal_ports_must_not_meet() -> None:
    apart = ("http://h:9000/a/d{1...2}", "http://h:9010/b/d{1...2}")
    assert len(layout(*apart).servers) == 2
    near = ("http://h:9000/a/d{1...2}", "http://h:9002/b/d{1...2}")
    with pytest.raises(ConfigError, match="h:9002 as internal port of h:9000"):
        layout(*near)
    one_port = Settings(pools=(PoolSettings(endpoints=apart),), internal_port=9100)
    with pytest.raises(ConfigError, match="h:9100 as internal port of h:9010"):
        layout_of(one_port)
    with pytest.raises(ConfigError, match="65537"):
        layout("http://h:65535/d{1...2}")


def test_the_server_must_be_one_of_the_layout() -> None:
    settings = Settings(pools=(PoolSettings(endpoints=("http://s{1...2}/d{1...2}",)),))
    layout_of(replace(settings, server="s2:9000"))
    with pytest.raises(ConfigError, match="s3:9000"):
        layout_of(replace(settings, server="s3:9000"))


def test_the_fingerprint_is_stable_for_ever() -> None:
    found = layout_of(load_settings(config=CONFIGS / "two-server-ec1.toml", environment={}))
    assert found.fingerprint == "2cf2c15c53073026af7e2b3a4ca89033"
    guide = CONFIGS / "guide-4-plus-1-on-four-drives.toml"
    assert (
        layout_of(load_settings(config=guide, environment={})).fingerprint
        == "0bd0c3ad822718f784e2fd6289e7f9b9"
    )


def test_the_fingerprint_tells_layouts_apart_and_nothing_else() -> None:
    same = [
        layout("http://s{1...2}/d{1...4}"),
        layout("http://S{1...2}:9000/d{1...4}/"),
        layout(*[f"http://s{s}/d{d}" for s in (1, 2) for d in (1, 2, 3, 4)], parity=4),
    ]
    other = [
        layout("http://s{1...2}/d{1...4}", parity=2),
        layout("http://s{1...2}/d{1...4}", set_size=4),
        layout("http://s{1...2}/e{1...4}"),
        layout("http://s{1...2}:9001/d{1...4}"),
        layout("http://s{2...3}/d{1...4}"),
        literal(["A"], ["B"], ["P"]),
        literal(["B"], ["A"], ["P"]),
        layout("/d{1...3}"),
    ]
    assert len({one.fingerprint for one in same}) == 1
    assert len({one.fingerprint for one in same + other}) == 1 + len(other)


@pytest.mark.parametrize("scheme", schemes_up_to(SLOTS_PER_SET_MAX)[1:], ids=str)
def test_reduced_redundancy_has_at_most_the_parity_of_its_set(scheme: Scheme) -> None:
    drives = tuple(DriveAddress("", f"/d{n}") for n in range(scheme.slots))
    for parity in range(scheme.slots + 2):
        one = SetLayout(
            0, 0, scheme, drives, tuple(range(scheme.slots)), rotate=True, reduced_parity=parity
        )
        assert one.scheme_for(STANDARD) == scheme
        reduced = one.scheme_for(REDUCED_REDUNDANCY)
        assert reduced.slots == scheme.slots  # a shard for every slot, whatever the class
        assert reduced.m <= scheme.m
        assert reduced.m == scheme.m or reduced.m == min(parity, scheme.slots // 2)
        if reduced != scheme:
            assert scheme_of(scheme.slots, reduced.m) == reduced  # one that a set could have


def test_the_parity_of_the_class_is_a_setting_that_servers_need_not_share() -> None:
    def laid_out(**more: Any) -> Layout:
        pool = PoolSettings(endpoints=("/data/drive{1...8}",))
        return layout_of(Settings(pools=(pool,), **more))

    plain, two = laid_out(), laid_out(reduced_redundancy_parity=2)
    assert plain.sets[0].scheme_for(REDUCED_REDUNDANCY) == Scheme(7, 1)
    assert two.sets[0].scheme_for(REDUCED_REDUNDANCY) == Scheme(6, 2)
    assert plain.fingerprint == two.fingerprint
    reduced = reduced_layout(two)
    assert reduced is not None
    assert reduced.sets[0].scheme == Scheme(6, 2)
    assert reduced_layout(laid_out(reduced_redundancy_parity=4)) is None


# --- a witness ------------------------------------------------------------------------------


def witnessed(*endpoints: str, set_size: int | None = None) -> Settings:
    pool = PoolSettings(endpoints=endpoints, parity=None, set_size=set_size)
    return Settings(pools=(pool,), witness=("http://w:2379",))


def test_a_witness_is_for_two_servers_with_half_of_every_set() -> None:
    assert layout_of(witnessed("http://s{1...2}:9000/d{1...2}")).servers == ("s1:9000", "s2:9000")
    for endpoints in (
        ("/d{1...4}",),
        ("http://s{1...4}:9000/d",),
        ("http://s{1...3}:9000/d{1...2}",),
    ):
        with pytest.raises(ConfigError, match="exactly two servers"):
            layout_of(witnessed(*endpoints))
    drives = (
        LiteralDrive("http://s1:9000/d1", ("A", "C")),
        LiteralDrive("http://s1:9000/d2", ("B",)),
        LiteralDrive("http://s2:9000/d3", ("P",)),
    )
    lopsided = Settings(pools=(PoolSettings(literal=drives),), witness=("http://w:2379",))
    with pytest.raises(ConfigError, match="3 and 1 slots of set 0"):
        layout_of(lopsided)
