"""The fields of a form, and what its request may say beside it."""

import pytest

from objstore.errors import RequestRefused
from objstore.limits import POST_FIELDS_BYTES_MAX
from objstore.wire.post_fields import FieldCollector, posts_form, require_form_alone
from objstore.wire.post_form import FormField
from tests.unit.wire.signed_requests import Shot, Signer

FORM = Shot("POST", "/bucket").adding(("content-type", "multipart/form-data; boundary=x"))


def collect(filename: str, **fields: str) -> dict[str, str]:
    collector = FieldCollector()
    for name, value in fields.items():
        collector.add(FormField(name, value))
    return collector.close(filename)


@pytest.mark.parametrize(
    ("filename", "expanded"),
    [
        ("cat.png", "a/cat.png"),
        # AWS says: "only the text following the last slash (/) or backslash (\) is used"
        ("C:\\Program Files\\directory1\\file.txt", "a/file.txt"),
        ("../../etc/passwd", "a/passwd"),
        ("dir/", "a/"),
        # AWS says: "If no file or file name is provided, the variable is replaced with an empty
        # string."
        ("", "a/"),
        ("ü ${filename}", "a/ü ${filename}"),
    ],
)
def test_the_files_name_in_fields(filename: str, expanded: str) -> None:
    # AWS says: "is recognized by all form fields"
    fields = collect(filename, Key="a/${filename}", acl="${filename}${filename}", other="${file}")
    name = expanded.removeprefix("a/")
    assert fields == {"key": expanded, "acl": name + name, "other": "${file}"}


def test_a_field_may_be_there_once() -> None:
    collector = FieldCollector()
    collector.add(FormField("Key", "a"))
    with pytest.raises(RequestRefused) as refusal:
        collector.add(FormField("kEY", "a"))
    assert refusal.value.reason == "InvalidArgument"


def test_names_cannot_make_fields_large() -> None:
    with pytest.raises(RequestRefused) as refusal:
        collect("x" * 1000, key="${filename}" * 100)
    assert refusal.value.reason == "MaxPostPreDataLengthExceededError"
    assert len(collect("x" * 1000, key="${filename}" * 10)["key"]) < POST_FIELDS_BYTES_MAX


@pytest.mark.parametrize(
    ("shot", "form"),
    [
        (FORM, True),
        (FORM.changing("content-type", "multipart/form-data", "Multipart/Form-Data "), True),
        (FORM.retarget("/bucket", "/bucket/"), True),
        (Shot("POST", "/bucket"), False),
        (Shot("POST", "/bucket").adding(("content-type", "multipart/mixed; boundary=x")), False),
        (Shot("PUT", "/bucket").adding(FORM.headers[-1]), False),
        (Shot("POST", "/bucket/key").adding(FORM.headers[-1]), False),
        (Shot("POST", "/").adding(FORM.headers[-1]), False),
    ],
)
def test_what_is_a_form(shot: Shot, form: bool) -> None:
    assert posts_form(shot.parse()) == form


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),),
        (("x-amz-user-agent", "browser"), ("origin", "http://app.test"), ("x-other", "1")),
    ],
)
def test_a_form_alone(headers: tuple[tuple[str, str], ...]) -> None:
    require_form_alone(FORM.adding(*headers).parse())


@pytest.mark.parametrize(
    ("shot", "reason"),
    [
        # R2: exactly one mechanism
        (Signer().sign(FORM), "InvalidArgument"),
        (Signer().presign(FORM), "InvalidArgument"),
        (FORM.adding(("authorization", "")), "InvalidArgument"),
        (FORM.adding(("authorization", "Bearer x")), "InvalidArgument"),
        (FORM.retarget("/bucket", "/bucket?AWSAccessKeyId=a&Signature=b"), "InvalidArgument"),
        (FORM.retarget("/bucket", "/bucket?X-Amz-Credential=a"), "InvalidArgument"),
        # N076: framing by chunks is believed only under a signature
        (
            FORM.adding(("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")),
            "AccessDenied",
        ),
        (FORM.adding(("x-amz-content-sha256", "0" * 64)), "InvalidRequest"),
        (FORM.adding(("content-md5", "x")), "InvalidRequest"),
        (FORM.adding(("content-encoding", "gzip")), "InvalidRequest"),
        # N016, N047: headers that act and that nobody signed
        (FORM.adding(("x-amz-acl", "private")), "AccessDenied"),
        (FORM.adding(("x-amz-meta-a", "1")), "AccessDenied"),
        (FORM.retarget("/bucket", "/bucket?x-amz-acl=private"), "AccessDenied"),
    ],
)
def test_what_is_refused_beside_a_form(shot: Shot, reason: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        require_form_alone(shot.parse())
    assert refusal.value.reason == reason
