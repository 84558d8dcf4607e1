"""CreateBucketConfiguration: where a new bucket is to be, and its first tags."""

from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.config_documents.tagging import TAG_RULE, Tags, check_tags, read_tags
from objstore.wire.leaf_values import choice
from objstore.wire.xml_reader import Element, read_document

_CONFIGURATION: Final = Element(
    "CreateBucketConfiguration",
    (
        Element("LocationConstraint"),
        Element("Location", (Element("Name"), Element("Type"))),
        Element("Bucket", (Element("DataRedundancy"), Element("Type"))),
        Element("Tags", (TAG_RULE,)),
    ),
    aliases=("CreateBucketRequest",),
)


@dataclass(frozen=True, slots=True)
class CreateBucketConfiguration:
    """What a CreateBucket request says; `location` is "" when it names none."""

    location: str = ""
    tags: Tags = ()


def read_create_bucket(data: bytes) -> CreateBucketConfiguration:
    """Read the body of CreateBucket, which may be empty.

    Raises:
        RequestRefused: MalformedXML; InvalidTag; NotImplemented for a directory bucket.
    """
    if not data.strip():
        return CreateBucketConfiguration()
    node = read_document(data, _CONFIGURATION)
    if (location := node.one("Location")) is not None:
        choice(location, "Type", ("AvailabilityZone", "LocalZone"))
    if (bucket := node.one("Bucket")) is not None:
        choice(bucket, "Type", ("Directory",))
        choice(bucket, "DataRedundancy", ("SingleAvailabilityZone", "SingleLocalZone"))
    for name in ("Location", "Bucket"):
        if node.all(name):
            raise RequestRefused(
                "NotImplemented",
                f"{name} in CreateBucketConfiguration is for directory buckets, which are not"
                " implemented; leave it out to create a general purpose bucket.",
            )
    tags = node.one("Tags")
    return CreateBucketConfiguration(
        (node.text_of("LocationConstraint") or "").strip(),
        check_tags(read_tags(tags), "bucket") if tags is not None else (),
    )
