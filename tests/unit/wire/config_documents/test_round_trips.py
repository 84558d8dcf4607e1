"""Every document, both ways through botocore's model.

A value is written as an answer, botocore reads it, botocore sends what it read as a request, and
reading that gives the value again. So no element is misspelt, misplaced or lost in either
direction. What is written is also read directly.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from objstore.errors import RequestRefused
from objstore.s3.error_codes import ERROR_CODES
from objstore.wire.config_documents import (
    accelerate,
    acl,
    attribute_access,
    bucket_logging,
    cors,
    encryption,
    grantees,
    lifecycle,
    notification,
    object_lock,
    ownership_controls,
    payment,
    public_access,
    replication,
    tagging,
    versioning,
    website,
)
from objstore.wire.documents import Owner
from tests.unit.wire.config_documents.model import answer, request_body

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=12)
NAME = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)
TOKEN = st.text("abcdefXYZ-019", min_size=1, max_size=12)
COUNT = st.integers(1, 36_500)
MAYBE_TEXT = st.none() | TEXT
DATES_MS = st.integers(0, 4_000_000_000_000)
TAG = st.builds(tagging.Tag, NAME, st.text(st.characters(categories=["L", "N"]), max_size=12))
TAGS = st.lists(TAG, max_size=3, unique_by=lambda tag: tag.key).map(tuple)
PATTERN = TOKEN | TOKEN.map(lambda text: f"{text}*") | st.just("*")


def many(one: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(one, min_size=1, max_size=most).map(tuple)


def unique(one: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(one, min_size=1, max_size=3, unique_by=lambda rule: rule.rule_id).map(tuple)


CORS = many(
    st.builds(
        cors.CorsRule,
        many(st.sampled_from(cors.METHODS)),
        many(PATTERN),
        st.just(()) | many(PATTERN),
        st.just(()) | many(TOKEN),
        st.none() | COUNT,
        MAYBE_TEXT,
    )
)
PLAIN_FILTERS = st.one_of(
    st.just(lifecycle.Filter()),
    st.builds(lifecycle.Filter, TEXT),
    st.builds(lifecycle.Filter, TEXT, legacy=st.just(True)),
    st.builds(lifecycle.Filter, tags=TAG.map(lambda tag: (tag,))),
    st.builds(lifecycle.Filter, larger_than=st.integers(0, 2**40)),
    st.builds(lifecycle.Filter, smaller_than=st.integers(1, 2**40)),
)
SIZED_FILTERS = st.builds(
    lifecycle.Filter,
    MAYBE_TEXT,
    TAGS,
    st.none() | st.integers(0, 100),
    st.none() | st.integers(101, 2**40),
    grouped=st.just(True),
).filter(
    lambda chosen: (
        (chosen.prefix, chosen.larger_than, chosen.smaller_than) != (None, None, None)
        or bool(chosen.tags)
    )
)
EXPIRATIONS = st.one_of(
    st.builds(lifecycle.Expiration, COUNT),
    st.builds(
        lifecycle.Expiration, date_ms=st.integers(0, 40_000).map(lambda day: day * lifecycle.DAY_MS)
    ),
)
MARKERS = st.builds(lifecycle.Expiration, delete_marker=st.booleans())
LIFECYCLES = unique(
    st.one_of(
        st.builds(
            lifecycle.LifecycleRule, NAME, st.booleans(), PLAIN_FILTERS | SIZED_FILTERS, EXPIRATIONS
        ),
        st.builds(
            lifecycle.LifecycleRule,
            NAME,
            st.booleans(),
            st.builds(lifecycle.Filter, TEXT),
            st.none() | EXPIRATIONS | MARKERS,
            st.builds(lifecycle.NoncurrentExpiration, COUNT, st.none() | st.integers(1, 100)),
            st.none() | COUNT,
        ),
    )
)
ENCRYPTIONS = st.one_of(
    st.builds(
        encryption.Encryption,
        bucket_key=st.none() | st.booleans(),
        blocked_types=st.sampled_from([(), ("NONE",), ("SSE-C",)]),
    ),
    st.builds(encryption.Encryption, st.just("aws:kms"), st.none() | NAME),
    st.just(encryption.Encryption("", blocked_types=("SSE-C",))),
)
LOCKS = st.builds(
    object_lock.ObjectLock,
    st.none()
    | st.builds(object_lock.DefaultRetention, st.sampled_from(object_lock.MODES), COUNT)
    | st.builds(
        object_lock.DefaultRetention,
        st.sampled_from(object_lock.MODES),
        years=st.integers(1, 100),
    ),
)
RETENTIONS = st.builds(object_lock.Retention, st.sampled_from(object_lock.MODES), DATES_MS)
GRANTEES = st.one_of(
    st.builds(grantees.Grantee, st.just("CanonicalUser"), NAME, TEXT),
    st.builds(grantees.Grantee, st.just("AmazonCustomerByEmail"), NAME),
    st.builds(grantees.Grantee, st.just("Group"), st.sampled_from(sorted(grantees.GROUPS))),
)
ACLS = st.builds(
    acl.AccessControlPolicy,
    st.builds(Owner, NAME, TEXT),
    st.lists(st.builds(grantees.Grant, GRANTEES, st.sampled_from(acl.PERMISSIONS))).map(tuple),
)
PROTOCOLS = st.sampled_from([None, "http", "https"])
ROUTES = st.builds(
    website.RoutingRule,
    MAYBE_TEXT,
    st.sampled_from([None, "404", "503"]),
    PROTOCOLS,
    NAME,
    MAYBE_TEXT,
    redirect_code=st.sampled_from([None, "301", "307"]),
)
WEBSITES = st.one_of(
    st.builds(website.Website, redirect_all=st.builds(website.RedirectAll, NAME, PROTOCOLS)),
    st.builds(website.Website, NAME, st.none() | NAME, rules=st.just(()) | many(ROUTES)),
)
ARNS = {kind: f"arn:aws:{kind}:us-east-1:123456789012:target" for kind in notification.TARGETS}


@st.composite
def notifications(draw: st.DrawFn) -> notification.Notification:
    kinds = [kind for kind in notification.TARGETS for _ in range(draw(st.integers(0, 2)))]
    rules = tuple(
        notification.NotificationRule(
            f"{draw(NAME)}{at}",
            kind,
            ARNS[kind],
            draw(many(st.sampled_from(sorted(notification.EVENTS)))),
            draw(MAYBE_TEXT),
            draw(MAYBE_TEXT),
        )
        for at, kind in enumerate(kinds)
    )
    return notification.Notification(rules, draw(st.booleans()))


LOGGINGS = st.none() | st.builds(
    bucket_logging.Logging,
    NAME,
    TEXT,
    st.lists(
        st.builds(grantees.Grant, GRANTEES, st.sampled_from(["READ", "WRITE", "FULL_CONTROL"])),
        max_size=2,
    ).map(tuple),
    st.sampled_from(
        [
            "",
            bucket_logging.SIMPLE,
            bucket_logging.EVENT_TIME,
            bucket_logging.DELIVERY_TIME,
        ]
    ),
)
MAYBE = st.sampled_from([None, True, False])


@st.composite
def replications(draw: st.DrawFn) -> replication.Replication:
    rules = []
    for at in range(draw(st.integers(1, 3))):
        form = draw(st.sampled_from(["legacy", "plain", "grouped"]))
        owner_override = draw(st.booleans())
        destination = replication.Destination(
            "arn:aws:s3:::other-bucket",
            "123456789012" if owner_override else None,
            draw(st.sampled_from([None, "STANDARD", "GLACIER"])),
            owner_override,
            draw(st.none() | NAME),
            draw(st.sampled_from([None, 15])),
            metrics := draw(MAYBE),
            draw(st.sampled_from([None, 15])) if metrics is not None else None,
        )
        tags = draw(TAGS) if form == "grouped" else ()
        rules.append(
            replication.ReplicationRule(
                f"{draw(NAME)}{at}",
                draw(st.booleans()),
                destination,
                at,
                draw(TEXT),
                tags,
                legacy=form == "legacy",
                grouped=form == "grouped",
                kms_objects=draw(MAYBE),
                replica_modifications=draw(MAYBE),
                existing_objects=draw(MAYBE),
                delete_markers=not tags and draw(st.booleans()),
            )
        )
    return replication.Replication("arn:aws:iam::123456789012:role/r", tuple(rules))


@dataclass(frozen=True)
class Case:
    values: st.SearchStrategy[Any]
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]
    get: str
    put: str
    member: str
    nested: bool = False  # whether the answer has the member, too


CASES = [
    Case(
        st.sampled_from([versioning.Versioning("Enabled"), versioning.Versioning("Suspended")]),
        versioning.write_versioning,
        versioning.read_versioning,
        "GetBucketVersioning",
        "PutBucketVersioning",
        "VersioningConfiguration",
    ),
    Case(
        TAGS,
        tagging.write_tagging,
        tagging.read_bucket_tagging,
        "GetBucketTagging",
        "PutBucketTagging",
        "Tagging",
    ),
    Case(
        CORS, cors.write_cors, cors.read_cors, "GetBucketCors", "PutBucketCors", "CORSConfiguration"
    ),
    Case(
        LIFECYCLES,
        lifecycle.write_lifecycle,
        lifecycle.read_lifecycle,
        "GetBucketLifecycleConfiguration",
        "PutBucketLifecycleConfiguration",
        "LifecycleConfiguration",
    ),
    Case(
        ENCRYPTIONS,
        encryption.write_encryption,
        encryption.read_encryption,
        "GetBucketEncryption",
        "PutBucketEncryption",
        "ServerSideEncryptionConfiguration",
        nested=True,
    ),
    Case(
        st.sampled_from(
            [
                ownership_controls.OwnershipControls(name)
                for name in ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
            ]
        ),
        ownership_controls.write_ownership_controls,
        ownership_controls.read_ownership_controls,
        "GetBucketOwnershipControls",
        "PutBucketOwnershipControls",
        "OwnershipControls",
        nested=True,
    ),
    Case(
        st.builds(
            public_access.PublicAccessBlock,
            st.booleans(),
            st.booleans(),
            st.booleans(),
            st.booleans(),
        ),
        public_access.write_public_access_block,
        public_access.read_public_access_block,
        "GetPublicAccessBlock",
        "PutPublicAccessBlock",
        "PublicAccessBlockConfiguration",
        nested=True,
    ),
    Case(
        LOCKS,
        object_lock.write_object_lock,
        object_lock.read_object_lock,
        "GetObjectLockConfiguration",
        "PutObjectLockConfiguration",
        "ObjectLockConfiguration",
        nested=True,
    ),
    Case(
        RETENTIONS,
        # An empty document is how a retention is ended.
        lambda value: object_lock.write_retention(value) if value else b"<Retention/>",
        object_lock.read_retention,
        "GetObjectRetention",
        "PutObjectRetention",
        "Retention",
        nested=True,
    ),
    Case(
        st.booleans(),
        lambda on: object_lock.write_legal_hold(on=on),
        object_lock.read_legal_hold,
        "GetObjectLegalHold",
        "PutObjectLegalHold",
        "LegalHold",
        nested=True,
    ),
    Case(
        st.sampled_from(["BucketOwner", "Requester"]),
        payment.write_request_payment,
        payment.read_request_payment,
        "GetBucketRequestPayment",
        "PutBucketRequestPayment",
        "RequestPaymentConfiguration",
    ),
    Case(
        st.sampled_from(["Enabled", "Suspended"]),
        accelerate.write_accelerate,
        accelerate.read_accelerate,
        "GetBucketAccelerateConfiguration",
        "PutBucketAccelerateConfiguration",
        "AccelerateConfiguration",
    ),
    Case(
        st.booleans(),
        lambda on: attribute_access.write_abac(on=on),
        attribute_access.read_abac,
        "GetBucketAbac",
        "PutBucketAbac",
        "AbacStatus",
        nested=True,
    ),
    Case(ACLS, acl.write_acl, acl.read_acl, "GetBucketAcl", "PutBucketAcl", "AccessControlPolicy"),
    Case(
        WEBSITES,
        website.write_website,
        website.read_website,
        "GetBucketWebsite",
        "PutBucketWebsite",
        "WebsiteConfiguration",
    ),
    Case(
        notifications(),
        notification.write_notification,
        notification.read_notification,
        "GetBucketNotificationConfiguration",
        "PutBucketNotificationConfiguration",
        "NotificationConfiguration",
    ),
    Case(
        LOGGINGS,
        bucket_logging.write_logging,
        bucket_logging.read_logging,
        "GetBucketLogging",
        "PutBucketLogging",
        "BucketLoggingStatus",
    ),
    Case(
        replications(),
        replication.write_replication,
        replication.read_replication,
        "GetBucketReplication",
        "PutBucketReplication",
        "ReplicationConfiguration",
        nested=True,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.member)
@settings(max_examples=40)
@given(data=st.data())
def test_both_ways_through_botocore(case: Case, data: st.DataObject) -> None:
    value = data.draw(case.values)
    written = case.write(value)
    assert case.read(written) == value
    parsed = answer(case.get, written)
    member = parsed[case.member] if case.nested else parsed
    sent = request_body(case.put, **{case.member: member})
    assert case.read(sent) == value


ENTITY = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.member)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no document",
        b"<Other/>",
        ENTITY + b"<a>&x;</a>",
        b"<{0}><Surprise/></{0}>",
        b"<{0}>text</{0}>",
        b"<{0} xmlns='urn:other'/>",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_such_document(case: Case, body: bytes) -> None:
    with pytest.raises(RequestRefused) as refusal:
        case.read(body.replace(b"{0}", case.member.encode()))
    assert refusal.value.reason in ("MalformedXML", "MalformedACLError")


ODD = st.sampled_from(["", " ", "0", "-1", "+1", "1_0", "9" * 18, "9" * 40, "true", "Enabled", "*"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.member)
@settings(max_examples=40)
@given(data=st.data())
def test_a_changed_document_is_refused_or_means_something(case: Case, data: st.DataObject) -> None:
    """Whatever is accepted can be written, and reads the same again; nothing else escapes."""
    tree = etree.fromstring(case.write(data.draw(case.values)))
    elements = list(tree.iter())
    element = elements[data.draw(st.integers(0, len(elements) - 1))]
    parent = element.getparent()
    match data.draw(st.sampled_from(["text", "drop", "double"])):
        case "text":
            for child in list(element):
                element.remove(child)
            element.text = data.draw(ODD | TEXT)
        case "drop" if parent is not None:
            parent.remove(element)
        case "double" if parent is not None:
            parent.append(copy.deepcopy(element))
    try:
        value = case.read(etree.tostring(tree))
    except RequestRefused as refusal:
        assert refusal.reason in ERROR_CODES  # noqa: PT017 - it may be refused or accepted
        return
    assert case.read(case.write(value)) == value
