"""What may be done with a drive's directory, and what is said about one that is not right."""

from pathlib import Path

import pytest

from objstore.drive.format import (
    Expected,
    Found,
    Inspection,
    Verdict,
    check_distinct,
    check_identity,
    format_drive,
    inspect,
    judge,
)
from objstore.errors import ConfigError
from objstore.testing.local_drives import identity
from objstore.testing.memory_rows import DEPLOYMENT

_HERE = Expected(0, 0, (0,), DEPLOYMENT)


def test_a_formatted_drive_is_ready(tmp_path: Path) -> None:
    assert inspect(tmp_path).found is Found.EMPTY
    assert judge(inspect(tmp_path), _HERE) is Verdict.EMPTY
    format_drive(tmp_path, identity(), trusted=True)
    seen = inspect(tmp_path)
    assert (seen.found, seen.identity) == (Found.FORMATTED, identity())
    assert judge(seen, _HERE) is Verdict.READY
    assert judge(seen, Expected(0, 0, (0,))) is Verdict.READY


def test_a_new_file_system_is_empty(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert inspect(tmp_path).found is Found.EMPTY
    format_drive(tmp_path, identity(), trusted=True)


def test_a_missing_directory_is_missing(tmp_path: Path) -> None:
    assert judge(inspect(tmp_path / "none"), _HERE) is Verdict.MISSING


def test_an_empty_directory_in_the_place_of_a_mount_point_is_not_mounted(tmp_path: Path) -> None:
    mounted = Expected(0, 0, (0,), DEPLOYMENT, mount_point=True)
    assert judge(inspect(tmp_path), mounted) is Verdict.UNMOUNTED
    there = Inspection(tmp_path, Found.EMPTY, mount_point=True)
    assert judge(there, mounted) is Verdict.EMPTY


def _names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: (path / "photo.jpg").touch(), "files of somebody else (photo.jpg)"),
        (lambda path: (path / "shards").mkdir(), "formatting did not end (shards)"),
        (lambda path: (path / "journal.db").touch(), "formatting did not end (journal.db)"),
        (lambda path: (path / "drive.json.new").touch(), "did not end (drive.json.new)"),
        (lambda path: (path / "drive.json").write_text("{}"), "identity cannot be read"),
        (lambda path: [(path / f"f{n}").touch() for n in range(9)], "and 4 more"),
    ],
)
def test_what_is_not_a_drive_is_refused(tmp_path: Path, make: object, found: str) -> None:
    make(tmp_path)  # type: ignore[operator]
    before = _names(tmp_path)
    with pytest.raises(ConfigError) as refused:
        judge(inspect(tmp_path), _HERE)
    assert found in refused.value.found
    assert refused.value.remedy
    with pytest.raises(ConfigError):
        format_drive(tmp_path, identity(), trusted=True)
    assert _names(tmp_path) == before


def test_a_file_is_no_drive(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="not a directory"):
        judge(inspect(tmp_path / "file"), _HERE)


def test_a_drive_is_not_formatted_twice(tmp_path: Path) -> None:
    format_drive(tmp_path, identity(), trusted=True)
    with pytest.raises(ConfigError):
        format_drive(tmp_path, identity("e"), trusted=True)
    assert inspect(tmp_path).identity == identity()


@pytest.mark.parametrize("lost", ["journal.db", "trash"])
def test_a_drive_that_lacks_a_part_is_damaged(tmp_path: Path, lost: str) -> None:
    format_drive(tmp_path, identity(), trusted=True)
    (tmp_path / lost).rename(tmp_path.parent / f"{tmp_path.name}-{lost}")
    with pytest.raises(ConfigError, match=f"{lost} missing"):
        judge(inspect(tmp_path), _HERE)


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"deployment": "b" * 32}, "another deployment"),
        ({"slots": (1,)}, "pool 0, set 0, slot 1"),
        ({"set": 2}, "pool 0, set 2, slot 0"),
        ({"pool": 1}, "pool 1, set 0, slot 0"),
    ],
)
def test_a_drive_of_another_place_is_refused(
    tmp_path: Path, other: dict[str, object], found: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        check_identity(identity(**other), _HERE, path=tmp_path)  # type: ignore[arg-type]
    assert found in refused.value.found


def test_a_drive_that_is_there_twice_is_refused() -> None:
    check_distinct({Path("/a"): identity("1"), Path("/b"): identity("2")})
    with pytest.raises(ConfigError, match="/a and /c are both drive 1"):
        check_distinct(
            {Path("/a"): identity("1"), Path("/b"): identity("2"), Path("/c"): identity("1")}
        )
