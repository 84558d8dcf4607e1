"""Rules for buckets and objects."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.values import Attributes, Fields, Refused, checksum_of
from tests.property import draws
from tests.property.draws import (
    BUCKETS,
    Drawn,
    Span,
    Wanted,
    attribute_arguments,
    condition_arguments,
    conditions_on,
    range_argument,
    source_argument,
    tag_argument,
)
from tests.property.world import FEATURES, Place, World


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
        attributes = self.featured(replace(described, algorithm=algorithm))
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

    @rule(wanted=draws.places, drawn=draws.delete_conditions)
    def delete_object(self, wanted: Wanted, drawn: Drawn) -> None:
        place = self.place(wanted)
        drawn = drawn if FEATURES["conditional deletes"] else {}
        conditions = conditions_on(drawn, self.found(place))
        self.write(
            lambda: self.objects.delete(*place, conditions=conditions),
            "DeleteObject", **place.arguments, **condition_arguments(conditions),
        )  # fmt: skip

    @rule(chosen=st.lists(draws.places, min_size=1, max_size=4), quiet=draws.seldom)
    def delete_objects(self, chosen: list[Wanted], quiet: bool) -> None:
        """Entries of one request have no order, so no key is named twice."""
        bucket = chosen[0].bucket
        places = [self.place(one) for one in chosen if one.bucket == bucket]
        named = list({place.key: place for place in places}.values())
        entries = [dict(list(place.arguments.items())[1:]) for place in named]
        self.write(
            lambda: self._deleted_all(bucket, named, quiet=quiet),
            "DeleteObjects", Bucket=bucket, Delete={"Objects": entries, "Quiet": quiet},
        )  # fmt: skip

    def _deleted_all(self, bucket: str, named: list[Place], *, quiet: bool) -> Fields:
        """DeleteMarkerVersionId: "The version ID of the delete marker created as a result of the
        DELETE operation. If you delete a specific object version, the value returned by this
        header is the version ID of the object version deleted."
        """
        self.buckets.find(bucket)
        deleted: list[Fields] = []
        for place in named:
            entry: Fields = {"Key": place.key}
            answer = self.objects.delete(*place)
            if place.version_id is not None:
                entry["VersionId"] = place.version_id
            if answer.get("DeleteMarker"):
                entry |= {"DeleteMarker": True, "DeleteMarkerVersionId": answer["VersionId"]}
            deleted.append(entry)
        return {} if quiet else {"Deleted": deleted}

    @rule(wanted_source=draws.places, wanted=draws.places, described=st.none() | draws.described,
          replaces_tags=draws.seldom, tags=draws.tag_sets, algorithm=draws.algorithms,
          drawn=draws.read_conditions, drawn_write=draws.write_conditions)  # fmt: skip
    def copy_object(
        self,
        wanted_source: Wanted,
        wanted: Wanted,
        described: Attributes | None,
        replaces_tags: bool,
        tags: dict[str, str],
        algorithm: str,
        drawn: Drawn,
        drawn_write: Drawn,
    ) -> None:
        source = self.source(wanted_source, drawn)
        bucket, key, _ = place = self.new_place(wanted)
        conditions = self.write_conditions(drawn_write, place)
        replaces_tags = replaces_tags and FEATURES["tagging"]
        arguments: dict[str, Any] = {"CopySource": source_argument(source)}
        arguments |= condition_arguments(source.conditions, source=True)
        arguments |= condition_arguments(conditions)
        arguments |= {"ChecksumAlgorithm": algorithm} if algorithm else {}
        if described is not None:
            described = replace(described, tags={})  # they have a directive of their own
            arguments |= {"MetadataDirective": "REPLACE", **attribute_arguments(described)}
        if replaces_tags:
            arguments |= {"TaggingDirective": "REPLACE", "Tagging": tag_argument(tags)}
        self.write(
            lambda: self.objects.copy(
                source,
                bucket,
                key,
                replaced=described,
                tags=tags if replaces_tags else None,
                algorithm=algorithm,
                conditions=conditions,
            ),
            "CopyObject", Bucket=bucket, Key=key, **arguments,
        )  # fmt: skip

    # --- reading ---------------------------------------------------------------------

    @rule(wanted=draws.places, drawn=draws.read_conditions, span=draws.spans,
          part=st.sampled_from([None, None, None, None, 1, 2, 3]),
          checksums=st.booleans(), head=draws.seldom)  # fmt: skip
    def get_object(
        self,
        wanted: Wanted,
        drawn: Drawn,
        span: Span | None,
        part: int | None,
        checksums: bool,
        head: bool,
    ) -> None:
        place = self.place(wanted)
        conditions = conditions_on(drawn, self.found(place))
        arguments = {**place.arguments, **condition_arguments(conditions), **range_argument(span)}
        arguments |= {"PartNumber": part} if part is not None else {}
        arguments |= {"ChecksumMode": "ENABLED"} if checksums else {}
        self.read(
            lambda: self.objects.get(
                *place, conditions=conditions, span=span, part=part, checksums=checksums
            ),
            "HeadObject" if head else "GetObject", **arguments,
        )  # fmt: skip

    # --- tags ------------------------------------------------------------------------

    @precondition(lambda self: FEATURES["tagging"])
    @rule(wanted=draws.places, tags=draws.tag_sets)
    def put_object_tagging(self, wanted: Wanted, tags: dict[str, str]) -> None:
        bucket, key, version_id = place = self.place(wanted)
        tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
        self.write(
            lambda: self.objects.put_tags(bucket, key, tags, version_id),
            "PutObjectTagging", **place.arguments, Tagging={"TagSet": tag_set},
        )  # fmt: skip

    @precondition(lambda self: FEATURES["tagging"])
    @rule(wanted=draws.places)
    def get_object_tagging(self, wanted: Wanted) -> None:
        place = self.place(wanted)
        self.read(lambda: self.objects.get_tags(*place), "GetObjectTagging", **place.arguments)

    @precondition(lambda self: FEATURES["tagging"])
    @rule(wanted=draws.places)
    def delete_object_tagging(self, wanted: Wanted) -> None:
        place = self.place(wanted)
        self.write(
            lambda: self.objects.delete_tags(*place), "DeleteObjectTagging", **place.arguments
        )

    # --- versioning ------------------------------------------------------------------

    @precondition(lambda self: FEATURES["versioning"])
    @rule(bucket=draws.buckets, status=st.sampled_from(["Enabled", "Enabled", "Suspended"]))
    def put_bucket_versioning(self, bucket: str, status: str) -> None:
        self.write(
            lambda: self.buckets.put_versioning(bucket, status),
            "PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": status},
        )  # fmt: skip

    @precondition(lambda self: FEATURES["versioning"])
    @rule(bucket=draws.buckets)
    def get_bucket_versioning(self, bucket: str) -> None:
        self.read(lambda: self.buckets.get_versioning(bucket), "GetBucketVersioning", Bucket=bucket)
