"""XML from clients: what is not understood, or is an attack, is MalformedXML."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import DOCUMENT_BYTES_MAX, XML_ELEMENTS_MAX
from objstore.wire.xml_reader import NAMESPACE, Element, read_document
from objstore.wire.xml_writer import document, leaf

ROOT = Element(
    "Root",
    (
        Element("Name", required=True),
        Element("Item", (Element("Key"), Element("Value")), many=True),
    ),
)


def test_reads_leaves_and_groups_in_order() -> None:
    node = read_document(
        b"<?xml version='1.0'?><!-- c --><Root>\n <Name> a &amp; &#x3C;b </Name>"
        b"<Item><Key>1</Key></Item> <Item><Key><![CDATA[2]]></Key><Value/></Item></Root>",
        ROOT,
    )
    assert node.text_of("Name") == " a & <b "
    assert [item.text_of("Key") for item in node.all("Item")] == ["1", "2"]
    assert [item.text_of("Value") for item in node.all("Item")] == [None, ""]


def test_the_namespace_is_optional() -> None:
    plain = read_document(b"<Root><Name>a</Name></Root>", ROOT)
    qualified = f'<Root xmlns="{NAMESPACE}"><Name>a</Name></Root>'.encode()
    prefixed = f'<s:Root xmlns:s="{NAMESPACE}"><s:Name>a</s:Name></s:Root>'.encode()
    assert read_document(qualified, ROOT) == plain == read_document(prefixed, ROOT)


def test_aliases_attributes_and_empty_groups() -> None:
    kind = "{urn:kinds}type"
    root = Element(
        "Root",
        (Element("Name", aliases=("OldName",)), Element("Empty", group=True)),
        aliases=("OldRoot",),
        attributes=(kind,),
    )
    node = read_document(
        b"<OldRoot xmlns:k='urn:kinds' k:type='a' type='b'><OldName>c</OldName><Empty/></OldRoot>",
        root,
    )
    assert node.attributes == {kind: "a"}
    assert node.text_of("Name") == "c"
    assert node.one("Empty") is not None
    assert node.one("Other") is None
    for inner in (
        "<Name>a</Name><OldName>b</OldName>",
        "<Empty>text</Empty>",
        "<Empty><a/></Empty>",
    ):
        with pytest.raises(RequestRefused):
            read_document(f"<Root>{inner}</Root>".encode(), root)


LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol") for n in range(12)
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"no xml",
        b"<Root>",
        b"<Root><Name>a</Name></Root><Root/>",
        b"<Other><Name>a</Name></Other>",
        b"<Root/>",  # Name is required
        b"<Root><Name>a</Name><Name>b</Name></Root>",
        b"<Root><Name>a</Name><Surprise/></Root>",
        b"<Root><Name>a</Name>text</Root>",
        b"<Root>text<Name>a</Name></Root>",
        b"<Root><Name>a<b/></Name></Root>",
        b"<Root><Name>\x00</Name></Root>",
        b"<Root><Name>\xff</Name></Root>",
        b"<Root><Name>&unknown;</Name></Root>",
        b"<Root xmlns='urn:other'><Name>a</Name></Root>",
        # Case N110: external entity, external DTD, parameter entity
        b"<!DOCTYPE Root SYSTEM 'http://127.0.0.1:1/x.dtd'><Root><Name>a</Name></Root>",
        b"<!DOCTYPE r [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><Root><Name>&x;</Name></Root>",
        b"<!DOCTYPE r [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]><Root><Name/></Root>",
        # Case N111: billion laughs, in text and in an attribute
        b"<!DOCTYPE r [" + LAUGHS + b"]><Root><Name>&l11;</Name></Root>",
        b"<!DOCTYPE r [" + LAUGHS + b"]><Root a='&l11;'><Name/></Root>",
        # The same in an encoding where the bytes look different
        "<!DOCTYPE r [<!ENTITY x 'y'>]><Root><Name>&x;</Name></Root>".encode("utf-16"),
        "<?xml version='1.0' encoding='utf-16'?><Root><Name>a</Name></Root>".encode("utf-16"),
        # Case N112: size, depth, elements
        b"<Root><Name>" + b"a" * DOCUMENT_BYTES_MAX + b"</Name></Root>",
        b"<Root>" + b"<Item>" * 10_000 + b"</Item>" * 10_000 + b"</Root>",
        b"<Root><Name/>" + b"<Item/>" * (2 * XML_ELEMENTS_MAX) + b"</Root>",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_refusals(data: bytes) -> None:
    with pytest.raises(RequestRefused) as refusal:
        read_document(data, ROOT)
    assert refusal.value.reason == "MalformedXML"


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(noise: bytes) -> None:
    for data in (noise, b"<Root><Name>" + noise + b"</Name></Root>"):
        with contextlib.suppress(RequestRefused):
            read_document(data, ROOT)


# What XML 1.0 can carry at all; the rest is what encoding-type=url is for.
XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
        lambda character: character >= " " or character in "\t\n\r"
    )
)


@settings(max_examples=200)
@given(XML_TEXT)
def test_what_is_written_is_read_back(text: str) -> None:
    node = read_document(document("Root", leaf("Name", text)), ROOT)
    assert node.text_of("Name") == text
