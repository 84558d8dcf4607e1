"""The tree drawn in errors.py is the tree that is there, and blame has one place."""

import re

import pytest

from objstore import errors
from objstore.names import Stamp


def drawn() -> set[tuple[str, str]]:
    edges: set[tuple[str, str]] = set()
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^(\s+)([A-Z]\w+)\b", line):
            depth, name = len(match[1]), match[2]
            while stack and stack[-1][0] >= depth:
                stack.pop()
            if stack:
                edges.add((stack[-1][1], name))
            stack.append((depth, name))
    return edges


def real() -> set[tuple[str, str]]:
    """Return (parent, child) for every exception of errors.py."""
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.ObjstoreError)
    ]
    return {
        (parent.__name__, cls.__name__)
        for cls in classes
        for parent in cls.__bases__
        if parent is not Exception
    }


def test_the_drawn_tree_is_the_real_tree() -> None:
    assert drawn() == real()
    assert len(drawn()) >= 19


def test_every_exception_says_what_it_means() -> None:
    names = {name for edge in real() for name in edge}
    assert all(getattr(errors, name).__doc__ for name in names)


def test_a_refused_request_names_its_reason() -> None:
    error = errors.RequestRefused("NoSuchKey", "It is not there.", Key="a/b")
    assert (error.reason, error.message, error.detail) == (
        "NoSuchKey",
        "It is not there.",
        {"Key": "a/b"},
    )
    assert str(error) == "NoSuchKey: It is not there."
    assert str(errors.RequestRefused("NoSuchKey")) == "NoSuchKey"


def test_a_config_error_says_found_expected_and_remedy() -> None:
    error = errors.ConfigError(found="a", expected="b", remedy="c")
    assert str(error) == "found: a\nexpected: b\nwhat to do: c"


def test_superseded_names_what_is_held() -> None:
    held = Stamp(b"s" * 16)
    assert errors.Superseded(held).held == held


@pytest.mark.parametrize(
    "name", ["DriveOffline", "DriveTimeout", "DriveFull", "DriveReadOnly", "DriveFaulty"]
)
def test_a_failing_drive_is_not_a_refusing_one(name: str) -> None:
    """A refusal is an answer and counts towards a quorum; a failure is none."""
    assert issubclass(getattr(errors, name), errors.DriveError)
    assert not issubclass(getattr(errors, name), errors.DriveRefusal)


def test_missing_corrupt_and_unknown_are_three_things() -> None:
    """A record that fails its checksum is unknown, never absent."""
    kinds = (errors.ShardMissing, errors.ShardCorrupt, errors.RecordUnknown)
    assert not any(issubclass(a, b) for a in kinds for b in kinds if a is not b)
