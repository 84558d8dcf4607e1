"""s3fs, the file system of fsspec: what pandas, Dask and Zarr do through it."""

import os
from typing import Any

import fsspec
import requests
import s3fs

from tests.interop.scripts.scenario import Target, raised, run

MIB = 1024 * 1024


def _files(**settings: Any) -> Any:
    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False, **settings)


def reads_and_writes_like_files(target: Target) -> None:
    fs = _files()
    data = os.urandom(11 * MIB + 3)
    path = f"{target.bucket}/dir/large.bin"
    with fs.open(path, "wb", block_size=5 * MIB) as file:
        for start in range(0, len(data), MIB):
            file.write(data[start : start + MIB])
    assert fs.size(path) == len(data)
    with fs.open(path, "rb") as file:
        file.seek(5 * MIB - 2)
        assert file.read(4) == data[5 * MIB - 2 : 5 * MIB + 2]
        file.seek(0)
        assert file.read() == data
    with fs.open(path, "ab") as file:
        file.write(b"and more")
    assert fs.cat_file(path, start=len(data)) == b"and more"
    with fsspec.open(f"s3://{target.bucket}/dir/text.txt.gz", "wt", compression="infer") as file:
        file.write("Grüße\n" * 1000)
    with fsspec.open(f"s3://{target.bucket}/dir/text.txt.gz", "rt", compression="infer") as file:
        assert file.read() == "Grüße\n" * 1000
    ends = fs.cat_ranges([path, path], [0, 100], [10, 120])
    assert ends == [data[:10], data[100:120]]


def walks_directories(target: Target) -> None:
    fs = _files()
    base = f"{target.bucket}/tree"
    fs.pipe({f"{base}/{d}/{n}.txt": b"x" * n for d in ("a", "b/c") for n in range(1, 4)})
    assert fs.ls(base, detail=False) == [f"{base}/a", f"{base}/b"]
    assert fs.glob(f"{base}/**/2.txt") == [f"{base}/a/2.txt", f"{base}/b/c/2.txt"]
    assert fs.du(base) == 12
    assert (fs.isdir(f"{base}/b"), fs.isfile(f"{base}/b"), fs.exists(f"{base}/z")) == (1, 0, 0)
    assert [names for _, _, names in fs.walk(f"{base}/b")] == [[], ["1.txt", "2.txt", "3.txt"]]
    fs.cp(f"{base}/a", f"{base}/moved", recursive=True)
    fs.mv(f"{base}/a/1.txt", f"{base}/elsewhere.txt")
    assert (fs.exists(f"{base}/a/1.txt"), fs.cat(f"{base}/elsewhere.txt")) == (False, b"x")
    assert sorted(fs.find(f"{base}/moved")) == [f"{base}/moved/{n}.txt" for n in range(1, 4)]
    fs.rm(base, recursive=True)
    assert not fs.exists(base)


def puts_and_gets_trees(target: Target) -> None:
    fs = _files()
    for name in ("one", "sub/two", "sub/deep/three"):
        path = target.directory / "up" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    fs.put(f"{target.directory}/up", f"{target.bucket}/put", recursive=True)
    fs.get(f"{target.bucket}/put", f"{target.directory}/down", recursive=True)
    found = {
        str(path.relative_to(target.directory / "down")): path.read_text()
        for path in (target.directory / "down").rglob("*")
        if path.is_file()
    }
    assert found == {name: name for name in ("one", "sub/two", "sub/deep/three")}


def shares_links(target: Target) -> None:
    fs = _files(config_kwargs={"signature_version": "s3v4"})
    fs.pipe_file(f"{target.bucket}/shared ü", b"shared")
    assert requests.get(fs.url(f"{target.bucket}/shared ü"), timeout=10).content == b"shared"
    fs.setxattr(f"{target.bucket}/shared ü", colour="blue")
    assert fs.getxattr(f"{target.bucket}/shared ü", "colour") == "blue"


def creates_exclusively(target: Target) -> None:
    """`mode="create"` is If-None-Match: * on a PUT, and on the completion of parts."""
    fs = _files()
    small, large = f"{target.bucket}/once", f"{target.bucket}/once-large"
    fs.pipe_file(small, b"first", mode="create")
    raised(FileExistsError, lambda: fs.pipe_file(small, b"second", mode="create"))
    assert fs.cat_file(small) == b"first"

    def write_large(byte: bytes) -> None:
        with fs.open(large, "xb", block_size=5 * MIB) as file:
            file.write(byte * 6 * MIB)

    write_large(b"1")
    raised(FileExistsError, lambda: write_large(b"2"))
    assert fs.cat_file(large, start=0, end=3) == b"111"


def tags_and_versions(target: Target) -> None:
    fs = _files(version_aware=True)
    bucket = f"{target.bucket}-fs"
    fs.mkdir(bucket)
    fs.make_bucket_versioned(bucket)
    fs.pipe_file(f"{bucket}/doc", b"one")
    fs.pipe_file(f"{bucket}/doc", b"two!")
    newest, oldest = fs.object_version_info(f"{bucket}/doc")
    assert (newest["Size"], oldest["Size"]) == (4, 3)
    with fs.open(f"{bucket}/doc", "rb", version_id=oldest["VersionId"]) as file:
        assert file.read() == b"one"
    fs.put_tags(f"{bucket}/doc", {"team": "blue"})
    assert fs.get_tags(f"{bucket}/doc") == {"team": "blue"}
    fs.rm(bucket, recursive=True)  # of a versioned bucket: every version, then the bucket
    assert not fs.exists(bucket)


run(
    reads_and_writes_like_files,
    walks_directories,
    puts_and_gets_trees,
    shares_links,
    creates_exclusively,
    tags_and_versions,
)
