"""DuckDB with its httpfs extension: COPY to Parquet and CSV, partitions, globs, range reads."""

import duckdb
import duckdb_ext

from tests.interop.scripts.scenario import Target, raised, run

ROWS = 200_000


def _database(target: Target) -> duckdb.DuckDBPyConnection:
    database = duckdb_ext.init(duckdb.connect())
    database.execute("LOAD httpfs")
    database.execute(
        f"""CREATE SECRET store (TYPE s3, KEY_ID '{target.access_key}',
            SECRET '{target.secret_key}', REGION '{target.region}',
            ENDPOINT '{target.host}', URL_STYLE 'path', USE_SSL false)"""
    )
    database.execute(
        f"""CREATE TABLE trips AS SELECT i AS id, 2020 + i % 3 AS year,
            'city ' || (i % 5) AS city, i * 0.5 AS price FROM range({ROWS}) t(i)"""
    )
    return database


def copies_to_and_queries_parquet(target: Target) -> None:
    with _database(target) as database:
        name = f"s3://{target.bucket}/trips ü.parquet"
        database.execute(f"COPY trips TO '{name}' (FORMAT parquet, ROW_GROUP_SIZE 20000)")
        assert (
            database.sql(f"SELECT count(*), sum(price) FROM '{name}' WHERE year = 2021").fetchall()
            == database.sql("SELECT count(*), sum(price) FROM trips WHERE year = 2021").fetchall()
        )
        # Ranges of one row group, found by the statistics of the footer.
        assert database.sql(f"SELECT city FROM '{name}' WHERE id = 123456").fetchone() == (
            "city 1",
        )


def writes_and_reads_partitions(target: Target) -> None:
    with _database(target) as database:
        base = f"s3://{target.bucket}/by-year"
        database.execute(f"COPY trips TO '{base}' (FORMAT parquet, PARTITION_BY (year, city))")
        everything = f"read_parquet('{base}/*/*/*.parquet', hive_partitioning = true)"
        assert database.sql(f"SELECT count(*) FROM {everything}").fetchone() == (ROWS,)
        files = database.sql(f"SELECT count(*) FROM glob('{base}/**/*.parquet')").fetchone()
        assert files is not None
        assert files[0] >= 15
        some = database.sql(
            f"SELECT DISTINCT year, city FROM {everything} WHERE city = 'city 4' ORDER BY year"
        ).fetchall()
        assert some == [(year, "city 4") for year in (2020, 2021, 2022)]


def uploads_in_parts(target: Target) -> None:
    """More than the 50 MiB or so of one part: the writer's multipart upload."""
    with _database(target) as database:
        database.execute("SET s3_uploader_max_filesize = '50GB'")
        name = f"s3://{target.bucket}/large.csv"
        database.execute(f"COPY (SELECT id, city, price, hash(id) h FROM trips) TO '{name}'")
        assert database.sql(f"SELECT count(*), max(id) FROM '{name}'").fetchone() == (
            ROWS,
            ROWS - 1,
        )


def attaches_a_database(target: Target) -> None:
    with _database(target) as database:
        path = target.directory / "small.duckdb"
        database.execute(f"ATTACH '{path}' AS small")
        database.execute("CREATE TABLE small.few AS SELECT * FROM trips LIMIT 1000")
        database.execute("DETACH small")
        database.execute(
            f"COPY (SELECT content FROM read_blob('{path}')) TO "
            f"'s3://{target.bucket}/small.duckdb' (FORMAT blob)"
        )
        database.execute(f"ATTACH 's3://{target.bucket}/small.duckdb' AS remote (READ_ONLY)")
        assert database.sql("SELECT count(*) FROM remote.few").fetchone() == (1000,)


def fails_by_name(target: Target) -> None:
    with _database(target) as database:
        said = raised(
            duckdb.Error, lambda: database.sql(f"FROM 's3://{target.bucket}/nothing.parquet'")
        )
        assert "404" in str(said), said


run(
    copies_to_and_queries_parquet,
    writes_and_reads_partitions,
    uploads_in_parts,
    attaches_a_database,
    fails_by_name,
)
