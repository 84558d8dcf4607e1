"""`objstore quickstart` as the README promises it."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from tests.e2e.running import free_ports


class Quickstart:
    """The command in a directory, without any setting in the environment."""

    def __init__(self, directory: Path, port: int, *arguments: str, **environment: str) -> None:
        self.log = directory.with_suffix(".log")
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "objstore", "quickstart", str(directory)),
                    *("--port", str(port), *arguments),
                ],
                env=kept | {"COLUMNS": "200"} | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait_for(self, text: str, timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def interrupt(self) -> int:
        """Press Ctrl-C: the terminal sends it to every process of the group."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(20)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def started(directory: Path) -> Iterator[list[Quickstart]]:
    made: list[Quickstart] = []
    yield made
    for one in made:
        one.interrupt()


def credentials(directory: Path) -> dict[str, str]:
    lines = (directory / "credentials").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def put(directory: Path, port: int, key: str) -> None:
    keys = credentials(directory)
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=keys["OBJSTORE_ROOT_USER"],
        aws_secret_access_key=keys["OBJSTORE_ROOT_PASSWORD"],
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.put_object(Bucket="photos", Key=key, Body=key.encode())
    for number in range(1, int(key) + 1):
        body = client.get_object(Bucket="photos", Key=str(number))["Body"].read()
        assert body == str(number).encode()
    client.close()


def test_start_put_stop_and_go_on(directory: Path, started: list[Quickstart]) -> None:
    """Under 10 s to the first PUT; Ctrl-C stops all; the same directory continues."""
    port = free_ports(2)
    kept: dict[str, str] = {}
    for key in ("1", "2"):
        began = time.monotonic()
        running = Quickstart(directory, port, OBJSTORE_BUCKETS="photos,more")
        started.append(running)
        running.wait_for(f"{port + 10}")
        while True:
            try:
                put(directory, port, key)
                break
            except Exception:  # noqa: BLE001  not ready yet, whatever that looks like
                assert time.monotonic() - began < 10, running.said()
                time.sleep(0.1)
        assert time.monotonic() - began < 10
        put(directory, port + 10, key)
        assert kept in ({}, credentials(directory))
        kept = credentials(directory)
        assert running.interrupt() == 0, running.said()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_what_it_prints_and_leaves(directory: Path, started: list[Quickstart]) -> None:
    port = free_ports(2)
    running = Quickstart(directory, port, "--parity", "2")
    started.append(running)
    running.wait_for("boto3")
    running.wait_for("rclone")
    said = running.said()
    assert f"http://127.0.0.1:{port}" in said or f"http://localhost:{port}" in said
    assert str(port + 10) in said
    keys = credentials(directory)
    assert keys["OBJSTORE_ROOT_USER"] in said
    assert re.search(r"aws .*s3", said)
    assert len(keys["OBJSTORE_ROOT_PASSWORD"]) >= 16
    secret_files = [path for path in directory.iterdir() if path.is_file()]
    for path in secret_files:
        text = path.read_text("utf-8", "replace")
        if any(value in text for value in keys.values()):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for drive in ("server1/drive1", "server1/drive2", "server2/drive1", "server2/drive2"):
        assert (directory / drive / "drive.json").exists()


def test_a_credential_from_the_environment_is_taken(
    directory: Path, started: list[Quickstart]
) -> None:
    port = free_ports(2)
    keys = {"OBJSTORE_ROOT_USER": "somebody", "OBJSTORE_ROOT_PASSWORD": "chosen-by-the-operator"}
    running = Quickstart(directory, port, **keys)
    started.append(running)
    running.wait_for("rclone")
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=keys["OBJSTORE_ROOT_USER"],
        aws_secret_access_key=keys["OBJSTORE_ROOT_PASSWORD"],
        region_name="us-east-1",
    )
    assert client.list_buckets()["Buckets"] == []
    client.close()


def test_a_well_known_password_is_refused(directory: Path, started: list[Quickstart]) -> None:
    running = Quickstart(
        directory,
        free_ports(2),
        OBJSTORE_ROOT_USER="minioadmin",
        OBJSTORE_ROOT_PASSWORD="minioadmin",
    )
    started.append(running)
    assert running.process.wait(20) != 0
    assert "Traceback" not in running.said()


def test_a_port_in_use_is_told(directory: Path, started: list[Quickstart]) -> None:
    port = free_ports(2)
    with socket.create_server(("127.0.0.1", port)):
        running = Quickstart(directory, port)
        started.append(running)
        assert running.process.wait(20) != 0
    assert str(port) in running.said()
    assert "Traceback" not in running.said()
