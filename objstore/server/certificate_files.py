"""The certificate files of one port: read, and held against what they have to be.

What is wrong is said before anybody meets it: at start as a refusal, when files changed under a
running server as a line in the log, and the server goes on with what it has.

An expired certificate is no refusal at start. A server that runs goes on when its certificate
expires, and clients that do not look at the date go on with it; were it refused at start, a crash
or a reboot on the same night would turn a warning into an outage of this server's drives.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objstore.config import Settings
from objstore.errors import ConfigError
from objstore.limits import CERTIFICATE_FILE_BYTES_MAX
from objstore.wire.certificate import Certificate, public_key_of, read_chain

_PAGE: Final = "docs/operating/tls.md"


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a port's certificate lies, and under which settings."""

    port: str  # "s3" or "internal": what metrics and logs call it
    prefix: str  # of the settings' names
    certificate: Path
    key: Path
    ca: Path | None = None  # whose certificates are accepted from the other side
    mutual: bool = False  # the other side needs one

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file, to be watched."""
        return tuple(path for path in (self.certificate, self.key, self.ca) if path is not None)


@dataclass(frozen=True, slots=True, repr=False)
class Material:
    """What the files hold, checked. Not to be logged: it has the private key."""

    certificate_pem: bytes
    key_pem: bytes
    ca_pem: bytes
    leaf: Certificate


def s3_files(settings: Settings) -> CertificateFiles | None:
    """Return the files for the S3 port; None when it is served without TLS."""
    if not settings.tls_certificate:
        return None
    return CertificateFiles("s3", "tls", Path(settings.tls_certificate), Path(settings.tls_key))


def internal_files(settings: Settings) -> CertificateFiles | None:
    """Return the files for the internal port; None when it is served without TLS."""
    if not settings.internal_tls_certificate:
        return None
    return CertificateFiles(
        "internal",
        "internal_tls",
        Path(settings.internal_tls_certificate),
        Path(settings.internal_tls_key),
        Path(settings.internal_tls_ca),
        settings.internal_tls_mutual,
    )


def read_material(files: CertificateFiles) -> Material:
    """Read the files and hold them against each other.

    Raises:
        ConfigError: a file can not be read or is not what it should be, or the key is another
            certificate's. The message never contains the key.
    """
    certificate_pem = _read(f"{files.prefix}_certificate", files.certificate)
    key_pem = _read(f"{files.prefix}_key", files.key)
    ca_pem = _read(f"{files.prefix}_ca", files.ca) if files.ca is not None else b""
    chain = _chain(f"{files.prefix}_certificate", files.certificate, certificate_pem)
    if files.ca is not None:
        _chain(f"{files.prefix}_ca", files.ca, ca_pem)
    leaf = chain[0]
    if _public_key(f"{files.prefix}_key", files.key, key_pem) != leaf.public_key:
        raise ConfigError(
            found=f"{files.prefix}_key = {str(files.key)!r}, which is not the key of the first "
            f"certificate in {str(files.certificate)!r} ({leaf.subject})",
            expected="the private key that this certificate was made for, and in its file the "
            "server's own certificate first, then those that signed it",
            remedy=f"name the two files that belong together; {_PAGE} shows how to compare them",
        )
    return Material(certificate_pem, key_pem, ca_pem, leaf)


def check_names(files: CertificateFiles, leaf: Certificate, names: tuple[str, ...]) -> None:
    """Refuse a certificate that names none of `names`, by which others reach this port.

    Raises:
        ConfigError: it does not.
    """
    if not names or any(leaf.names_host(name) for name in names):
        return
    other = ", or set domains to the name that clients use" if files.ca is None else ""
    held = ", ".join(leaf.names) or "no name at all (only subjectAltName counts)"
    raise ConfigError(
        found=f"{files.prefix}_certificate = {str(files.certificate)!r}, which names {held}",
        expected=f"{' or '.join(names)} among its names: clients refuse a certificate without the "
        "name they connect to",
        remedy=f"have it made with subjectAltName={_alternative(names[0])}{other} ({_PAGE})",
    )


def check_time(files: CertificateFiles, leaf: Certificate, now_s: float) -> str:
    """Return what is wrong with a certificate's dates, in words, or ""."""
    if now_s >= leaf.not_after_s:
        days = (now_s - leaf.not_after_s) / 86_400
        return f"{files.certificate} expired {days:.1f} days ago: clients that verify refuse it"
    if now_s < leaf.not_before_s:
        hours = (leaf.not_before_s - now_s) / 3600
        return f"{files.certificate} holds only in {hours:.1f} hours: look at this machine's clock"
    return ""


def _alternative(name: str) -> str:
    return f"IP:{name}" if name.replace(".", "").isdigit() or ":" in name else f"DNS:{name}"


def _read(setting: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(CERTIFICATE_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            found=f"{setting} = {str(path)!r}: {error.strerror}",
            expected="a file in PEM that this user can read",
            remedy="correct the path, or the permissions of the file and of the directories "
            "above it",
        ) from error
    if len(content) > CERTIFICATE_FILE_BYTES_MAX:
        raise ConfigError(
            found=f"{setting} = {str(path)!r} with more than {CERTIFICATE_FILE_BYTES_MAX} bytes",
            expected="a file of certificates, or a key, in PEM",
            remedy="correct the path",
        )
    return content


def _chain(setting: str, path: Path, pem: bytes) -> tuple[Certificate, ...]:
    try:
        return read_chain(pem)
    except ValueError as error:
        raise ConfigError(
            found=f"{setting} = {str(path)!r}, in which no certificate can be read",
            expected="certificates in PEM: blocks that begin with -----BEGIN CERTIFICATE-----",
            remedy=f"look at it with: openssl x509 -noout -text -in {path}",
        ) from error


def _public_key(setting: str, path: Path, pem: bytes) -> bytes:
    try:
        return public_key_of(pem)
    except TypeError as error:
        raise ConfigError(
            found=f"{setting} = {str(path)!r}, a key under a passphrase",
            expected="a key that a server can use without asking anybody",
            remedy=f"write it without: openssl pkey -in {path} -out NEW, readable by the "
            "server's user alone",
        ) from error
    except ValueError as error:
        raise ConfigError(
            found=f"{setting} = {str(path)!r}, in which no private key can be read",
            expected="a private key in PEM: a block that begins with -----BEGIN PRIVATE KEY-----",
            remedy=f"look at it with: openssl pkey -noout -in {path}",
        ) from error
