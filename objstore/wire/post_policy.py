"""The policy of a form that a browser posts: what its owner allows whoever holds the form.

    {"expiration": "2007-12-01T12:00:00.000Z",
     "conditions": [{"acl": "public-read"}, ["eq", "$key", "a/b"], ["starts-with", "$key", "a/"],
                    ["content-length-range", 1048579, 10485760]]}

The document comes in base64. It is read against this shape and nothing else, so neither its
depth nor its numbers can cost anything. docs/protocol/post_form.md has the rules.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from objstore.errors import RequestRefused
from objstore.limits import OBJECT_PUT_BYTES_MAX
from objstore.names import BucketName
from objstore.wire.post_fields import IGNORED_PREFIX, POLICY_FIELD, Fields

_EXPIRATION: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.][0-9]{1,9})?Z"
)
_LENGTH: Final = re.compile(r"[0-9]{1,19}")
_RANGE: Final = "content-length-range"
_CONTENT_TYPE: Final = "content-type"
# "\$" and "\v" are escapes of a policy that JSON does not have.
_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_OWN_ESCAPES: Final = {"$": "$", "v": "\\u000b"}
# "Each form field that you specify in a form (except x-amz-signature, file, policy, and field
# names that have an x-ignore- prefix) must appear in the list of conditions."
_UNCONDITIONED: Final = frozenset(
    {"x-amz-signature", "file", POLICY_FIELD, "awsaccesskeyid", "signature"}
)


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    expiration: str
    conditions: list[dict[str, str] | list[str | int]]


@dataclass(frozen=True, slots=True)
class SizeRange:
    """How many bytes a file may have, both bounds among them."""

    least: int = 0
    most: int = OBJECT_PUT_BYTES_MAX

    def check_most(self, size: int) -> None:
        """Refuse a file that has `size` bytes so far.

        Raises:
            RequestRefused: EntityTooLarge.
        """
        if size > self.most:
            raise RequestRefused(
                "EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed=str(self.most)
            )

    def check_least(self, size: int) -> None:
        """Refuse a file that has `size` bytes in all.

        Raises:
            RequestRefused: EntityTooSmall.
        """
        if size < self.least:
            raise RequestRefused(
                "EntityTooSmall", ProposedSize=str(size), MinSizeAllowed=str(self.least)
            )


@dataclass(frozen=True, slots=True)
class Condition:
    """What one field has to be."""

    operator: str  # "eq" or "starts-with"
    field: str  # in lower case
    value: str
    text: str  # as a refusal quotes it

    def holds(self, sent: str | None) -> bool:
        """Tell whether a field's value is what it has to be; None is a field that is not there.

        "Content-Types values for a starts-with condition that include commas are interpreted as
        lists. Each value in the list must meet the condition for the whole condition to pass."
        """
        if sent is None:
            return False
        if self.operator == "eq":
            return sent == self.value
        if self.field != _CONTENT_TYPE:
            return sent.startswith(self.value)
        return all(item.strip(" \t").startswith(self.value) for item in sent.split(","))


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """A policy that was read."""

    expires_s: int  # since the epoch
    conditions: tuple[Condition, ...]
    sizes: SizeRange


def read_policy(encoded: str) -> PostPolicy:
    """Read the `policy` field.

    Raises:
        RequestRefused: InvalidPolicyDocument.
    """
    document = _decode(encoded)
    conditions: list[Condition] = []
    sizes = SizeRange()
    for item in document.conditions:
        if isinstance(item, dict):
            conditions.append(_simple_condition(item))
        elif item and str(item[0]).lower() == _RANGE:
            sizes = _narrower(sizes, _read_range(item))
        else:
            conditions.append(_condition(item))
    return PostPolicy(_read_expiration(document.expiration), tuple(conditions), sizes)


def check_policy(policy: PostPolicy, fields: Fields, *, bucket: BucketName, now_s: int) -> None:
    """Hold a form to its policy; the bucket that is posted to is one of its fields.

    "All variables in the form are expanded prior to validating the policy": `fields` are.

    Raises:
        RequestRefused: AccessDenied.
    """
    if now_s >= policy.expires_s:
        raise _denied("Policy expired.")
    if fields.get("bucket", bucket) != bucket:
        raise _denied(f'Policy Condition failed: ["eq", "$bucket", {_quoted(bucket)}]')
    sent = {**fields, "bucket": bucket}
    for condition in policy.conditions:
        if not condition.holds(sent.get(condition.field)):
            raise _denied(f"Policy Condition failed: {condition.text}")
    covered = {condition.field for condition in policy.conditions} | _UNCONDITIONED
    extra = [name for name in sent if name not in covered and not name.startswith(IGNORED_PREFIX)]
    if extra:
        raise _denied(f"Extra input fields: {', '.join(extra)}")


# --- reading --------------------------------------------------------------------------


def _decode(encoded: str) -> _Document:
    try:
        data = base64.b64decode(encoded.replace("\r\n", "").replace("\n", ""), validate=True)
        text = data.decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise _invalid("The policy is not UTF-8 in base64.") from error
    try:
        return msgspec.json.decode(_PAIR.sub(_json_escape, text), type=_Document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _invalid(f"Invalid JSON: {error}") from error


def _json_escape(found: re.Match[str]) -> str:
    return _OWN_ESCAPES.get(found[1], found[0])


def _read_expiration(text: str) -> int:
    found = _EXPIRATION.fullmatch(text)
    if found is None:
        raise _invalid_expiration(text)
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise _invalid_expiration(text) from error
    return int(moment.timestamp())


def _invalid_expiration(text: str) -> RequestRefused:
    return _invalid(f"Invalid 'expiration' value: '{text}'")


def _simple_condition(item: dict[str, str]) -> Condition:
    if len(item) != 1:
        raise _invalid(
            "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."
        )
    ((name, value),) = item.items()
    return _made("eq", name, value)


def _condition(item: list[str | int]) -> Condition:
    if len(item) != 3:
        raise _invalid("Invalid Condition: a condition has an operation and two arguments.")
    operator, field, value = item
    known = isinstance(operator, str) and operator.lower() in ("eq", "starts-with")
    if not known or not isinstance(field, str) or not isinstance(value, str):
        raise _invalid(
            "Invalid Condition: expected eq or starts-with with a field and a value, or"
            f" {_RANGE} with two numbers."
        )
    if not field.startswith("$"):
        raise _invalid(f"Invalid Condition: the field {field} does not begin with a dollar sign.")
    return _made(str(operator).lower(), field[1:], value)


def _made(operator: str, name: str, value: str) -> Condition:
    text = f'["{operator}", {_quoted(f"${name}")}, {_quoted(value)}]'
    return Condition(operator, name.lower(), value, text)


def _read_range(item: list[str | int]) -> SizeRange:
    bounds = [_read_length(part) for part in item[1:]]
    if len(bounds) != 2 or bounds[0] > bounds[1]:
        raise _invalid(f"Invalid {_RANGE}: expected two numbers, the least first.")
    return SizeRange(bounds[0], bounds[1])


def _read_length(part: str | int) -> int:
    if _LENGTH.fullmatch(str(part)) is None:
        raise _invalid(f"Invalid {_RANGE}: a length is a plain number of bytes.")
    return int(part)


def _narrower(one: SizeRange, other: SizeRange) -> SizeRange:
    return SizeRange(max(one.least, other.least), min(one.most, other.most))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _invalid(message: str) -> RequestRefused:
    return RequestRefused("InvalidPolicyDocument", f"Invalid Policy: {message}")


def _denied(message: str) -> RequestRefused:
    return RequestRefused("AccessDenied", f"Invalid according to Policy: {message}")
