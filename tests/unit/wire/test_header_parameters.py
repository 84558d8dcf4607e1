"""Parameters behind a header's value, as browsers, curl and urllib3 write them."""
# ruff: noqa: E501 - a row of a table is one line

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.wire.header_parameters import read_parameterised


@pytest.mark.parametrize(
    ("text", "value", "parameters"),
    [
        ("form-data", "form-data", {}),
        ("Form-Data; NAME=key", "form-data", {"name": "key"}),
        ('form-data; name="a b"; filename="c;d.png"', "form-data", {"name": "a b", "filename": "c;d.png"}),
        ('form-data; name="a\\"b\\\\c"', "form-data", {"name": 'a"b\\c'}),
        ('form-data; name=f; filename="C:\\dir\\cat.png"', "form-data", {"name": "f", "filename": "C:\\dir\\cat.png"}),
        ('form-data;name="ü"', "form-data", {"name": "ü"}),
        ('form-data; name="a%22b"', "form-data", {"name": "a%22b"}),
        ('form-data; name=""', "form-data", {"name": ""}),
        ("form-data; name*=UTF-8''%c3%bc%20x", "form-data", {"name": "ü x"}),
        ("form-data; name=f; filename*=iso-8859-1'de'%fc; filename=u", "form-data", {"name": "f", "filename": "ü"}),
        ("form-data ; name = x ;", "form-data", {"name": "x"}),
        ('multipart/form-data; boundary="a b"', "multipart/form-data", {"boundary": "a b"}),
        ("multipart/form-data; boundary====1==", "multipart/form-data", {"boundary": "===1=="}),
    ],
)  # fmt: skip
def test_what_keeps_the_grammar(text: str, value: str, parameters: dict[str, str]) -> None:
    read = read_parameterised(text)
    assert read is not None
    assert (read.value, read.parameters) == (value, parameters)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        '"form-data"',
        "form-data name=x",
        'form-data; name="x',
        'form-data; name="x" y',
        'form-data; name="x\\"',
        "form-data; name",
        "form-data; name=",
        "form-data; name=x; name=y",
        "form-data; name*=UTF-8''%ff",
        "form-data; name*=UTF-8''%4",
        "form-data; name*=x",
        "form-data; name*=\"UTF-8''x\"",
        "form-data; name*=KOI8-R''x",
        "form-data, form-data; name=x",
    ],
)
def test_what_does_not(text: str) -> None:
    assert read_parameterised(text) is None


@given(st.text(alphabet="form-data; n=x\"\\*%'", max_size=60))
def test_any_text_is_read_or_not(text: str) -> None:
    read_parameterised(text)


@given(st.text(max_size=40))
def test_a_quoted_string_gives_back_what_was_escaped(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    read = read_parameterised(f'form-data; name="{escaped}"')
    assert read is not None
    assert read.parameters["name"] == name
