"""X.509 certificates as bytes: whom they name, until when they hold, which key they are for.

Pure: PEM or DER and names come in, values come out. Names are compared as RFC 6125 says and as
the `ssl` module does for a client: only those of the extension subjectAltName count, a wildcard
stands for one whole label at the left, and an address is only ever named as an address.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

# What cryptography raises of contents that it reads only when they are asked for.
_STRANGE: Final = (UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What matters of one certificate. Times are seconds since 1970."""

    subject: str
    names: tuple[str, ...]  # DNS names in lower case, addresses in their canonical form
    not_before_s: int
    not_after_s: int
    public_key: bytes  # DER, to be compared

    def names_host(self, host: str) -> bool:
        """Tell whether a client that connects to `host` accepts this certificate's names."""
        wanted = _canonical(host)
        if wanted in self.names:
            return True
        label, _, parent = wanted.partition(".")
        return bool(label and parent) and not _is_address(wanted) and f"*.{parent}" in self.names


def read_chain(pem: bytes) -> tuple[Certificate, ...]:
    """Read every certificate of a PEM file, in order.

    Raises:
        ValueError: there is none, or one is damaged.
    """
    return tuple(map(_describe, x509.load_pem_x509_certificates(pem)))


def read_one(der: bytes) -> Certificate:
    """Read one certificate as it travels in a handshake.

    Raises:
        ValueError: it is damaged.
    """
    return _describe(x509.load_der_x509_certificate(der))


def public_key_of(private_pem: bytes) -> bytes:
    """Return the public half of a private key, as DER.

    Raises:
        ValueError: it is no private key in PEM.
        TypeError: it is encrypted.
    """
    key = load_pem_private_key(private_pem, password=None)
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _describe(read: x509.Certificate) -> Certificate:
    try:
        return _facts(read)
    except _STRANGE as error:
        raise ValueError(f"a certificate that can not be understood: {error}") from error


def _facts(read: x509.Certificate) -> Certificate:
    return Certificate(
        subject=read.subject.rfc4514_string(),
        names=_names(read),
        not_before_s=round(read.not_valid_before_utc.timestamp()),
        not_after_s=round(read.not_valid_after_utc.timestamp()),
        public_key=read.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


def _names(read: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = read.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    found = extension.value
    return (
        *(name.lower() for name in found.get_values_for_type(x509.DNSName)),
        *(str(address) for address in found.get_values_for_type(x509.IPAddress)),
    )


def _canonical(host: str) -> str:
    bare = host.strip("[]").rstrip(".").lower()
    return str(ipaddress.ip_address(bare)) if _is_address(bare) else bare


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
