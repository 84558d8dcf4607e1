"""obstore and polars, both on the Rust crate object_store: ranges, lists, conditions, Parquet."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import obstore
import polars as pl
import requests
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import S3Store

from tests.interop.scripts.scenario import Target, raised, run

MIB = 1024 * 1024
ROWS = 50_000


def _store(target: Target, **settings: Any) -> S3Store:
    return S3Store(
        target.bucket,
        endpoint=target.endpoint,
        region=target.region,
        access_key_id=target.access_key,
        secret_access_key=target.secret_key,
        client_options={"allow_http": True},
        **settings,
    )


def obstore_puts_and_gets(target: Target) -> None:
    store = _store(target)
    data = os.urandom(16 * MIB + 7)
    large = "dir/a b ü+%"
    store.put(
        large,
        data,
        attributes={"Content-Type": "x/y", "who": "obstore"},
        chunk_size=5 * MIB,
        max_concurrency=4,
    )
    found = store.get(large)
    assert found.attributes["Content-Type"] == "x/y"
    assert found.bytes().to_bytes() == data
    ranges = store.get_ranges(
        large, starts=[0, 7 * MIB, 16 * MIB], ends=[3, 7 * MIB + 1, 16 * MIB + 7]
    )
    assert [part.to_bytes() for part in ranges] == [
        data[:3],
        data[7 * MIB : 7 * MIB + 1],
        data[16 * MIB :],
    ]
    with obstore.open_writer(store, "written", buffer_size=5 * MIB) as writer:
        for start in range(0, len(data), MIB):
            writer.write(data[start : start + MIB])
    assert store.head("written")["size"] == len(data)
    raised(FileNotFoundError, lambda: store.get("nothing"))


def obstore_lists_copies_and_deletes(target: Target) -> None:
    store = _store(target)
    names = [f"list/{letter}/{number:02}" for letter in "ab" for number in range(30)]
    for name in names:
        store.put(name, b"x")
    found = [item["path"] for chunk in store.list("list", chunk_size=7) for item in chunk]
    assert found == names
    level = store.list_with_delimiter("list")
    assert sorted(level["common_prefixes"]) == ["list/a", "list/b"]
    assert [
        item["path"] for chunk in store.list("list", offset="list/b/27") for item in chunk
    ] == names[-2:]
    store.copy("list/a/00", "copied")
    store.rename("list/a/01", "renamed")
    store.delete(names[:1] + names[2:])
    assert [item["path"] for chunk in store.list() for item in chunk if item["size"] == 1] == [
        "copied",
        "renamed",
    ]
    link = obstore.sign(store, "GET", "copied", timedelta(minutes=5))
    assert requests.get(link, timeout=10).content == b"x"


def obstore_lets_one_of_many_writers_win(target: Target) -> None:
    """PutMode.Create and PutMode.Update: what table formats commit with."""
    store = _store(target)

    def creates(writer: int) -> bool:
        try:
            store.put("commit", b"%d" % writer, mode="create")
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(creates, range(8))) == 1
    held = store.head("commit")
    newer = store.put("commit", b"next", mode={"e_tag": held["e_tag"]})
    stale = {"e_tag": held["e_tag"]}
    raised(PreconditionError, lambda: store.put("commit", b"stale", mode=stale))
    assert store.get("commit").bytes().to_bytes() == b"next"
    assert store.head("commit")["e_tag"] == newer["e_tag"]
    raised(
        PreconditionError,
        lambda: store.get("commit", options={"if_match": held["e_tag"]}),
    )


def obstore_adds_one_at_a_time(target: Target) -> None:
    """Compare and swap: no increment of several writers is lost."""
    store = _store(target)
    store.put("counter", b"0")

    def increments(_: int) -> None:
        for _ in range(5):
            while True:
                read = store.get("counter")
                value = int(read.bytes().to_bytes())
                try:
                    store.put("counter", b"%d" % (value + 1), mode={"e_tag": read.meta["e_tag"]})
                except PreconditionError:
                    continue
                break

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(increments, range(4)))
    assert store.get("counter").bytes().to_bytes() == b"20"


def obstore_copies_only_what_is_new(target: Target) -> None:
    """S3ConditionalCopy "multipart": the completion carries If-None-Match."""
    store = _store(target, copy_if_not_exists="multipart")
    store.put("source", b"source")
    store.copy("source", "target", overwrite=False)
    raised(AlreadyExistsError, lambda: store.copy("source", "target", overwrite=False))
    assert store.get("target").bytes().to_bytes() == b"source"


def polars_writes_and_scans_parquet(target: Target) -> None:
    options = {
        "aws_endpoint_url": target.endpoint,
        "aws_region": target.region,
        "aws_access_key_id": target.access_key,
        "aws_secret_access_key": target.secret_key,
        "aws_allow_http": "true",
    }
    frame = pl.DataFrame({"id": range(ROWS)}).with_columns(
        pl.col("id").mod(3).alias("group"), pl.col("id").cast(pl.String).alias("text")
    )
    base = f"s3://{target.bucket}/frames"
    for group, part in frame.group_by("group"):
        part.write_parquet(f"{base}/group={group[0]}/0.parquet", storage_options=options)
    lazy = pl.scan_parquet(f"{base}/**/*.parquet", storage_options=options, hive_partitioning=True)
    assert lazy.select(pl.len()).collect().item() == ROWS
    found = lazy.filter((pl.col("group") == 1) & (pl.col("id") < 100)).collect()
    assert found["id"].sort().to_list() == list(range(1, 100, 3))
    lazy.sort("id").sink_parquet(f"{base}-sorted.parquet", storage_options=options)
    back = pl.read_parquet(f"{base}-sorted.parquet", storage_options=options)
    assert back.select(frame.columns).equals(frame)


run(
    obstore_puts_and_gets,
    obstore_lists_copies_and_deletes,
    obstore_lets_one_of_many_writers_win,
    obstore_adds_one_at_a_time,
    obstore_copies_only_what_is_new,
    polars_writes_and_scans_parquet,
)
