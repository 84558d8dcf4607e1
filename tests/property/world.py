"""The state of one sequence: a server, the model beside it, and what always has to hold."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

from hypothesis.stateful import RuleBasedStateMachine, invariant

from tests.model.listings import Ask, Listings
from tests.model.objects import Buckets, Conditions, Objects, Source
from tests.model.uploads import Uploads
from tests.model.values import Attributes, Bucket, Fields, Opaque, Refused, Upload, Version
from tests.property.compare import Comparison
from tests.property.draws import BUCKETS, Drawn, Wanted, conditions_on
from tests.property.server import Served
from tests.property.wire import Answered, Wire

FEATURES: Final = {
    "versioning": False,
    "conditional writes": False,
    "conditional deletes": False,
    "tagging": False,
}
_EVERYTHING: Final = Ask()
# Larger objects are read whole when they are written and in the end, not after every step.
_READ_EACH_TIME_BYTES_MAX: Final = 100_000

# What one call says, by operation.
Call = tuple[str, dict[str, Any]]


class Place(NamedTuple):
    """A key, and maybe one of its versions."""

    bucket: str
    key: str
    version_id: Opaque | None = None

    @property
    def arguments(self) -> dict[str, str | None]:
        """Return the place as botocore names it."""
        named = {"VersionId": self.version_id.bound} if self.version_id else {}
        return {"Bucket": self.bucket, "Key": self.key, **named}


class World(RuleBasedStateMachine):
    """A server that is compared with the model after every step."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self.served = served
        self.wire = Wire(served)
        self.comparison = Comparison()
        owner = self.wire.call("ListBuckets").out["Owner"]
        self.buckets = Buckets(owner, served.exact_s)
        self.objects = Objects(self.buckets)
        self.listings = Listings(self.buckets)
        self.uploads = Uploads(self.buckets, self.objects, served.part_bytes_min)
        self.ended: list[tuple[str, Upload]] = []  # uploads that were completed or aborted
        self.dirty = False
        self.failed = False

    # --- one step --------------------------------------------------------------------

    def read(self, model: Callable[[], Fields], operation: str, **arguments: Any) -> Answered:
        """Call an operation and compare the answer with the model's."""
        answered = self.wire.call(operation, **arguments)
        self.expect(model, operation, answered)
        return answered

    def write(self, model: Callable[[], Fields], operation: str, **arguments: Any) -> Answered:
        """Call an operation that may change something, and compare."""
        self.dirty = True
        return self.read(model, operation, **arguments)

    def expect(self, model: Callable[[], Fields], operation: str, answered: Answered) -> None:
        """Assert that an answer is the model's."""
        expected: Fields | Refused
        try:
            expected = model()
        except Refused as refused:
            expected = refused
        self.failed = True  # until it has not
        self.comparison.matches(operation, expected, answered)
        self.failed = False

    # --- choosing among what there is -------------------------------------------------

    def place(self, wanted: Wanted) -> Place:
        """Return what a request is about: mostly a key there is, seldom one of its versions."""
        held = self.buckets.held.get(wanted.bucket, Bucket())
        kind, choice = wanted.choice % 6, wanted.choice // 6
        names = sorted(held.keys)
        key = wanted.new_key if kind == 0 or not names else names[choice % len(names)]
        if kind < 4 or not held.versioning:
            return Place(wanted.bucket, key)
        own = [one.id for one in held.versions(key)]
        others = [one.id for name in names if name != key for one in held.versions(name)]
        # An id of another key is the best of all wrong ids: there is such a version.
        ids = own * 3 + [one for one in others if one.bound != "null"]
        return Place(wanted.bucket, key, ids[choice // 3 % len(ids)] if ids else None)

    def new_place(self, wanted: Wanted) -> Place:
        """Return where to write: any key, seldom one that is there."""
        return (
            self.place(wanted) if wanted.choice % 4 == 1 else Place(wanted.bucket, wanted.new_key)
        )

    def found(self, place: Place) -> Version | None:
        """Return what a read would find, for conditions that are to be about it."""
        try:
            return self.objects.find(*place)
        except Refused:
            return None

    def featured(self, attributes: Attributes) -> Attributes:
        """Leave out what the server does not have."""
        return attributes if FEATURES["tagging"] else replace(attributes, tags={})

    def write_conditions(self, drawn: Drawn, place: Place) -> Conditions:
        """Return the conditions under which a place is written."""
        return conditions_on(drawn if FEATURES["conditional writes"] else {}, self.found(place))

    def source(self, wanted: Wanted, drawn: Drawn) -> Source:
        """Return what is to be copied, under conditions."""
        place = self.place(wanted)
        return Source(*place, conditions_on(drawn, self.found(place)))

    def upload(self, choice: int) -> tuple[str, Upload]:
        """Return an upload in progress, or seldom one that has ended, and its bucket."""
        running = [(name, one) for name, held in self.buckets.held.items() for one in held.uploads]
        if self.ended and (choice % 8 == 1 or not running):
            return self.ended[choice % len(self.ended)]
        return running[choice % len(running)]

    def any_upload(self) -> bool:
        """Whether `upload` has something to choose from."""
        return bool(self.ended) or any(held.uploads for held in self.buckets.held.values())

    # --- what always holds -----------------------------------------------------------

    @invariant()
    def the_server_holds_what_the_model_does(self) -> None:
        """Compare everything, when something may have changed."""
        if self.dirty:
            self.dirty = False
            self.compare_all(_READ_EACH_TIME_BYTES_MAX)

    def compare_all(self, bytes_max: int) -> None:
        """Compare listings, objects and usage."""
        calls: list[Call] = []
        expectations: list[Callable[[], Fields]] = []
        for bucket in self.buckets.held:
            for call, expectation in self._everything_in(bucket, bytes_max):
                calls.append(call)
                expectations.append(expectation)
        if calls:
            answers = self.wire.call_all(calls)
            for (operation, _), expectation, answered in zip(
                calls, expectations, answers, strict=True
            ):
                self.expect(expectation, operation, answered)
        self._compare_usage()

    def _everything_in(
        self, bucket: str, bytes_max: int
    ) -> list[tuple[Call, Callable[[], Fields]]]:
        wanted: list[tuple[Call, Callable[[], Fields]]] = [
            (
                ("ListObjectsV2", {"Bucket": bucket}),
                lambda: self.listings.objects_v2(bucket, _EVERYTHING),
            )
        ]
        if FEATURES["versioning"]:
            wanted.append(
                (
                    ("ListObjectVersions", {"Bucket": bucket}),
                    lambda: self.listings.versions(bucket, _EVERYTHING),
                )
            )
        for key, versions in self.buckets.held[bucket].keys.items():
            wanted += [
                self._reading(Place(bucket, key, None if at == 0 else version.id))
                for at, version in enumerate(versions)
                if len(version.body) <= bytes_max
            ]
        return wanted

    def _reading(self, place: Place) -> tuple[Call, Callable[[], Fields]]:
        return (
            ("GetObject", {**place.arguments, "ChecksumMode": "ENABLED"}),
            lambda: self.objects.get(*place, checksums=True),
        )

    def _compare_usage(self) -> None:
        live = [one for bucket in self.buckets.held.values() for one in bucket.live().values()]
        wanted = (len(live), sum(len(one.body) for one in live))
        for counted in self.served.usage():
            assert counted == wanted, f"drives count {counted}, there are {wanted}"

    # --- the end ---------------------------------------------------------------------

    def teardown(self) -> None:
        """Read everything once more; then delete it, and nothing may be left on any drive."""
        try:
            if not self.failed:
                self.compare_all(1 << 62)
                self._delete_all()
                assert self.served.files() == 0
        finally:
            self.wire.close()
            self.served.close()

    def _delete_all(self) -> None:
        calls: list[Call] = []
        for name, bucket in self.buckets.held.items():
            for key, versions in bucket.keys.items():
                ids = (
                    [{"VersionId": one.id.bound} for one in versions] if bucket.versioning else [{}]
                )
                calls += [("DeleteObject", {"Bucket": name, "Key": key, **one}) for one in ids]
            calls.append(("DeleteBucket", {"Bucket": name}))  # aborts the uploads
        answers = self.wire.call_all(calls) if calls else []
        for call, answered in zip(calls, answers, strict=True):
            assert answered.status == 204, f"{call}: {answered}"
        for counted in self.served.usage():
            assert counted == (0, 0)
