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
        content=st.lists(st.tuples(draws.new_keys, draws.bodies), min_size=1, max_size=6),
        chosen=st.none() | draws.uploads_choose,
        sizes=st.lists(draws.part_sizes, min_size=1, max_size=3),
    )
    def begin(
        self,
        status: str,
        content: list[tuple[str, bytes]],
        chosen: tuple[str, str] | None,
        sizes: list[str],
    ) -> None:
        bucket = draws.BUCKETS[0]
        for name in draws.BUCKETS:
            self.create_bucket(name)
        if status:
            self.put_bucket_versioning(bucket, status)
        for key, body in content:
            self.put_plain_object(draws.Wanted(bucket, key, 0), body)
        if chosen is not None:
            wanted = draws.Wanted(bucket, content[0][0], 0)
            self.create_multipart_upload(wanted, Attributes(), chosen, sizes)
