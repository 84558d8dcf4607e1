"""Any k of N shards decode, and every implementation gives the same bytes."""

import itertools
import random
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.erasure import codec as codec_module
from objstore.erasure import isal
from objstore.erasure.codec import Bytes, Codec, codec_for, reed_solomon_twins, self_test
from objstore.errors import ConfigError
from objstore.names import Scheme
from objstore.quorum.thresholds import schemes_up_to

ALL_SCHEMES = [scheme for scheme in schemes_up_to(16) if scheme.slots > 1]


def random_blocks(rows: int, block: int, seed: int) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (rows, block), np.uint8)


def shards_of(codec: Codec, scheme: Scheme, data: Bytes) -> Bytes:
    parity = np.full((scheme.m, data.shape[1]), 0xEE, np.uint8)
    codec.encode(data, parity)
    return np.concatenate([data, parity])


def rebuilt(codec: Codec, shards: Bytes, present: tuple[int, ...], wanted: list[int]) -> Bytes:
    out = np.full((len(wanted), shards.shape[1]), 0xEE, np.uint8)
    codec.rebuild({shard: shards[shard] for shard in present}, wanted, out)
    return out


@pytest.mark.parametrize("slots", range(2, 9))
def test_any_k_of_n_give_every_shard(slots: int) -> None:
    for k in range(1, slots + 1):
        scheme = Scheme(k, slots - k)
        codec = codec_for(scheme)
        shards = shards_of(codec, scheme, random_blocks(k, 37, slots))
        wanted = list(range(slots)) if scheme.m else []
        for present in itertools.combinations(range(slots), k):
            assert np.array_equal(rebuilt(codec, shards, present, wanted), shards[: len(wanted)]), (
                scheme,
                present,
            )


@pytest.mark.parametrize("slots", range(9, 17))
def test_any_k_of_n_give_every_shard_of_large_sets_sampled(slots: int) -> None:
    """tests/unit/erasure/test_matrix.py tries every subset of these on the matrix alone."""
    draw = random.Random(slots)
    for k in range(1, slots):
        scheme = Scheme(k, slots - k)
        codec = codec_for(scheme)
        shards = shards_of(codec, scheme, random_blocks(k, 33, slots))
        worst = tuple(range(slots - k, slots))
        for present in [worst, *(tuple(draw.sample(range(slots), k)) for _ in range(12))]:
            assert np.array_equal(rebuilt(codec, shards, present, list(range(slots))), shards)


@pytest.mark.parametrize("scheme", [s for s in ALL_SCHEMES if s.k > 1 and s.m > 1], ids=str)
@pytest.mark.parametrize("block", [1, 31, 321])
def test_all_implementations_give_the_same_bytes(scheme: Scheme, block: int) -> None:
    data = random_blocks(scheme.k, block, scheme.k)
    lost = list(range(min(scheme.k, scheme.m)))
    present = tuple(shard for shard in range(scheme.slots) if shard not in lost)[: scheme.k]
    twins = dict(reed_solomon_twins(scheme))
    expected = shards_of(twins["numpy tables"], scheme, data)
    for name, codec in twins.items():
        assert np.array_equal(shards_of(codec, scheme, data), expected), name
        wanted = [*lost, scheme.slots - 1, present[0]]
        assert np.array_equal(rebuilt(codec, expected, present, wanted), expected[wanted]), name


def test_the_library_that_is_fast_is_the_one_that_is_used() -> None:
    assert len(list(reed_solomon_twins(Scheme(4, 2)))) == 3
    assert self_test().startswith("ISA-L (")


def test_the_self_test_refuses_other_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_module, "_SELF_TEST", {Scheme(4, 2): "0" * 32})
    with pytest.raises(ConfigError, match=r"4 \+ 2"):
        self_test()


@settings(max_examples=60, deadline=None)
@given(
    scheme=st.sampled_from(ALL_SCHEMES),
    block=st.one_of(st.integers(0, 130), st.sampled_from([511, 512, 513, 4096, 65_537])),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_round_trip_at_every_length(
    scheme: Scheme, block: int, seed: int, data: st.DataObject
) -> None:
    codec = codec_for(scheme)
    shards = shards_of(codec, scheme, random_blocks(scheme.k, block, seed))
    count = data.draw(st.integers(scheme.k, scheme.slots))
    present = tuple(data.draw(st.permutations(range(scheme.slots)))[:count])
    wanted = list(range(scheme.slots)) if scheme.m else list(range(scheme.k))
    assert np.array_equal(rebuilt(codec, shards, present, wanted), shards[wanted])


@pytest.mark.parametrize("block", range(1, 100))
def test_isal_writes_nothing_outside_its_rows(block: int) -> None:
    scheme = Scheme(4, 2)
    data = random_blocks(4, block, block)
    arena = np.full(3 * 64 + 2 * block, 0xEE, np.uint8)
    parity = arena[64 : 64 + 2 * block].reshape(2, block)
    codec_for(scheme).encode(data, parity)
    assert (arena[:64] == 0xEE).all()
    assert (arena[64 + 2 * block :] == 0xEE).all()
    assert np.array_equal(
        parity, shards_of(dict(reed_solomon_twins(scheme))["numpy tables"], scheme, data)[4:]
    )


@pytest.mark.parametrize("scheme", [Scheme(1, 1), Scheme(3, 1), Scheme(4, 2)], ids=str)
def test_blocks_may_be_any_buffer_at_any_address(scheme: Scheme) -> None:
    codec = codec_for(scheme)
    shards = shards_of(codec, scheme, random_blocks(scheme.k, 999, 5))
    last = range(scheme.m, scheme.slots)
    forms: list[dict[int, bytes | bytearray | memoryview]] = [
        {shard: shards[shard].tobytes() for shard in last},
        {shard: bytearray(shards[shard].tobytes()) for shard in last},
        {shard: memoryview(b"?" + shards[shard].tobytes())[1:] for shard in last},
    ]
    for blocks in forms:
        out = np.empty((scheme.m, 999), np.uint8)
        codec.rebuild(blocks, range(scheme.m), out)
        assert np.array_equal(out, shards[: scheme.m])


@pytest.mark.parametrize("scheme", [Scheme(1, 2), Scheme(3, 1), Scheme(4, 2)], ids=str)
def test_what_cannot_decode_is_refused(scheme: Scheme) -> None:
    codec = codec_for(scheme)
    shards = shards_of(codec, scheme, random_blocks(scheme.k, 10, 5))
    too_few = tuple(range(scheme.k - 1))
    with pytest.raises(AssertionError):
        rebuilt(codec, shards, too_few, [scheme.k])
    with pytest.raises(AssertionError):
        codec.encode(shards, np.empty((scheme.m, 10), np.uint8))
    with pytest.raises(AssertionError):
        codec.encode(shards[: scheme.k], np.empty((scheme.m, 9), np.uint8))
    uneven = {shard: shards[shard][: 10 - shard] for shard in range(scheme.slots)}
    if scheme.k > 1:
        with pytest.raises(AssertionError):
            codec.rebuild(uneven, [scheme.k], np.empty((1, 10), np.uint8))
    with pytest.raises(AssertionError):
        rebuilt(codec, shards, tuple(range(scheme.k)), [scheme.slots])


def test_without_parity_a_shard_comes_only_from_itself() -> None:
    codec = codec_for(Scheme(2, 0))
    shards = random_blocks(2, 10, 1)
    assert np.array_equal(rebuilt(codec, shards, (0, 1), [1]), shards[1:])


def test_memory_that_c_could_not_walk_is_refused() -> None:
    """ISA-L is given addresses: rows have to be contiguous bytes of one length."""
    library = isal.load()
    assert library is not None
    wide = np.zeros((2, 20), np.uint8)
    with pytest.raises(AssertionError):
        library.multiply(np.ones((2, 2), np.uint8), list(wide[:, ::2]), np.zeros((2, 10), np.uint8))
    with pytest.raises(AssertionError):
        library.multiply(np.ones((2, 2), np.uint8), list(wide[:, :10]), wide[:, ::2])
    with pytest.raises(AssertionError):
        library.multiply(
            np.ones((2, 2), np.uint8),
            list(np.zeros((2, 5), np.uint16)),
            np.zeros((2, 5), np.uint8),
        )


def test_one_codec_serves_several_threads() -> None:
    scheme = Scheme(4, 4)
    codec = codec_for(scheme)
    wrong: list[int] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        shards = shards_of(codec, scheme, random_blocks(4, 70_000, seed))
        for _ in range(20):
            present = tuple(draw.sample(range(8), 4))
            if not np.array_equal(rebuilt(codec, shards, present, list(range(8))), shards):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
