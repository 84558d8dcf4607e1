"""ReplicationConfiguration: AWS's refusals, each with its sentence."""

import pytest

from objstore.wire.config_documents.replication import read_replication
from tests.unit.wire.config_documents.model import refused, request_body

ROLE = "arn:aws:iam::123456789012:role/r"
DESTINATION = {"Bucket": "arn:aws:s3:::other-bucket"}
OFF = {"Status": "Disabled"}


def rule(**parts: object) -> dict[str, object]:
    whole = {
        "ID": "r",
        "Status": "Enabled",
        "Priority": 1,
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": OFF,
        "Destination": DESTINATION,
        **parts,
    }
    return {name: part for name, part in whole.items() if part is not None}


def sent(*rules: dict[str, object], role: str | None = ROLE) -> bytes:
    whole = {"Rules": list(rules), **({"Role": role} if role is not None else {})}
    return request_body("PutBucketReplication", ReplicationConfiguration=whole)


def to(**parts: object) -> dict[str, object]:
    return rule(Destination={**DESTINATION, **parts})


def test_both_schemas() -> None:
    found = read_replication(sent(rule(Priority=2)))
    assert (found.role, found.rules[0].priority, found.rules[0].legacy) == (ROLE, 2, False)
    old = rule(Priority=None, Filter=None, DeleteMarkerReplication=None, Prefix="p", ID=None)
    (first,) = read_replication(sent(old)).rules
    assert (first.legacy, first.prefix, first.delete_markers) == (True, "p", None)
    assert len(first.rule_id) == 48


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (sent(), "MalformedXML", ""),
        (sent(rule(), role=None), "MalformedXML", ""),
        (sent(rule(), role="me"), "InvalidArgument", "Invalid Role"),
        (sent(rule(Status="On")), "MalformedXML", ""),
        (sent(rule(Status=None)), "MalformedXML", ""),
        (sent(rule(Destination=None)), "MalformedXML", ""),
        (sent(rule(Filter=None)), "MalformedXML", ""),
        (sent(rule(Prefix="a")), "MalformedXML", ""),
        (
            sent(rule(Filter={"Prefix": "a", "Tag": {"Key": "k", "Value": "v"}})),
            "MalformedXML",
            "",
        ),
        (sent(rule(Filter={"Tag": {"Key": "a*", "Value": ""}})), "InvalidTag", ""),
        (
            sent(
                rule(
                    Filter={"Tag": {"Key": "a", "Value": ""}},
                    DeleteMarkerReplication={"Status": "Enabled"},
                )
            ),
            "InvalidRequest",
            "Delete marker replication is not supported if any Tag filter is specified.",
        ),
        (sent(rule(Prefix="a" * 1025, Filter=None)), "InvalidRequest", "maximum size of a prefix"),
        (
            sent(rule(Priority=None)),
            "InvalidRequest",
            "Priority must be specified for this version of Cross Region Replication",
        ),
        (
            sent(rule(DeleteMarkerReplication=None)),
            "InvalidRequest",
            "DeleteMarkerReplication must be specified for this version",
        ),
        (sent(rule(Priority=-1)), "InvalidArgument", "Priority"),
        (
            sent(rule(), rule(ID="s")),
            "InvalidRequest",
            "Found duplicate priority 1. Priority must be unique.",
        ),
        (sent(rule(), rule(Priority=2)), "InvalidArgument", "Rule Id must be unique."),
        (sent(rule(ID="a" * 256)), "InvalidArgument", "allowed limit of 255"),
        (sent(*[rule(ID=str(at), Priority=at) for at in range(1001)]), "InvalidRequest", "1000"),
        (sent(to(Bucket="other-bucket")), "InvalidArgument", "Invalid bucket ARN."),
        (sent(to(StorageClass="COLD")), "MalformedXML", ""),
        (sent(to(AccessControlTranslation={"Owner": "Source"})), "MalformedXML", ""),
        (
            sent(to(AccessControlTranslation={"Owner": "Destination"})),
            "InvalidArgument",
            "Account must be specified",
        ),
        (
            sent(to(ReplicationTime={"Status": "Enabled", "Time": {"Minutes": 10}})),
            "MalformedXML",
            "",
        ),
        (sent(rule(SourceSelectionCriteria={"ReplicaModifications": {}})), "MalformedXML", ""),
    ],
)
def test_refusals(body: bytes, reason: str, message: str) -> None:
    with refused(reason, message):
        read_replication(body)
