"""The state of one sequence: a server, the model beside it, and what always has to hold."""

from collections.abc import Callable
from typing import Any, Final

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from tests.model.listings import Ask, Listings
from tests.model.objects import Buckets, Objects
from tests.model.uploads import Uploads
from tests.model.values import Fields, Opaque, Refused, Upload, Version
from tests.property.compare import Comparison
from tests.property.draws import BUCKETS
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
        self.ended: list[Upload] = []  # uploads that were completed or aborted
        self.dirty = False
        self.failed = False

    @initialize()
    def first_bucket(self) -> None:
        """Most of what can be asked needs a bucket."""
        self.write(lambda: self.buckets.create(BUCKETS[0]), "CreateBucket", Bucket=BUCKETS[0])

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

    def pick_version(self, bucket: str, key: str, choice: int) -> Opaque | None:
        """Return the id of a version: mostly none, or one of the key, or one of another key."""
        if not FEATURES["versioning"] or choice < 4 or bucket not in self.buckets.held:
            return None
        held = self.buckets.held[bucket]
        own = [one.id for one in held.versions(key)]
        other = [one.id for name, found in held.keys.items() if name != key for one in found]
        ids = own + own + [one for one in other if one.bound != "null"]
        return ids[choice % len(ids)] if ids else None

    def version_of(self, bucket: str, key: str, version_id: Opaque | None) -> Version | None:
        """Return what a read would find, for conditions that are to be about it."""
        try:
            return self.objects.find(bucket, key, version_id)
        except Refused:
            return None

    def pick_upload(self, bucket: str, choice: int) -> Upload | None:
        """Return an upload in progress, or seldom one that has ended; None when there is none."""
        held = self.buckets.held.get(bucket)
        running = held.uploads if held is not None else []
        if self.ended and (choice == 0 or not running):
            return self.ended[choice % len(self.ended)]
        return running[choice % len(running)] if running else None

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
                self._reading(bucket, key, None if at == 0 else version.id)
                for at, version in enumerate(versions)
                if len(version.body) <= bytes_max
            ]
        return wanted

    def _reading(
        self, bucket: str, key: str, version_id: Opaque | None
    ) -> tuple[Call, Callable[[], Fields]]:
        arguments = {"Bucket": bucket, "Key": key, "ChecksumMode": "ENABLED"}
        if version_id is not None:
            arguments["VersionId"] = version_id.bound or ""
        return (
            ("GetObject", arguments),
            lambda: self.objects.get(bucket, key, version_id, checksums=True),
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
                ids = [{"VersionId": one.id.bound} for one in versions] if bucket.versioning else [{}]
                calls += [("DeleteObject", {"Bucket": name, "Key": key, **one}) for one in ids]
            calls.append(("DeleteBucket", {"Bucket": name}))  # aborts the uploads
        answers = self.wire.call_all(calls) if calls else []
        for call, answered in zip(calls, answers, strict=True):
            assert answered.status == 204, f"{call}: {answered}"
        for counted in self.served.usage():
            assert counted == (0, 0)
