"""Machines to deploy to: hosts with sshd, and each its own /etc, /opt, /root, /var/log, /mnt.

What is installed on them is there and nowhere else: accounts are made in the host's own
/etc/passwd. The drives are file systems in memory.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import boto3
from botocore.config import Config

from tests.cluster.hosts import Host, Network, hosts_work
from tests.e2e.running import S3Client

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = ROOT / ".deploy-tests"  # made by install.sh
PORT = 9000
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DRIVE_BYTES = 1 << 30
_OWN = {"/opt": "opt", "/root": "root", "/var/log": "log"}
_WITH_WITNESS = {"/var/lib": "lib"}  # etcd's data


def missing_program(*programs: str) -> str:
    """Return what is not installed of `programs`, for the reason of a skip."""
    return ", ".join(one for one in programs if shutil.which(one, path=SYSTEM_PATH) is None)


def why_no_machines() -> str:
    """Return why machines cannot be made here; "" when they can."""
    if os.geteuid() != 0:
        return "needs root: it makes network namespaces and mounts"
    if absent := missing_program("sshd", "ssh", "scp", "setpriv"):
        return f"not installed: {absent} (tests/deploy/install.sh)"
    if not (TOOLS / "wheels").is_dir():
        return "no wheels: run tests/deploy/install.sh"
    return "" if hosts_work() else "this machine makes no network namespaces"


def give_drives(host: Host, directory: Path) -> list[Path]:
    """Give a host /mnt/drive1 and /mnt/drive2 in memory; return what to unmount in the end."""
    mounted = []
    for name in ("drive1", "drive2"):
        (host.directory / name).mkdir(parents=True, exist_ok=True)
        drive = directory / f"{host.name}-{name}"
        drive.mkdir(parents=True)
        size = f"size={_DRIVE_BYTES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", drive], check=True)
        mounted.append(drive)
        host.mounts = host.mounts | {drive: Path("/mnt") / name}
    return mounted


def unmount(mounted: Sequence[Path]) -> None:
    """Take away what was mounted, also where something is still open below."""
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


class Machines:
    """Two hosts that answer ssh, a third one for a witness if wanted, and who has the key."""

    def __init__(self, directory: Path, network: Network) -> None:
        self.directory = directory
        self.network = network
        self.one, self.two, *others = network.hosts
        self.witness = others[0] if others else None
        self.settings: Mapping[str, str] = {}
        self.key = directory / "key"
        self._mounted: list[Path] = []
        self.env_file = directory / "env"

    @classmethod
    @contextlib.contextmanager
    def running(cls, directory: Path, *, witness: bool = False) -> Iterator["Machines"]:
        """Make them for a `with` block."""
        with Network.running(directory / "hosts", servers=3 if witness else 2) as network:
            machines = cls(directory, network)
            try:
                machines._begin()
                yield machines
            finally:
                machines._end()

    def _begin(self) -> None:
        keygen = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f")
        subprocess.run([*keygen, self.key], check=True)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for host in self.network.hosts:
            self._give_directories(host)
            self._start_sshd(host)
        self.write_env({})

    def _give_directories(self, host: Host) -> None:
        own = self.directory / "own" / host.name
        etc = own / "etc"
        directories = _OWN | (_WITH_WITNESS if self.witness else {})
        for name in ("etc", "etc-upper", "etc-work", *directories.values()):
            (own / name).mkdir(parents=True)
        layers = f"lowerdir=/etc,upperdir={own}/etc-upper,workdir={own}/etc-work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, etc], check=True)
        self._mounted.append(etc)
        # /etc first: /etc/hosts is mounted over a file in it.
        host.mounts = (
            {etc: Path("/etc")}
            | {own / name: Path(where) for where, name in directories.items()}
            | host.mounts
        )
        # Four virtual environments, written once and read once; and what etcd syncs.
        for name in {"opt", "lib"} & set(directories.values()):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", own / name], check=True)
            self._mounted.append(own / name)
        self._mounted += give_drives(host, own)
        host.directory.chmod(0o755)

    def _start_sshd(self, host: Host) -> None:
        directory = self.directory / "own" / host.name
        keys = directory / "authorized_keys"
        keys.write_text(self.key.with_suffix(".pub").read_text())
        config = directory / "sshd_config"
        config.write_text(
            f"HostKey {self.key}\nAuthorizedKeysFile {keys}\nStrictModes no\nUsePAM no\n"
            f"PermitRootLogin prohibit-password\nPidFile {directory}/sshd.pid\n"
            "Subsystem sftp internal-sftp\n"
        )
        host.start(
            ["/usr/sbin/sshd", "-D", "-f", config],
            env={"PATH": SYSTEM_PATH},
            stdin=subprocess.DEVNULL,
        )

    def _end(self) -> None:
        for host in self.network.hosts:
            host.kill()
        unmount(self._mounted)

    # --- the operator ----------------------------------------------------------------------

    def write_env(self, values: Mapping[str, str]) -> None:
        """Write the settings that the scripts read."""
        options = (
            f"-i {self.key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
            "-o LogLevel=ERROR -o BatchMode=yes"
        )
        lines = {
            "SERVER1": self.one.address,
            "SERVER2": self.two.address,
            "SSH_OPTIONS": options,
            "PARITY": "EC:2",
            "WORKERS": "1",
            "SYSTEMD": "no",
            "WHEELHOUSE": str(TOOLS / "wheels"),
            "CA_DIR": str(self.directory / "ca"),
            **values,
        }
        self.settings = lines
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def start_script(self, name: str, *arguments: str | Path) -> "subprocess.Popen[str]":
        """Start a script of deploy/ as the operator would."""
        return subprocess.Popen(
            [DEPLOY / name, "--env", self.env_file, *arguments],
            env={"PATH": SYSTEM_PATH, "HOME": str(self.directory), "LANG": "C.UTF-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def script(self, name: str, *arguments: str | Path, code: int = 0, answers: str = "") -> str:
        """Run a script of deploy/ to its end; return what it said."""
        process = self.start_script(name, *arguments)
        said, _ = process.communicate(answers, timeout=240)
        assert process.returncode == code, f"{name} {arguments}: {process.returncode}\n{said}"
        return said

    # --- the client ------------------------------------------------------------------------

    def secret(self, name: str) -> str:
        """Return one of the secrets that were drawn."""
        return self.one.run(["cat", f"/etc/objstore/secrets/{name}"]).strip()

    def client(self, endpoint: str, *, config: Config | None = None) -> S3Client:
        """Return a boto3 client of an endpoint that repeats nothing unless `config` says so."""
        plain = Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=60,
        )
        return boto3.session.Session(
            aws_access_key_id=self.secret("root_user"),
            aws_secret_access_key=self.secret("root_password"),
            region_name="us-east-1",
        ).client(
            "s3",
            endpoint_url=endpoint,
            config=plain.merge(config) if config else plain,
            verify=str(self.ca) if self.has_tls else None,
        )

    def endpoint(self, host: Host) -> str:
        """Return where a host serves S3."""
        return f"{'https' if self.has_tls else 'http'}://{host.address}:{PORT}"

    @property
    def has_tls(self) -> bool:
        """Whether the operator's settings say so."""
        return self.settings.get("TLS") == "yes"

    @property
    def ca(self) -> Path:
        """Where the certificate of the CA lies that the scripts made."""
        return self.directory / "ca/ca.crt"

    def objstore_pids(self, host: Host) -> Sequence[int]:
        """Return the processes of objstore on a host."""
        return self._pids(host, b"objstore")

    def etcd_pids(self, host: Host) -> Sequence[int]:
        """Return the processes of etcd on a host."""
        return self._pids(host, b"/usr/bin/etcd\0")

    def _pids(self, host: Host, words: bytes) -> Sequence[int]:
        found = []
        for pid in host.pids():
            with contextlib.suppress(OSError):
                if words in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def kill(self, pids: Sequence[int]) -> None:
        """SIGKILL processes of hosts, as a loss of power would."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
