"""Bucket policies: JSON documents of statements, read once and then asked many times.

"Bucket policies are limited to 20 KB in size." A policy is refused as AWS refuses it, with
MalformedPolicy and the sentence of what is wrong. docs/protocol/authorization.md lists them.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from objstore.access.actions import ACTIONS, ALL_ACTIONS, Target, matching_actions
from objstore.access.condition_keys import EXISTING_TAG_KEYS, is_known, key_family
from objstore.access.conditions import Condition, compile_condition
from objstore.access.facts import Facts
from objstore.access.policy_pattern import MalformedPattern, Pattern, compile_pattern
from objstore.access.principals import NamedPrincipal, Principals, read_principals
from objstore.access.three_valued import any_of, negation
from objstore.errors import RequestRefused
from objstore.limits import POLICY_BYTES_MAX, POLICY_DEPTH_MAX

_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_VERSION_WITH_VARIABLES: Final = "2012-10-17"
_POLICY_FIELDS: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT_FIELDS: Final = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
# In S3's ARNs region and account are empty, which a star stands for too.
_RESOURCE: Final = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):s3:\*?:\*?:(?P<path>.+)", re.DOTALL)
_CONDITION_KEY: Final = re.compile(r"[A-Za-z0-9.-]{1,128}:[^\s*?]{1,256}")


class Effect(Enum):
    """What a statement that applies does."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Resources:
    """A Resource element, or a NotResource: patterns of `bucket` and of `bucket/key`."""

    patterns: tuple[Pattern, ...]
    negated: bool

    def include(self, path: str, facts: Facts) -> bool | None:
        """Whether the statement is about `path`; None when that can not be known."""
        verdict = any_of(pattern.matches(path, facts) for pattern in self.patterns)
        return negation(verdict) if self.negated else verdict


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy."""

    sid: str
    effect: Effect
    principals: Principals
    actions: frozenset[str]  # every action it is about
    resources: Resources
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A bucket's policy."""

    statements: tuple[Statement, ...]
    version: str
    id: str = ""
    reads_tags: bool = False  # it may depend on the tags that an object has


# Whether a named principal exists; AWS refuses a policy that names one which does not.
Known = Callable[[NamedPrincipal], bool]


def parse_policy(data: bytes, *, bucket: str, known: Known | None = None) -> Policy:
    """Read and check the policy of `bucket`.

    Raises:
        RequestRefused: MalformedPolicy, with AWS's sentence where there is one.
    """
    document = _read_json(data)
    _refuse_unknown_fields(document, _POLICY_FIELDS)
    version = document.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise _malformed("The policy must contain a valid version string")
    identifier = document.get("Id", "")
    if not isinstance(identifier, str):
        raise _malformed("The policy must contain a valid id string")
    if "Statement" not in document:
        raise _malformed("Missing required field Statement")
    listed = document["Statement"]
    elements = listed if isinstance(listed, list) else [listed]
    if not elements:
        raise _malformed("Could not parse the policy: Statement is empty!")
    variables = version == _VERSION_WITH_VARIABLES
    statements = tuple(_statement(element, bucket, variables=variables) for element in elements)
    _refuse_repeated_sids(statements)
    if known is not None:
        _refuse_unknown_principals(statements, known)
    return Policy(statements, version, identifier, reads_tags=_mentions_tags(document))


# --- JSON -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Number:
    """A number of a document, as written: only a condition may have one as its value."""

    text: str


_Object = Mapping[str, object]


def _read_json(data: bytes) -> _Object:
    if len(data) > POLICY_BYTES_MAX:
        raise _malformed("Policy exceeds the maximum allowed document size.")
    if not data.startswith(b"{"):
        raise _malformed("Policies must be valid JSON and the first byte must be '{'")
    try:
        text = data.decode()
        _refuse_depth(text)
        document = json.loads(
            text,
            object_pairs_hook=_without_repetition,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse_constant,
        )
        # An escape may stand for half a character, which no text has.
        json.dumps(document, ensure_ascii=False, default=str).encode()
    except ValueError as error:
        raise _malformed("This policy contains invalid Json") from error
    assert isinstance(document, dict)
    return document


def _mentions_tags(document: _Object) -> bool:
    """Whether a condition or a variable may ask for a tag of the object."""
    text = json.dumps(document, ensure_ascii=False, default=str).lower()
    return any(key in text for key in EXISTING_TAG_KEYS)


def _refuse_depth(text: str) -> None:
    """Refuse what nests deeper than a policy can, before anything recurs."""
    depth = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "{[":
            depth += 1
            if depth > POLICY_DEPTH_MAX:
                raise ValueError(text)
        elif character in "}]":
            depth -= 1


def _without_repetition(pairs: list[tuple[str, object]]) -> _Object:
    """Two fields of one name would leave open which of them counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(pairs)
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _refuse_unknown_fields(element: _Object, fields: frozenset[str]) -> None:
    for name in element:
        if name not in fields:
            raise _malformed(f"Unknown field {name[:256]}")


# --- statements -----------------------------------------------------------------------


def _statement(element: object, bucket: str, *, variables: bool) -> Statement:
    if not isinstance(element, Mapping):
        raise _malformed("Could not parse the policy: Statement is not an object")
    _refuse_unknown_fields(element, _STATEMENT_FIELDS)
    sid = element.get("Sid", "")
    if not isinstance(sid, str):
        raise _malformed("Statement IDs (SID) must be strings")
    effect = _effect(element)
    principal_field = _one_of(element, "Principal", "NotPrincipal")
    action_field = _one_of(element, "Action", "NotAction")
    resource_field = _one_of(element, "Resource", "NotResource")
    principals = read_principals(
        element[principal_field], negated=principal_field == "NotPrincipal"
    )
    if effect is Effect.ALLOW and principals.negated:
        raise _malformed("Allow with NotPrincipal is not allowed.")
    named = _named_actions(element[action_field])
    paths = _paths(element[resource_field], bucket)
    targets = frozenset(Target.OBJECT if "/" in path else Target.BUCKET for path in paths)
    if action_field == "Action" and resource_field == "Resource":
        _refuse_inapplicable(named, targets)
    conditions = _conditions(element.get("Condition", {}), variables=variables)
    if action_field == "Action":
        _refuse_keys_not_taken(named, conditions)
    actions = frozenset[str]().union(*named)
    return Statement(
        sid,
        effect,
        principals,
        ALL_ACTIONS - actions if action_field == "NotAction" else actions,
        _resources(paths, negated=resource_field == "NotResource", variables=variables),
        conditions,
    )


def _effect(element: _Object) -> Effect:
    if "Effect" not in element:
        raise _malformed("Missing required field Effect")
    given = element["Effect"]
    for effect in Effect:
        if given == effect.value:
            return effect
    raise _malformed(f"Invalid effect: {given[:256] if isinstance(given, str) else ''}")


def _one_of(element: _Object, name: str, opposite: str) -> str:
    """Return which of two fields that exclude each other is there."""
    if name in element and opposite in element:
        raise _malformed(f"Statement contains both {name} and {opposite}")
    if opposite in element:
        return opposite
    if name not in element:
        raise _malformed(f"Missing required field {name}")
    return name


def _texts(value: object) -> list[str] | None:
    """Return one text or a list of them as a list without repetition; None for anything else."""
    listed = value if isinstance(value, list) else [value]
    texts = [entry for entry in listed if isinstance(entry, str) and entry]
    return list(dict.fromkeys(texts)) if len(texts) == len(listed) else None


def _named_actions(value: object) -> list[frozenset[str]]:
    """Return the actions that each entry of an Action element stands for."""
    named = [matching_actions(pattern) for pattern in _texts(value) or [""]]
    if not all(named):
        raise _malformed("Policy has invalid action")
    return named


def _paths(value: object, bucket: str) -> list[str]:
    """Return what the ARNs of a Resource element name: `bucket`, or `bucket/` and a pattern."""
    paths = []
    for arn in _texts(value) or [""]:
        found = _RESOURCE.fullmatch(arn)
        path = found["path"] if found is not None else ""
        if path != bucket and not path.startswith(f"{bucket}/"):
            raise _malformed("Policy has invalid resource", arn)
        paths.append(path)
    return paths


def _resources(paths: list[str], *, negated: bool, variables: bool) -> Resources:
    try:
        patterns = tuple(
            compile_pattern(path, wildcards=True, variables=variables) for path in paths
        )
    except MalformedPattern as error:
        raise _malformed("Policy has invalid resource", str(error)) from error
    return Resources(patterns, negated)


def _refuse_inapplicable(named: list[frozenset[str]], targets: frozenset[Target]) -> None:
    for actions in named:
        if not any(ACTIONS[name].target in targets for name in actions):
            raise _malformed("Action does not apply to any resource(s) in statement")


def _conditions(value: object, *, variables: bool) -> tuple[Condition, ...]:
    if not isinstance(value, Mapping):
        raise _malformed("Condition is not an object")
    conditions = []
    for name, keys in value.items():
        if not isinstance(keys, Mapping):
            raise _malformed(f"Condition {name[:256]} is not an object")
        for key, given in keys.items():
            texts = _condition_texts(given)
            if not texts:
                raise _malformed(f"Condition {name[:256]} has invalid values for {key[:256]}")
            conditions.append(compile_condition(name, key, texts, variables=variables))
            if not _CONDITION_KEY.fullmatch(key) or _is_no_key_of_s3(key):
                raise _malformed("Policy has an invalid condition key", key)
    return tuple(conditions)


def _is_no_key_of_s3(key: str) -> bool:
    return key.lower().startswith("s3:") and not is_known(key.lower())


def _condition_texts(value: object) -> tuple[str, ...]:
    """Return the values of a condition, none when one of them is no text, number or boolean."""
    listed = value if isinstance(value, list) else [value]
    texts = [text for entry in listed if (text := _scalar(entry)) is not None]
    return tuple(dict.fromkeys(texts)) if len(texts) == len(listed) else ()


def _scalar(value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case _Number():
            return value.text
        case _:
            return None


def _refuse_keys_not_taken(named: list[frozenset[str]], conditions: tuple[Condition, ...]) -> None:
    """Refuse a condition that an action of the statement knows nothing of."""
    for family in dict.fromkeys(key_family(condition.key) for condition in conditions):
        for actions in named:
            if not any(ACTIONS[name].takes(family) for name in actions):
                raise _malformed(
                    "Conditions do not apply to combination of actions and resources in statement",
                    family,
                )


def _refuse_repeated_sids(statements: tuple[Statement, ...]) -> None:
    sids = [statement.sid for statement in statements if statement.sid]
    if len(set(sids)) != len(sids):
        raise _malformed("Statement IDs (SID) in a single policy must be unique.")


def _refuse_unknown_principals(statements: tuple[Statement, ...], known: Known) -> None:
    for statement in statements:
        for named in statement.principals.named:
            if not known(named):
                raise _malformed("Invalid principal in policy", named.value)


def _malformed(message: str, detail: str = "") -> RequestRefused:
    if detail:
        return RequestRefused("MalformedPolicy", message, Detail=detail[:256])
    return RequestRefused("MalformedPolicy", message)
