"""Endpoint syntax: what ranges stand for, in which order, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import ConfigError
from objstore.limits import DRIVES_PER_POOL_MAX
from objstore.topology.endpoints import DriveAddress, expand, set_size_of


def drives(*pool: str) -> list[str]:
    return [str(drive) for drive in expand([pool]).pools[0]]


def test_hosts_alternate() -> None:
    assert drives("http://s{1...2}:9000/mnt/d{1...2}") == [
        "s1:9000/mnt/d1",
        "s2:9000/mnt/d1",
        "s1:9000/mnt/d2",
        "s2:9000/mnt/d2",
    ]


def test_drives_listed_one_by_one_make_the_same_layout_as_the_range() -> None:
    listed = [f"http://s{s}:9000/mnt/d{d}" for s in (1, 2) for d in (1, 2)]
    assert drives(*listed) == drives("http://s{1...2}:9000/mnt/d{1...2}")


def test_several_patterns_in_one_pool_alternate_too() -> None:
    patterns = ("http://h:9000/a/d{1...2}", "http://h:9010/b/d{1...2}")
    assert drives(*patterns) == ["h:9000/a/d1", "h:9010/b/d1", "h:9000/a/d2", "h:9010/b/d2"]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("/data/drive{1...3}", ["/data/drive1", "/data/drive2", "/data/drive3"]),
        ("/data/drive{08...10}", ["/data/drive08", "/data/drive09", "/data/drive10"]),
        ("/data/drive{0...1}/x", ["/data/drive0/x", "/data/drive1/x"]),
        ("/r{1...2}/d{1...2}", ["/r1/d1", "/r2/d1", "/r1/d2", "/r2/d2"]),
        ("/data/drive{5...5}", ["/data/drive5"]),
        ("/data/with space/ü%20", ["/data/with space/ü%20"]),
        ("http://Server1/mnt/d1/", ["server1:9000/mnt/d1"]),
        ("https://[::1]:9443/mnt/d1", ["[::1]:9443/mnt/d1"]),
        ("http://10.0.0.{1...2}:9000/d", ["10.0.0.1:9000/d", "10.0.0.2:9000/d"]),
        ("http://h:{9000...9001}/d{1...1}", None),
    ],
)
def test_expansion(argument: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(ConfigError, match="different servers"):
            drives(argument)
    else:
        assert drives(argument) == expected


def test_pools_keep_apart_and_https_is_told() -> None:
    found = expand([["https://a/d{1...2}"], ["https://b/d{1...2}"]])
    assert found.secure
    assert [len(pool) for pool in found.pools] == [2, 2]
    assert found.pools[1][0] == DriveAddress("b:9000", "/d1")


@pytest.mark.parametrize(
    ("pools", "found"),
    [
        ([["/data/{1..4}"]], "braces"),
        ([["/data/{a...d}"]], "braces"),
        ([["/data/{1...4"]], "braces"),
        ([["/data/{1...{2...3}}"]], "braces"),
        ([["/data/{-1...4}"]], "braces"),
        ([["/data/{1....4}"]], "braces"),
        ([["/data/\0"]], "braces"),
        ([["/data/{4...1}"]], "range"),
        ([["/data/{01...4}"]], "range"),
        ([["/data/{1...04}"]], "range"),
        ([["/data/{1...100000}"]], "above"),
        ([["/a{1...100}/b{1...100}"]], "above"),
        ([["/data/{1...600}", "/other/{1...600}"]], "above"),
        ([["data/drive1", "/data/drive2"]], "path"),
        ([["/", "/data"]], "path"),
        ([[""]], "path"),
        ([["/data/../etc"]], "path"),
        ([["/data//x"]], "path"),
        ([["/data/./x"]], "path"),
        ([["/data/a\nb"]], "path"),
        ([["http://s1:9000/"]], "path"),
        ([["http://s1:9000"]], "endpoint"),
        ([["ftp://s1/d"]], "endpoint"),
        ([["http://user@s1/d"]], "endpoint"),
        ([["http://s1:0/d"]], "endpoint"),
        ([["http://s1:65536/d"]], "endpoint"),
        ([["http://s1:+90/d"]], "endpoint"),
        ([["http:///d"]], "endpoint"),
        ([["http://-x/d"]], "endpoint"),
        ([["/d1", "/d1"]], "same drive"),
        ([["/d1", "/d1/"]], "same drive"),
        ([["http://s1/d", "http://S1:9000/d"]], "same drive"),
        ([["/d{1...2}"], ["/d{2...3}"]], "same drive"),
        ([["/data", "/data/d1"]], "inside"),
        ([["http://s/a/b/c", "http://s/a"]], "inside"),
        ([["/d1", "http://s1/d2"]], "beside the URL"),
        ([["/d{1...2}"], ["http://s1/d{1...2}"]], "beside the URL"),
        ([["http://s1/d1", "https://s2/d1"]], "beside"),
        ([["http://s1:9000/d1", "http://s1:9001/d1"]], "port 9000 and at port 9001"),
        ([["http://s1/d1", "http://s1/d2", "http://s2/d1"]], r"2 drive\(s\) on s1:9000"),
        (
            [["http://s1/d1", "http://s1:9001/d2", "http://s2/d1", "http://s2/d2"]],
            r"1 drive\(s\) on s1:9001",
        ),
    ],
)
def test_refused(pools: list[list[str]], found: str) -> None:
    with pytest.raises(ConfigError, match=found) as refused:
        expand(pools)
    assert refused.value.found
    assert refused.value.expected
    assert refused.value.remedy


def test_equal_names_on_different_hosts_are_different_drives() -> None:
    assert len(drives("http://a/data", "http://b/data/d1")) == 2


def test_a_literal_pool_keeps_its_order_and_may_be_uneven() -> None:
    written = ["http://s1/d1", "http://s1/d2", "http://s2/d3"]
    assert [d.path for d in expand([written], literal=[True]).pools[0]] == ["/d1", "/d2", "/d3"]


@given(servers=st.integers(1, 24), each=st.integers(1, 24))
@settings(max_examples=150, deadline=None)
def test_every_set_treats_every_server_alike(servers: int, each: int) -> None:
    total = servers * each
    try:
        size = set_size_of(total, servers)
    except ConfigError:
        fitting = [
            n for n in range(2, 17) if total % n == 0 and (n % servers == 0 or servers % n == 0)
        ]
        assert not fitting
        return
    found = expand([[f"http://s{{1...{servers}}}/d{{1...{each}}}"]]).pools[0]
    assert len(found) == total == len(set(found))
    assert 2 <= size <= 16
    for start in range(0, total, size):
        held = [drive.server for drive in found[start : start + size]]
        assert len({held.count(server) for server in held}) == 1
        assert len(set(held)) == min(servers, size)


@pytest.mark.parametrize(
    ("count", "servers", "size"),
    [
        (2, 1, 2),
        (4, 2, 4),
        (4, 4, 4),
        (16, 4, 16),
        (20, 1, 10),
        (24, 1, 12),
        (32, 2, 16),
        (32, 32, 16),
        (36, 18, 9),
        (96, 3, 12),
        (10, 5, 10),
    ],
)
def test_largest_symmetric_divisor(count: int, servers: int, size: int) -> None:
    assert set_size_of(count, servers) == size


@pytest.mark.parametrize(("count", "servers"), [(1, 1), (17, 1), (17, 17), (57, 19)])
def test_counts_that_divide_into_no_set_size(count: int, servers: int) -> None:
    with pytest.raises(ConfigError, match="divides into sets") as refused:
        set_size_of(count, servers)
    assert "drives" in refused.value.remedy


def test_a_wanted_set_size() -> None:
    assert set_size_of(16, 4, 8) == 8
    assert set_size_of(6, 2, 3) == 3
    for wanted in (0, 1, 5, 17, 32):
        with pytest.raises(ConfigError, match=f"set size of {wanted}"):
            set_size_of(32, 4, wanted)


def test_a_full_pool_is_allowed() -> None:
    assert len(drives(f"/d{{1...{DRIVES_PER_POOL_MAX}}}")) == DRIVES_PER_POOL_MAX
