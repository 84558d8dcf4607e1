"""Conditions of policy statements: the operators, and what they say of a request.

A verdict is True, False, or None where it can not be known: an unknown key, a value that the
operator can not read, several values where a statement expects one. See access/three_valued.py.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from objstore.access.condition_keys import is_known
from objstore.access.condition_values import (
    Network,
    read_address,
    read_boolean,
    read_bytes,
    read_date,
    read_network,
    read_number,
)
from objstore.access.facts import Facts
from objstore.access.policy_pattern import MalformedPattern, Pattern, compile_pattern
from objstore.access.three_valued import all_of, any_of, negation
from objstore.errors import RequestRefused


class Operand(Protocol):
    """A value of a condition, ready to be held against a request's."""

    def holds(self, value: str, facts: Facts) -> bool | None:
        """Whether it holds for `value`; None when that can not be known."""
        ...


@dataclass(frozen=True, slots=True)
class _Like:
    pattern: Pattern

    def holds(self, value: str, facts: Facts) -> bool | None:
        return self.pattern.matches(value, facts)


@dataclass(frozen=True, slots=True)
class _LikeArn:
    """An ARN: "Each of the six colon-delimited components of the ARN is checked separately"."""

    parts: tuple[Pattern, ...]

    def holds(self, value: str, facts: Facts) -> bool | None:
        parts = value.split(":", _ARN_PARTS - 1)
        if len(parts) != _ARN_PARTS:
            return False
        return all_of(
            pattern.matches(part, facts) for pattern, part in zip(self.parts, parts, strict=True)
        )


@dataclass(frozen=True, slots=True)
class _Compared:
    read: Callable[[str], Any]
    relation: Callable[[Any, Any], bool]
    bound: Any

    def holds(self, value: str, facts: Facts) -> bool | None:
        found = self.read(value)
        return None if found is None else self.relation(found, self.bound)


@dataclass(frozen=True, slots=True)
class _Within:
    network: Network

    def holds(self, value: str, facts: Facts) -> bool | None:
        address = read_address(value)
        if address is None:
            return None
        return address.version == self.network.version and address in self.network


_ARN_PARTS: Final = 6
# A policy's value, and whether it may have variables, to what is compared.
Compile = Callable[[str, bool], Operand | None]


def _string(*, wildcards: bool = False, ignore_case: bool = False) -> Compile:
    def compile_value(text: str, variables: bool) -> Operand:  # noqa: FBT001 -- a Compile
        return _Like(
            compile_pattern(text, wildcards=wildcards, variables=variables, ignore_case=ignore_case)
        )

    return compile_value


def _arn(text: str, variables: bool) -> Operand | None:  # noqa: FBT001 -- a Compile
    parts = text.split(":", _ARN_PARTS - 1)
    if len(parts) != _ARN_PARTS:
        return None
    return _LikeArn(
        tuple(compile_pattern(part, wildcards=True, variables=variables) for part in parts)
    )


def _compared(read: Callable[[str], Any], relation: Callable[[Any, Any], bool]) -> Compile:
    def compile_value(text: str, variables: bool) -> Operand | None:  # noqa: FBT001 -- a Compile
        bound = read(text)
        return None if bound is None else _Compared(read, relation, bound)

    return compile_value


def _within(text: str, variables: bool) -> Operand | None:  # noqa: FBT001 -- a Compile
    network = read_network(text)
    return None if network is None else _Within(network)


@dataclass(frozen=True, slots=True)
class Operator:
    """A condition operator, without "ForAllValues:", "ForAnyValue:" and "IfExists"."""

    compile_value: Compile
    negated: bool = False  # true when none of its values holds


_RELATIONS: Final[Mapping[str, tuple[Callable[[Any, Any], bool], bool]]] = {
    "Equals": (operator.eq, False),
    "NotEquals": (operator.eq, True),
    "LessThan": (operator.lt, False),
    "LessThanEquals": (operator.le, False),
    "GreaterThan": (operator.gt, False),
    "GreaterThanEquals": (operator.ge, False),
}
NULL: Final = "Null"
OPERATORS: Final[Mapping[str, Operator]] = {
    "StringEquals": Operator(_string()),
    "StringNotEquals": Operator(_string(), negated=True),
    "StringEqualsIgnoreCase": Operator(_string(ignore_case=True)),
    "StringNotEqualsIgnoreCase": Operator(_string(ignore_case=True), negated=True),
    "StringLike": Operator(_string(wildcards=True)),
    "StringNotLike": Operator(_string(wildcards=True), negated=True),
    **{
        f"{kind}{name}": Operator(_compared(read, relation), negated)
        for kind, read in (("Numeric", read_number), ("Date", read_date))
        for name, (relation, negated) in _RELATIONS.items()
    },
    "Bool": Operator(_compared(read_boolean, operator.eq)),
    "BinaryEquals": Operator(_compared(read_bytes, operator.eq)),
    "IpAddress": Operator(_within),
    "NotIpAddress": Operator(_within, negated=True),
    "ArnEquals": Operator(_arn),
    "ArnLike": Operator(_arn),
    "ArnNotEquals": Operator(_arn, negated=True),
    "ArnNotLike": Operator(_arn, negated=True),
    # "true" holds when the key is absent; what is compared is never a request's value.
    NULL: Operator(_compared(read_boolean, operator.eq)),
}


class Qualifier(Enum):
    """How the values of a key with several of them are taken."""

    ONE = ""
    ALL = "ForAllValues:"
    ANY = "ForAnyValue:"


@dataclass(frozen=True, slots=True)
class Condition:
    """One key of one operator of a Condition element; all of a statement's have to hold."""

    operator: str  # the row's name
    qualifier: Qualifier
    if_exists: bool
    key: str  # in lower case
    texts: tuple[str, ...]  # the values as the policy writes them
    operands: tuple[Operand, ...]

    def holds(self, facts: Facts) -> bool | None:
        """Whether it holds for a request.

        Where the key is absent: "IfExists" and "ForAllValues" hold, "ForAnyValue" does not, and
        otherwise an operator does when it is a negated one.
        """
        if not is_known(self.key):
            return None
        values = facts.values(self.key)
        if self.operator == NULL:
            absent = "false" if values else "true"
            return any_of(operand.holds(absent, facts) for operand in self.operands)
        if not values:
            return self._holds_without_values()
        verdicts = [self._holds_for(value, facts) for value in values]
        if self.qualifier is Qualifier.ALL:
            return all_of(verdicts)
        if self.qualifier is Qualifier.ANY:
            return any_of(verdicts)
        # "If you use a multivalued context key without a set operator" AWS leaves open what
        # happens; where the values do not agree, so do we.
        return verdicts[0] if len(set(verdicts)) == 1 else None

    def _holds_without_values(self) -> bool:
        if self.if_exists or self.qualifier is Qualifier.ALL:
            return True
        return self.qualifier is Qualifier.ONE and OPERATORS[self.operator].negated

    def _holds_for(self, value: str, facts: Facts) -> bool | None:
        verdict = any_of(operand.holds(value, facts) for operand in self.operands)
        return negation(verdict) if OPERATORS[self.operator].negated else verdict


def compile_condition(name: str, key: str, texts: tuple[str, ...], *, variables: bool) -> Condition:
    """Compile one key of an operator called `name`.

    Raises:
        RequestRefused: MalformedPolicy, for an operator that there is not or a value that it
            can not be given.
    """
    base, qualifier, if_exists = _read_operator(name)
    row = OPERATORS[base]
    operands = []
    for text in texts:
        try:
            operand = row.compile_value(text, variables)
        except MalformedPattern:
            operand = None
        if operand is None:
            raise RequestRefused(
                "MalformedPolicy", f"Invalid value in condition {name} : {text[:256]}"
            )
        operands.append(operand)
    return Condition(base, qualifier, if_exists, key.lower(), texts, tuple(operands))


def _read_operator(name: str) -> tuple[str, Qualifier, bool]:
    qualifier = next(one for one in reversed(Qualifier) if name.startswith(one.value))
    rest = name.removeprefix(qualifier.value)
    base = rest.removesuffix("IfExists")
    # "You can add IfExists to the end of any condition operator name except the Null condition".
    if base not in OPERATORS or (base == NULL and name != NULL):
        raise RequestRefused("MalformedPolicy", f"Invalid Condition type : {name[:256]}")
    return base, qualifier, base != rest
