"""TLS of this process: the contexts of both ports, exchanged when their files change.

A context that listens is never changed: a handshake takes the newest by the server-name callback,
which OpenSSL calls for every handshake, with or without a name. So new connections get new files
as a whole, the list of accepted signers too, and what was made from broken files is never seen.
Connections that are open stay as they are.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from objstore.clock import Clock
from objstore.config import Settings
from objstore.errors import ConfigError
from objstore.limits import CERTIFICATE_LOOK_S, CERTIFICATE_WARNING_S
from objstore.server.certificate_files import (
    CertificateFiles,
    Material,
    check_names,
    check_time,
    internal_files,
    read_material,
    s3_files,
)
from objstore.server.handshake import Failures, ListeningContext
from objstore.wire.certificate import Certificate

_log = structlog.get_logger(__name__)

_NS_PER_S: Final = 1_000_000_000
_TURNS_MAX: Final = 16  # of both sides together; a handshake takes four or five

_Stamp = tuple[tuple[int, int, int] | None, ...]


class PortTls:
    """The TLS of one port."""

    def __init__(self, files: CertificateFiles, *, names: tuple[str, ...], clock: Clock) -> None:
        """Read the files; `names` are those by which others reach this port.

        Raises:
            ConfigError: they can not be served.
        """
        self.files = files
        self._names = names
        self._clock = clock
        self._seen = self._changing = _stamp(files.paths)
        self._material, self._accepting, self._calling = self._load()
        self._listening = ListeningContext(ssl.PROTOCOL_TLS_SERVER)
        self._listening.failed = Failures(files.port, clock).note
        _prepare_server(self._listening, self._material, mutual=files.mutual)
        self._listening.sni_callback = self._take_newest

    @property
    def leaf(self) -> Certificate:
        """The certificate that new connections are shown."""
        return self._material.leaf

    @property
    def listening(self) -> ssl.SSLContext:
        """What to listen with, for as long as the process runs."""
        return self._listening

    def calling(self) -> ssl.SSLContext:
        """Return what to open a connection with now."""
        assert self._calling is not None
        return self._calling

    def warn(self) -> None:
        """Log what is wrong with the certificate's dates, and a key that others can read."""
        now_s = self._clock.now_ns() / _NS_PER_S
        left_s = self.leaf.not_after_s - now_s
        if problem := check_time(self.files, self.leaf, now_s):
            _log.error("a certificate does not hold now", port=self.files.port, why=problem)
        elif left_s < CERTIFICATE_WARNING_S:
            _log.warning(
                "a certificate expires soon",
                port=self.files.port,
                file=str(self.files.certificate),
                days=round(left_s / 86_400, 1),
            )
        if _open_to_others(self.files.key):
            _log.warning(
                "a private key can be read by every user of this machine",
                file=str(self.files.key),
                what_to_do="chmod o-r",
            )

    async def watch(self) -> None:
        """Take new files when they change, until cancelled."""
        while True:
            await asyncio.sleep(CERTIFICATE_LOOK_S)
            self.look()

    def look(self) -> None:
        """Take the files if they differ from what was seen last; keep the old if they are bad.

        They are taken once they are the same at two looks: a certificate and its key are seldom
        replaced in the same moment, and in between they do not fit each other.
        """
        stamp = _stamp(self.files.paths)
        if stamp == self._seen:
            return
        if stamp != self._changing:
            self._changing = stamp
            return
        try:
            material, accepting, calling = self._load()
            self._refuse_worse(material.leaf)
        except ConfigError as error:
            self._seen = stamp  # the same again at the next look would say the same
            _log.error(
                "new certificate files are refused, the old ones stay in use",
                port=self.files.port,
                found=error.found,
                expected=error.expected,
                what_to_do=error.remedy,
            )
            return
        if _stamp(self.files.paths) != stamp:
            return  # they changed while they were read: a later look takes them
        self._seen = stamp
        self._material, self._accepting, self._calling = material, accepting, calling
        _log.info(
            "new certificate files are in use",
            port=self.files.port,
            names=", ".join(self.leaf.names),
            days=round((self.leaf.not_after_s - self._clock.now_ns() / _NS_PER_S) / 86_400, 1),
        )

    def _load(self) -> tuple[Material, ssl.SSLContext, ssl.SSLContext | None]:
        files = self.files
        material = read_material(files)
        check_names(files, material.leaf, self._names)
        accepting = _server_context(material, mutual=files.mutual)
        if files.ca is None:
            return material, accepting, None
        calling = _client_context(material)
        if not check_time(files, material.leaf, self._clock.now_ns() / _NS_PER_S):
            _shake_hands(files, accepting, calling, self._names[0])
        return material, accepting, calling

    def _refuse_worse(self, new: Certificate) -> None:
        """Refuse an expired certificate while the one in use holds."""
        now_s = self._clock.now_ns() / _NS_PER_S
        problem = check_time(self.files, new, now_s)
        if problem and not check_time(self.files, self.leaf, now_s):
            raise ConfigError(
                found=problem,
                expected="a certificate that holds now, as the one in use does",
                remedy="put the new certificate in place",
            )

    def _take_newest(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _of: ssl.SSLContext
    ) -> None:
        connection.context = self._accepting


class Tls:
    """The TLS of a process: of the S3 port and of the internal one, where they have it."""

    def __init__(self, settings: Settings, *, server: str, clock: Clock) -> None:
        """Read the files of `server` ("host:port"; "" for a purely local layout).

        Raises:
            ConfigError: they can not be served.
        """
        host = server.rpartition(":")[0].strip("[]")
        own = (host,) if host else ()
        public, internal = s3_files(settings), internal_files(settings)
        self.s3: PortTls | None = None
        self.internal: PortTls | None = None
        if public is not None:
            self.s3 = PortTls(public, names=(*own, *settings.domains), clock=clock)
        if internal is not None:
            self.internal = PortTls(internal, names=own, clock=clock)

    @property
    def ports(self) -> tuple[PortTls, ...]:
        """Those that there are."""
        return tuple(port for port in (self.s3, self.internal) if port is not None)

    @property
    def s3_listening(self) -> ssl.SSLContext | None:
        """What to serve S3 with; None for plain TCP."""
        return None if self.s3 is None else self.s3.listening

    @property
    def internal_listening(self) -> ssl.SSLContext | None:
        """What to serve peers with; None for plain TCP."""
        return None if self.internal is None else self.internal.listening

    @property
    def calling(self) -> Callable[[], ssl.SSLContext] | None:
        """How to reach peers; None for plain TCP."""
        return None if self.internal is None else self.internal.calling


def _server_context(material: Material, *, mutual: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _prepare_server(context, material, mutual=mutual)
    return context


def _prepare_server(context: ssl.SSLContext, material: Material, *, mutual: bool) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_chain(context, material)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=material.ca_pem.decode("ascii", "ignore"))
        # A session taken up again is not verified again: a signer that was removed would live on.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0


def _client_context(material: Material) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=material.ca_pem.decode("ascii", "ignore"))
    _load_chain(context, material)
    return context


def _load_chain(context: ssl.SSLContext, material: Material) -> None:
    """Load what was checked, and not what lies in the files by now."""
    with _in_memory(material.key_pem + b"\n" + material.certificate_pem) as path:
        try:
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise ConfigError(
                found=f"a certificate that OpenSSL does not take: {error.reason or error}",
                expected="a certificate and key that this machine's OpenSSL accepts "
                "(RSA of 2048 bits, or P-256, and more)",
                remedy="have them made anew, as docs/operating/tls.md shows",
            ) from error


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Lend a file name under which `content` can be read: `ssl` takes chains from files alone."""
    descriptor = os.memfd_create("objstore-tls")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _shake_hands(
    files: CertificateFiles, accepting: ssl.SSLContext, calling: ssl.SSLContext, host: str
) -> None:
    """Do in memory what a peer will do: connect to this server, and be connected to by it.

    Raises:
        ConfigError: a peer with the same settings would refuse the certificate.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = calling.wrap_bio(to_client, to_server, server_hostname=host)
    server = accepting.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    try:
        for _ in range(_TURNS_MAX):
            one = waiting.pop(0)
            try:
                one.do_handshake()
            except ssl.SSLWantReadError:
                waiting.append(one)
            if not waiting:
                return
    except ssl.SSLError as error:
        why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
        raise ConfigError(
            found=f"{files.prefix}_certificate = {str(files.certificate)!r}, which does not hold "
            f"against {files.prefix}_ca = {str(files.ca)!r}: {why or error.reason or error}",
            expected="a certificate that one of the CA file's signed, for use by servers"
            + (" and by clients (extendedKeyUsage)" if files.mutual else ""),
            remedy="have it signed by that CA, or name the CA file of those that signed it; try: "
            f"openssl verify -CAfile {files.ca} -untrusted {files.certificate} "
            f"{files.certificate}",
        ) from error


def _stamp(paths: tuple[Path, ...]) -> _Stamp:
    """Return what tells that files changed: time, inode and size, through symbolic links."""

    def one(path: Path) -> tuple[int, int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    return tuple(map(one, paths))


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o004)
    except OSError:
        return False  # it was read a moment ago; whoever took it away knows of it
