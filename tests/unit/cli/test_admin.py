"""`objstore admin` against a server of canned answers: what it prints, and how it finds one."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from objstore.cli.admin import app
from objstore.gateway.ports import (
    ClusterInfo,
    ComparisonInfo,
    DriveInfo,
    LocationDocument,
    OperationStatus,
    Progress,
    ServerInfo,
    SetInfo,
    ShardDocument,
)

GIB = 1024**3


def drive(number: int, state: str = "online", **more: object) -> DriveInfo:
    fields: dict[str, object] = {
        "server": f"server{number % 2 + 1}:9000",
        "path": f"/mnt/drive{number}",
        "pool": 0,
        "set_index": 0,
        "slots": (number - 1,),
        "state": state,
        "total_bytes": 4 * GIB,
        "free_bytes": 3 * GIB,
        "objects": 12,
    }
    return msgspec.convert(fields | more, DriveInfo)


REBUILDING = Progress(
    objects_done=40, objects_total=100, objects_per_s=7.5, bytes_per_s=2048, remaining_s=68
)
INFO = ClusterInfo(
    deployment="0f",
    servers=(
        ServerInfo(
            address="server1:9000",
            state="online",
            version="0.1.0",
            uptime_s=3700,
            configuration="c0ffee",
        ),
        ServerInfo(address="server2:9000", state="offline", reason="refused [the] call"),
    ),
    drives=(
        drive(1),
        drive(2, "rebuilding", trusted=False, missed=60, progress=REBUILDING),
        drive(3),
        drive(4, "offline", reason="directory is gone", missed=5),
    ),
    sets=(
        SetInfo(
            pool=0,
            index=0,
            scheme="3 + 1",
            slots=4,
            online=3,
            trusted=2,
            write_quorum=3,
            read_quorum=2,
            can_read=True,
            can_write=False,
            degraded=65,
        ),
    ),
    operations=(
        OperationStatus(name="reads", covers="", works=True),
        OperationStatus(name="writes", covers="", works=False, why=("writes are [refused]: so",)),
    ),
)
HEALED = msgspec.structs.replace(INFO, drives=(drive(1), drive(2), drive(3), INFO.drives[3]))
LOCATION = LocationDocument(
    bucket="photos",
    key="a/[b] c.jpg",
    size=2_500_000,
    etag="d41d",
    stamp="00",
    modified_ms=0,
    scheme="3 + 1",
    parts=1,
    pool=0,
    set_index=0,
    shards=tuple(
        ShardDocument(
            shard=shard,
            letter=letter,
            server=f"server{shard % 2 + 1}:9000",
            drive=f"/mnt/drive{shard + 1}",
            slot=shard,
            state="ok" if letter != "C" else "missing: no such file",
        )
        for shard, letter in enumerate("ABCP")
    ),
)
REFUSAL = b"<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>"


class CannedServer(HTTPServer):
    """Answers admin routes from memory and remembers what it was asked."""

    asked: list[tuple[str, str, dict[str, str]]]
    infos: list[ClusterInfo]


class CannedHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        server = self.server
        assert isinstance(server, CannedServer)
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.asked.append((self.command, self.path, headers))
        route = self.path.removeprefix("/.objstore/admin/v1/").partition("?")[0]
        status, body = 200, b"{}"
        if route == "info":
            cluster = server.infos.pop(0) if len(server.infos) > 1 else server.infos[0]
            body = msgspec.json.encode(cluster)
        elif route == "locate":
            found = "missing" not in self.path
            status, body = (200, msgspec.json.encode(LOCATION)) if found else (404, REFUSAL)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server() -> Iterator[CannedServer]:
    canned = CannedServer(("127.0.0.1", 0), CannedHandler)
    canned.asked = []
    canned.infos = [INFO]
    thread = threading.Thread(target=canned.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield canned
    finally:
        canned.shutdown()
        thread.join()
        canned.server_close()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OBJSTORE_ENDPOINT", "OBJSTORE_ROOT_USER", "OBJSTORE_ROOT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)


def endpoint_of(server: CannedServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def write_quickstart(directory: Path, *endpoints: str) -> None:
    directory.mkdir()
    (directory / "credentials").write_text(
        "OBJSTORE_ROOT_USER=rootuser\nOBJSTORE_ROOT_PASSWORD=root=secret\n"
    )
    (directory / "quickstart.json").write_text(json.dumps({"endpoints": endpoints}))


def run(server: CannedServer | None, *args: str) -> Result:
    options: list[str] = []
    if server is not None:
        options = ["--endpoint", endpoint_of(server), "--access-key", "k", "--secret-key", "s"]
    return CliRunner().invoke(app, [args[0], *options, *args[1:]])


def test_info_shows_servers_drives_and_sets(server: CannedServer) -> None:
    result = run(server, "info")
    assert result.exit_code == 0, result.output
    for text in (
        "server1:9000",
        "1 h 1 min",
        "offline (refused [the] call)",
        "/mnt/drive2",
        "of 4.0 GiB",
        "offline (directory is gone)",
        "40 %, 1 min 8 s left",
        "3 + 1",
        "3 of 4",
        "NO",
        "These work: reads.",
        "Writes are [refused]: so.",
        "c0ffee",
        "3 drives online, 1 drives offline, 65 versions to be caught up with",
    ):
        assert text in result.output
    assert "different configurations" not in result.output


def test_servers_that_are_configured_differently_are_said(server: CannedServer) -> None:
    other = msgspec.structs.replace(INFO.servers[0], address="server3:9000", configuration="0ff")
    server.infos = [msgspec.structs.replace(INFO, servers=(*INFO.servers, other))]
    assert "different configurations" in run(server, "info").output


def test_info_as_json_is_what_the_server_said(server: CannedServer) -> None:
    result = run(server, "info", "--json")
    assert msgspec.json.decode(result.output, type=ClusterInfo) == INFO


def test_calls_are_signed_with_the_root_credential(server: CannedServer) -> None:
    run(server, "info")
    method, path, headers = server.asked[0]
    assert (method, path) == ("GET", "/.objstore/admin/v1/info")
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=k/")
    assert "/us-east-1/s3/aws4_request" in headers["authorization"]


def test_heal_starts_a_run_and_shows_where_it_is(server: CannedServer) -> None:
    result = run(server, "heal")
    assert result.exit_code == 0, result.output
    assert [(method, path.rpartition("/")[2]) for method, path, _ in server.asked] == [
        ("POST", "heal"),
        ("GET", "info"),
    ]
    for text in ("rebuilding", "40 of 100", "8 objects/s", "2.0 KiB/s", "1 min 8 s"):
        assert text in result.output


def test_compare_waits_and_shows_what_differed(
    server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("objstore.cli.admin._FOLLOW_INTERVAL_S", 0.01)
    last = ComparisonInfo(
        finished_ms=0, seconds=1.5, differences=23, failed=4, read_bytes=2048, mended=0
    )
    drives = tuple(msgspec.structs.replace(drive, comparison=last) for drive in HEALED.drives)
    server.infos = [
        msgspec.structs.replace(HEALED, comparing=True),
        msgspec.structs.replace(HEALED, drives=drives),
    ]
    result = run(server, "compare", "--follow")
    assert result.exit_code == 0, result.output
    assert [(method, path.rpartition("/")[2]) for method, path, _ in server.asked] == [
        ("POST", "compare"),
        ("GET", "info"),
        ("GET", "info"),
    ]
    for text in ("1.50 s", "2.0 KiB", "23", "4"):
        assert text in result.output


def test_heal_follows_until_nothing_is_left(
    server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("objstore.cli.admin._FOLLOW_INTERVAL_S", 0.01)
    running = msgspec.structs.replace(HEALED, healing=True)
    server.infos = [INFO, running, HEALED]
    result = run(server, "heal", "--follow", "--json")
    assert result.exit_code == 0, result.output
    assert msgspec.json.decode(result.output, type=ClusterInfo) == HEALED
    assert len(server.asked) == 4


def test_heal_does_not_wait_for_what_is_noted_for_a_drive_that_is_away(
    server: CannedServer,
) -> None:
    away, *others = HEALED.drives
    drives = (
        msgspec.structs.replace(away, state="offline", reason="unplugged", missed=0),
        *(msgspec.structs.replace(drive, missed=7) for drive in others),
    )
    server.infos = [msgspec.structs.replace(HEALED, drives=drives)]
    result = run(server, "heal", "--follow")
    assert result.exit_code == 0, result.output
    assert "healed when they are back" in result.output
    assert away.path in result.output


def test_locate_names_shards_by_their_letters(server: CannedServer) -> None:
    result = run(server, "locate", "photos/a/[b] c.jpg")
    assert result.exit_code == 0, result.output
    assert "photos/a/[b] c.jpg: 2.4 MiB, 3 + 1, set 0.0" in result.output
    rows = [line.split("│")[1:-1] for line in result.output.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["A", "server1:9000", "/mnt/drive1", "0", "ok"],
        ["B", "server2:9000", "/mnt/drive2", "1", "ok"],
        ["C", "server1:9000", "/mnt/drive3", "2", "missing: no such file"],
        ["P", "server2:9000", "/mnt/drive4", "3", "ok"],
    ]
    assert server.asked[0][1].endswith("locate?bucket=photos&key=a%2F%5Bb%5D%20c.jpg")


def test_locate_as_json(server: CannedServer) -> None:
    result = run(server, "locate", "s3://photos/a", "--json")
    assert msgspec.json.decode(result.output, type=LocationDocument) == LOCATION


def test_a_refusal_is_told_in_the_words_of_the_server(server: CannedServer) -> None:
    result = run(server, "locate", "photos/missing")
    assert result.exit_code == 1
    assert "NoSuchKey: The key does not exist." in result.output


def test_locate_needs_a_bucket_and_a_key(server: CannedServer) -> None:
    for target in ("photos", "photos/", "/key"):
        assert run(server, "locate", target).exit_code == 1
    assert not server.asked


def test_a_quickstart_directory_says_where_and_who(server: CannedServer, tmp_path: Path) -> None:
    write_quickstart(tmp_path / "data", "http://127.0.0.1:1", endpoint_of(server))
    assert run(None, "info").exit_code == 0  # ./data, and its second endpoint answers
    assert "Credential=rootuser/" in server.asked[0][2]["authorization"]
    write_quickstart(tmp_path / "other", endpoint_of(server))
    assert run(None, "info", "--dir", "other").exit_code == 0
    assert len(server.asked) == 2


def test_the_environment_says_where_and_who(
    server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBJSTORE_ENDPOINT", endpoint_of(server))
    monkeypatch.setenv("OBJSTORE_ROOT_USER", "from-environment")
    monkeypatch.setenv("OBJSTORE_ROOT_PASSWORD", "secret")
    assert run(None, "info").exit_code == 0
    assert "Credential=from-environment/" in server.asked[0][2]["authorization"]


def test_without_a_cluster_it_says_what_to_give(tmp_path: Path) -> None:
    result = run(None, "info")
    assert result.exit_code == 1
    for name in ("--endpoint", "OBJSTORE_ROOT_USER", "--dir"):
        assert name in result.output
    assert run(None, "info", "--dir", str(tmp_path)).exit_code == 1


def test_without_an_answer_it_names_every_endpoint(tmp_path: Path) -> None:
    write_quickstart(tmp_path / "data", "http://127.0.0.1:1", "http://127.0.0.1:2")
    result = run(None, "info")
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.output
    assert "127.0.0.1:2" in result.output
    assert "secret" not in result.output
