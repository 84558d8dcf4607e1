"""Lifecycle: what is due for the versions of one key, for an upload, and when.

A day is 86,400 seconds, and then every moment is rounded as AWS does: "Amazon S3 calculates the
time by adding the number of days specified in the rule to the object creation time and rounding
up the resulting time to the next day at midnight UTC." Any other length of a day is a switch for
tests, and nothing is rounded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final
from urllib.parse import quote

from objstore.limits import LIFECYCLE_DAY_SECONDS
from objstore.wire.conditions import http_date
from objstore.wire.config_documents.lifecycle import Filter, LifecycleRule, LifecycleRules

DAY_SECONDS: Final = LIFECYCLE_DAY_SECONDS
_LAST_MS: Final = 253_402_214_400_000  # 9999-12-31: the last day that an HTTP date can name


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """A version or a delete marker of a key.

    `noncurrent_ms` is when a newer one took its place, None for the current one.
    """

    version_id: str
    modified_ms: int
    noncurrent_ms: int | None = None
    delete_marker: bool = False
    size: int = 0
    tags: frozenset[tuple[str, str]] = frozenset()


class Act(Enum):
    """What a rule does."""

    EXPIRE_CURRENT = auto()  # as a DELETE without a version: a marker, or gone where unversioned
    DELETE_NONCURRENT = auto()  # for good
    REMOVE_MARKER = auto()  # a delete marker that hides nothing


@dataclass(frozen=True, slots=True)
class Action:
    """Something that is due. The caller checks the version's object lock before it acts."""

    act: Act
    version: KeyVersion
    rule_id: str


@dataclass(frozen=True, slots=True)
class Due:
    """When something is going to happen, and by which rule."""

    at_ms: int
    rule_id: str


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """A bucket's rules that are enabled, and how long their days are."""

    rules: LifecycleRules
    day_s: int = DAY_SECONDS

    def after(self, start_ms: int, days: int) -> int:
        """Return the moment that lies `days` after `start_ms`."""
        at_ms = start_ms + days * self.day_s * 1000
        if self.day_s != DAY_SECONDS:
            return at_ms
        whole = DAY_SECONDS * 1000
        return (at_ms // whole + 1) * whole


def lifecycle_of(rules: LifecycleRules, *, day_s: int = DAY_SECONDS) -> Lifecycle:
    """Prepare a bucket's rules. "If 'Disabled', the rule is not currently being applied."."""
    return Lifecycle(tuple(rule for rule in rules if rule.enabled), day_s)


def for_versions(lifecycle: Lifecycle) -> Lifecycle:
    """Return the rules that do something to versions."""
    rules = (one for one in lifecycle.rules if (one.expiration, one.noncurrent) != (None, None))
    return replace(lifecycle, rules=tuple(rules))


def for_uploads(lifecycle: Lifecycle) -> Lifecycle:
    """Return the rules that abort uploads."""
    rules = (one for one in lifecycle.rules if one.abort_days is not None)
    return replace(lifecycle, rules=tuple(rules))


def without_tags(lifecycle: Lifecycle) -> Lifecycle:
    """Return the rules as if none asked for tags: whatever is due by the rules is due by these."""
    rules = (replace(one, filter=replace(one.filter, tags=())) for one in lifecycle.rules)
    return replace(lifecycle, rules=tuple(rules))


def prefixes(lifecycle: Lifecycle) -> tuple[str, ...]:
    """Return the fewest prefixes that hold every key some rule is for, in order."""
    kept: list[str] = []
    for prefix in sorted({rule.filter.prefix or "" for rule in lifecycle.rules}):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)


class KeyJudge:
    """What is due for one key, version by version, so that a key need never be held whole.

    `add` is given every version and delete marker, newest first; then `end` says what can be said
    of the last one only. There is at most one action for each version.
    """

    def __init__(self, lifecycle: Lifecycle, key: str, *, now_ms: int) -> None:
        self._lifecycle = lifecycle
        self._now_ms = now_ms
        self._rules = [rule for rule in lifecycle.rules if key.startswith(rule.filter.prefix or "")]
        self._count = 0
        self._newer = 0  # noncurrent versions that hold data and are newer than the next one
        self._marker: KeyVersion | None = None  # the current version, when it is a delete marker

    def add(self, version: KeyVersion) -> Action | None:
        """Return what is due for a version that is not a current delete marker."""
        assert (version.noncurrent_ms is None) == (self._count == 0)
        self._count += 1
        if self._count > 1:
            due = _noncurrent_due(self._lifecycle, self._rules, version, self._newer)
            self._newer += not version.delete_marker
            return self._action(Act.DELETE_NONCURRENT, version, due)
        if version.delete_marker:
            self._marker = version
            return None
        due = _earliest(_object_dues(self._lifecycle, self._rules, version))
        return self._action(Act.EXPIRE_CURRENT, version, due)

    def end(self) -> Action | None:
        """Return what is due for a delete marker under which no version was."""
        if self._marker is None or self._count > 1:
            return None
        due = _earliest(_marker_dues(self._lifecycle, self._rules, self._marker))
        return self._action(Act.REMOVE_MARKER, self._marker, due)

    def _action(self, act: Act, version: KeyVersion, due: Due | None) -> Action | None:
        if due is None or due.at_ms > self._now_ms:
            return None
        return Action(act, version, due.rule_id)


def due_actions(
    lifecycle: Lifecycle, key: str, versions: Sequence[KeyVersion], *, now_ms: int
) -> list[Action]:
    """Return what is due for a key whose versions are all at hand, newest first."""
    judge = KeyJudge(lifecycle, key, now_ms=now_ms)
    found = [*map(judge.add, versions), judge.end()]
    return [action for action in found if action is not None]


def expiry(lifecycle: Lifecycle, key: str, current: KeyVersion) -> Due | None:
    """Return when the current version of a key expires, None when it never does or is a marker.

    Of several rules the one that comes first in time decides, as on AWS: "if two expiration
    policies overlap, then the shorter expiration policy is honored".
    """
    if current.delete_marker:
        return None
    rules = [rule for rule in lifecycle.rules if key.startswith(rule.filter.prefix or "")]
    return _earliest(_object_dues(lifecycle, rules, current))


def expiration_header(due: Due) -> str:
    """Return the value of x-amz-expiration: "The value of the rule-id is URL-encoded."."""
    at_ms = min(due.at_ms, _LAST_MS)
    return f'expiry-date="{http_date(at_ms)}", rule-id="{quote(due.rule_id, safe="")}"'


def abort_headers(due: Due) -> dict[str, str]:
    """Return x-amz-abort-date and x-amz-abort-rule-id; an id that is no header's is URL-encoded."""
    rule_id = due.rule_id
    if not (rule_id.isascii() and rule_id.isprintable()):
        rule_id = quote(rule_id, safe="")
    return {
        "x-amz-abort-date": http_date(min(due.at_ms, _LAST_MS)),
        "x-amz-abort-rule-id": rule_id,
    }


def abort_due(lifecycle: Lifecycle, key: str, *, initiated_ms: int) -> Due | None:
    """Return when an upload in progress is aborted: x-amz-abort-date and x-amz-abort-rule-id."""
    return _earliest(
        Due(lifecycle.after(initiated_ms, rule.abort_days), rule.rule_id)
        for rule in lifecycle.rules
        if rule.abort_days is not None
        and key.startswith(rule.filter.prefix or "")
        and not _looks_at_data(rule.filter)  # an upload has no size and no tags yet
    )


def _earliest(found: Iterable[Due]) -> Due | None:
    """Return the first in time; of equals, that of the rule that stands first."""
    return min(found, key=lambda due: due.at_ms, default=None)


def _object_dues(
    lifecycle: Lifecycle, rules: Sequence[LifecycleRule], current: KeyVersion
) -> Iterator[Due]:
    for rule in rules:
        expiration = rule.expiration
        if expiration is None or not _fits(rule.filter, current):
            continue
        if expiration.days is not None:
            yield Due(lifecycle.after(current.modified_ms, expiration.days), rule.rule_id)
        if expiration.date_ms is not None:
            yield Due(expiration.date_ms, rule.rule_id)


def _marker_dues(
    lifecycle: Lifecycle, rules: Sequence[LifecycleRule], marker: KeyVersion
) -> Iterator[Due]:
    """Yield when a delete marker that hides nothing goes.

    At once where a rule asks for that; and, as on AWS, once they are old enough for a rule with
    Days. A rule with a Date leaves them.
    """
    for rule in rules:
        expiration = rule.expiration
        if expiration is None or not _fits(rule.filter, marker):
            continue
        if expiration.delete_marker:
            yield Due(marker.modified_ms, rule.rule_id)
        elif expiration.days is not None:
            yield Due(lifecycle.after(marker.modified_ms, expiration.days), rule.rule_id)


def _noncurrent_due(
    lifecycle: Lifecycle, rules: Sequence[LifecycleRule], version: KeyVersion, newer: int
) -> Due | None:
    """Return when a noncurrent version goes, None when it stays.

    NewerNoncurrentVersions "specifies how many noncurrent versions Amazon S3 will retain". Delete
    markers among the newer ones are not counted: so many versions that hold data stay.
    """
    assert version.noncurrent_ms is not None
    return _earliest(
        Due(lifecycle.after(version.noncurrent_ms, rule.noncurrent.days), rule.rule_id)
        for rule in rules
        if rule.noncurrent is not None
        and newer >= (rule.noncurrent.newer or 0)
        and _fits(rule.filter, version)
    )


def _looks_at_data(chosen: Filter) -> bool:
    return bool(chosen.tags) or (chosen.larger_than, chosen.smaller_than) != (None, None)


def _fits(chosen: Filter, version: KeyVersion) -> bool:
    """Whether a version's size and tags fit; a delete marker has neither."""
    if version.delete_marker:
        return not _looks_at_data(chosen)
    if chosen.larger_than is not None and version.size <= chosen.larger_than:
        return False
    if chosen.smaller_than is not None and version.size >= chosen.smaller_than:
        return False
    return all((tag.key, tag.value) in version.tags for tag in chosen.tags)
