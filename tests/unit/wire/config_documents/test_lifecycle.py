"""LifecycleConfiguration: both forms are read, and AWS's refusals of the rest."""

import re

import pytest

from objstore.wire.config_documents.lifecycle import (
    Expiration,
    Filter,
    LifecycleRule,
    NoncurrentExpiration,
    read_lifecycle,
    write_lifecycle,
)
from objstore.wire.config_documents.tagging import Tag
from tests.unit.wire.config_documents.model import answer, refused, request_body

ONE_DAY = "<Expiration><Days>1</Days></Expiration>"
EVERYTHING = "<Filter/>"


def rule(inner: str = ONE_DAY, *, chosen: str = EVERYTHING, status: str = "Enabled") -> str:
    return f"<Rule>{chosen}<Status>{status}</Status>{inner}</Rule>"


def body(*rules: str, root: str = "LifecycleConfiguration") -> bytes:
    return f"<{root}>{''.join(rules)}</{root}>".encode()


def sent(**parts: object) -> bytes:
    whole = {"ID": "r", "Status": "Enabled", "Filter": {}, **parts}
    return request_body(
        "PutBucketLifecycleConfiguration", LifecycleConfiguration={"Rules": [whole]}
    )


def test_everything_that_botocore_sends() -> None:
    (found,) = read_lifecycle(
        sent(
            Filter={
                "And": {
                    "Prefix": "logs/",
                    "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}],
                    "ObjectSizeGreaterThan": 500,
                    "ObjectSizeLessThan": 64_000,
                }
            },
            Expiration={"Days": 30},
            NoncurrentVersionExpiration={"NoncurrentDays": 7, "NewerNoncurrentVersions": 2},
        )
    )
    assert found == LifecycleRule(
        "r",
        enabled=True,
        filter=Filter("logs/", (Tag("a", "1"), Tag("b", "")), 500, 64_000, grouped=True),
        expiration=Expiration(30),
        noncurrent=NoncurrentExpiration(7, 2),
    )


def test_the_form_before_filters() -> None:
    legacy = body(
        "<Rule><ID>old</ID><Prefix>tmp/</Prefix><Status>Disabled</Status>"
        "<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration></Rule>"
    )
    (found,) = read_lifecycle(legacy)
    assert found.filter == Filter("tmp/", legacy=True)
    assert not found.enabled
    assert found.expiration == Expiration(date_ms=1_893_456_000_000)
    shown = answer("GetBucketLifecycleConfiguration", write_lifecycle((found,)))
    assert shown["Rules"][0]["Prefix"] == "tmp/"
    assert "Filter" not in shown["Rules"][0]


def test_predicates_beside_each_other_are_an_and() -> None:
    # Clients of other stores leave the And out; nothing of what they ask for is lost.
    chosen = (
        "<Filter><Prefix>days1/</Prefix><Tag><Key>tom</Key><Value>sawyer</Value></Tag></Filter>"
    )
    (found,) = read_lifecycle(body(rule(chosen=chosen)))
    assert found.filter == Filter("days1/", (Tag("tom", "sawyer"),), grouped=True)
    shown = answer("GetBucketLifecycleConfiguration", write_lifecycle((found,)))
    assert shown["Rules"][0]["Filter"] == {
        "And": {"Prefix": "days1/", "Tags": [{"Key": "tom", "Value": "sawyer"}]}
    }


def test_rules_without_an_id_get_one() -> None:
    data = body(
        rule(), rule(), "<Rule><ID/><Filter/><Status>Enabled</Status>" + ONE_DAY + "</Rule>"
    )
    ids = [found.rule_id for found in read_lifecycle(data)]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{48}", rule_id) for rule_id in ids)
    assert ids == [found.rule_id for found in read_lifecycle(data)]


def test_the_rest_of_the_actions() -> None:
    marker = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
    abort = (
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
        "</AbortIncompleteMultipartUpload>"
    )
    (found,) = read_lifecycle(body(rule(marker + abort)))
    assert found.expiration == Expiration(delete_marker=True)
    assert found.abort_days == 7


def named(rule_id: str) -> str:
    return rule().replace("<Rule>", f"<Rule><ID>{rule_id}</ID>")


TAG = "<Tag><Key>k</Key><Value>v</Value></Tag>"
TAGGED = f"<Filter>{TAG}</Filter>"
SIZED = "<Filter><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></Filter>"
ABORT = (
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
    "</AbortIncompleteMultipartUpload>"
)
MARKER = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"


def expiring(inner: str) -> str:
    return rule(f"<Expiration>{inner}</Expiration>")


def noncurrent(inner: str, *, chosen: str = EVERYTHING) -> str:
    whole = f"<NoncurrentVersionExpiration>{inner}</NoncurrentVersionExpiration>"
    return rule(whole, chosen=chosen)


DAYS = "<NoncurrentDays>1</NoncurrentDays>"


@pytest.mark.parametrize(
    ("rules", "reason", "message"),
    [
        ([], "MalformedXML", ""),
        ([rule("")], "InvalidRequest", "At least one action needs to be specified in a rule."),
        ([rule(status="enabled")], "MalformedXML", ""),
        ([rule().replace("<Status>Enabled</Status>", "")], "MalformedXML", ""),
        ([rule(chosen="")], "MalformedXML", ""),
        ([rule(chosen="<Prefix>a</Prefix><Filter/>")], "MalformedXML", ""),
        ([rule(chosen=f"<Filter><And/>{TAG}</Filter>")], "MalformedXML", ""),
        ([rule(chosen=f"<Filter>{TAG}{TAG}</Filter>")], "MalformedXML", ""),
        (
            [rule(chosen=f"<Filter><And>{TAG}{TAG}</And></Filter>")],
            "InvalidRequest",
            "Duplicate Tag Keys are not allowed.",
        ),
        (
            [rule(chosen="<Filter><Tag><Key>a*</Key><Value/></Tag></Filter>")],
            "InvalidTag",
            "The TagKey you have provided is invalid",
        ),
        (
            [rule(chosen=f"<Filter><Prefix>{'a' * 1025}</Prefix></Filter>")],
            "InvalidRequest",
            "The maximum size of a prefix is 1024.",
        ),
        (
            [
                rule(
                    chosen="<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan>"
                    "<ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>"
                )
            ],
            "InvalidRequest",
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
        ),
        (
            [rule(chosen="<Filter><ObjectSizeLessThan>0</ObjectSizeLessThan></Filter>")],
            "InvalidArgument",
            "",
        ),
        ([named("a" * 256)], "InvalidArgument", "ID length should not exceed allowed limit of 255"),
        ([named("same"), named("same")], "InvalidArgument", "Rule ID must be unique."),
        (
            [expiring("<Days>0</Days>")],
            "InvalidArgument",
            "'Days' for Expiration action must be a positive integer",
        ),
        ([expiring("<Days>-1</Days>")], "InvalidArgument", "must be a positive integer"),
        ([expiring("<Days>one</Days>")], "MalformedXML", ""),
        ([expiring("<Days>1_0</Days>")], "MalformedXML", ""),
        ([expiring("")], "MalformedXML", ""),
        ([expiring("<Days>1</Days><Date>2030-01-01T00:00:00Z</Date>")], "MalformedXML", ""),
        (
            [expiring("<Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>")],
            "MalformedXML",
            "",
        ),
        (
            [
                expiring(
                    "<Days>1</Days><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker>"
                )
            ],
            "MalformedXML",
            "",
        ),
        ([expiring("<Date>20300101</Date>")], "MalformedXML", ""),
        (
            [expiring("<Date>2030-01-01T00:00:01Z</Date>")],
            "InvalidArgument",
            "'Date' must be at midnight GMT",
        ),
        ([noncurrent("")], "MalformedXML", ""),
        (
            [noncurrent("<NoncurrentDays>0</NoncurrentDays>")],
            "InvalidArgument",
            "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
        ),
        (
            [noncurrent(f"{DAYS}<NewerNoncurrentVersions>0</NewerNoncurrentVersions>")],
            "InvalidArgument",
            "NewerNoncurrentVersions",
        ),
        (
            [noncurrent(f"{DAYS}<NewerNoncurrentVersions>101</NewerNoncurrentVersions>")],
            "InvalidArgument",
            "NewerNoncurrentVersions",
        ),
        (
            [
                noncurrent(
                    f"{DAYS}<NewerNoncurrentVersions>1</NewerNoncurrentVersions>",
                    chosen="<Prefix/>",
                )
            ],
            "InvalidRequest",
            "NewerNoncurrentVersions",
        ),
        (
            [rule(ABORT.replace("1", "0"))],
            "InvalidArgument",
            "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be",
        ),
        (
            [rule(ABORT, chosen=TAGGED)],
            "InvalidRequest",
            "AbortIncompleteMultipartUpload cannot be specified with Tags.",
        ),
        ([rule(ABORT, chosen=SIZED)], "InvalidRequest", "cannot be specified with ObjectSize."),
        (
            [rule(MARKER, chosen=TAGGED)],
            "InvalidRequest",
            "ExpiredObjectDeleteMarker cannot be specified with Tags.",
        ),
    ],
)
def test_refusals(rules: list[str], reason: str, message: str) -> None:
    with refused(reason, message):
        read_lifecycle(body(*rules))


def test_a_thousand_rules() -> None:
    # AWS says: "An Amazon S3 Lifecycle configuration can have up to 1,000 rules."
    assert len(read_lifecycle(body(*[rule()] * 1000))) == 1000
    with refused("InvalidRequest", "1000 rules"):
        read_lifecycle(body(*[rule()] * 1001))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"Transitions": [{"Days": 0, "StorageClass": "GLACIER"}]}, "NotImplemented"),
        (
            {"NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "GLACIER_IR"}]},
            "NotImplemented",
        ),
        ({"Transitions": [{"Days": 1, "StorageClass": "COLD"}]}, "MalformedXML"),
        ({"Transitions": [{"Days": 1}]}, "MalformedXML"),
        ({"Transitions": [{"StorageClass": "GLACIER"}]}, "MalformedXML"),
        ({"Transitions": [{"Days": -1, "StorageClass": "GLACIER"}]}, "InvalidArgument"),
        ({"Transitions": [{"Date": "20220927", "StorageClass": "GLACIER"}]}, "InvalidArgument"),
    ],
)
def test_transitions(parts: dict[str, object], reason: str) -> None:
    """A well-formed transition has nowhere to go; a malformed one is refused as that."""
    with refused(reason):
        read_lifecycle(sent(**parts))


def test_the_other_root() -> None:
    assert len(read_lifecycle(body(rule(), root="BucketLifecycleConfiguration"))) == 1
