"""A witness in memory and one in a real etcd are the same to whoever asks."""

import asyncio
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from objstore.cluster.etcd import epoch_key, open_etcd, own_first
from objstore.cluster.witness import Kept, Witness
from objstore.errors import WitnessError
from objstore.limits import WITNESS_ANSWER_S
from objstore.quorum.solo import FIRST, Epoch, Mode
from objstore.testing.fake_witness import FakeWitness
from tests.authority import Authority
from tests.e2e.faults import within

A, B = Epoch(1, Mode.SOLO, "a:9000"), Epoch(1, Mode.SOLO, "b:9000")


class Member:
    """One etcd without others."""

    def __init__(self, directory: Path, *tls: str) -> None:
        self.directory = directory
        mine, others = _free_ports()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{mine}"
        peers = f"http://127.0.0.1:{others}"
        self._command = (
            *("etcd", "--data-dir", str(directory / "data"), "--log-level", "error"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"default={peers}", *tls),
        )
        self.start()

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
                return b"true" in answer.read()
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    if shutil.which("etcd") is None:
        pytest.skip("needs etcd (in Debian's package etcd-server)")
    running = Member(tmp_path_factory.mktemp("etcd"))
    try:
        within(20, running.is_healthy, "etcd answers")
        yield running
    finally:
        running.kill()


@pytest.fixture(params=["memory", "etcd"])
async def witness(request: pytest.FixtureRequest) -> AsyncIterator[Witness]:
    if request.param == "memory":
        yield FakeWitness()
        return
    member: Member = request.getfixturevalue("member")
    async with open_etcd([member.url], deployment=request.node.name) as found:
        yield found


async def test_nothing_is_kept_at_first(witness: Witness) -> None:
    assert await witness.read() == Kept(None, 0)


async def test_what_was_changed_is_read(witness: Witness) -> None:
    assert await witness.change(0, FIRST)
    first = await witness.read()
    assert first.epoch == FIRST
    assert first.revision > 0
    assert await witness.change(first.revision, A)
    second = await witness.read()
    assert second.epoch == A
    assert second.revision > first.revision


async def test_a_change_of_what_is_not_there_any_more_changes_nothing(witness: Witness) -> None:
    assert await witness.change(0, FIRST)
    first = await witness.read()
    assert not await witness.change(0, B)
    assert await witness.change(first.revision, A)
    assert not await witness.change(first.revision, B)
    assert (await witness.read()).epoch == A


async def test_of_many_that_change_at_once_one_does(witness: Witness) -> None:
    assert await witness.change(0, FIRST)
    revision = (await witness.read()).revision
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(witness.change(revision, A if n % 2 else B)) for n in range(16)]
    assert [task.result() for task in tasks].count(True) == 1


async def test_deployments_have_nothing_in_common(member: Member) -> None:
    async with open_etcd([member.url], deployment="one") as one:
        assert await one.change(0, FIRST)
        async with open_etcd([member.url], deployment="other") as other:
            assert await other.read() == Kept()
        assert (await one.read()).epoch == FIRST


async def test_a_member_that_is_not_there_is_passed_over(member: Member) -> None:
    nobody = f"http://127.0.0.1:{_free_ports()[0]}"
    async with open_etcd([nobody, member.url], deployment="passed") as witness:
        assert await witness.change(0, FIRST)
        assert (await witness.read()).epoch == FIRST
    async with open_etcd([nobody], deployment="passed") as witness:
        with pytest.raises(WitnessError, match=nobody):
            await witness.read()


async def test_a_member_that_hangs_holds_nobody_up(member: Member) -> None:
    async with open_etcd([member.url], deployment="hangs") as witness:
        assert await witness.change(0, FIRST)
        member.process.send_signal(signal.SIGSTOP)
        try:
            loop = asyncio.get_running_loop()
            for call in (witness.read, lambda: witness.change(1, A)):
                began_s = loop.time()
                with pytest.raises(WitnessError, match="does not answer"):
                    await call()
                assert loop.time() - began_s < WITNESS_ANSWER_S + 2
        finally:
            member.process.send_signal(signal.SIGCONT)
        assert (await witness.read()).epoch == FIRST


async def test_by_tls_each_shows_the_other_a_certificate(tmp_path: Path) -> None:
    if shutil.which("etcd") is None:
        pytest.skip("needs etcd (in Debian's package etcd-server)")
    ours, theirs = Authority(), Authority("Another CA")
    ca = ours.put(tmp_path / "ca.crt")
    certificate, key = ours.sign("127.0.0.1").put(tmp_path, "member")
    of_etcd = ("--cert-file", f"{certificate}", "--key-file", f"{key}", "--client-cert-auth")
    secure = Member(tmp_path, *of_etcd, "--trusted-ca-file", f"{ca}")

    def context(authority: Authority, name: str) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=ca)
        made.load_cert_chain(*authority.sign("127.0.0.1").put(tmp_path, name))
        return made

    try:
        own, foreign = context(ours, "own"), context(theirs, "foreign")
        async with open_etcd([secure.url], deployment="tls", tls=lambda: own) as witness:
            async with asyncio.timeout(20):
                while await _fails(witness):
                    await asyncio.sleep(0.05)
            assert await witness.change(0, FIRST)
            assert (await witness.read()).epoch == FIRST
        async with open_etcd([secure.url], deployment="tls", tls=lambda: foreign) as witness:
            assert await _fails(witness)
        plain = [secure.url.replace("https", "http")]
        async with open_etcd(plain, deployment="tls") as witness:
            assert await _fails(witness)
    finally:
        secure.kill()


async def _fails(witness: Witness) -> bool:
    try:
        await witness.read()
    except WitnessError:
        return True
    return False


async def test_what_is_no_epoch_is_said(member: Member) -> None:
    async with open_etcd([member.url], deployment="broken") as witness:
        for value in (b"", b"{}[", b'{"number":1,"mode":"solo","server":""}', b'{"mode":"?"}'):
            await _put(member, epoch_key("broken"), value)
            with pytest.raises(WitnessError, match="no epoch"):
                await witness.read()


async def test_who_is_no_etcd_is_said() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_etcd([f"http://127.0.0.1:{port}"], deployment="x") as witness:
            with pytest.raises(WitnessError, match=r"answered 404: b'no'"):
                await witness.read()


async def _put(member: Member, key: str, value: bytes) -> None:
    import base64

    pair = {"key": base64.b64encode(key.encode()).decode(),
            "value": base64.b64encode(value).decode()}  # fmt: skip
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{member.url}/v3/kv/put", json=pair) as response,
    ):
        assert response.status == 200


def test_the_member_on_a_server_s_own_host_is_asked_first() -> None:
    urls = ("http://10.0.0.1:2379", "http://10.0.0.11:2379", "http://10.0.0.2:2379")
    assert own_first(urls, "10.0.0.2:9000")[0] == "http://10.0.0.2:2379"
    assert own_first(urls, "10.0.0.1:9000")[0] == "http://10.0.0.1:2379"
    assert own_first(urls, "elsewhere:9000") == urls
