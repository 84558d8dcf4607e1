"""NotificationConfiguration: the events and names of AWS, and the refusal of others."""

import pytest

from objstore.wire.config_documents.notification import (
    EVENTS,
    Notification,
    NotificationRule,
    read_notification,
    write_notification,
)
from tests.unit.s3.client import MODEL
from tests.unit.wire.config_documents.model import refused, request_body

QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"
CREATED = ["s3:ObjectCreated:*"]


def sent(*queues: dict[str, object], **more: object) -> bytes:
    whole = {"QueueConfigurations": list(queues), **more}
    return request_body("PutBucketNotificationConfiguration", NotificationConfiguration=whole)


def queue(**parts: object) -> dict[str, object]:
    return {"QueueArn": QUEUE, "Events": CREATED, **parts}


def filtered(*rules: tuple[str, str]) -> dict[str, object]:
    named = [{"Name": name, "Value": value} for name, value in rules]
    return queue(Filter={"Key": {"FilterRules": named}})


def test_every_event_of_the_model() -> None:
    assert set(MODEL.shape_for("Event").enum) == EVENTS


def test_configurations() -> None:
    found = read_notification(
        sent(
            {**filtered(("Prefix", "in/"), ("suffix", ".jpg")), "Id": "a"},
            queue(),
            EventBridgeConfiguration={},
        )
    )
    assert found.event_bridge
    assert found.rules[0] == NotificationRule(
        "a", "sqs", QUEUE, ("s3:ObjectCreated:*",), "in/", ".jpg"
    )
    assert found.rules[1].rule_id


def test_the_empty_configuration_switches_notifications_off() -> None:
    assert read_notification(b"<NotificationConfiguration/>").empty
    assert not read_notification(sent(queue())).empty
    assert read_notification(write_notification(Notification())) == Notification()


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (sent(queue(QueueArn="queue")), "InvalidArgument", "The ARN could not be parsed"),
        (
            sent(queue(QueueArn=QUEUE.replace("sqs", "sns"))),
            "InvalidArgument",
            "The ARN could not be parsed",
        ),
        (sent(queue(Events=["s3:Party"])), "InvalidArgument", "A specified event is not supported"),
        (sent(queue(Events=[])), "MalformedXML", ""),
        (sent({"Events": CREATED}), "MalformedXML", ""),
        (
            sent(filtered(("infix", "a"))),
            "InvalidArgument",
            "filter rule name must be either prefix or suffix",
        ),
        (
            sent(filtered(("prefix", "a"), ("prefix", "b"))),
            "InvalidArgument",
            "Cannot specify more than one prefix rule in a filter.",
        ),
        (sent(filtered(("suffix", "a" * 1025))), "InvalidArgument", "cannot exceed 1024 bytes"),
        (sent(queue(Id="a" * 256)), "InvalidArgument", "allowed limit of 255"),
        (sent(queue(Id="a"), queue(Id="a")), "InvalidArgument", "IDs must be unique"),
        (sent(*[queue()] * 101), "InvalidArgument", "100 configurations"),
    ],
)
def test_refusals(body: bytes, reason: str, message: str) -> None:
    with refused(reason, message):
        read_notification(body)
