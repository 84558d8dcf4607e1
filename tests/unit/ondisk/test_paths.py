"""Names are made and recognised here, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.names import DataId
from objstore.ondisk.paths import (
    SHARD_DIRS,
    ShardName,
    is_foreign,
    is_own,
    parse_shard_path,
    parse_trash_path,
    shard_dir,
    shard_path,
    trash_path,
)

IDS = st.binary(min_size=16, max_size=16).map(DataId)
ZERO = "0" * 32


@given(data_id=IDS, part=st.integers(1, 10_000), shard=st.integers(0, 15))
def test_a_name_says_what_it_was_made_of(data_id: DataId, part: int, shard: int) -> None:
    name = ShardName(data_id, part, shard)
    assert parse_shard_path(shard_path(data_id, part, shard)) == name
    assert parse_trash_path(trash_path(data_id, part, shard)) == name
    assert shard_path(data_id, part, shard).startswith(shard_dir(data_id) + "/")
    assert shard_dir(data_id).removeprefix("shards/") in SHARD_DIRS


def test_a_name_as_it_lies_on_the_drive() -> None:
    data_id = DataId(bytes(range(0xA0, 0xB0)))
    assert shard_path(data_id, 1, 0) == "shards/a0/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf.1.0"
    assert trash_path(data_id, 1, 0) == "trash/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf.1.0"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "shards",
        f"shards/00/{ZERO}",
        f"shards/00/{ZERO}.1",
        f"shards/00/{ZERO}.0.0",  # parts count from 1
        f"shards/00/{ZERO}.01.0",
        f"shards/00/{ZERO}.10001.0",
        f"shards/00/{ZERO}.1.16",
        f"shards/00/{ZERO}.1.00",
        f"shards/00/{ZERO}.1.-1",
        f"shards/00/{ZERO}.1.+1",
        f"shards/00/{ZERO}.1. 1",
        f"shards/00/{ZERO}.1_0.0",
        f"shards/00/{ZERO}.\u0661.0",
        f"shards/01/{ZERO}.1.0",  # in the wrong directory
        f"shards/00/{'A' * 32}.1.0",
        f"shards/AA/{'a' * 32}.1.0",
        f"shards/00/{ZERO[1:]}.1.0",
        f"shards/00/{ZERO}.1.0\n",
        f"shards/00/{ZERO}.1.0.tmp",
        f"./shards/00/{ZERO}.1.0",
        f"shards/00/../00/{ZERO}.1.0",
        f"/shards/00/{ZERO}.1.0",
        f"shards//00/{ZERO}.1.0",
        f"trash/{ZERO}.1.0",
    ],
)
def test_what_is_no_shard_is_not_taken_for_one(path: str) -> None:
    assert parse_shard_path(path) is None


@pytest.mark.parametrize(
    "path", ["trash/", f"trash/{ZERO}", f"trash/{ZERO}.0.0", f"shards/00/{ZERO}.1.0"]
)
def test_what_is_no_trash_is_not_taken_for_it(path: str) -> None:
    assert parse_trash_path(path) is None


@given(st.text(max_size=60))
def test_no_other_text_parses(text: str) -> None:
    for path in (text, f"shards/00/{text}", f"trash/{text}"):
        found = parse_shard_path(path)
        assert found is None or shard_path(found.data_id, found.part, found.shard) == path


@pytest.mark.parametrize(
    ("name", "own", "foreign"),
    [
        ("drive.json", True, False),
        ("journal.db-wal", True, False),
        ("journal.db-journal", True, False),  # where a crash ended the formatting
        ("shards", True, False),
        ("lost+found", False, False),
        (".minio.sys", False, True),
        ("photos", False, True),
    ],
)
def test_names_in_a_drives_directory(name: str, own: bool, foreign: bool) -> None:
    assert (is_own(name), is_foreign(name)) == (own, foreign)


@pytest.mark.parametrize(("part", "shard"), [(0, 0), (10_001, 0), (1, -1), (1, 16)])
def test_impossible_names_are_not_made(part: int, shard: int) -> None:
    with pytest.raises(AssertionError):
        shard_path(DataId(bytes(16)), part, shard)
