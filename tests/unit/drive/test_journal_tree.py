"""The tree of a journal: planted in older ones, right after damage, and mended when it is wrong."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore.drive.format import format_drive
from objstore.drive.job_states import TreeCheck
from objstore.drive.journal_schema import FORMAT_VERSION
from objstore.drive.local import LocalDrive
from objstore.drive.ops import CheckTree, Forget, ReadTree, Settle, Undo
from objstore.names import Kind, ObjectKey
from objstore.ondisk.tree import TreeNode, place_of
from objstore.testing.drive_values import BUCKET, commit, order, put_bucket, put_upload, version
from objstore.testing.local_drives import identity, local_drive, memory_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


async def nodes(drive: LocalDrive, level: int) -> list[TreeNode]:
    found: list[TreeNode] = []
    begin: bytes | None = b""
    while begin is not None:
        page = await drive.call(ReadTree(level, begin))
        found += page.nodes
        begin = page.next
    return found


async def check(drive: LocalDrive, limit: int = 50) -> TreeCheck:
    """Check the whole tree, a little at a time."""
    entries = mended = 0
    begin: bytes | None = b""
    while begin is not None:
        checked = await drive.call(CheckTree(begin, limit))
        entries += checked.entries
        mended += checked.mended
        begin = checked.next
    return TreeCheck(None, entries, mended)


async def fill(drive: LocalDrive, count: int) -> None:
    await drive.call(put_bucket())
    await drive.call(put_upload("upload"))
    for number in range(1, count + 1):
        await drive.call(commit(version(number, key=f"key/{number % (count - 50):05}")))


def edit(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path / "journal.db", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("version_", [1, 2])
async def test_a_journal_of_an_older_format_gets_its_tree(directory: Path, version_: int) -> None:
    path = directory / "drive"
    async with local_drive(path) as drive:
        await fill(drive, 700)
        before = [await nodes(drive, level) for level in range(4)]
    edit(path, "DROP TABLE tree", f"PRAGMA user_version = {version_}")
    async with local_drive(path) as drive:
        assert [await nodes(drive, level) for level in range(4)] == before
        assert await check(drive) == TreeCheck(None, 702, 0)
    connection = sqlite3.connect(path / "journal.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT_VERSION,)
    connection.close()


@pytest.mark.parametrize("leaf_level", [0, 1, 2])
async def test_any_sequence_leaves_the_tree_of_the_rows(directory: Path, leaf_level: int) -> None:
    """Changes of many keys at once, leaves that begin and end, and what a restart finds."""
    path = directory / "drive"
    drawn = random.Random(leaf_level)
    for round_ in range(3):
        async with local_drive(path, tree_leaf_level=leaf_level) as drive:
            await drive.call(put_bucket(round_ + 1))
            for _ in range(300):
                number = drawn.randrange(1, 10**9)
                key = f"{drawn.randrange(150)}"
                kind = drawn.choice([Kind.OBJECT, Kind.OBJECT, Kind.TOMBSTONE])
                await drive.call(commit(version(number, key=key, kind=kind), merge=True))
                name = (BUCKET, ObjectKey(key), order(number))
                after = drawn.choice([Settle(*name), Settle(*name), Undo(*name), Forget(*name)])
                await drive.call(after)
            assert (await check(drive)).mended == 0


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE tree SET low = 5, high = -1 WHERE place IN (SELECT place FROM tree LIMIT 1)",
        "UPDATE tree SET low = 'x', entries = 'y'",
        "UPDATE tree SET entries = entries + 1",
        "DELETE FROM tree WHERE place > x'00'",
        "DELETE FROM tree",
        "INSERT INTO tree VALUES (x'6275636b6574006b65792f30303330307a', 5, 5, 5)",
        "UPDATE rows SET summary = zeroblob(40) WHERE key = CAST('key/00007' AS BLOB)",
        "UPDATE rows SET kind = 2 WHERE key = CAST('key/00008' AS BLOB)",
    ],
)
async def test_a_tree_that_is_wrong_is_mended(directory: Path, damage: str) -> None:
    path = directory / "drive"
    async with local_drive(path) as drive:
        await fill(drive, 600)
        before = [await nodes(drive, level) for level in range(4)]
    edit(path, damage)
    async with local_drive(path) as drive:
        await check(drive)
        assert (await check(drive)).mended == 0
        found = [await nodes(drive, level) for level in range(4)]
        assert found[0] == before[0]  # a row that is damaged is known by its record
        assert found == before


async def test_a_row_beyond_recovery_is_like_nothing_and_leaves_no_trace(directory: Path) -> None:
    path = directory / "drive"
    async with local_drive(path) as drive:
        await fill(drive, 300)
        before = await nodes(drive, 16)
    place = place_of(BUCKET, b"key/00007")
    edit(
        path,
        "UPDATE records SET payload = x'00' WHERE record_id IN "
        "(SELECT record_id FROM rows WHERE key = CAST('key/00007' AS BLOB))",
        "UPDATE rows SET summary = x'00' WHERE key = CAST('key/00007' AS BLOB)",
    )
    async with local_drive(path) as drive:
        assert await nodes(drive, 16) == before  # the sum that is kept knows nothing of it
        (node,) = (await drive.call(ReadTree(0, place, place + b"\0"))).nodes
        assert (await check(drive)).mended == 1
        assert await nodes(drive, 16) != before
        for found in await nodes(drive, 0):
            if found.place == place:
                assert found == node
        rest = [v for v in (7, 257) if f"key/{v % 250:05}" == "key/00007"]
        for number in rest:
            await drive.call(commit(version(number, key="key/00007"), merge=True))
        assert await nodes(drive, 16) == before
        assert (await check(drive)).mended == 0


async def test_the_identity_of_another_deployment_makes_another_tree(directory: Path) -> None:
    roots = []
    for name, deployment in (("one", "a" * 32), ("two", "b" * 32)):
        (directory / name).mkdir()
        format_drive(directory / name, identity(deployment=deployment), trusted=True)
        async with local_drive(directory / name) as drive:
            await fill(drive, 100)
            roots += await nodes(drive, 16)
    assert roots[0].entries == roots[1].entries
    assert roots[0].total != roots[1].total
