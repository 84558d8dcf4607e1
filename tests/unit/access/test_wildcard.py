"""Wildcards mean what they say, and no pattern takes long."""

from functools import cache
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from objstore.access.wildcard import Text, Words, glob
from objstore.limits import HEADER_LINE_BYTES_MAX, POLICY_BYTES_MAX

LETTERS = "ab/"
TEXTS = st.text(LETTERS, max_size=12)
PATTERNS = st.text(LETTERS + "*?", max_size=12)


def matches(pattern: str, text: str) -> bool:
    return glob(pattern).matches(Text(text))


def slowly_matches(pattern: str, text: str) -> bool:
    """The definition, tried in every way."""

    @cache
    def rest(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            return any(rest(p + 1, later) for later in range(t, len(text) + 1))
        return t < len(text) and pattern[p] in ("?", text[t]) and rest(p + 1, t + 1)

    return rest(0, 0)


@given(PATTERNS, TEXTS)
@example("*a?b*", "aabab")
@example("*a?a*a?a", "aaaaaa")
@example("**", "")
@example("?*?", "a")
@settings(max_examples=1000, deadline=None)
def test_a_pattern_matches_as_its_definition_says(pattern: str, text: str) -> None:
    assert matches(pattern, text) == slowly_matches(pattern, text)


@given(st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=1, max_size=6), PATTERNS)
@settings(max_examples=500, deadline=None)
def test_many_words_at_once_are_each_of_them_alone(words: list[str], pattern: str) -> None:
    distinct = list(dict.fromkeys(words))
    expected = [word for word in distinct if slowly_matches(pattern, word)]
    assert Words(distinct).matching(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("bkt/*", "bkt/", True),
        ("bkt/*", "bkt/a/b/c", True),  # "*" crosses slashes within the key
        ("bkt/*", "bkt", False),  # and never makes a bucket of a prefix
        ("bkt/*", "bkt2/a", False),
        ("bkt/a?c", "bkt/a/c", True),
        ("bkt/a?c", "bkt/ac", False),
        ("bkt/[a-z]", "bkt/x", False),  # brackets are letters
        ("bkt/[a-z]", "bkt/[a-z]", True),
        ("bkt/a", "bkt/A", False),
        ("bkt/ä?", "bkt/ä€", True),
        ("bkt/\n*", "bkt/\nx\n", True),
    ],
)
def test_examples(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


HOSTILE = [
    ("*a" * 10_000 + "b", "a" * 1024),
    ("*a?a" * 5_000 + "b", "a" * 1024),
    ("*" + "a?" * 500 + "b*", "a" * HEADER_LINE_BYTES_MAX),
    ("*" + "a?" * 4_000 + "b*", "a" * HEADER_LINE_BYTES_MAX),
    ("*" + "a" * 8_000 + "b*", "a" * HEADER_LINE_BYTES_MAX),
    ("*a" * 5_000 + "*?c*", "ab" * 8_000),
    ("b" + "*" * POLICY_BYTES_MAX, "a" * HEADER_LINE_BYTES_MAX),
    ("?" * POLICY_BYTES_MAX, "a" * HEADER_LINE_BYTES_MAX),
]


@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_no_pattern_takes_long(pattern: str, text: str) -> None:
    """As long as a policy may be, on a text as long as a header may be."""
    compiled = glob(pattern[:POLICY_BYTES_MAX])
    began = process_time()
    assert not compiled.matches(Text(text[:HEADER_LINE_BYTES_MAX]))
    assert process_time() - began < 0.1
