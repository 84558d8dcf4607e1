"""What a person is told of the scrub and of quarantined keys."""

import pytest
from rich.console import Console

from objstore.cli.scrub_tables import is_scrubbing, quarantine_text, scrub_line, scrub_table
from objstore.gateway.ports import DriveInfo, QuarantinedKey, ScrubInfo, SetInfo

NOW_MS = 10_000_000_000


def drive(scrub: ScrubInfo | None, *, state: str = "online", path: str = "/d1") -> DriveInfo:
    return DriveInfo(
        server="a:9000", path=path, pool=0, set_index=0, slots=(0,), state=state, scrub=scrub
    )


def shown(what: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def test_the_table_has_what_was_found_by_kind() -> None:
    scrub = ScrubInfo(
        under_way=True,
        stage="rows",
        bytes_done=1024,
        bytes_total=4096,
        found={"shard": 2, "record": 1},
        repaired=1,
        finished_ms=NOW_MS - 7_200_000,
    )
    text = shown(scrub_table([drive(scrub)], now_ms=NOW_MS))
    for part in ("reads rows", "1.0 KiB", "of 4.0 KiB", "2 shard", "1 record", "2 h 0 min ago"):
        assert part in text


def test_a_drive_that_was_not_asked_is_shown_with_its_state() -> None:
    assert "offline" in shown(scrub_table([drive(None, state="offline")], now_ms=NOW_MS))


def test_the_line_says_whether_every_drive_was_read() -> None:
    done = ScrubInfo(finished_ms=NOW_MS - 60_000, found_ever={"shard": 3}, repaired_ever=3)
    line = scrub_line([drive(done), drive(ScrubInfo(), path="/d2")], now_ms=NOW_MS)
    assert "1 drives were not read to the end yet" in line
    assert "3 found, 3 repaired" in line
    assert "1 min 0 s ago" in scrub_line([drive(done)], now_ms=NOW_MS)
    assert scrub_line([drive(None)], now_ms=NOW_MS) == ""


@pytest.mark.parametrize(
    ("scrub", "quarantined", "expected"),
    [
        (ScrubInfo(), 0, False),
        (ScrubInfo(waiting=True), 0, True),
        (ScrubInfo(asked=True, under_way=True), 0, True),
        (ScrubInfo(under_way=True), 0, False),  # by itself: nobody waits for it
        (ScrubInfo(asked=True, found={"shard": 2}, repaired=1, open=1), 0, True),
        (ScrubInfo(asked=True, found={"shard": 2}, repaired=1, open=1), 1, False),
        (ScrubInfo(asked=True, found={"shard": 2}, repaired=2), 0, False),
    ],
)
def test_it_is_followed_until_all_is_repaired_that_can_be(
    scrub: ScrubInfo, quarantined: int, expected: bool
) -> None:
    assert is_scrubbing([drive(scrub)], quarantined=quarantined) is expected
    assert not is_scrubbing([drive(scrub, state="offline")], quarantined=quarantined)


def test_quarantined_keys_are_named_and_the_rest_is_counted() -> None:
    one = SetInfo(
        pool=0,
        index=1,
        scheme="3 + 1",
        slots=4,
        online=4,
        trusted=4,
        write_quorum=3,
        read_quorum=3,
        can_read=True,
        can_write=True,
        quarantined=3,
        quarantined_keys=(QuarantinedKey(bucket="b", key="k[1]", reason="2 of 3 shards"),),
    )
    text = shown(quarantine_text([one]))
    for part in ("Set 0.1: 3 keys", "b/k[1]: 2 of 3 shards", "and 2 more"):
        assert part in text
    assert shown(quarantine_text([])).strip() == ""
