"""Rules for buckets and objects."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.model.objects import REDIRECT, Conditions
from tests.model.values import Attributes, Fields, Refused, checksum_of
from tests.property import draws
from tests.property.draws import (
    BUCKETS,
    Drawn,
    Selection,
    Wanted,
    attribute_arguments,
    condition_arguments,
    conditions_on,
    delete_entry,
    selection_arguments,
    source_argument,
)
from tests.property.world import Place, World


def copied(described: Attributes, replaces: bool, replaces_tags: bool) -> Attributes:
    """Leave out what a copy would not be allowed to say, or what would mean nothing."""
    redirect = {name: text for name, text in described.headers.items() if name == REDIRECT}
    return replace(
        described,
        headers=described.headers if replaces else redirect,
        metadata=described.metadata if replaces else {},
        tags=described.tags if replaces_tags else {},
    )


class ObjectRules(World):
    """What is done to buckets and objects."""

    # --- buckets ---------------------------------------------------------------------

    @rule(bucket=st.sampled_from([BUCKETS[1], BUCKETS[1], BUCKETS[0]]))
    def create_bucket(self, bucket: str) -> None:
        """ "if you re-create an existing bucket that you already own in us-east-1, Amazon S3
        returns 200 OK".
        """
        self.dirty = True
        answered = self.wire.call("CreateBucket", Bucket=bucket)
        if bucket not in self.buckets.held:
            self.expect(lambda: self.buckets.create(bucket), "CreateBucket", answered)
        assert answered.status == 200

    @rule(bucket=st.sampled_from(BUCKETS))
    def delete_bucket(self, bucket: str) -> None:
        held = self.buckets.held.get(bucket)
        self.write(lambda: self.buckets.delete(bucket), "DeleteBucket", Bucket=bucket)
        if held is not None and bucket not in self.buckets.held:
            self.ended += [(bucket, upload) for upload in held.uploads]
            self.served.settle()

    @rule()
    def look_at_buckets(self) -> None:
        listed = self.wire.call("ListBuckets").out.get("Buckets", [])
        assert [one["Name"] for one in listed] == sorted(self.buckets.held)
        for name in BUCKETS:
            answered = self.wire.call("HeadBucket", Bucket=name)
            assert answered.status == (200 if name in self.buckets.held else 404)

    @rule(seconds=st.sampled_from([0.4, 1, 3600, 90_000]))
    def time_passes(self, seconds: float) -> None:
        self.served.advance(seconds)

    # --- writing ---------------------------------------------------------------------

    @rule(wanted=draws.places, body=draws.bodies, described=draws.described,
          algorithm=draws.algorithms, drawn=draws.write_conditions)  # fmt: skip
    def put_object(
        self, wanted: Wanted, body: bytes, described: Attributes, algorithm: str, drawn: Drawn
    ) -> None:
        bucket, key, _ = place = self.new_place(wanted)
        attributes = replace(described, algorithm=algorithm)
        conditions = self.write_conditions(drawn, place)
        arguments = attribute_arguments(attributes) | condition_arguments(conditions)
        if algorithm:
            arguments[f"Checksum{algorithm}"] = checksum_of(algorithm, body)
        self.write(
            lambda: self.objects.put(bucket, key, body, attributes, conditions),
            "PutObject", Bucket=bucket, Key=key, Body=body, **arguments,
        )  # fmt: skip

    @rule(wanted=draws.places, body=draws.bodies)
    def put_plain_object(self, wanted: Wanted, body: bytes) -> None:
        self.put_object(wanted, body, Attributes(), "", {})

    @rule(wanted=draws.places, member=st.sampled_from(["ChecksumCRC32", "ChecksumSHA256"]))
    def put_object_with_a_wrong_digest(self, wanted: Wanted, member: str) -> None:
        """What is refused changes nothing."""
        bucket, key, _ = self.place(wanted)
        if bucket not in self.buckets.held:
            return  # either refusal would do

        def refused() -> Fields:
            raise Refused("BadDigest")

        digest = {member: checksum_of(member.removeprefix("Checksum"), b"other")}
        self.write(refused, "PutObject", Bucket=bucket, Key=key, Body=b"body", **digest)

    @rule(wanted_source=draws.places, wanted=draws.places, described=draws.described,
          directives=st.tuples(st.booleans(), st.booleans()), algorithm=draws.algorithms,
          drawn=draws.read_conditions, drawn_write=draws.write_conditions)  # fmt: skip
    def copy_object(
        self,
        wanted_source: Wanted,
        wanted: Wanted,
        described: Attributes,
        directives: tuple[bool, bool],
        algorithm: str,
        drawn: Drawn,
        drawn_write: Drawn,
    ) -> None:
        source = self.source(wanted_source, drawn)
        bucket, key, _ = place = self.new_place(wanted)
        conditions = self.write_conditions(drawn_write, place)
        replaces, replaces_tags = directives
        said = copied(replace(described, algorithm=algorithm), replaces, replaces_tags)
        arguments: dict[str, Any] = {"CopySource": source_argument(source)}
        arguments |= condition_arguments(source.conditions, source=True)
        arguments |= condition_arguments(conditions) | attribute_arguments(said)
        arguments |= {"ChecksumAlgorithm": algorithm} if algorithm else {}
        arguments |= {"MetadataDirective": "REPLACE"} if replaces else {}
        arguments |= {"TaggingDirective": "REPLACE"} if replaces_tags else {}
        self.write(
            lambda: self.objects.copy(
                source,
                bucket,
                key,
                said,
                replaces=replaces,
                replaces_tags=replaces_tags,
                conditions=conditions,
            ),
            "CopyObject", Bucket=bucket, Key=key, **arguments,
        )  # fmt: skip

    # --- deleting --------------------------------------------------------------------

    @rule(wanted=draws.places, drawn=draws.delete_conditions)
    def delete_object(self, wanted: Wanted, drawn: Drawn) -> None:
        place = self.place(wanted)
        conditions = conditions_on(drawn, self.found(place))
        self.write(
            lambda: self.objects.delete(*place, conditions=conditions),
            "DeleteObject", **place.arguments, **condition_arguments(conditions),
        )  # fmt: skip

    @rule(chosen=st.lists(st.tuples(draws.places, draws.delete_conditions), min_size=1, max_size=4),
          quiet=draws.seldom)  # fmt: skip
    def delete_objects(self, chosen: list[tuple[Wanted, Drawn]], quiet: bool) -> None:
        """Entries of one request have no order, so no key is named twice."""
        bucket = chosen[0][0].bucket
        named: dict[str, tuple[Place, Conditions]] = {}
        for wanted, drawn in chosen:
            if wanted.bucket == bucket:
                place = self.place(wanted)
                named[place.key] = (place, conditions_on(drawn, self.found(place)))
        entries = [delete_entry(place.arguments, one) for place, one in named.values()]
        self.write(
            lambda: self._deleted_all(bucket, list(named.values()), quiet=quiet),
            "DeleteObjects", Bucket=bucket, Delete={"Objects": entries, "Quiet": quiet},
        )  # fmt: skip

    def _deleted_all(
        self, bucket: str, named: list[tuple[Place, Conditions]], *, quiet: bool
    ) -> Fields:
        """DeleteMarkerVersionId: "The version ID of the delete marker created as a result of the
        DELETE operation. If you delete a specific object version, the value returned by this
        header is the version ID of the object version deleted."
        """
        self.buckets.find(bucket)
        deleted: list[Fields] = []
        failed: list[Fields] = []
        for place, conditions in named:
            entry: Fields = {"Key": place.key}
            if place.version_id is not None:
                entry["VersionId"] = place.version_id
            try:
                answer = self.objects.delete(*place, conditions=conditions)
            except Refused as refused:
                failed.append(entry | {"Code": refused.codes[0], "Message": None})
                continue
            if answer.get("DeleteMarker"):
                entry |= {"DeleteMarker": True, "DeleteMarkerVersionId": answer["VersionId"]}
            deleted.append(entry)
        fields = {"Deleted": [] if quiet else deleted, "Errors": failed}
        return {name: found for name, found in fields.items() if found}

    # --- reading ---------------------------------------------------------------------

    @rule(wanted=draws.places, drawn=draws.read_conditions, selection=draws.selections,
          checksums=st.booleans(), head=draws.seldom)  # fmt: skip
    def get_object(
        self, wanted: Wanted, drawn: Drawn, selection: Selection, checksums: bool, head: bool
    ) -> None:
        place = self.place(wanted)
        conditions = conditions_on(drawn, self.found(place))
        arguments = {**place.arguments, **condition_arguments(conditions)}
        arguments |= selection_arguments(selection)
        arguments |= {"ChecksumMode": "ENABLED"} if checksums else {}
        self.read(
            lambda: self.objects.get(
                *place,
                conditions=conditions,
                span=selection.span,
                part=selection.part,
                checksums=checksums,
            ),
            "HeadObject" if head else "GetObject", **arguments,
        )  # fmt: skip

    @rule(
        wanted=draws.places,
        names=st.sets(
            st.sampled_from(["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]),
            min_size=1,
        ),
        after=st.sampled_from([0, 0, 1, 2]),
        limit=st.sampled_from([1, 2, 1000]),
    )
    def get_object_attributes(
        self, wanted: Wanted, names: set[str], after: int, limit: int
    ) -> None:
        place = self.place(wanted)
        self.read(
            lambda: self.objects.attributes(*place, frozenset(names), after=after, limit=limit),
            "GetObjectAttributes", **place.arguments, ObjectAttributes=sorted(names),
            MaxParts=limit, PartNumberMarker=after,
        )  # fmt: skip

    # --- tags ------------------------------------------------------------------------

    @rule(wanted=draws.places, tags=draws.tag_sets)
    def put_object_tagging(self, wanted: Wanted, tags: dict[str, str]) -> None:
        bucket, key, version_id = place = self.place(wanted)
        tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
        self.write(
            lambda: self.objects.put_tags(bucket, key, tags, version_id),
            "PutObjectTagging", **place.arguments, Tagging={"TagSet": tag_set},
        )  # fmt: skip

    @rule(wanted=draws.places)
    def get_object_tagging(self, wanted: Wanted) -> None:
        place = self.place(wanted)
        self.read(lambda: self.objects.get_tags(*place), "GetObjectTagging", **place.arguments)

    @rule(wanted=draws.places)
    def delete_object_tagging(self, wanted: Wanted) -> None:
        place = self.place(wanted)
        self.write(
            lambda: self.objects.delete_tags(*place), "DeleteObjectTagging", **place.arguments
        )

    # --- versioning ------------------------------------------------------------------

    @rule(bucket=draws.buckets, status=st.sampled_from(["Enabled", "Enabled", "Suspended"]))
    def put_bucket_versioning(self, bucket: str, status: str) -> None:
        self.write(
            lambda: self.buckets.put_versioning(bucket, status),
            "PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": status},
        )  # fmt: skip
        self.served.settle()

    @rule(bucket=draws.buckets)
    def get_bucket_versioning(self, bucket: str) -> None:
        self.read(lambda: self.buckets.get_versioning(bucket), "GetBucketVersioning", Bucket=bucket)
