"""The operator's routes: `/.objstore/admin/v1/{info,heal,compare,locate,scrub,usage}`, JSON out.

They are signed like any S3 request, with the root credential; app.py has verified that before
`answer_admin` runs. No bucket can be named `.objstore`, so the paths are never an object's.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from objstore.errors import RequestRefused
from objstore.gateway.ports import Admin, describe_location
from objstore.names import BucketName, ObjectKey
from objstore.s3.call import Reply
from objstore.wire.request import Query

_encoder = msgspec.json.Encoder()


def _json(document: object, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, _encoder.encode(document))


async def _info(admin: Admin, query: Query) -> Reply:
    return _json(await admin.info())


async def _heal(admin: Admin, query: Query) -> Reply:
    await admin.heal()
    return _json({"started": True}, 202)


async def _scrub(admin: Admin, query: Query) -> Reply:
    asked = query.get("full-speed") or "false"
    if asked not in {"true", "false"}:
        raise RequestRefused("InvalidArgument", "full-speed is true or false")
    await admin.scrub(full_speed=asked == "true")
    return _json({"started": True}, 202)


async def _compare(admin: Admin, query: Query) -> Reply:
    await admin.compare()
    return _json({"started": True}, 202)


async def _locate(admin: Admin, query: Query) -> Reply:
    bucket, key = query.get("bucket"), query.get("key")
    if not bucket or not key:
        raise RequestRefused("InvalidArgument", "locate needs ?bucket=...&key=...")
    return _json(describe_location(await admin.locate(BucketName(bucket), ObjectKey(key))))


async def _usage(admin: Admin, query: Query) -> Reply:
    return _json(await admin.usage())


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    answer: Callable[[Admin, Query], Awaitable[Reply]]


ROUTES: Final = {
    "info": _Route("GET", _info),
    "heal": _Route("POST", _heal),
    "compare": _Route("POST", _compare),
    "locate": _Route("GET", _locate),
    "scrub": _Route("POST", _scrub),
    "usage": _Route("GET", _usage),
}


async def answer_admin(admin: Admin, *, method: str, name: str, query: Query) -> Reply:
    """Answer one admin request whose signature was verified.

    Raises:
        RequestRefused: there is no such route, it is called otherwise, or it refuses.
    """
    route = ROUTES.get(name)
    if route is None:
        raise RequestRefused("NotImplemented", f"There is no admin route named {name!r}.")
    if method != route.method:
        raise RequestRefused("MethodNotAllowed", f"Use {route.method}.")
    return await route.answer(admin, query)
