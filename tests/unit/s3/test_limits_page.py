"""docs/protocol/limits.md is what limits.py says, and what AWS says."""

import re
from pathlib import Path

import pytest

from objstore import limits
from objstore.s3.limits_page import OF_REQUESTS, OF_THE_API, render

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/protocol/limits.md"
# AWS's user guide: "Amazon S3 multipart upload limits", "Naming Amazon S3 objects", "Working with
# object metadata", "Categorizing your objects using tags", "Sharing objects with presigned URLs".
AWS = {
    "OBJECT_PUT_BYTES_MAX": 5 * 1024**3,  # "up to 5 GB in size" in a single PUT
    "OBJECT_BYTES_MAX": 50 * 1024**4,  # "maximum object size 50 TB"
    "PART_BYTES_MIN": 5 * 1024**2,  # "5 MiB to 5 GiB. There is no minimum size on the last part"
    "PART_NUMBER_MAX": 10_000,  # "part numbers 1 to 10,000 (inclusive)"
    "KEY_BYTES_MAX": 1024,  # "maximum length of 1,024 bytes"
    "USER_METADATA_BYTES_MAX": 2048,  # "the user-defined metadata is limited to 2 KB in size"
    "REDIRECT_LOCATION_BYTES_MAX": 2048,  # "cannot exceed 2,048 characters"
    "LIST_KEYS_MAX": 1000,  # "the action returns up to 1,000 key names"
    "DELETE_KEYS_MAX": 1000,  # "a list of up to 1,000 keys that you want to delete"
    "BUCKET_TAGS_MAX": 50,
    "OBJECT_TAGS_MAX": 10,  # "you can associate up to 10 tags with an object"
    "TAG_KEY_CHARACTERS_MAX": 128,  # "a tag key can be up to 128 Unicode characters in length"
    "TAG_VALUE_CHARACTERS_MAX": 256,  # "tag values can be up to 256 Unicode characters in length"
    "CORS_RULES_MAX": 100,  # "you can add up to 100 rules to the configuration"
    "CORS_DOCUMENT_BYTES_MAX": 65_536,  # "the document is limited to 64 KB in size"
    "LIFECYCLE_RULES_MAX": 1000,  # "a Lifecycle configuration can have up to 1,000 rules"
    "NEWER_NONCURRENT_VERSIONS_MAX": 100,  # "you can specify up to 100 noncurrent versions"
    "RULE_ID_CHARACTERS_MAX": 255,  # "the value can't be longer than 255 characters"
    "REPLICATION_RULES_MAX": 1000,  # "a replication configuration can contain up to 1,000 rules"
    "ROUTING_RULES_MAX": 50,  # "a limitation of 50 routing rules per website configuration"
    "NOTIFICATION_RULES_MAX": 100,  # "each bucket can have up to 100 event notification"
    "RETENTION_DAYS_MAX": 36_500,
    "RETENTION_YEARS_MAX": 100,  # "a maximum of 100 years"
    "ANNOTATION_NAME_BYTES_MAX": 512,  # "Maximum length of 512 bytes."
    "PRESIGN_SECONDS_MAX": 604_800,  # "the maximum is 604800 (seven days)"
    "CLOCK_SKEW_SECONDS_MAX": 900,  # "within 15 minutes of the Amazon S3 system time"
    "POLICY_BYTES_MAX": 20 * 1024,  # "bucket policies are limited to 20 KB in size"
    "ACL_GRANTS_MAX": 100,  # "an ACL can have up to 100 grants"
}


def test_the_page_is_current() -> None:
    command = "python -m objstore.s3.limits_page > docs/protocol/limits.md"
    assert PAGE.read_text() == render(), f"run: {command}"


def test_every_figure_of_the_api_is_in_the_table() -> None:
    """A figure of AWS's in limits.py needs its row, so that there is one table of them."""
    source = (ROOT / "objstore/limits.py").read_text()
    section = source.partition("# --- S3 ")[2].partition("# --- ")[0]
    named = re.findall(r"^([A-Z0-9_]+): Final", section, flags=re.MULTILINE)
    assert [row.name for row in OF_THE_API] == named


@pytest.mark.parametrize("row", OF_THE_API, ids=lambda row: row.name)
def test_the_figures_are_aws_s(row: object) -> None:
    name = getattr(row, "name", "")
    assert getattr(limits, name) == AWS[name]


def test_figures_are_said_in_units() -> None:
    page = render()
    assert (
        "| object in one PutObject, part, source of one copy | 5 GiB | 400 EntityTooLarge" in page
    )
    assert "| object key, in UTF-8 | 1 KiB | 400 KeyTooLongError | `KEY_BYTES_MAX` |" in page
    assert "| number of a part, and parts of an upload | 10,000 |" in page
    assert len({row.name for row in OF_THE_API + OF_REQUESTS}) == page.count("| `")
