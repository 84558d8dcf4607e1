"""The clients that people use, each pointed at a cluster and at nothing else.

`install.sh` of this directory puts them in place, at the versions that requirements.txt and
package-lock.json pin.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.content import Content, sha256_of
from tests.e2e.credentials import ACCESS_KEY, REGION, SECRET_KEY

TIMEOUT_S = 240
PIECE_BYTES = 1024 * 1024
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


@dataclass(frozen=True)
class CommandLine:
    """A client program with its settings in an environment of its own."""

    program: tuple[str, ...]
    environment: dict[str, str]

    def __call__(
        self, *arguments: str | Path, fails: bool = False, standard_input: str = ""
    ) -> str:
        """Run it and return what it printed; it must succeed, unless it is meant to fail."""
        done = subprocess.run(
            [*self.program, *map(str, arguments)],
            env=self.environment,
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        said = done.stdout + done.stderr
        assert bool(done.returncode) == fails, f"{arguments}: exit {done.returncode}\n{said}"
        return said if fails else done.stdout


def _environment(home: Path, **settings: str) -> dict[str, str]:
    """Return an environment in which nothing of the user's configuration is seen."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-credentials"),
        "AWS_MAX_ATTEMPTS": "1",
    } | settings


def _installed(name: str) -> str:
    """Return a program of the interop clients' own Python environment."""
    program = _ROOT / ".venv-interop" / "bin" / name
    if not program.exists():
        pytest.skip(f"{name} is not installed: run tests/interop/install.sh")
    return str(program)


def _of_the_system(name: str) -> str:
    """Return a program that only the operating system's packages have."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed: run tests/interop/install.sh as root")
    return program


def aws(endpoint: str, home: Path, *, links_by: str = "") -> CommandLine:
    """The AWS CLI. Its version 1 makes links by SigV2, as boto3 does, unless `links_by` is s3v4."""
    config = home / f"aws-config{links_by}"
    told = f"s3 =\n    signature_version = {links_by}\n" if links_by else ""
    config.write_text(f"[default]\n{told}", "utf-8")
    environment = _environment(
        home, AWS_ENDPOINT_URL=endpoint, AWS_CONFIG_FILE=str(config), AWS_PAGER=""
    )
    return CommandLine((_installed("python"), _installed("aws")), environment)


def s5cmd(endpoint: str, home: Path) -> CommandLine:
    """s5cmd."""
    program = (_installed("s5cmd"), "--endpoint-url", endpoint, "--retry-count", "0")
    return CommandLine(program, _environment(home))


def rclone(endpoint: str, home: Path) -> CommandLine:
    """rclone with a remote named `store` that is made of environment variables alone."""
    environment = _environment(
        home,
        RCLONE_CONFIG=str(home / "no-rclone.conf"),
        RCLONE_CONFIG_STORE_TYPE="s3",
        RCLONE_CONFIG_STORE_PROVIDER="Other",
        RCLONE_CONFIG_STORE_ENDPOINT=endpoint,
        RCLONE_CONFIG_STORE_ACCESS_KEY_ID=ACCESS_KEY,
        RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY=SECRET_KEY,
        RCLONE_CONFIG_STORE_REGION=REGION,
        RCLONE_RETRIES="1",
        RCLONE_LOW_LEVEL_RETRIES="1",
    )
    return CommandLine((_installed("rclone"), "--quiet"), environment)


def s3cmd(endpoint: str, home: Path) -> CommandLine:
    """s3cmd with the settings that its users keep in ~/.s3cfg."""
    host = endpoint.partition("://")[2]
    settings = {
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "bucket_location": REGION,
        "host_base": host,
        "host_bucket": host,  # without %(bucket)s: the bucket is in the path
        "use_https": "False",
        "max_retries": "1",
        "progress_meter": "False",
    }
    lines = (f"{name} = {value}\n" for name, value in settings.items())
    (home / ".s3cfg").write_text("[default]\n" + "".join(lines), "utf-8")
    return CommandLine((_installed("python"), _installed("s3cmd")), _environment(home))


def restic(endpoint: str, home: Path, bucket: str) -> CommandLine:
    """restic with a repository in a bucket, which it makes itself if need be."""
    environment = _environment(
        home,
        RESTIC_REPOSITORY=f"s3:{endpoint}/{bucket}/backups",
        RESTIC_PASSWORD="of this test",
        RESTIC_CACHE_DIR=str(home / "restic-cache"),
        RESTIC_PROGRESS_FPS="0.01",
    )
    return CommandLine((_of_the_system("restic"),), environment)


def python_script(endpoint: str, other_endpoint: str, home: Path, name: str) -> CommandLine:
    """A script of scripts/, in the interop clients' own Python; its argument is a bucket."""
    environment = _environment(
        home,
        AWS_ENDPOINT_URL=endpoint,
        OTHER_ENDPOINT_URL=other_endpoint,
        PYTHONPATH=str(_ROOT),
    )
    return CommandLine((_installed("python"), "-m", f"tests.interop.scripts.{name}"), environment)


def node_script(endpoint: str, home: Path, name: str) -> CommandLine:
    """A script of node/; its argument is a bucket."""
    if not (_HERE / "node_modules").exists():
        pytest.skip("the Node clients are not installed: run tests/interop/install.sh")
    environment = _environment(home, AWS_ENDPOINT_URL=endpoint)
    return CommandLine((_of_the_system("node"), str(_HERE / "node" / f"{name}.mjs")), environment)


def write_file(path: Path, content: Content) -> Path:
    """Write content to a file, as a stream."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for piece in content.slice(0, content.size):
            file.write(piece)
    return path


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read as a stream."""
    with path.open("rb") as file:
        return sha256_of(iter(lambda: file.read(PIECE_BYTES), b""))


def write_tree(root: Path) -> dict[str, Content]:
    """Write a small tree of files with ordinary and odd names, a minute old.

    S3 lists whole seconds, so a client that compares times takes a file that was written in the
    second of its upload for newer than the object.
    """
    tree = {
        "a.txt": Content(1, 0),
        "b.bin": Content(2, 100),
        "dir/c d+e%.txt": Content(3, 5000),
        "dir/sub/ü.dat": Content(4, 1_200_000),
        "dir/sub/deep/er/x": Content(5, 40_000),
    }
    for name, content in tree.items():
        written_s = write_file(root / name, content).stat().st_mtime
        os.utime(root / name, (written_s - 60, written_s - 60))
    return tree


def check_tree(root: Path, tree: dict[str, Content]) -> None:
    """Assert that a directory holds exactly this tree."""
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert found == set(tree)
    for name, content in tree.items():
        assert file_sha256(root / name) == content.sha256, name
