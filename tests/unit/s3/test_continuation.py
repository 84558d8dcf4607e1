"""Continuation tokens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.s3.continuation import read_token, write_token


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_key_comes_back(last: str) -> None:
    token = write_token(last)
    assert read_token(token) == last
    assert all(character.isalnum() or character in "-_=" for character in token)


@settings(max_examples=200)
@given(st.text(max_size=30))
def test_anything_else_is_refused_and_nothing_crashes(token: str) -> None:
    try:
        last = read_token(token)
    except RequestRefused:
        return
    assert read_token(write_token(last)) == last


@pytest.mark.parametrize("token", ["", "x", "MQ", "MQ==\n", "w6TDtsO8", "Mf8="])
def test_refusals(token: str) -> None:
    with pytest.raises(RequestRefused):
        read_token(token)
