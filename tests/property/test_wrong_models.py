"""A test that cannot fail is no test: a model that is wrong in one point is found out.

Each sabotage changes one thing that the model says; within a few hundred sequences the server,
which does it right, contradicts.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis.stateful import RULE_MARKER

from objstore.engine import completion
from tests.model.listings import Listings
from tests.model.objects import Conditions, Objects
from tests.model.uploads import Uploads
from tests.model.values import Bucket, Fields, Version
from tests.property.listing_rules import ListingRules
from tests.property.object_rules import ObjectRules
from tests.property.sequences import Sequences
from tests.property.server import LAYOUTS, InProcess, Loop, loop_in_a_thread
from tests.property.test_sequences import run
from tests.property.upload_rules import UploadRules

Sabotage = Callable[[pytest.MonkeyPatch], None]


def conditions_do_not_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Conditions, "on_write", lambda *_: None)


def times_do_not_count(patch: pytest.MonkeyPatch) -> None:
    on_read = Conditions.on_read

    def without_times(self: Conditions, version: Version) -> None:
        on_read(replace(self, modified_since=None, unmodified_since=None), version)

    patch.setattr(Conditions, "on_read", without_times)


def a_null_version_is_never_replaced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Bucket, "null_version", lambda *_: None)


def a_delete_marker_hides_nothing(patch: pytest.MonkeyPatch) -> None:
    def newest_object(self: Bucket, key: str) -> Version | None:
        return next((one for one in self.versions(key) if not one.marker), None)

    patch.setattr(Bucket, "current", newest_object)


def tags_are_not_copied(patch: pytest.MonkeyPatch) -> None:
    copy = Objects.copy

    def without_tags(self: Objects, *arguments: Any, **options: Any) -> Fields:
        return copy(self, *arguments, **(options | {"replaces_tags": True}))

    patch.setattr(Objects, "copy", without_tags)


def a_page_has_one_more(patch: pytest.MonkeyPatch) -> None:
    versions = Listings.versions

    def longer(self: Listings, bucket: str, ask: Any, *markers: Any) -> Fields:
        more = replace(ask, limit=ask.limit + 1) if ask.limit < 1000 else ask
        return versions(self, bucket, more, *markers) | {"MaxKeys": ask.limit}

    patch.setattr(Listings, "versions", longer)


def a_part_is_never_too_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Uploads, "_require_sizes", lambda *_: None)


def an_aborted_upload_goes_on(patch: pytest.MonkeyPatch) -> None:
    def kept(self: Uploads, bucket: str, key: str, upload_id: Any) -> Fields:
        self.find(bucket, key, upload_id)
        return {}

    patch.setattr(Uploads, "abort", kept)


SABOTAGES: list[Sabotage] = [
    conditions_do_not_count,
    times_do_not_count,
    a_null_version_is_never_replaced,
    a_delete_marker_hides_nothing,
    tags_are_not_copied,
    a_page_has_one_more,
    a_part_is_never_too_small,
    an_aborted_upload_goes_on,
]
# What all rules together come upon after hundreds of sequences, a few of them do after some ten.
FEW: dict[Sabotage, set[str]] = {
    times_do_not_count: {"put_object", "get_object", "time_passes"},
    tags_are_not_copied: {"put_object", "copy_object"},
}


def of_rules(names: set[str]) -> type[Sequences]:
    """Return sequences in which nothing happens but what is named; all others stay callable."""

    def no_rule(rule: Callable[..., None]) -> Callable[..., None]:
        def called(*arguments: Any, **named: Any) -> None:
            rule(*arguments, **named)

        return called

    left_out = {
        name: no_rule(one)
        for owner in (ObjectRules, ListingRules, UploadRules)
        for name, one in vars(owner).items()
        if hasattr(one, RULE_MARKER) and name not in names
    }
    return type("Few", (Sequences,), left_out)


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    with loop_in_a_thread() as running:
        yield running


@pytest.fixture
def sequences(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what runs so many sequences, without shrinking one that fails."""
    monkeypatch.setattr(completion, "PART_BYTES_MIN", InProcess.part_bytes_min)
    return lambda count, machine=Sequences: run(
        lambda: machine(loop.open(LAYOUTS["3+1"])),
        count,
        phases=(Phase.generate,),
        database=None,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "sabotage",
    [pytest.param(one, marks=pytest.mark.long) if one in FEW else one for one in SABOTAGES],
)
def test_a_wrong_model_is_found_out(
    sabotage: Sabotage, sequences: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch)
    with pytest.raises(AssertionError):
        sequences(1000)


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", FEW)
def test_a_wrong_model_is_found_out_by_the_rules_that_are_about_it(
    sabotage: Sabotage, sequences: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch)
    with pytest.raises(AssertionError):
        sequences(1000, of_rules(FEW[sabotage]))


@pytest.mark.slow
def test_the_right_model_is_not(sequences: Callable[..., None]) -> None:
    sequences(50)
    for rules in FEW.values():
        sequences(10, of_rules(rules))
