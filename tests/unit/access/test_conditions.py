"""Conditions hold as AWS's pages say, and what can not be known fails closed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.access.condition_keys import KNOWN_KEYS, is_known
from objstore.access.condition_values import (
    read_address,
    read_bytes,
    read_date,
    read_network,
    read_number,
)
from objstore.access.conditions import OPERATORS, compile_condition
from objstore.access.facts import Facts
from objstore.access.three_valued import all_of, any_of, negation
from objstore.errors import RequestRefused


def holds(
    operator: str, key: str, wanted: str | list[str], *given_values: str, **others: str
) -> bool | None:
    texts = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    condition = compile_condition(operator, key, texts, variables=True)
    context = {name.replace("_", ":"): (value,) for name, value in others.items()}
    return condition.holds(Facts({key.lower(): given_values, **context}))


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "value", "expected"),
    [
        ("StringEquals", "aws:UserAgent", "a*", "a*", True),
        ("StringEquals", "aws:UserAgent", "a*", "ab", False),
        ("StringEquals", "aws:UserAgent", ["x", "a"], "a", True),
        ("StringEquals", "aws:UserAgent", "a", "A", False),
        ("StringNotEquals", "aws:UserAgent", ["x", "a"], "a", False),
        ("StringNotEquals", "aws:UserAgent", ["x", "y"], "a", True),
        ("StringEqualsIgnoreCase", "aws:UserAgent", "aB", "Ab", True),
        ("StringNotEqualsIgnoreCase", "aws:UserAgent", "aB", "Ab", False),
        ("StringLike", "s3:prefix", "home/*", "home/a/b", True),
        ("StringLike", "s3:prefix", "home/*", "home", False),
        ("StringLike", "s3:x-amz-acl", "public*", "public-read", True),
        ("StringNotLike", "s3:prefix", "home/*", "home/a", False),
        ("StringLike", "s3:prefix", "", "", True),
        ("NumericEquals", "s3:max-keys", "10", "10.0", True),
        ("NumericNotEquals", "s3:max-keys", "10", "10", False),
        ("NumericLessThan", "s3:max-keys", "10", "9", True),
        ("NumericLessThan", "s3:max-keys", "10", "10", False),
        ("NumericLessThanEquals", "s3:max-keys", "10", "10", True),
        ("NumericGreaterThan", "s3:TlsVersion", "1.1", "1.2", True),
        ("NumericGreaterThanEquals", "s3:TlsVersion", "1.2", "1.10", False),
        ("DateLessThan", "aws:CurrentTime", "2030-01-01T00:00:00Z", "2029-12-31T23:59:59Z", True),
        ("DateGreaterThan", "aws:CurrentTime", "2030-01-01", "2030-01-01T00:00:00.001Z", True),
        ("DateEquals", "aws:EpochTime", "1970-01-02T00:00:00Z", "86400", True),
        ("DateNotEquals", "aws:EpochTime", "1970-01-02T00:00:00Z", "86400", False),
        ("DateEquals", "aws:CurrentTime", "2020-01-01T01:00:00+01:00", "2020-01-01T00:00Z", True),
        ("NumericGreaterThan", "aws:EpochTime", "86399", "86400", True),
        ("Bool", "aws:SecureTransport", "false", "false", True),
        ("Bool", "aws:SecureTransport", "TRUE", "false", False),
        ("BinaryEquals", "aws:UserAgent", "YWJj", "YWJj", True),
        ("IpAddress", "aws:SourceIp", "203.0.113.0/24", "203.0.113.9", True),
        ("IpAddress", "aws:SourceIp", "203.0.113.0/24", "203.0.114.9", False),
        ("IpAddress", "aws:SourceIp", "203.0.113.9", "203.0.113.9", True),
        ("IpAddress", "aws:SourceIp", "2001:DB8:1234:5678::/64", "2001:db8:1234:5678::1", True),
        ("IpAddress", "aws:SourceIp", "2001:db8::/32", "203.0.113.9", False),
        ("IpAddress", "aws:SourceIp", "203.0.113.0/24", "::ffff:203.0.113.9", True),
        ("IpAddress", "aws:SourceIp", "::ffff:203.0.113.0/120", "203.0.113.9", True),
        ("IpAddress", "aws:SourceIp", "fe80::/10", "fe80::1%eth0", True),
        ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/8", "2001:db8::/32"], "10.9.9.9", False),
        ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/8", "2001:db8::/32"], "11.9.9.9", True),
        ("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::*:user/a*", "arn:aws:iam::1:user/ab", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::1*:user/a", "arn:aws:iam::1:x:user/a", False),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::1:*", "arn:aws:iam::1:user/a:b", True),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::1:*", "arn:aws:iam::2:user/a", True),
        ("ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::1:*", "arn:aws:iam::1:user/a", False),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::1:*", "no arn", False),
        ("Null", "s3:x-amz-acl", "true", "private", False),
        ("Null", "s3:x-amz-acl", "false", "private", True),
    ],
)  # fmt: skip
def test_operators(
    operator: str, key: str, wanted: str | list[str], value: str, expected: bool
) -> None:
    assert holds(operator, key, wanted, value) is expected


ABSENT = [(name, row.negated) for name, row in OPERATORS.items() if name != "Null"]
VALUES = {
    "Numeric": "1",
    "Date": "2020-01-01",
    "Bool": "true",
    "Binary": "YQ==",
    "Ip": "10.0.0.1",
    "NotIp": "10.0.0.1",
    "Arn": "arn:a:b:c:d:e",
}


@pytest.mark.parametrize(("operator", "negated"), ABSENT)
def test_a_key_that_is_absent(operator: str, negated: bool) -> None:
    """AWS: "If the key that you specify in a policy condition is not present in the request
    context, the values do not match and the condition is false. If the policy condition requires
    that the key is not matched, such as StringNotLike [...], the condition is true."
    """
    value = next((text for kind, text in VALUES.items() if operator.startswith(kind)), "a")
    assert holds(operator, "s3:prefix", value) is negated
    assert holds(f"{operator}IfExists", "s3:prefix", value) is True
    assert holds(f"ForAllValues:{operator}", "s3:prefix", value) is True
    assert holds(f"ForAnyValue:{operator}", "s3:prefix", value) is False
    assert holds(f"ForAnyValue:{operator}IfExists", "s3:prefix", value) is True


def test_null_asks_whether_a_key_is_there() -> None:
    assert holds("Null", "s3:prefix", "true") is True
    assert holds("Null", "s3:prefix", "false") is False
    assert holds("Null", "s3:prefix", ["true", "false"]) is True
    assert holds("Null", "s3:prefix", "true", "") is False  # it is there, and empty


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("ForAllValues:StringEquals", ("a",), True),
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "c"), False),  # N135: partial overlap
        ("ForAllValues:StringEquals", (), True),
        ("ForAllValues:StringNotEquals", ("c", "d"), True),
        ("ForAllValues:StringNotEquals", ("a", "c"), False),
        ("ForAnyValue:StringEquals", ("a", "c"), True),
        ("ForAnyValue:StringEquals", ("c", "d"), False),
        ("ForAnyValue:StringEquals", (), False),
        ("ForAnyValue:StringNotEquals", ("a", "c"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("ForAnyValue:StringNotEquals", (), False),
        # One value is expected and several are there: only where all agree is it known.
        ("StringEquals", ("a", "b"), True),
        ("StringEquals", ("c", "d"), False),
        ("StringEquals", ("a", "c"), None),
        ("StringNotEquals", ("a", "c"), None),
    ],
)
def test_several_values(operator: str, values: tuple[str, ...], expected: bool | None) -> None:
    assert holds(operator, "s3:RequestObjectTagKeys", ["a", "b"], *values) is expected


@given(
    st.lists(st.sampled_from("abc"), max_size=3),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
    st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_set_operators_are_all_and_any(values: list[str], wanted: list[str], negated: bool) -> None:
    operator = "StringNotEquals" if negated else "StringEquals"
    single: Callable[[str], bool] = lambda value: (value in wanted) != negated  # noqa: E731
    key = "s3:RequestObjectTagKeys"
    assert holds(f"ForAllValues:{operator}", key, wanted, *values) is all(map(single, values))
    assert holds(f"ForAnyValue:{operator}", key, wanted, *values) is any(map(single, values))


@pytest.mark.parametrize(
    ("operator", "wanted", "value"),
    [
        ("NumericEquals", "1", "one"),
        ("NumericNotEquals", "1", "0x1"),
        ("NumericLessThan", "1", "1e9"),
        ("NumericLessThan", "1", "9" * 100),
        ("NumericLessThan", "1", "１"),  # noqa: RUF001 -- a digit of another script
        ("DateLessThan", "2020-01-01", "tomorrow"),
        ("DateNotEquals", "2020-01-01", "2020-02-30"),
        ("Bool", "true", "1"),
        ("IpAddress", "10.0.0.0/8", ""),
        ("NotIpAddress", "10.0.0.0/8", "unknown"),
        ("NotIpAddress", "10.0.0.0/8", "10.0.0.1, 1.2.3.4"),
        ("NotIpAddress", "10.0.0.0/8", "010.0.0.1"),
    ],
)
def test_a_value_that_can_not_be_read_is_not_known_to_match_or_not(
    operator: str, wanted: str, value: str
) -> None:
    assert holds(operator, "s3:prefix", wanted, value) is None


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_an_unknown_key_is_never_known(operator: str) -> None:
    """R10: "unknown condition operator/key = deny in Allow and match in Deny"."""
    value = next((text for kind, text in VALUES.items() if operator.startswith(kind)), "true")
    for key in ("aws:NoSuchKey", "jwt:sub", "userid", "s3:existingobjecttag"):
        assert not is_known(key.lower())
        assert holds(operator, key, value, value) is None
        assert holds(operator, key, value) is None
        if operator != "Null":
            assert holds(f"{operator}IfExists", key, value) is None
            assert holds(f"ForAllValues:{operator}", key, value) is None


@pytest.mark.parametrize(
    "operator",
    [
        *("", "Equals", "stringequals", "StringLike ", "StringMatches", "NullIfExists"),
        *("StringEqualsIfExistsIfExists", "ForAllValues:", "ForAllValues:Null"),
        *("ForAnyValue:ForAllValues:StringEquals", "forallvalues:StringEquals"),
    ],
)
def test_an_unknown_operator_is_refused(operator: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        compile_condition(operator, "aws:SourceIp", ("a",), variables=True)
    assert refused.value.reason == "MalformedPolicy"
    assert refused.value.message == f"Invalid Condition type : {operator}"


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("NumericEquals", "ten"),
        ("NumericEquals", "0x10"),
        ("NumericEquals", "1_0"),
        ("DateEquals", "yesterday"),
        ("DateEquals", "2020-13-01"),
        ("Bool", "yes"),
        ("Null", "maybe"),
        ("BinaryEquals", "a"),
        ("IpAddress", "10.0.0.0/33"),
        ("IpAddress", "10.0.0.0/255.0.0.0"),
        ("IpAddress", "10.*"),
        ("IpAddress", "1:2"),
        ("ArnLike", "arn:aws:iam"),
        ("StringLike", "${aws:username"),
        ("StringEquals", "${}"),
    ],
)
def test_a_value_that_an_operator_can_not_have_is_refused(operator: str, value: str) -> None:
    with pytest.raises(RequestRefused, match="MalformedPolicy"):
        compile_condition(operator, "aws:SourceIp", (value,), variables=True)


def test_variables_are_replaced_and_what_comes_in_is_literal() -> None:
    def like(wanted: str, value: str, **others: str) -> bool | None:
        return holds("StringLike", "s3:prefix", wanted, value, **others)

    assert like("home/${aws:username}/*", "home/alice/x", aws_username="alice") is True
    assert like("home/${AWS:UserName}/*", "home/alice/x", aws_username="alice") is True
    assert like("home/${aws:username}/*", "home/bob/x", aws_username="*") is False
    assert like("home/${aws:username}/*", "home/*/x", aws_username="*") is True
    assert like("home/${aws:username, 'guest'}/*", "home/guest/x") is True
    assert like("${*}${?}${$}", "*?$") is True
    assert like("${*}", "a") is False
    assert like("${aws:NoSuchKey}", "a") is None
    ignoring_case = "StringEqualsIgnoreCase"
    assert holds(ignoring_case, "s3:prefix", "${aws:username}", "AB", aws_username="Ab") is True


def test_a_variable_without_a_value_matches_nothing() -> None:
    """AWS: "There is no equal or like value", and "Inverted condition operators like
    StringNotLike do match against a null value"."""
    assert holds("StringLike", "s3:prefix", "${aws:username}*", "x") is False
    assert holds("StringNotLike", "s3:prefix", "${aws:username}*", "x") is True


def test_before_2012_there_are_no_variables() -> None:
    condition = compile_condition(
        "StringEquals", "s3:prefix", ("${aws:username}",), variables=False
    )
    facts = Facts({"s3:prefix": ("${aws:username}",), "aws:username": ("alice",)})
    assert condition.holds(facts) is True


@given(
    st.lists(st.sampled_from([True, False, None]), max_size=4),
)
def test_three_values_decide_only_where_every_completion_agrees(
    verdicts: list[bool | None],
) -> None:
    """The twin: whatever the unknown ones turn out to be."""
    completions: list[list[bool]] = [[]]
    for verdict in verdicts:
        choices = [True, False] if verdict is None else [verdict]
        completions = [[*done, choice] for done in completions for choice in choices]
    for connective, twin in ((any_of, any), (all_of, all)):
        outcomes = {twin(done) for done in completions}
        assert connective(verdicts) is (outcomes.pop() if len(outcomes) == 1 else None)
    assert negation(None) is None


@given(st.datetimes(), st.integers(-1439, 1439))
@settings(max_examples=200, deadline=None)
def test_dates_are_read_as_python_reads_them(moment: datetime, offset: int) -> None:
    local = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    text = f"{local.isoformat(timespec='milliseconds')}{sign}{minutes // 60:02}:{minutes % 60:02}"
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = local.replace(tzinfo=UTC) - epoch - timedelta(minutes=offset)
    assert read_date(text) == expected // timedelta(milliseconds=1)


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
@settings(max_examples=300, deadline=None)
def test_addresses_are_read_as_python_reads_them(first: object, second: object, bits: int) -> None:
    bits %= ip_address(str(first)).max_prefixlen + 1
    network = ip_network(f"{first}/{bits}", strict=False)
    address = ip_address(str(second))
    if getattr(address, "ipv4_mapped", None) or str(network).startswith("::ffff:"):
        return  # these are IPv4's, as examples above show
    assert read_network(str(network)) == network
    assert read_address(str(address)) == address
    expected = address.version == network.version and address in network
    assert holds("IpAddress", "aws:SourceIp", str(network), str(address)) is expected
    assert holds("NotIpAddress", "aws:SourceIp", str(network), str(address)) is not expected


@given(st.text(max_size=60))
@settings(max_examples=500, deadline=None)
def test_readers_read_or_return_none(text: str) -> None:
    for read in (read_number, read_date, read_address, read_network, read_bytes):
        read(text)


def test_keys_are_written_in_lower_case() -> None:
    assert {key.lower() for key in KNOWN_KEYS} == KNOWN_KEYS
    assert is_known("s3:existingobjecttag/any/thing")
    assert not is_known("s3:existingobjecttag/")
