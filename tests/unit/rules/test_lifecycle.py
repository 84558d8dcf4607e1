"""Lifecycle: what is due, when, and by which rule; compared with a slow twin that tries it all."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.rules.lifecycle import (
    Act,
    Action,
    Due,
    KeyVersion,
    abort_due,
    due_actions,
    expiration_header,
    expiry,
    lifecycle_of,
    prefixes,
)
from objstore.wire.config_documents.lifecycle import (
    Expiration,
    Filter,
    LifecycleRule,
    NoncurrentExpiration,
)
from objstore.wire.config_documents.tagging import Tag

DAY_MS = 86_400_000


def rule(
    rule_id: str = "r",
    *,
    chosen: Filter | None = None,
    days: int | None = None,
    date_ms: int | None = None,
    marker: bool | None = None,
    noncurrent: NoncurrentExpiration | None = None,
    abort_days: int | None = None,
    enabled: bool = True,
) -> LifecycleRule:
    expiration = None
    if (days, date_ms, marker) != (None, None, None):
        expiration = Expiration(days, date_ms, marker)
    return LifecycleRule(rule_id, enabled, chosen or Filter(), expiration, noncurrent, abort_days)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_the_example_of_the_documentation() -> None:
    # AWS: "if an object was created on 1/15/2014 at 10:30 AM UTC and you specify 3 days in a
    # transition rule, then the transition date of the object would be calculated as 1/19/2014
    # 00:00 UTC."
    lifecycle = lifecycle_of((rule(days=3),))
    created = KeyVersion("v", at("2014-01-15T10:30"))
    assert expiry(lifecycle, "k", created) == Due(at("2014-01-19T00:00"), "r")
    before, after = at("2014-01-18T23:59:59"), at("2014-01-19T00:00")
    assert due_actions(lifecycle, "k", [created], now_ms=before) == []
    assert due_actions(lifecycle, "k", [created], now_ms=after) == [
        Action(Act.EXPIRE_CURRENT, created, "r")
    ]


def test_a_short_day_is_not_rounded() -> None:
    lifecycle = lifecycle_of((rule(days=2),), day_s=10)
    assert expiry(lifecycle, "k", KeyVersion("v", 1_234)) == Due(21_234, "r")


def test_the_header() -> None:
    due = Due(at("2012-12-21T00:00"), "a rule/1")
    assert expiration_header(due) == (
        'expiry-date="Fri, 21 Dec 2012 00:00:00 GMT", rule-id="a%20rule%2F1"'
    )
    # However far away, it is a date that HTTP can say.
    far = expiry(lifecycle_of((rule(days=2**31 - 1),)), "k", KeyVersion("v", 0))
    assert far is not None
    assert 'expiry-date="Fri, 31 Dec 9999 00:00:00 GMT"' in expiration_header(far)


def test_the_shortest_expiry_decides() -> None:
    rules = (rule("slow", days=30), rule("fast", days=10), rule("same", days=10))
    due = expiry(lifecycle_of(rules), "k", KeyVersion("v", 0))
    assert due == Due(11 * DAY_MS, "fast")
    by_date = (*rules, rule("date", date_ms=5 * DAY_MS))
    assert expiry(lifecycle_of(by_date), "k", KeyVersion("v", 0)) == Due(5 * DAY_MS, "date")
    off = tuple(rule(str(days), days=days, enabled=False) for days in (1, 2))
    assert expiry(lifecycle_of(off), "k", KeyVersion("v", 0)) is None


@pytest.mark.parametrize(
    ("chosen", "fits"),
    [
        (Filter(), True),
        (Filter(""), True),
        (Filter("logs/"), True),
        (Filter("logs/", legacy=True), True),
        (Filter("log/"), False),
        (Filter(larger_than=99), True),
        (Filter(larger_than=100), False),
        (Filter(smaller_than=101), True),
        (Filter(smaller_than=100), False),
        (Filter(tags=(Tag("a", "1"),)), True),
        (Filter(tags=(Tag("a", "2"),)), False),
        (Filter(tags=(Tag("a", "1"), Tag("b", "2"))), True),
        (Filter(tags=(Tag("a", "1"), Tag("c", ""))), False),
        (Filter("logs/", (Tag("a", "1"),), 10, 1000), True),
    ],
)
def test_filters(chosen: Filter, fits: bool) -> None:
    version = KeyVersion("v", 0, size=100, tags=frozenset({("a", "1"), ("b", "2")}))
    due = expiry(lifecycle_of((rule(chosen=chosen, days=1),)), "logs/x", version)
    assert (due is not None) is fits


def history(*versions: KeyVersion) -> list[KeyVersion]:
    """Give each version but the newest the moment at which the next newer one came."""
    return [
        KeyVersion(
            version.version_id,
            version.modified_ms,
            versions[index - 1].modified_ms if index else None,
            version.delete_marker,
            version.size,
            version.tags,
        )
        for index, version in enumerate(versions)
    ]


def marker(version_id: str, modified_ms: int) -> KeyVersion:
    return KeyVersion(version_id, modified_ms, delete_marker=True)


def test_newer_noncurrent_versions_stay() -> None:
    # AWS says: "Specifies how many noncurrent versions Amazon S3 will retain."
    versions = history(*(KeyVersion(f"v{number}", number) for number in range(9, -1, -1)))
    keeping = rule(noncurrent=NoncurrentExpiration(1, 5))
    acts = due_actions(lifecycle_of((keeping,)), "k", versions, now_ms=3 * DAY_MS)
    assert [action.version.version_id for action in acts] == ["v3", "v2", "v1", "v0"]
    assert {action.act for action in acts} == {Act.DELETE_NONCURRENT}


def test_delete_markers_do_not_count_as_versions_that_are_kept() -> None:
    versions = history(
        KeyVersion("v4", 4),
        marker("m3", 3),
        KeyVersion("v2", 2),
        marker("m1", 1),
        KeyVersion("v0", 0),
    )
    keeping = rule(noncurrent=NoncurrentExpiration(1, 1))
    acts = due_actions(lifecycle_of((keeping,)), "k", versions, now_ms=3 * DAY_MS)
    assert [action.version.version_id for action in acts] == ["m1", "v0"]


def test_noncurrent_days_begin_when_the_version_became_noncurrent() -> None:
    versions = history(KeyVersion("new", 10 * DAY_MS), KeyVersion("old", 0))
    lifecycle = lifecycle_of((rule(noncurrent=NoncurrentExpiration(3)),))
    assert due_actions(lifecycle, "k", versions, now_ms=14 * DAY_MS - 1) == []
    assert len(due_actions(lifecycle, "k", versions, now_ms=14 * DAY_MS)) == 1


def test_a_delete_marker_that_hides_nothing() -> None:
    lifecycle = lifecycle_of((rule(marker=True),))
    sole = marker("m", 1_000)
    assert due_actions(lifecycle, "k", [sole], now_ms=1_000) == [
        Action(Act.REMOVE_MARKER, sole, "r")
    ]
    hiding = history(sole, KeyVersion("v", 0))
    assert due_actions(lifecycle, "k", hiding, now_ms=9 * DAY_MS) == []
    assert due_actions(lifecycle_of((rule(marker=False),)), "k", [sole], now_ms=9 * DAY_MS) == []
    assert due_actions(lifecycle, "k", [KeyVersion("v", 0)], now_ms=9 * DAY_MS) == []


def test_days_remove_such_markers_too_when_they_are_old_enough() -> None:
    lifecycle = lifecycle_of((rule(days=2),))
    sole = marker("m", 0)
    assert due_actions(lifecycle, "k", [sole], now_ms=3 * DAY_MS - 1) == []
    (action,) = due_actions(lifecycle, "k", [sole], now_ms=3 * DAY_MS)
    assert action.act is Act.REMOVE_MARKER
    # But one that hides a version stays, or the version would come back.
    hiding = history(sole, KeyVersion("v", -1))
    assert due_actions(lifecycle, "k", hiding, now_ms=9 * DAY_MS) == []
    assert expiry(lifecycle, "k", sole) is None
    tagged = lifecycle_of((rule(days=2, chosen=Filter(tags=(Tag("a", ""),))),))
    assert due_actions(tagged, "k", [sole], now_ms=9 * DAY_MS) == []


def test_uploads() -> None:
    rules = (
        rule("week", abort_days=7),
        rule("logs", abort_days=2, chosen=Filter("logs/")),
        rule("large", abort_days=1, chosen=Filter(larger_than=1)),
        rule("off", abort_days=1, enabled=False),
        rule("other", days=1),
    )
    lifecycle = lifecycle_of(rules)
    assert abort_due(lifecycle, "a", initiated_ms=1) == Due(8 * DAY_MS, "week")
    assert abort_due(lifecycle, "logs/a", initiated_ms=1) == Due(3 * DAY_MS, "logs")
    assert abort_due(lifecycle_of(rules[2:]), "a", initiated_ms=1) is None


def test_nothing_to_decide() -> None:
    assert due_actions(lifecycle_of(()), "k", [KeyVersion("v", 0)], now_ms=0) == []
    assert due_actions(lifecycle_of((rule(days=1),)), "k", [], now_ms=0) == []


def test_prefixes() -> None:
    def of(*texts: str | None) -> tuple[str, ...]:
        return prefixes(lifecycle_of(tuple(rule(chosen=Filter(text), days=1) for text in texts)))

    assert of("b", "a/", "a/b", "b") == ("a/", "b")
    assert of("b", None) == ("",)
    assert of() == ()


# --- the twin -------------------------------------------------------------------------

TAGS = st.frozensets(st.tuples(st.sampled_from("ab"), st.sampled_from("12")), max_size=2)
FILTERS = st.builds(
    Filter,
    st.sampled_from([None, "", "k", "x"]),
    TAGS.map(lambda tags: tuple(Tag(key, value) for key, value in sorted(tags))),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(1, 4),
)
RULES = st.builds(
    rule,
    st.sampled_from("pqrs"),
    chosen=FILTERS,
    days=st.none() | st.integers(1, 3),
    date_ms=st.none() | st.integers(0, 5).map(lambda day: day * DAY_MS),
    marker=st.sampled_from([None, True, False]),
    noncurrent=st.none()
    | st.builds(NoncurrentExpiration, st.integers(1, 3), st.none() | st.integers(1, 2)),
    enabled=st.booleans(),
)
VERSIONS = st.lists(
    st.builds(
        KeyVersion,
        st.uuids().map(str),
        st.integers(0, 6 * DAY_MS),
        delete_marker=st.booleans(),
        size=st.integers(0, 4),
        tags=TAGS,
    ),
    min_size=1,
    max_size=6,
).map(lambda found: history(*sorted(found, key=lambda version: -version.modified_ms)))


def twin_days(start_ms: int, days: int, day_s: int) -> datetime:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=start_ms)
    moment += days * timedelta(seconds=day_s)
    if day_s != 86_400:
        return moment
    return datetime(moment.year, moment.month, moment.day, tzinfo=UTC) + timedelta(days=1)


def twin_fits(chosen: Filter, version: KeyVersion) -> bool:
    if version.delete_marker and (
        chosen.tags or chosen.larger_than is not None or chosen.smaller_than is not None
    ):
        return False
    return (
        (chosen.larger_than is None or version.size > chosen.larger_than)
        and (chosen.smaller_than is None or version.size < chosen.smaller_than)
        and {(tag.key, tag.value) for tag in chosen.tags} <= version.tags
    )


def twin(
    rules: list[LifecycleRule], key: str, versions: list[KeyVersion], now: datetime, day_s: int
) -> set[tuple[Act, str]]:
    """Ask of every rule and every version, in the words of the documentation, what is due."""
    found = set()
    for one in rules:
        if not one.enabled or not key.startswith(one.filter.prefix or ""):
            continue
        for index, version in enumerate(versions):
            if not twin_fits(one.filter, version):
                continue
            old_enough = one.expiration is not None and (
                one.expiration.days is not None
                and twin_days(version.modified_ms, one.expiration.days, day_s) <= now
            )
            past_date = (
                one.expiration is not None
                and one.expiration.date_ms is not None
                and twin_days(one.expiration.date_ms, 0, 1) <= now
            )
            hides_nothing = version.delete_marker and len(versions) == 1
            wants_markers = one.expiration is not None and one.expiration.delete_marker
            if index == 0 and not version.delete_marker and (old_enough or past_date):
                found.add((Act.EXPIRE_CURRENT, version.version_id))
            if hides_nothing and (old_enough or wants_markers):
                found.add((Act.REMOVE_MARKER, version.version_id))
            if index and one.noncurrent is not None:
                newer = [v for v in versions[1:index] if not v.delete_marker]
                since = version.noncurrent_ms
                assert since is not None
                if len(newer) >= (one.noncurrent.newer or 0) and (
                    twin_days(since, one.noncurrent.days, day_s) <= now
                ):
                    found.add((Act.DELETE_NONCURRENT, version.version_id))
    return found


@settings(max_examples=400)
@given(
    st.lists(RULES, max_size=4),
    VERSIONS,
    st.integers(6 * DAY_MS, 12 * DAY_MS),
    st.sampled_from([86_400, 86_400, 10]),
)
def test_what_is_due_is_what_the_twin_says(
    rules: list[LifecycleRule], versions: list[KeyVersion], now_ms: int, day_s: int
) -> None:
    lifecycle = lifecycle_of(tuple(rules), day_s=day_s)
    acts = due_actions(lifecycle, "key", versions, now_ms=now_ms)
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms)
    assert {(a.act, a.version.version_id) for a in acts} == twin(rules, "key", versions, now, day_s)
    assert len({action.version.version_id for action in acts}) == len(acts)
    # What the header promises is what happens.
    due = expiry(lifecycle, "key", versions[0])
    promised = due is not None and due.at_ms <= now_ms
    assert promised == any(action.act is Act.EXPIRE_CURRENT for action in acts)
