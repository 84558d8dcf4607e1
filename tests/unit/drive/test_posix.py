"""Files that are written anew keep every byte, and only those that are there are touched."""

from pathlib import Path

import pytest

from objstore.drive.posix import write_again


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 3 * 1024 * 1024 + 7])
def test_a_file_that_is_written_again_is_the_same(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    content = bytes(range(256)) * (size // 256 + 1)
    path.write_bytes(content[:size])
    before = path.stat().st_ino
    write_again(path)
    assert path.read_bytes() == content[:size]
    assert path.stat().st_ino == before


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_again(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
