"""A drive is who it says, or says why not."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.errors import ConfigError
from objstore.names import DriveId
from objstore.ondisk.drive_identity import (
    ClusterDrive,
    ClusterMap,
    DriveIdentity,
    decode_cluster,
    decode_identity,
    encode_cluster,
    encode_identity,
)

HEX32 = st.text("0123456789abcdef", min_size=32, max_size=32)
PLACES = st.fixed_dictionaries(
    {
        "pool": st.integers(0, 9),
        "set": st.integers(0, 99),
        "slots": st.sets(st.integers(0, 15), min_size=1, max_size=3).map(
            lambda s: tuple(sorted(s))
        ),
        "endpoint": st.text(max_size=30),
        "drive": HEX32.map(DriveId),
    }
)
IDENTITIES = st.builds(
    lambda place, **rest: DriveIdentity(**place, **rest),
    PLACES,
    deployment=HEX32,
    layout=HEX32,
    created_ms=st.integers(0, 2**48),
)


def identity() -> DriveIdentity:
    return DriveIdentity(
        deployment="1" * 32,
        drive=DriveId("2" * 32),
        pool=0,
        set=1,
        slots=(2,),
        endpoint="/mnt/drive1",
        layout="abcd",
        created_ms=5,
    )


def cluster() -> ClusterMap:
    def drive(slot: int) -> ClusterDrive:
        return ClusterDrive(
            pool=0,
            set=1,
            slots=(slot, slot + 4),
            endpoint=f"/mnt/drive{slot}",
            drive=DriveId(str(slot) * 32),
            mount_point=slot == 0,
        )

    return ClusterMap(
        deployment="1" * 32, layout="abcd", generation=3, drives=tuple(map(drive, range(3)))
    )


@given(IDENTITIES)
def test_an_identity_comes_back(value: DriveIdentity) -> None:
    assert decode_identity(encode_identity(value), where="drive.json") == value


def test_a_cluster_map_comes_back_and_finds_drives() -> None:
    value = decode_cluster(encode_cluster(cluster()), where="cluster.json")
    assert value == cluster()
    assert value.drive_at(0, 1, 6) == value.drives[2]
    assert value.drive_at(0, 1, 7) is None
    assert value.drive_at(1, 1, 6) is None
    assert value.find(DriveId("1" * 32)) == value.drives[1]
    assert value.find(DriveId("9" * 32)) is None


def test_white_space_does_not_count() -> None:
    content = json.dumps(json.loads(encode_identity(identity()))).encode()
    assert decode_identity(content, where="drive.json") == identity()


def test_no_bit_may_flip_unless_it_says_the_same() -> None:
    content = encode_identity(identity())
    for bit in range(len(content) * 8):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = decode_identity(bytes(damaged), where="drive.json")
        except ConfigError:
            continue
        assert found == identity()


def resealed(content: bytes, **change: object) -> bytes:
    """Return the content with fields changed (None removes) and the checksum made to fit."""
    import xxhash

    fields = {**json.loads(content), **change}
    fields = {name: value for name, value in fields.items() if value is not None}
    fields.pop("checksum", None)
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({**fields, "checksum": xxhash.xxh3_128_hexdigest(canonical)}).encode()


def test_resealing_without_change_is_accepted() -> None:
    assert decode_identity(resealed(encode_identity(identity())), where="x") == identity()


@pytest.mark.parametrize(
    "change",
    [
        {"deployment": None},
        {"deployment": "1" * 31},
        {"deployment": "G" * 32},
        {"drive": "2" * 33},
        {"drive": ""},
        {"pool": -1},
        {"pool": "0"},
        {"pool": 1.5},
        {"set": True},
        {"slots": []},
        {"slots": [-1]},
        {"slots": [1, 1]},
        {"slots": 1},
        {"layout": ""},
        {"layout": "../x"},
        {"created_ms": None},
        {"colour": "blue"},
        {"format": None},
        {"format": 0},
        {"format": "1"},
        {"format": True},
    ],
    ids=str,
)
def test_an_identity_is_read_strictly(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"drive\.json"):
        decode_identity(resealed(encode_identity(identity()), **change), where="drive.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b"{}", b'{"a":' * 100_000, b"\0" * 4096],
    ids=lambda content: repr(content[:8]),
)
def test_what_is_no_identity_is_refused_with_a_remedy(content: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_identity(content, where="/mnt/drive1/drive.json")
    assert "/mnt/drive1/drive.json" in caught.value.found
    assert caught.value.expected
    assert "rebuild" in caught.value.remedy


def test_a_newer_format_asks_for_a_newer_objstore() -> None:
    with pytest.raises(ConfigError) as caught:
        decode_identity(resealed(encode_identity(identity()), format=2), where="drive.json")
    assert "format 2" in caught.value.found
    assert "newer" in caught.value.remedy


def test_an_edited_identity_is_recognised() -> None:
    edited = encode_identity(identity()).replace(b'"set": 1', b'"set": 0')
    with pytest.raises(ConfigError, match="checksum"):
        decode_identity(edited, where="drive.json")


def drives(**change: object) -> list[dict[str, object]]:
    whole = json.loads(encode_cluster(cluster()))["drives"]
    return [{**whole[0], **change}, *whole[1:]]


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 0},
        {"generation": None},
        {"drives": drives(slots=[1])},  # slot 1 belongs to the second drive
        {"drives": drives(drive="1" * 32)},
        {"drives": drives(drive="x")},
        {"drives": drives(mount_point=None)},
        {"drives": drives(note="mine")},
        {"deployment": "x"},
    ],
    ids=str,
)
def test_a_cluster_map_is_read_strictly(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"cluster\.json"):
        decode_cluster(resealed(encode_cluster(cluster()), **change), where="cluster.json")


def test_one_is_not_taken_for_the_other() -> None:
    with pytest.raises(ConfigError):
        decode_identity(encode_cluster(cluster()), where="drive.json")
    with pytest.raises(ConfigError):
        decode_cluster(encode_identity(identity()), where="cluster.json")


def test_what_cannot_be_is_not_written() -> None:
    with pytest.raises(AssertionError):
        encode_identity(msgspec.structs.replace(identity(), drive=DriveId("short")))
    with pytest.raises(AssertionError):
        encode_cluster(msgspec.structs.replace(cluster(), drives=cluster().drives * 2))
