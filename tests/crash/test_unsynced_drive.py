"""The drive whose power can be cut keeps what was acknowledged, and only promises that."""

import pytest

from objstore.drive.ops import ReadKey
from objstore.errors import DriveError, DriveOffline, ShardCorrupt, ShardMissing
from objstore.names import DriveId
from objstore.testing.drive_values import BUCKET, KEY, commit, data_id, put_bucket, version
from objstore.testing.fake_clock import FakeClock
from objstore.testing.unsynced_drive import UnsyncedDrive

_DONE = (data_id(1), 1, 0)
_BEGUN = (data_id(2), 1, 0)


@pytest.mark.parametrize("seed", range(10))
async def test_a_power_cut(seed: int) -> None:
    drive = UnsyncedDrive(DriveId("d" * 32), FakeClock(), seed=seed)
    await drive.call(put_bucket())
    await drive.call(commit(version(5)))
    done, begun = await drive.create_shard(*_DONE), await drive.create_shard(*_BEGUN)
    for sink in (done, begun):
        await sink.write(b"shard")
    await done.finish()
    drive.cut_power()
    for refused in (drive.call(ReadKey(BUCKET, KEY)), begun.write(b"x"), begun.finish()):
        with pytest.raises(DriveOffline):
            await refused
    drive.restore_power()
    assert len((await drive.call(ReadKey(BUCKET, KEY))).records) == 1
    assert await drive.read_shard(*_DONE, offset=0, size=5) == b"shard"
    with pytest.raises(DriveOffline):
        await begun.finish()
    left = await _read(drive)
    if _BEGUN in drive.inner.files:
        assert left in (ShardCorrupt, b"shard", bytes(5))
    else:
        assert left is ShardMissing


async def _read(drive: UnsyncedDrive) -> bytes | type[DriveError]:
    try:
        return bytes(await drive.read_shard(*_BEGUN, offset=0, size=5))
    except DriveError as error:
        return type(error)
