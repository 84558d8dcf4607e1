"""What a process may conclude from what the witness told it, and when that runs out."""

import itertools

import pytest

from objstore.limits import SOLO_CONFIRMED_S, SOLO_WAIT_S
from objstore.quorum.solo import (
    FIRST,
    Epoch,
    Mode,
    Sight,
    SoloView,
    decode_epoch,
    encode_epoch,
    next_epoch,
)

BOTH = frozenset({"a", "b"})
NOBODY: frozenset[str] = frozenset()
SOLO = Epoch(1, Mode.SOLO, "a")


def view_of(epoch: Epoch, at_s: float = 100.0, own: str = "a") -> SoloView:
    view = SoloView(own, "b" if own == "a" else "a")
    view.learn(epoch, asked_s=at_s, now_s=at_s)
    return view


def test_who_was_told_nothing_knows_nothing() -> None:
    view = SoloView("a", "b")
    assert view.may_have_written(0.0) == BOTH
    assert not view.may_write(0.0)


def test_an_answer_holds_from_when_it_was_asked_for() -> None:
    view = SoloView("a", "b")
    view.learn(FIRST, asked_s=100.0, now_s=100.0 + 0.9 * SOLO_CONFIRMED_S)
    assert view.may_have_written(100.0 + 0.95 * SOLO_CONFIRMED_S) == NOBODY
    assert view.may_have_written(100.0 + 1.05 * SOLO_CONFIRMED_S) == BOTH


def test_whoever_writes_alone_waits_until_earlier_answers_have_run_out() -> None:
    before = view_of(FIRST, own="b")
    view = view_of(SOLO, at_s=100.0)
    for now_s in (100.0, 100.0 + SOLO_CONFIRMED_S, 100.0 + SOLO_WAIT_S, 105.0):
        view.learn(SOLO, asked_s=now_s, now_s=now_s)
        assert not (view.may_write(now_s) and before.is_confirmed(now_s))
        assert view.may_write(now_s) == (now_s >= 100.0 + SOLO_WAIT_S)


def test_the_leave_to_write_alone_runs_out_without_the_witness() -> None:
    view = view_of(SOLO, at_s=100.0)
    view.learn(SOLO, asked_s=102.0, now_s=102.0)
    assert view.may_write(102.0)
    assert not view.may_write(102.1 + SOLO_CONFIRMED_S)


def test_answers_that_were_overtaken_change_nothing() -> None:
    view = view_of(Epoch(2, Mode.RETURNING, "a"), at_s=100.0)
    view.learn(SOLO, asked_s=102.0, now_s=102.0)
    assert view.epoch == Epoch(2, Mode.RETURNING, "a")
    assert view.may_have_written(102.0) == BOTH, "an old epoch confirms nothing"


@pytest.mark.parametrize("own", ["a", "b"])
def test_only_one_of_two_servers_is_ever_alone(own: str) -> None:
    """Whatever both see, at most one of them gets from an epoch to one in which it writes alone."""
    sights = [Sight(*flags) for flags in itertools.product((False, True), repeat=4)]
    for mode, server in [(Mode.WHOLE, ""), *itertools.product((Mode.SOLO, Mode.RETURNING), "ab")]:
        epoch = Epoch(7, mode, server)
        for sight in sights:
            after = next_epoch(epoch, own, sight)
            if after is None:
                continue
            assert after.number == 8
            if after.mode is Mode.SOLO:
                # Nobody else may have written what `own` does not have.
                assert after.server == own
                assert epoch.server in {"", own}
            if after.mode is Mode.WHOLE:
                assert sight.caught_up
                assert epoch.mode is Mode.RETURNING


@pytest.mark.parametrize("epoch", [FIRST, SOLO, Epoch(2, Mode.RETURNING, "http://b:9000")])
def test_an_epoch_comes_back_as_it_was_written(epoch: Epoch) -> None:
    assert decode_epoch(encode_epoch(epoch)) == epoch


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}x",
        b'{"number":-1}',
        b'{"number":1,"mode":"solo"}',
        b'{"number":1,"mode":"whole","server":"a"}',
        b'{"number":1,"mode":"other","server":"a"}',
        b'{"number":"1"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_epoch_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_epoch(data)
