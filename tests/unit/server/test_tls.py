"""Certificates from files: what is refused at start, and how new ones are taken while it runs."""

import shutil
import ssl
import subprocess
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from objstore.clock import SystemClock, SystemEntropy
from objstore.config import Settings, load_settings
from objstore.errors import ConfigError
from objstore.server.handshake import Failures
from objstore.server.order import LogFormat
from objstore.server.plan import make_plan
from objstore.server.tls import PortTls, Tls
from objstore.testing.fake_clock import FakeClock
from objstore.wire.certificate import read_chain
from tests.authority import SERVERS, Authority, Pair, encrypted, replace_file

SERVER = "127.0.0.1:9000"


class LaterClock(SystemClock):
    """The system's clock, some days on."""

    days = 0.0

    def now_ns(self) -> int:
        return time.time_ns() + int(self.days * 86_400e9)


@dataclass
class Files:
    """The files of both ports, and settings that name them."""

    directory: Path
    ca: Authority
    clock: LaterClock

    def put(self, name: str, pair: Pair) -> None:
        pair.put(self.directory, name)

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def settings(self, **more: object) -> Settings:
        return load_settings(
            endpoints=[
                "https://127.0.0.1:9000/a/d{1...2}",
                "https://127.0.0.1:9010/b/d{1...2}",
            ],
            environment={},
            options={
                "tls_certificate": self.path("s3.crt"),
                "tls_key": self.path("s3.key"),
                "internal_tls_certificate": self.path("internal.crt"),
                "internal_tls_key": self.path("internal.key"),
                "internal_tls_ca": self.path("ca.crt"),
                **more,
            },
        )

    def load(self, **more: object) -> Tls:
        return Tls(self.settings(**more), server=SERVER, clock=self.clock)

    def port(self, name: str = "internal") -> PortTls:
        tls = self.load()
        port = tls.internal if name == "internal" else tls.s3
        assert port is not None
        return port


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Files:
    """Return files that are all right."""
    made = Files(tmp_path, authority, LaterClock())
    authority.put(tmp_path / "ca.crt")
    made.put("s3", authority.sign("127.0.0.1", usages=SERVERS))
    made.put("internal", authority.sign("127.0.0.1"))
    return made


def shake(
    server: ssl.SSLContext, client: ssl.SSLContext, host: str = "127.0.0.1"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands in memory; return both ends."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(back, there, server_hostname=host),
        server.wrap_bio(there, back, server_side=True),
    )
    left = list(ends)
    for _ in range(16):
        if not left:
            break
        one = left.pop(0)
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            left.append(one)
    assert not left
    return ends


def shown(port: PortTls, client: ssl.SSLContext | None = None) -> bytes:
    """Return the public key that a new connection to `port` is shown."""
    der = shake(port.listening, client or port.calling())[0].getpeercert(binary_form=True)
    assert der is not None
    return read_chain(ssl.DER_cert_to_PEM_cert(der).encode())[0].public_key


def key_of(pair: Pair) -> bytes:
    return read_chain(pair.certificate)[0].public_key


def look(port: PortTls) -> None:
    """Look until files that stay as they are have been taken, or refused."""
    port.look()
    port.look()


# --- at start -----------------------------------------------------------------------------


def test_good_files_serve_both_ports_with_tls_1_2_and_above(files: Files) -> None:
    tls = files.load()
    assert [port.files.port for port in tls.ports] == ["s3", "internal"]
    assert tls.internal is not None
    client, server = shake(tls.internal.listening, tls.internal.calling())
    assert client.version() == "TLSv1.3"
    assert server.getpeercert(binary_form=True) is not None
    old = tls.internal.calling()
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake(tls.internal.listening, old)


def test_without_certificates_there_is_no_tls() -> None:
    tls = Tls(Settings(), server="", clock=SystemClock())
    assert (tls.ports, tls.s3_listening, tls.internal_listening, tls.calling) == (
        (),
        None,
        None,
        None,
    )


def test_a_caller_without_a_certificate_is_let_in_only_without_mutual(files: Files) -> None:
    alone = ssl.create_default_context(cafile=files.path("ca.crt"))
    open_port = files.load(internal_tls_mutual=False).internal_listening
    assert open_port is not None
    shake(open_port, alone)
    closed = files.load().internal_listening
    assert closed is not None
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake(closed, alone)


def refusal(files: Files, **more: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        files.load(**more)
    return caught.value


@pytest.mark.parametrize("name", ["s3.crt", "s3.key", "internal.crt", "internal.key", "ca.crt"])
@pytest.mark.parametrize("damage", ["missing", "directory", "empty", "noise", "huge"])
def test_a_file_that_can_not_be_read_is_named(files: Files, name: str, damage: str) -> None:
    path = files.directory / name
    path.unlink()
    match damage:
        case "directory":
            path.mkdir()
        case "empty":
            path.write_bytes(b"")
        case "noise":
            path.write_bytes(b"-----BEGIN CERTIFICATE-----\n\xff\xfe\n-----END CERTIFICATE-----\n")
        case "huge":
            path.write_bytes(b"x" * (1 << 21))
        case _:
            assert damage == "missing"
    error = refusal(files)
    assert str(path) in error.found
    assert "tls_" in error.found
    assert error.expected
    assert error.remedy


def test_a_key_of_another_certificate_is_refused(files: Files) -> None:
    replace_file(files.directory / "s3.key", files.ca.sign("127.0.0.1").key)
    error = refusal(files)
    assert "not the key of" in error.found
    assert "BEGIN" not in str(error)


def test_a_key_under_a_passphrase_is_refused_and_nobody_is_asked_for_it(files: Files) -> None:
    path = files.directory / "internal.key"
    path.write_bytes(encrypted(path.read_bytes()))
    assert "passphrase" in refusal(files).found


@pytest.mark.parametrize("name", ["s3", "internal"])
@pytest.mark.parametrize("names", [(), ("server1",), ("127.0.0.2", "*.0.0.1")])
def test_a_certificate_without_the_servers_name_is_refused(
    files: Files, name: str, names: tuple[str, ...]
) -> None:
    files.put(name, files.ca.sign(*names))
    error = refusal(files)
    assert f"{name}.crt" in error.found
    assert all(one in error.found for one in names)
    assert "127.0.0.1" in error.expected
    assert "IP:127.0.0.1" in error.remedy


def test_the_s3_port_may_be_named_by_a_domain_alone(files: Files) -> None:
    files.put("s3", files.ca.sign("s3.example.com", "*.s3.example.com"))
    files.load(domains="s3.example.com")


def test_an_internal_certificate_of_another_ca_is_refused(files: Files) -> None:
    files.put("internal", Authority("Another").sign("127.0.0.1"))
    error = refusal(files)
    assert "internal_tls_ca" in error.found
    assert "openssl verify" in error.remedy


def test_mutual_tls_needs_a_certificate_for_clients_too(files: Files) -> None:
    files.put("internal", files.ca.sign("127.0.0.1", usages=SERVERS))
    assert "extendedKeyUsage" in refusal(files).expected
    files.load(internal_tls_mutual=False)


@pytest.mark.parametrize("days", [(-5, -1), (1, 5)])
def test_a_certificate_outside_its_dates_is_served_with_a_loud_warning(
    files: Files, days: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a reboot after the expiry would take the server's drives away too."""
    for name in ("s3", "internal"):
        files.put(name, files.ca.sign("127.0.0.1", first_day=days[0], last_day=days[1]))
    for port in files.load().ports:
        port.warn()
    said = capsys.readouterr().out
    assert said.count("a certificate does not hold now") == 2
    assert "s3.crt" in said


def test_a_certificate_that_expires_soon_and_an_open_key_are_warned_of(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    (files.directory / "s3.key").chmod(0o644)
    files.clock.days = 1
    for port in files.load().ports:
        port.warn()
    said = capsys.readouterr().out
    assert said.count("a certificate expires soon") == 2
    assert said.count("every user of this machine") == 1


# --- while it runs ------------------------------------------------------------------------


def test_new_files_are_shown_to_new_connections_and_old_ones_go_on(files: Files) -> None:
    port = files.port()
    before = shown(port)
    client, server = shake(port.listening, port.calling())
    new = files.ca.sign("127.0.0.1")
    files.put("internal", new)
    look(port)
    assert shown(port) == key_of(new) != before
    _, again = shake(port.listening, port.calling())
    der = again.getpeercert(binary_form=True)  # the caller's side is renewed as well
    assert der is not None
    assert read_chain(ssl.DER_cert_to_PEM_cert(der).encode())[0].public_key == key_of(new)
    assert client.getpeercert() != {}
    assert server.cipher() is not None


@pytest.mark.parametrize("broken", ["noise", "half", "gone", "other name", "other ca", "expired"])
def test_bad_new_files_are_logged_and_the_old_stay(
    files: Files, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = files.port()
    before = shown(port)
    match broken:
        case "noise":
            replace_file(files.directory / "internal.crt", b"noise")
        case "half":
            replace_file(files.directory / "internal.crt", files.ca.sign("127.0.0.1").certificate)
        case "gone":
            (files.directory / "internal.key").unlink()
        case "other name":
            files.put("internal", files.ca.sign("server1"))
        case "other ca":
            files.put("internal", Authority("Another").sign("127.0.0.1"))
        case _:
            assert broken == "expired"
            files.put("internal", files.ca.sign("127.0.0.1", first_day=-5, last_day=-1))
    for _ in range(5):
        port.look()
    said = capsys.readouterr().out
    assert said.count("new certificate files are refused") == 1
    assert "what_to_do" in said
    assert shown(port) == before
    good = files.ca.sign("127.0.0.1")
    files.put("internal", good)
    look(port)
    assert shown(port) == key_of(good)


def test_a_pair_that_is_replaced_one_by_one_is_taken_without_complaint(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    port = files.port()
    new = files.ca.sign("127.0.0.1")
    replace_file(files.directory / "internal.crt", new.certificate)
    port.look()
    replace_file(files.directory / "internal.key", new.key)
    port.look()
    port.look()
    assert shown(port) == key_of(new)
    assert "refused" not in capsys.readouterr().out


def test_a_signer_that_was_removed_is_believed_no_more(files: Files) -> None:
    port = files.port()
    old_caller = port.calling()
    old_caller.load_verify_locations(cadata=(other := Authority("Next")).pem.decode())
    other.put(files.directory / "ca.crt")
    files.put("internal", other.sign("127.0.0.1"))
    look(port)
    shake(port.listening, port.calling())
    with pytest.raises(ssl.SSLError, match=r"(?i)verify failed|alert"):
        shake(port.listening, old_caller)


# --- the operator's page ------------------------------------------------------------------

PAGE = Path(__file__).parents[3] / "docs" / "operating" / "tls.md"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_the_commands_of_the_operators_page_make_certificates_that_serve(tmp_path: Path) -> None:
    commands = PAGE.read_text().split("```sh\n")[1].split("# 3.")[0]
    subprocess.run(
        ["/bin/sh", "-euc", commands], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    made = tmp_path / "objstore-ca"
    for server in ("server1", "server2"):
        settings = load_settings(
            endpoints=["https://server{1...2}:9000/mnt/drive{1...2}"],
            environment={
                "OBJSTORE_TLS_CERTIFICATE": str(made / f"{server}.crt"),
                "OBJSTORE_TLS_KEY": str(made / f"{server}.key"),
                "OBJSTORE_INTERNAL_TLS_CERTIFICATE": str(made / f"{server}.crt"),
                "OBJSTORE_INTERNAL_TLS_KEY": str(made / f"{server}.key"),
                "OBJSTORE_INTERNAL_TLS_CA": str(made / "ca.crt"),
            },
        )
        tls = Tls(settings, server=f"{server}:9000", clock=SystemClock())
        for port in tls.ports:
            assert 364 < (port.leaf.not_after_s - time.time()) / 86_400 < 366
        strict = ssl.create_default_context(cafile=str(made / "ca.crt"))
        strict.verify_flags |= ssl.VERIFY_X509_STRICT  # as clients of Python 3.13 are
        assert tls.s3_listening is not None
        shake(tls.s3_listening, strict, server)
        shake(tls.s3_listening, strict, "photos.s3.example.com")


# --- failed handshakes --------------------------------------------------------------------


def test_failed_handshakes_are_logged_once_in_a_while_with_their_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = FakeClock()
    failures = Failures("s3", clock)
    for _ in range(1000):
        failures.note(ssl.SSLError("[SSL] noise"))
    clock.advance(60)
    failures.note(ssl.SSLError("[SSL] noise"))
    said = capsys.readouterr().out
    assert said.count("no TLS with a caller") == 2
    assert "others=999" in said


# --- which settings go together -----------------------------------------------------------

SECRETS = {
    "OBJSTORE_ROOT_USER": "operator",
    "OBJSTORE_ROOT_PASSWORD": "correct-horse",
    "OBJSTORE_CLUSTER_SECRET": "5f" * 16 + "0123456789abcdef" * 2,
}


def plan(files: Files, scheme: str, names: tuple[str, ...], local: bool = False) -> None:
    endpoints = [f"{scheme}://127.0.0.1:90{n}0/d{n}{{1...2}}" for n in (0, 1)]
    given = {
        "OBJSTORE_TLS_CERTIFICATE": files.path("s3.crt"),
        "OBJSTORE_TLS_KEY": files.path("s3.key"),
        "OBJSTORE_INTERNAL_TLS_CERTIFICATE": files.path("internal.crt"),
        "OBJSTORE_INTERNAL_TLS_KEY": files.path("internal.key"),
        "OBJSTORE_INTERNAL_TLS_CA": files.path("ca.crt"),
    }
    make_plan(
        endpoints=["/d{1...4}"] if local else endpoints,
        config=None,
        environment=SECRETS | {k: v for k, v in given.items() if k[9:].lower() in names},
        options={"address": "127.0.0.1:9000"},
        log_format=LogFormat.JSON,
        entropy=SystemEntropy(),
    )


S3 = ("tls_certificate", "tls_key")
INTERNAL = ("internal_tls_certificate", "internal_tls_key", "internal_tls_ca")


def test_settings_that_fit_the_endpoints_are_taken(files: Files) -> None:
    plan(files, "https", S3 + INTERNAL)
    plan(files, "http", INTERNAL)
    plan(files, "http", ())
    plan(files, "", S3, local=True)


@pytest.mark.parametrize(
    ("scheme", "names", "missing"),
    [
        ("https", (), "tls_certificate"),
        ("https", S3, "internal_tls_certificate"),
        ("https", INTERNAL, "tls_certificate"),
        ("http", S3 + INTERNAL, "https://"),
        ("https", (*S3, *INTERNAL[:2]), "internal_tls_ca"),
        ("https", S3[:1], "tls_key"),
    ],
)
def test_settings_that_promise_what_is_not_there_are_refused(
    files: Files, scheme: str, names: tuple[str, ...], missing: str
) -> None:
    with pytest.raises(ConfigError, match=missing):
        plan(files, scheme, names)


def test_a_server_alone_has_no_internal_port_to_certify(files: Files) -> None:
    with pytest.raises(ConfigError, match="no internal port"):
        plan(files, "", INTERNAL, local=True)


def test_relative_paths_are_refused(files: Files) -> None:
    with pytest.raises(ConfigError, match="absolute"):
        files.settings(tls_certificate="s3.crt")
