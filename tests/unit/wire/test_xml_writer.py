"""Escaping: the bytes on the wire, and that they are cheap for a page of 1,000 keys."""

from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.wire.xml_writer import bare_document, document, escape, leaf, leaves, url_encode


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain/key.txt", "plain/key.txt"),
        ('<a & "b">', "&lt;a &amp; &quot;b&quot;&gt;"),
        ("a\rb", "a&#xD;b"),
        ("\x00\x01\x1f\x7f", "&#x0;&#x1;&#x1F;&#x7F;"),
        ("\uffff", "&#xFFFF;"),
        ("\udc80", "\ufffd"),
        ("tab\tnew\nline", "tab\tnew\nline"),
        ("日本 🎉", "日本 🎉"),
    ],
)
def test_escape(text: str, written: str) -> None:
    assert escape(text) == written


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_url_encoding_comes_back_and_needs_no_escaping(text: str) -> None:
    encoded = url_encode(text)
    assert unquote(encoded) == text
    assert escape(encoded) == encoded


def test_url_encoding_as_documented() -> None:
    # AWS says: "An object named test_file(3).png will appear as test_file%283%29.png."
    assert url_encode("test_file(3).png") == "test_file%283%29.png"
    assert url_encode("a b+c/d*") == "a%20b%2Bc/d%2A"


@settings(max_examples=200)
@given(st.text(st.characters()))
def test_a_document_of_leaves_is_always_readable(text: str) -> None:
    """Whatever a client put into a request may be repeated in the error it gets."""
    root = ET.fromstring(bare_document("Error", leaf("Key", text)))
    key = root.findtext("Key")
    assert key is not None
    assert len(key) == len(text)
    assert all(ours in (theirs, "\ufffd") for ours, theirs in zip(key, text, strict=True))


def test_documents() -> None:
    assert document("A", leaf("B", "<")) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<A xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><B>&lt;</B></A>'
    )
    assert bare_document("A", leaves([("B", "1"), ("C", "")])).endswith(b"\n<A><B>1</B><C></C></A>")
