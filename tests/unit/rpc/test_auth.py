"""Tokens and proofs: only who knows the secret, only now, only for this request, only once."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.rpc.auth import (
    REPLAY_KEEP_S,
    SHARD_SKEW_MS,
    Keys,
    ReplayTable,
    Target,
    TokenRefused,
    check,
    derive_keys,
    prove_join,
    prove_welcome,
    same,
    sign,
)

KEYS = derive_keys("s" * 40)
TARGET = Target("server1:9000", "PUT", "/v1/shard/0/0/1/ab/1/0", "")
NOW_MS = 1_800_000_000_000
NONCE = "0123456789abcdef" * 2
TOKEN = sign(KEYS, TARGET, time_ms=NOW_MS, nonce=NONCE)


def refused(header: str, target: Target = TARGET, keys: Keys = KEYS, now_ms: int = NOW_MS) -> bool:
    try:
        check(keys, target, header, now_ms=now_ms, skew_ms=SHARD_SKEW_MS)
    except TokenRefused:
        return True
    return False


def test_the_right_token_passes_and_gives_its_nonce() -> None:
    token = check(KEYS, TARGET, TOKEN, now_ms=NOW_MS, skew_ms=SHARD_SKEW_MS)
    assert (token.time_ms, token.nonce) == (NOW_MS, NONCE)


@pytest.mark.parametrize(
    "target",
    [
        Target("server2:9000", "PUT", TARGET.path),
        Target("server1:9000", "GET", TARGET.path),
        Target("server1:9000", "PUT", "/v1/shard/0/0/2/ab/1/0"),
        Target("server1:9000", "PUT", TARGET.path + "/../../2"),
        Target("server1:9000", "PUT", TARGET.path, "offset=0"),
        Target("server1:9000", "PUT", TARGET.path + "\n"),
    ],
)
def test_a_token_is_for_one_server_method_path_and_query(target: Target) -> None:
    assert refused(TOKEN, target)


def test_a_line_break_moved_between_fields_is_another_token() -> None:
    one = Target("s", "PUT", "/a", "b")
    other = Target("s", "PUT", "/a\nb", "")
    assert refused(sign(KEYS, one, time_ms=NOW_MS, nonce=NONCE), other)


@pytest.mark.parametrize("off_ms", [-SHARD_SKEW_MS - 1, SHARD_SKEW_MS + 1, 10**12])
def test_a_token_is_for_now(off_ms: int) -> None:
    assert refused(TOKEN, now_ms=NOW_MS + off_ms)
    assert not refused(TOKEN, now_ms=NOW_MS + SHARD_SKEW_MS)


def test_another_secret_and_the_root_credential_are_worth_nothing() -> None:
    assert refused(TOKEN, keys=derive_keys("t" * 40))
    swapped = Keys(call=KEYS.answer, answer=KEYS.call)
    assert refused(sign(swapped, TARGET, time_ms=NOW_MS, nonce=NONCE))
    assert "s" * 40 not in repr(KEYS)
    assert KEYS.call.hex() not in repr(KEYS)


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "objstore-1",
        TOKEN + " ",
        " " + TOKEN,
        TOKEN[:-1],
        TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1"),
        TOKEN.upper(),
        TOKEN.replace(" ", "  "),
        TOKEN.replace("objstore-1", "objstore-2"),
        TOKEN.replace(str(NOW_MS), f"+{NOW_MS}"),
        TOKEN.replace(str(NOW_MS), f"0{NOW_MS}"),
        TOKEN.replace(str(NOW_MS), "٣" * 13),
        "Bearer " + TOKEN,
        "AWS4-HMAC-SHA256 Credential=root/20270115/us-east-1/s3/aws4_request, Signature=00",
        TOKEN + "\n",
    ],
)
def test_what_is_not_exactly_a_token_is_refused(header: str) -> None:
    assert refused(header)


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_any_text_is_refused(header: str) -> None:
    assert refused(header)


def test_a_nonce_counts_once_until_it_expires() -> None:
    table = ReplayTable(memoryview(bytearray(4096)))
    table.take(NONCE, now_s=100, keep_s=REPLAY_KEEP_S)
    with pytest.raises(TokenRefused):
        table.take(NONCE, now_s=100 + REPLAY_KEEP_S, keep_s=REPLAY_KEEP_S)
    table.take("f" * 32, now_s=100, keep_s=REPLAY_KEEP_S)


def test_the_table_is_bounded_and_refuses_rather_than_forgets() -> None:
    table = ReplayTable(memoryview(bytearray(256)))  # one bucket of 16 places
    for index in range(16):
        table.take(hashlib.md5(bytes([index])).hexdigest(), now_s=100, keep_s=61)
    with pytest.raises(TokenRefused):
        table.take("ab" * 16, now_s=161, keep_s=61)
    table.take("ab" * 16, now_s=162, keep_s=61)  # the first ones have expired
    with pytest.raises(TokenRefused):
        table.take("ab" * 16, now_s=162, keep_s=61)


def test_two_processes_that_share_the_table_share_what_was_used() -> None:
    shared = memoryview(bytearray(4096))
    ReplayTable(shared).take(NONCE, now_s=100, keep_s=61)
    with pytest.raises(TokenRefused):
        ReplayTable(shared).take(NONCE, now_s=101, keep_s=61)


def test_proofs_cover_both_nonces_the_claims_and_the_role() -> None:
    proof = prove_welcome(KEYS, caller_nonce="a", nonce="b", time_ms=1, claims=b"c")
    assert same(proof, prove_welcome(KEYS, caller_nonce="a", nonce="b", time_ms=1, claims=b"c"))
    others = [
        prove_welcome(KEYS, caller_nonce="x", nonce="b", time_ms=1, claims=b"c"),
        prove_welcome(KEYS, caller_nonce="a", nonce="x", time_ms=1, claims=b"c"),
        prove_welcome(KEYS, caller_nonce="a", nonce="b", time_ms=2, claims=b"c"),
        prove_welcome(KEYS, caller_nonce="a", nonce="b", time_ms=1, claims=b"x"),
        prove_join(KEYS, caller_nonce="a", nonce="b", claims=b"c"),
        prove_join(Keys(KEYS.answer, KEYS.call), caller_nonce="a", nonce="b", claims=b"c"),
    ]
    for other in others:
        with pytest.raises(TokenRefused):
            same(proof, other)
