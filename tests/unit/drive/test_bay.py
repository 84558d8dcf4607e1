"""This server's drives as directories: what is formatted, what is refused, what is left alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from objstore.clock import SystemClock, SystemEntropy
from objstore.drive.bay import Berth, DriveBay
from objstore.drive.cluster_map import next_map, read_map
from objstore.drive.format import inspect
from objstore.errors import ConfigError
from objstore.names import DriveId
from objstore.ondisk.drive_identity import ClusterDrive

D = "d" * 32


def berths(root: Path, count: int = 2, shape: str = "abc123") -> list[Berth]:
    return [
        Berth(root / f"drive{n}", 0, 0, (n,), f"http://s:9000/drive{n}", shape)
        for n in range(count)
    ]


def bay(held: list[Berth]) -> DriveBay:
    return DriveBay(held, clock=SystemClock(), entropy=SystemEntropy())


async def formed(root: Path, count: int = 2) -> list[Berth]:
    held = berths(root, count)
    assert await bay(held).format_empty(D, trusted=True) == count
    return held


async def test_a_first_start_makes_directories_and_formats_them(tmp_path: Path) -> None:
    held = berths(tmp_path)
    assert await bay(held).inspect() == ""
    held = await formed(tmp_path)
    assert await bay(held).inspect() == D
    assert await bay(held).format_empty(D, trusted=False) == 0
    identities = [inspect(berth.path).identity for berth in held]
    assert all(one is not None and one.layout == "abc123" for one in identities)
    assert len({one.drive for one in identities if one is not None}) == 2


async def test_a_missing_directory_is_no_new_drive_later(tmp_path: Path) -> None:
    held = await formed(tmp_path)
    held[0].path.rename(tmp_path / "away")
    assert await bay(held).inspect() == D
    assert await bay(held).format_empty(D, trusted=False) == 0
    assert not held[0].path.exists()
    assert await bay(held).replace(held[0], D) == "missing"


async def test_an_empty_directory_is_a_replacement(tmp_path: Path) -> None:
    held = await formed(tmp_path)
    before = inspect(held[0].path).identity
    held[0].path.rename(tmp_path / "away")
    held[0].path.mkdir()
    assert "takes its place" in await bay(held).replace(held[0], D)
    after = inspect(held[0].path).identity
    assert before is not None
    assert after is not None
    assert after.drive != before.drive
    assert (after.pool, after.set, after.slots) == (before.pool, before.set, before.slots)


async def test_what_is_wrong_is_refused_in_words(tmp_path: Path) -> None:
    held = await formed(tmp_path, 3)
    one, two, three = (berth.path for berth in held)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "letter.txt").write_text("mine")
    swapped = [replace(held[0], path=two), replace(held[1], path=one), held[2]]
    foreign = [held[0], held[1], replace(held[2], path=tmp_path / "foreign")]
    other_shape = berths(tmp_path, 3, shape="def456")
    cases = [(swapped, "slot"), (foreign, "letter.txt"), (other_shape, "another parity")]
    for case, said in cases:
        with pytest.raises(ConfigError) as caught:
            await bay(case).inspect()
        assert said in caught.value.found
        assert caught.value.remedy
    (three / "drive.json").unlink()
    with pytest.raises(ConfigError, match="formatting did not end"):
        await bay(held).inspect()
    assert (tmp_path / "foreign" / "letter.txt").read_text() == "mine"


async def test_a_layout_that_leaves_out_drives_in_use_is_refused(tmp_path: Path) -> None:
    """Without the pool its objects would be gone from every listing."""
    held = berths(tmp_path)
    more = [replace(berth, path=tmp_path / f"more{n}", pool=1) for n, berth in enumerate(held)]
    assert await bay([*held, *more]).format_empty(D, trusted=True) == 4
    assert await bay([*held, *more]).inspect() == D
    with pytest.raises(ConfigError) as caught:
        await bay(held).inspect()
    assert more[0].endpoint in caught.value.found
    assert "pool" in caught.value.remedy


async def test_a_drive_of_another_deployment_is_refused(tmp_path: Path) -> None:
    held = await formed(tmp_path)
    other = [replace(held[1], path=tmp_path / "other")]
    await bay(other).format_empty("e" * 32, trusted=True)
    with pytest.raises(ConfigError, match="different deployments"):
        await bay([held[0], other[0]]).inspect()
    with pytest.raises(ConfigError, match="another deployment"):
        await bay([held[0], other[0]]).replace(other[0], D)


async def test_an_unmounted_disk_is_not_formatted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a restart: the other drives of the server remember that it was a mount point."""
    held = berths(tmp_path)
    mounted = {held[0].path}
    monkeypatch.setattr("os.path.ismount", lambda path: path in mounted)
    assert await bay(held).format_empty(D, trusted=True) == 2
    held[0].path.rename(tmp_path / "disk")
    held[0].path.mkdir()
    mounted.clear()
    later = bay(held)
    assert await later.inspect() == D
    assert await later.format_empty(D, trusted=False) == 0
    assert "not mounted" in await later.replace(held[0], D)
    assert list(held[0].path.iterdir()) == []
    mounted.add(held[0].path)  # an empty disk is mounted in its place
    assert "takes its place" in await later.replace(held[0], D)


async def test_the_map_is_on_every_drive_and_damage_to_a_copy_is_passed_over(
    tmp_path: Path,
) -> None:
    held = await formed(tmp_path)
    documents = [json.loads((berth.path / "cluster.json").read_text()) for berth in held]
    assert documents[0] == documents[1]
    assert documents[0]["generation"] == 1
    (held[0].path / "cluster.json").write_text("{}")
    found = read_map([berth.path for berth in held], D)
    assert found is not None
    assert len(found.drives) == 2
    assert read_map([berth.path for berth in held], "e" * 32) is None


def test_a_map_changes_only_with_the_drives() -> None:
    def drive(slot: int, name: str) -> ClusterDrive:
        return ClusterDrive(
            pool=0, set=0, slots=(slot,), endpoint="", drive=DriveId(name * 32), mount_point=False
        )

    first = next_map(None, [drive(0, "a"), drive(1, "b")], deployment=D, layout="ab")
    assert first.generation == 1
    assert next_map(first, [drive(1, "b")], deployment=D, layout="ab") is first
    second = next_map(first, [drive(1, "c")], deployment=D, layout="ab")
    assert second.generation == 2
    assert [one.drive[0] for one in second.drives] == ["a", "c"]
