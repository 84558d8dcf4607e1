"""Configurations of which a bucket may have many, each with an id; here it has none.

Analytics, inventory, metrics and Intelligent-Tiering: reading answers as AWS does for a bucket
without any, and making one is refused, because nothing would come of it.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.s3.call import Call, Reply, xml_reply
from objstore.wire.xml_writer import document

Handler = Callable[[Call], Awaitable[Reply]]

# "The ID has a 64 character limit and can only contain letters, numbers, periods, dashes, and
# underscores."
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Family:
    """The handlers of one family of configurations."""

    get: Handler
    list_all: Handler
    put: Handler
    delete: Handler


def _check_id(call: Call) -> None:
    sent = call.request.query.get("id")
    if sent is None or _ID.fullmatch(sent) is None:
        raise RequestRefused(
            "InvalidArgument",
            "The configuration id has 1 to 64 letters, digits, periods, dashes and underscores.",
            ArgumentName="id",
            ArgumentValue=(sent or "null")[:100],
        )


async def _missing(call: Call) -> Reply:
    """Answer a request for a configuration that has an id."""
    _check_id(call)
    await call.store.head_bucket(call.bucket)
    raise RequestRefused("NoSuchConfiguration", BucketName=call.bucket)


def _family(result: str, remedy: str) -> Family:
    """Make the handlers; `result` is the root of the list, `remedy` what to do instead."""

    async def list_all(call: Call) -> Reply:
        await call.store.head_bucket(call.bucket)
        if token := call.request.query.get("continuation-token"):
            raise RequestRefused(  # no list ended with one
                "InvalidArgument",
                "The continuation token provided is incorrect",
                ArgumentName="continuation-token",
                ArgumentValue=token[:100],
            )
        return xml_reply(document(result, "<IsTruncated>false</IsTruncated>"))

    async def put(call: Call) -> Reply:
        _check_id(call)
        await call.store.head_bucket(call.bucket)
        raise RequestRefused("NotImplemented", remedy)

    return Family(_missing, list_all, put, _missing)


ANALYTICS: Final = _family(
    "ListBucketAnalyticsConfigurationResult",
    "Storage class analysis is not implemented; there are no colder storage classes to move to.",
)
INTELLIGENT_TIERING: Final = _family(
    "ListBucketIntelligentTieringConfigurationsOutput",
    "Intelligent-Tiering is not implemented; every object is kept as its storage class says.",
)
INVENTORY: Final = _family(
    "ListInventoryConfigurationsResult",
    "Inventory reports are not implemented; list the bucket instead.",
)
METRICS: Final = _family(
    "ListMetricsConfigurationsResult",
    "Metrics of buckets are not implemented; the servers' own metrics are at"
    " /minio/v2/metrics/cluster.",
)
