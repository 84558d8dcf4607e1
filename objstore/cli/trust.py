"""Whose certificates a command believes when it speaks to an https endpoint.

`--ca-file` or OBJSTORE_CA_FILE names a file of certificates in PEM that are believed besides
those of the system: the private CA that signed a cluster's.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from objstore.errors import ConfigError

CA_VARIABLE: Final = "OBJSTORE_CA_FILE"


def ca_file_of(environment: Mapping[str, str]) -> Path | None:
    """Return the file that the environment names."""
    named = environment.get(CA_VARIABLE)
    return Path(named) if named else None


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what to open an https connection with: the chain and the name are verified.

    Raises:
        ConfigError: `ca_file` can not be read, or has no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(cafile=os.fspath(ca_file))
    except OSError as error:  # which ssl.SSLError is too
        raise ConfigError(
            found=f"CA file {str(ca_file)!r}: {error.strerror or error}",
            expected="a readable file of certificates in PEM",
            remedy=f"correct --ca-file or {CA_VARIABLE}",
        ) from error
    return context


def connection_problem(error: Exception) -> str:
    """Say why an endpoint could not be asked, with the remedy where a CA file is missing."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not believed ({error.verify_message}): name the CA that signed "
            f"it with --ca-file or {CA_VARIABLE}, and the endpoint by a name in the certificate"
        )
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "it does not speak TLS: write http://"
    return str(error) or type(error).__name__
