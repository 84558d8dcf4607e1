"""Rules for buckets and objects."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.objects import Source
from tests.model.values import Attributes, Fields, Opaque, Refused, checksum_of
from tests.property import draws
from tests.property.draws import (
    Drawn,
    body_of,
    buckets,
    choices,
    condition_arguments,
    conditions_on,
    keys,
    range_argument,
    seldom,
    source_argument,
    tag_argument,
)
from tests.property.world import FEATURES, World

seeds = st.integers(0, 3)


def versioned(arguments: dict[str, Any], version_id: Opaque | None) -> dict[str, Any]:
    """Add the version that a request names."""
    return arguments if version_id is None else arguments | {"VersionId": version_id.bound}


class ObjectRules(World):
    """What is done to buckets and objects."""

    # --- buckets ---------------------------------------------------------------------

    @rule(bucket=buckets)
    def create_bucket(self, bucket: str) -> None:
        """ "if you re-create an existing bucket that you already own in us-east-1, Amazon S3
        returns 200 OK".
        """
        self.dirty = True
        answered = self.wire.call("CreateBucket", Bucket=bucket)
        if bucket not in self.buckets.held:
            self.expect(lambda: self.buckets.create(bucket), "CreateBucket", answered)
        assert answered.status == 200

    @rule(bucket=buckets)
    def delete_bucket(self, bucket: str) -> None:
        held = self.buckets.held.get(bucket)
        self.write(lambda: self.buckets.delete(bucket), "DeleteBucket", Bucket=bucket)
        if held is not None and bucket not in self.buckets.held:
            self.ended += held.uploads

    @rule(bucket=buckets)
    def head_bucket(self, bucket: str) -> None:
        answered = self.wire.call("HeadBucket", Bucket=bucket)
        assert answered.status == (200 if bucket in self.buckets.held else 404)

    @rule()
    def list_buckets(self) -> None:
        listed = self.wire.call("ListBuckets").out.get("Buckets", [])
        assert [one["Name"] for one in listed] == sorted(self.buckets.held)

    @rule(seconds=st.sampled_from([0.4, 1, 3600, 90_000]))
    def time_passes(self, seconds: float) -> None:
        self.served.advance(seconds)

    # --- writing ---------------------------------------------------------------------

    @rule(bucket=buckets, key=keys, size=draws.sizes, seed=seeds, metadata=draws.metadata,
          headers=draws.stored_headers, tags=draws.tag_sets, algorithm=draws.algorithms,
          drawn=draws.write_conditions)  # fmt: skip
    def put_object(  # noqa: PLR0913
        self,
        bucket: str,
        key: str,
        size: int,
        seed: int,
        metadata: dict[str, str],
        headers: dict[str, str],
        tags: dict[str, str],
        algorithm: str,
        drawn: Drawn,
    ) -> None:
        body = body_of(size, seed)
        tags = tags if FEATURES["tagging"] else {}
        found = self.version_of(bucket, key, None)
        conditions = conditions_on(drawn if FEATURES["conditional writes"] else {}, found)
        arguments: dict[str, Any] = {"Body": body, "Metadata": metadata, **headers}
        arguments |= condition_arguments(conditions)
        if algorithm:
            arguments[f"Checksum{algorithm}"] = checksum_of(algorithm, body)
        if tags:
            arguments["Tagging"] = tag_argument(tags)
        attributes = Attributes(headers, metadata, tags, algorithm)
        self.write(
            lambda: self.objects.put(bucket, key, body, attributes, conditions),
            "PutObject", Bucket=bucket, Key=key, **arguments,
        )  # fmt: skip

    @rule(bucket=buckets, key=keys, algorithm=st.sampled_from(["CRC32", "SHA256", "MD5"]))
    def put_object_with_a_wrong_digest(self, bucket: str, key: str, algorithm: str) -> None:
        """What is refused changes nothing."""
        if bucket not in self.buckets.held:
            return  # either refusal would do

        def refused() -> Fields:
            raise Refused("BadDigest")

        wrong = checksum_of("SHA256", b"other")[:24] if algorithm == "MD5" else ""
        name = "ContentMD5" if algorithm == "MD5" else f"Checksum{algorithm}"
        digest = f"{wrong[:22]}==" if wrong else checksum_of(algorithm, b"other")
        self.write(
            refused, "PutObject", Bucket=bucket, Key=key, Body=b"body", **{name: digest}
        )

    @rule(bucket=buckets, key=keys, choice=choices, drawn=draws.delete_conditions)
    def delete_object(self, bucket: str, key: str, choice: int, drawn: Drawn) -> None:
        version_id = self.pick_version(bucket, key, choice)
        found = self.version_of(bucket, key, version_id)
        conditions = conditions_on(drawn if FEATURES["conditional deletes"] else {}, found)
        arguments = versioned({"Bucket": bucket, "Key": key}, version_id)
        self.write(
            lambda: self.objects.delete(bucket, key, version_id, conditions),
            "DeleteObject", **arguments, **condition_arguments(conditions),
        )  # fmt: skip

    @rule(
        bucket=buckets,
        chosen=st.lists(st.tuples(keys, choices), min_size=1, max_size=4, unique_by=lambda c: c[0]),
        quiet=seldom,
    )
    def delete_objects(self, bucket: str, chosen: list[tuple[str, int]], quiet: bool) -> None:
        named = [(key, self.pick_version(bucket, key, choice)) for key, choice in chosen]
        entries = [versioned({"Key": key}, version_id) for key, version_id in named]
        self.write(
            lambda: self._deleted_all(bucket, named, quiet=quiet),
            "DeleteObjects", Bucket=bucket, Delete={"Objects": entries, "Quiet": quiet},
        )  # fmt: skip

    def _deleted_all(
        self, bucket: str, named: list[tuple[str, Opaque | None]], *, quiet: bool
    ) -> Fields:
        """DeleteMarkerVersionId: "The version ID of the delete marker created as a result of the
        DELETE operation. If you delete a specific object version, the value returned by this
        header is the version ID of the object version deleted."
        """
        self.buckets.find(bucket)
        deleted: list[Fields] = []
        for key, version_id in named:
            entry: Fields = {"Key": key}
            answer = self.objects.delete(bucket, key, version_id)
            if version_id is not None:
                entry["VersionId"] = version_id
            if answer.get("DeleteMarker"):
                entry |= {"DeleteMarker": True, "DeleteMarkerVersionId": answer["VersionId"]}
            deleted.append(entry)
        return {} if quiet else {"Deleted": deleted}

    @rule(source_bucket=buckets, source_key=keys, choice=choices, bucket=buckets, key=keys,
          metadata=st.none() | draws.metadata, tags=st.none() | draws.tag_sets,
          algorithm=draws.algorithms, drawn=draws.read_conditions,
          drawn_write=draws.write_conditions)  # fmt: skip
    def copy_object(  # noqa: PLR0913
        self,
        source_bucket: str,
        source_key: str,
        choice: int,
        bucket: str,
        key: str,
        metadata: dict[str, str] | None,
        tags: dict[str, str] | None,
        algorithm: str,
        drawn: Drawn,
        drawn_write: Drawn,
    ) -> None:
        version_id = self.pick_version(source_bucket, source_key, choice)
        read = self.version_of(source_bucket, source_key, version_id)
        source = Source(source_bucket, source_key, version_id, conditions_on(drawn, read))
        found = self.version_of(bucket, key, None)
        conditions = conditions_on(drawn_write if FEATURES["conditional writes"] else {}, found)
        tags = tags if FEATURES["tagging"] else None
        arguments: dict[str, Any] = {"CopySource": source_argument(source)}
        arguments |= condition_arguments(source.conditions, source=True)
        arguments |= condition_arguments(conditions)
        if algorithm:
            arguments["ChecksumAlgorithm"] = algorithm
        if metadata is not None:
            arguments |= {"MetadataDirective": "REPLACE", "Metadata": metadata}
        if tags is not None:
            arguments |= {"TaggingDirective": "REPLACE", "Tagging": tag_argument(tags)}
        self.write(
            lambda: self.objects.copy(
                source,
                bucket,
                key,
                replaced=None if metadata is None else Attributes({}, metadata),
                tags=tags,
                algorithm=algorithm,
                conditions=conditions,
            ),
            "CopyObject", Bucket=bucket, Key=key, **arguments,
        )  # fmt: skip

    # --- reading ---------------------------------------------------------------------

    @rule(bucket=buckets, key=keys, choice=choices, drawn=draws.read_conditions,
          span=draws.spans, part=st.sampled_from([None, None, None, None, 1, 2, 3]),
          checksums=seldom, head=seldom)  # fmt: skip
    def get_object(  # noqa: PLR0913
        self,
        bucket: str,
        key: str,
        choice: int,
        drawn: Drawn,
        span: tuple[int | None, int | None] | None,
        part: int | None,
        checksums: bool,
        head: bool,
    ) -> None:
        version_id = self.pick_version(bucket, key, choice)
        conditions = conditions_on(drawn, self.version_of(bucket, key, version_id))
        arguments = versioned({"Bucket": bucket, "Key": key}, version_id)
        arguments |= condition_arguments(conditions) | range_argument(span)
        if part is not None:
            arguments["PartNumber"] = part
        if checksums:
            arguments["ChecksumMode"] = "ENABLED"
        self.read(
            lambda: self.objects.get(
                bucket, key, version_id, conditions=conditions, span=span, part=part,
                checksums=checksums,
            ),
            "HeadObject" if head else "GetObject", **arguments,
        )  # fmt: skip

    # --- tags ------------------------------------------------------------------------

    @precondition(lambda self: FEATURES["tagging"])
    @rule(bucket=buckets, key=keys, choice=choices, tags=draws.tag_sets)
    def put_object_tagging(
        self, bucket: str, key: str, choice: int, tags: dict[str, str]
    ) -> None:
        version_id = self.pick_version(bucket, key, choice)
        tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
        self.write(
            lambda: self.objects.put_tags(bucket, key, tags, version_id),
            "PutObjectTagging",
            **versioned({"Bucket": bucket, "Key": key}, version_id), Tagging={"TagSet": tag_set},
        )  # fmt: skip

    @precondition(lambda self: FEATURES["tagging"])
    @rule(bucket=buckets, key=keys, choice=choices)
    def get_object_tagging(self, bucket: str, key: str, choice: int) -> None:
        version_id = self.pick_version(bucket, key, choice)
        self.read(
            lambda: self.objects.get_tags(bucket, key, version_id),
            "GetObjectTagging", **versioned({"Bucket": bucket, "Key": key}, version_id),
        )  # fmt: skip

    @precondition(lambda self: FEATURES["tagging"])
    @rule(bucket=buckets, key=keys, choice=choices)
    def delete_object_tagging(self, bucket: str, key: str, choice: int) -> None:
        version_id = self.pick_version(bucket, key, choice)
        self.write(
            lambda: self.objects.delete_tags(bucket, key, version_id),
            "DeleteObjectTagging", **versioned({"Bucket": bucket, "Key": key}, version_id),
        )  # fmt: skip

    # --- versioning ------------------------------------------------------------------

    @precondition(lambda self: FEATURES["versioning"])
    @rule(bucket=buckets, status=st.sampled_from(["Enabled", "Enabled", "Suspended"]))
    def put_bucket_versioning(self, bucket: str, status: str) -> None:
        self.write(
            lambda: self.buckets.put_versioning(bucket, status),
            "PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": status},
        )  # fmt: skip

    @precondition(lambda self: FEATURES["versioning"])
    @rule(bucket=buckets)
    def get_bucket_versioning(self, bucket: str) -> None:
        self.read(
            lambda: self.buckets.get_versioning(bucket), "GetBucketVersioning", Bucket=bucket
        )
