"""The checker of histories: what it accepts, and what it finds."""

from collections.abc import Callable

import pytest

from objstore.testing.sim_history import ABSENT, Fate, History, Place, Write, content

PLACE: Place = ("bucket", "key")


class Story:
    """Writes and reads of one key, told in order; every event takes a second of its own."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.history = History(self.failures.append)
        self.now_s = 0.0

    def begins(self, etag: str, only_if: str | None = None) -> Write:
        self.now_s += 1
        write = self.history.begins(PLACE, "write", self.now_s, size=8, only_if=only_if)
        write.etag = etag
        return write

    def ends(self, write: Write, fate: Fate = Fate.ACKNOWLEDGED) -> Write:
        self.now_s += 1
        self.history.ends(PLACE, write, fate, self.now_s)
        return write

    def write(self, etag: str, fate: Fate = Fate.ACKNOWLEDGED, only_if: str | None = None) -> Write:
        return self.ends(self.begins(etag, only_if), fate)

    def sees(self, etag: str) -> None:
        self.now_s += 2
        self.history.saw(PLACE, etag, self.now_s - 1, self.now_s, "reader")


def _plain(story: Story) -> None:
    story.sees(ABSENT)
    story.write("a")
    story.sees("a")
    story.write(ABSENT)
    story.sees(ABSENT)


def _overlapping(story: Story) -> None:
    first, second = story.begins("a"), story.begins("b")
    story.sees("b")
    story.sees(ABSENT)
    story.sees("a")  # neither is acknowledged: what was seen may be taken back
    story.ends(first)
    story.ends(second)
    story.sees("a")


def _unknown(story: Story) -> None:
    story.write("a")
    story.write("b", Fate.UNKNOWN)
    story.sees("a")
    story.sees("b")
    story.write("c")
    story.sees("c")


def _chain_of_conditions(story: Story) -> None:
    story.write("a", only_if=ABSENT)
    story.write("b", only_if="a")
    story.write("c", only_if="b")
    story.sees("c")


@pytest.mark.parametrize("tell", [_plain, _overlapping, _unknown, _chain_of_conditions])
def test_what_may_happen_is_accepted(tell: Callable[[Story], None]) -> None:
    story = Story()
    tell(story)
    assert not story.failures


def _lost(story: Story) -> None:
    story.write("a")
    story.sees(ABSENT)


def _stale(story: Story) -> None:
    story.write("a")
    story.write("b")
    story.sees("a")


def _resurrected(story: Story) -> None:
    story.write("a")
    story.write(ABSENT)
    story.sees("a")


def _back_again(story: Story) -> None:
    first, second = story.begins("a"), story.begins("b")
    story.ends(first)
    story.ends(second)
    story.sees("b")
    story.sees("a")


def _invented(story: Story) -> None:
    story.write("a")
    story.sees("z")


def _refused(story: Story) -> None:
    story.write("a")
    story.write("b", Fate.REFUSED)
    story.sees("b")


def _both_in_its_place(story: Story) -> None:
    story.write("a")
    first, second = story.begins("b", only_if="a"), story.begins("c", only_if="a")
    story.ends(first)
    story.ends(second)


def _twice_the_first(story: Story) -> None:
    story.write("a", only_if=ABSENT)
    story.write("b", only_if=ABSENT)


@pytest.mark.parametrize(
    ("tell", "what"),
    [
        (_lost, "I1"),
        (_stale, "I1"),
        (_resurrected, "I4"),
        (_back_again, "I2"),
        (_invented, "I3"),
        (_refused, "I3"),
        (_both_in_its_place, "I1"),
        (_twice_the_first, "I1"),
    ],
)
def test_what_must_not_happen_is_found(tell: Callable[[Story], None], what: str) -> None:
    story = Story()
    tell(story)
    assert story.failures
    assert what in story.failures[0]


def test_a_wrong_byte_is_found() -> None:
    story = Story()
    write = story.write("a")
    body = content(write.number, write.size)
    story.history.check_bytes(PLACE, "a", body)
    assert not story.failures
    story.history.check_bytes(PLACE, "a", body[:-1] + b"?")
    assert "I3" in story.failures[0]


def test_versions_stay_until_they_are_buried_and_then_are_gone() -> None:
    story = Story()
    write = story.write("a")
    write.version_id = "1"
    story.history.saw_versions(PLACE, {"1": "a"}, 10, 11)
    assert not story.failures
    story.history.saw_versions(PLACE, {}, 12, 13)
    assert "I5" in story.failures.pop()
    write.buried_began_s, write.buried_s = 14, 15
    story.history.saw_versions(PLACE, {}, 16, 17)
    story.history.saw_version(PLACE, write, ABSENT, 16, 17)
    assert not story.failures
    story.history.saw_version(PLACE, write, "a", 16, 17)
    assert "I4" in story.failures[0]
