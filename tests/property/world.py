"""The state of one sequence: a server, the model beside it, and what always has to hold."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple

from hypothesis.stateful import RuleBasedStateMachine, invariant

from tests.model.listings import Ask, Listings
from tests.model.objects import NULL, Buckets, Conditions, Objects, Source
from tests.model.uploads import Uploads
from tests.model.values import Attributes, Bucket, Fields, Opaque, Refused, Upload, Version
from tests.property.compare import Comparison
from tests.property.draws import BUCKETS, Drawn, Wanted, conditions_on
from tests.property.server import Counts, Served
from tests.property.wire import Answered, Wire

_EVERYTHING: Final = Ask()
# What one call says, by operation; and what the model answers to it.
Call = tuple[str, dict[str, Any]]
Expected = tuple[Call, Callable[[], Fields]]


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
        self.harmed = False  # a drive was away, so not every drive holds everything
        self._compared_uploads: dict[str, list[Upload]] = {}
        self._compared: dict[tuple[str, str], list[tuple[Version, Attributes]]] = {}

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
        """Return what a request is about: mostly a key there is, or one of its versions."""
        held = self.buckets.held.get(wanted.bucket, Bucket())
        kind, choice = wanted.choice % 8, wanted.choice // 8
        names = sorted(held.keys)
        key = names[choice % len(names)] if names else wanted.new_key
        if kind < 5:
            return Place(wanted.bucket, key)
        own = [one.id for one in held.versions(key)]
        if kind < 7:
            return Place(wanted.bucket, key, own[choice // 3 % len(own)] if own else None)
        # An id of another key is the best of all wrong ids: there is such a version.
        others = [one.id for name in names if name != key for one in held.versions(name)]
        wrong: list[Opaque | None] = [None, None, NULL, *others]
        version_id = wrong[choice // 3 % len(wrong)]
        return Place(wanted.bucket, key if version_id else wanted.new_key, version_id)

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

    def write_conditions(self, drawn: Drawn, place: Place) -> Conditions:
        """Return the conditions under which a place is written."""
        return conditions_on(drawn, self.found(place))

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
        """Compare all listings and what was touched, when something may have changed."""
        if self.dirty:
            self.dirty = False
            self.compare(self._touched())

    def _touched(self) -> list[tuple[str, str]]:
        """Return the keys whose versions are not what they were when they were last compared."""
        now = {
            (bucket, key): [(version, version.attributes) for version in versions]
            for bucket, held in self.buckets.held.items()
            for key, versions in held.keys.items()
        }
        before, self._compared = self._compared, now
        return [
            place for place in now.keys() | before.keys() if now.get(place) != before.get(place)
        ]

    def compare(self, touched: Iterable[tuple[str, str]]) -> None:
        """Compare listings, every version of some keys, and usage."""
        places = sorted(touched)
        changed = {bucket for bucket, _ in places} | {BUCKETS[0]}
        wanted: list[Expected] = []
        for bucket in changed & self.buckets.held.keys():
            wanted += self._listing(bucket)
        wanted += self._uploads_listing()
        for bucket, key in places:
            versions = self.buckets.held.get(bucket, Bucket()).versions(key)
            ids = [None, *(version.id for version in versions[1:])]
            wanted += [self._reading(Place(bucket, key, version_id)) for version_id in ids]
        if wanted:
            answers = self.wire.call_all([call for call, _ in wanted])
            for ((operation, _), expectation), answered in zip(wanted, answers, strict=True):
                self.expect(expectation, operation, answered)
                if operation == "ListObjectsV2" and self.served.exact_s() is None:
                    self._learn_times(answered.out)
        if not self.harmed:
            self._compare_usage()

    def _learn_times(self, out: Fields) -> None:
        """Remember when objects were changed, of a server whose clock is its own."""
        live = self.buckets.held[out["Name"]].live()
        for entry in out.get("Contents", []):
            if live[entry["Key"]].modified is None:
                live[entry["Key"]].modified = entry["LastModified"]

    def _listing(self, bucket: str) -> list[Expected]:
        arguments = {"Bucket": bucket}
        listings = self.listings
        wanted: list[Expected] = [
            (("ListObjectsV2", arguments), lambda: listings.objects_v2(bucket, _EVERYTHING))
        ]
        if self.buckets.held[bucket].versioning:
            call = ("ListObjectVersions", arguments)
            wanted.append((call, lambda: listings.versions(bucket, _EVERYTHING)))
        return wanted

    def _uploads_listing(self) -> list[Expected]:
        """List the uploads of buckets where some began or ended, and of all after a fault."""
        now = {name: list(held.uploads) for name, held in self.buckets.held.items()}
        before, self._compared_uploads = self._compared_uploads, now
        return [
            (
                ("ListMultipartUploads", {"Bucket": name}),
                partial(self.listings.uploads, name, _EVERYTHING),
            )
            for name in now
            if self.harmed or now[name] != before.get(name)
        ]

    def _reading(self, place: Place) -> Expected:
        return (
            ("GetObject", {**place.arguments, "ChecksumMode": "ENABLED"}),
            lambda: self.objects.get(*place, checksums=True),
        )

    def _compare_usage(self) -> None:
        for name, bucket in self.buckets.held.items():
            live = bucket.live().values()
            versions = [one for found in bucket.keys.values() for one in found]
            wanted = Counts(
                len(live),
                sum(len(one.body) for one in live),
                len(versions),
                sum(len(one.body) for one in versions),
            )
            for counted in self.served.usage(name):
                assert counted == wanted, f"drives count {counted}, there are {wanted}"

    # --- the end ---------------------------------------------------------------------

    def teardown(self) -> None:
        """Read everything once more; then delete it, and nothing may be left on any drive."""
        try:
            if not self.failed:
                held = self.buckets.held.items()
                self.compare((name, key) for name, bucket in held for key in bucket.keys)
                self._delete_all()
                if not self.harmed:
                    self._compare_nothing_left()
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

    def _compare_nothing_left(self) -> None:
        assert self.served.files() == 0
        for name in BUCKETS:
            for counted in self.served.usage(name):
                assert counted == (0, 0, 0, 0)
