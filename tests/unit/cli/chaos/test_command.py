"""Bad orders are refused before anything is made."""

import pytest

from objstore.cli.chaos.command import parse_duration, parse_kinds
from objstore.cli.chaos.plan import Kind
from objstore.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("60", 60), ("5m", 300), ("1h", 3600), ("007s", 7)]
)
def test_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "s", "-1s", "1.5m", "60 s", "1d", "+5", "1_0"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_duration(text)


def test_faults_are_named_once_each() -> None:
    assert parse_kinds("server, drive,server") == (Kind.DRIVE, Kind.SERVER)


@pytest.mark.parametrize("text", ["", ",", "fire", "drive,fire"])
def test_unknown_faults_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_kinds(text)
