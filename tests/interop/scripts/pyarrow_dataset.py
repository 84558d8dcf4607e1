"""pyarrow: partitioned Parquet datasets, and the file system of Arrow's own S3 client (AWS C++)."""

import os

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from tests.interop.scripts.scenario import Target, raised, run

ROWS = 100_000
MIB = 1024 * 1024


def _files(target: Target) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key=target.access_key,
        secret_key=target.secret_key,
        region=target.region,
        endpoint_override=target.endpoint,
    )


def _table() -> pa.Table:
    numbers = pa.array(range(ROWS), pa.int64())
    return pa.table(
        {
            "id": numbers,
            "year": pc.add(pc.divide(numbers, ROWS // 4), 2020),
            "city": pa.array([("Köln", "São Paulo", "Oslo")[n % 3] for n in range(ROWS)]),
            "value": pc.multiply(numbers, 0.5),
        }
    )


def writes_and_reads_partitions(target: Target) -> None:
    files, base = _files(target), f"{target.bucket}/sales"
    table = _table()
    keys = ds.partitioning(pa.schema([("year", pa.int64()), ("city", pa.string())]), flavor="hive")
    ds.write_dataset(table, base, format="parquet", partitioning=keys, filesystem=files)
    data = ds.dataset(base, format="parquet", partitioning=keys, filesystem=files)
    assert len(data.files) == 12, data.files
    assert data.count_rows() == ROWS
    oslo = (ds.field("year") == 2021) & (ds.field("city") == "Oslo")
    found = data.to_table(filter=oslo, columns=["id", "value"])
    wanted = table.filter(
        pc.and_(pc.equal(table["year"], 2021), pc.equal(table["city"], "Oslo"))
    ).select(["id", "value"])
    assert found.sort_by("id").equals(wanted.sort_by("id"))
    assert data.to_table().sort_by("id").select(table.column_names).equals(table)


def replaces_partitions(target: Target) -> None:
    """`delete_matching` lists and deletes what a partition held before."""
    files, base = _files(target), f"{target.bucket}/replaced"
    keys = ds.partitioning(pa.schema([("year", pa.int64())]), flavor="hive")
    for rows in (_table(), _table().slice(0, ROWS // 4)):  # the second has one year only
        ds.write_dataset(
            rows.drop(["city"]),
            base,
            format="parquet",
            partitioning=keys,
            filesystem=files,
            existing_data_behavior="delete_matching",
            basename_template=f"{rows.num_rows}-{{i}}.parquet",
        )
    data = ds.dataset(base, format="parquet", partitioning=keys, filesystem=files)
    assert data.count_rows() == ROWS
    assert sum(f"/{ROWS}-" in name for name in data.files) == 3


def reads_single_files(target: Target) -> None:
    files = _files(target)
    name = f"{target.bucket}/one.parquet"
    pq.write_table(_table(), name, filesystem=files, row_group_size=10_000)
    parquet = pq.ParquetFile(name, filesystem=files)
    assert parquet.metadata.num_row_groups == 10
    assert parquet.read_row_group(7, ["id"])["id"][0].as_py() == 70_000


def is_a_file_system(target: Target) -> None:
    files, base = _files(target), f"{target.bucket}/fs"
    files.create_dir(f"{base}/empty/below", recursive=True)
    data = os.urandom(12 * MIB)  # more than one part of the writer's 5 or 10 MiB
    with files.open_output_stream(f"{base}/a b/ü%.bin", metadata={"Content-Type": "x/y"}) as out:
        out.write(data)
    with files.open_input_file(f"{base}/a b/ü%.bin") as file:
        assert file.read_at(5, 6 * MIB) == data[6 * MIB : 6 * MIB + 5]
        assert file.metadata()["Content-Type"] == b"x/y"
        assert file.read() == data
    found = files.get_file_info(fs.FileSelector(base, recursive=True))
    assert {(item.path, item.type) for item in found} == {
        (f"{base}/empty", fs.FileType.Directory),
        (f"{base}/empty/below", fs.FileType.Directory),
        (f"{base}/a b", fs.FileType.Directory),
        (f"{base}/a b/ü%.bin", fs.FileType.File),
    }
    files.move(f"{base}/a b/ü%.bin", f"{base}/moved")
    files.copy_file(f"{base}/moved", f"{base}/copied")
    assert files.get_file_info(f"{base}/a b/ü%.bin").type == fs.FileType.NotFound
    assert files.get_file_info(f"{base}/copied").size == len(data)
    raised(FileNotFoundError, lambda: files.open_input_file(f"{base}/nothing"))
    files.delete_dir(base)
    assert files.get_file_info(base).type == fs.FileType.NotFound


def fails_by_name(target: Target) -> None:
    other = fs.S3FileSystem(
        access_key=target.access_key,
        secret_key="wrong",
        region=target.region,
        endpoint_override=target.endpoint,
    )
    said = str(raised(OSError, lambda: other.get_file_info(f"{target.bucket}/x")))
    assert "403" in said or "ACCESS_DENIED" in said or "SIGNATURE" in said.upper(), said


run(
    writes_and_reads_partitions,
    replaces_partitions,
    reads_single_files,
    is_a_file_system,
    fails_by_name,
)
