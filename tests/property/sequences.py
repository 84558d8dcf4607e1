"""Every rule there is, after a beginning that gives them something to work on."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.model.values import Attributes
from tests.property import draws
from tests.property.listing_rules import ListingRules
from tests.property.object_rules import ObjectRules
from tests.property.upload_rules import UploadRules


class Sequences(ObjectRules, ListingRules, UploadRules):
    """What hypothesis runs; without a beginning most requests would be about nothing."""

    @initialize(
        status=st.sampled_from(["", "Enabled", "Suspended"]),
        content=st.lists(st.tuples(draws.new_keys, draws.bodies), max_size=5),
        uploads=st.lists(st.tuples(draws.new_keys, draws.uploads_choose), max_size=2),
        parts=st.lists(st.tuples(draws.part_sizes, draws.part_numbers), max_size=3),
    )
    def begin(
        self,
        status: str,
        content: list[tuple[str, bytes]],
        uploads: list[tuple[str, tuple[str, str]]],
        parts: list[tuple[str, int]],
    ) -> None:
        bucket = draws.BUCKETS[0]
        for name in draws.BUCKETS:
            self.create_bucket(name)
        if status:
            self.put_bucket_versioning(bucket, status)
        for key, body in content:
            self.put_plain_object(draws.Wanted(bucket, key, 0), body)
        for at, (key, chosen) in enumerate(uploads):
            self.create_multipart_upload(draws.Wanted(bucket, key, 0), Attributes(), chosen)
            for size, number in parts:
                self.upload_part(at, number, size, 0, "")
