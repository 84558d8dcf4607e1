"""What a server says of the cluster: for health probes at once, for the operator in detail."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from objstore.background.tend import heal_waits
from objstore.cluster.membership import METHOD_STATE, ServerState, decode_state
from objstore.drive.guarded import DriveHealth, DriveState, GuardedDrive
from objstore.drive.job_states import Comparison
from objstore.drive.job_states import Progress as JobProgress
from objstore.drive.ops import Op, RequestCompare, RequestHeal, RequestScrub
from objstore.engine.fanout import call_all
from objstore.engine.ports import Location
from objstore.engine.sets import SetHandle
from objstore.engine.store import Store
from objstore.errors import RpcError, WriteQuorumLost
from objstore.gateway.explain import explain
from objstore.gateway.ports import (
    BucketInfo,
    CertificateInfo,
    ClusterInfo,
    ComparisonInfo,
    DriveInfo,
    Progress,
    QuarantinedKey,
    ServerInfo,
    SetInfo,
    SetStatus,
    UsageInfo,
    WitnessInfo,
)
from objstore.limits import CALL_DEADLINE_S
from objstore.names import BucketName, ObjectKey
from objstore.quorum.thresholds import degraded_scheme, read_quorum_any, write_quorum
from objstore.rpc.client import PeerClient, PeerStatus
from objstore.server.assemble import Engine, Node
from objstore.server.epoch_status import other_goes_on, unheard, witness_info, writes_alone
from objstore.server.peers import probe_all
from objstore.server.scrub_status import quarantine_of, scrub_info

_FRESH_S: Final = 0.5


class ObservedCluster:
    """Implements gateway's ClusterStatus and Admin from what this process observes."""

    def __init__(self, node: Node, engine: Engine, store: Store) -> None:
        self._node = node
        self._engine = engine
        self._store = store
        self._serving = False
        self._stale_reads = node.order.settings.stale_reads

    def begin(self) -> None:
        """Start-up is over."""
        self._serving = True

    # --- ClusterStatus ----------------------------------------------------------------

    def ready(self) -> bool:
        return self._serving

    def sets(self) -> Sequence[SetStatus]:
        return tuple(self._set_status(handle) for handle in self._engine.handles)

    def witness(self) -> WitnessInfo | None:
        return witness_info(self._engine.epochs, self._engine.handles)

    def _set_status(self, handle: SetHandle) -> SetStatus:
        layout, scheme = handle.layout, handle.layout.scheme
        online = trusted = writable = healing = 0
        local = local_trusted = local_writable = 0
        for index, slots in enumerate(handle.slots_of_drive):
            if not slots or not handle.drives[index].can_read:
                continue
            health = self._health(handle, index)
            is_trusted = health.status is not None and health.status.trusted
            takes_data = handle.drives[index].can_write
            online += len(slots)
            trusted += len(slots) * is_trusted
            writable += len(slots) * takes_data
            if layout.drives[index].server == self._node.order.server:
                local += len(slots)
                local_trusted += len(slots) * is_trusted
                local_writable += len(slots) * takes_data
            healing += not is_trusted or _is_running(health)
        return SetStatus(
            pool=layout.pool,
            index=layout.index,
            data=scheme.k,
            slots=scheme.slots,
            online=online,
            trusted=trusted,
            write_quorum=write_quorum(degraded_scheme(scheme, scheme.slots - writable)),
            read_quorum=1 if self._stale_reads else read_quorum_any(scheme.slots),
            healing_drives=healing,
            local=local,
            writable=writable,
            local_trusted=local_trusted,
            local_writable=local_writable,
            alone=writes_alone(self._engine.epochs, handle),
            unheard=unheard(self._engine.epochs, handle),
            other_goes_on=other_goes_on(self._engine.epochs, handle),
        )

    def _health(self, handle: SetHandle, index: int) -> DriveHealth:
        drive = handle.drives[index]
        assert isinstance(drive, GuardedDrive)
        return drive.health

    # --- Admin ------------------------------------------------------------------------

    async def info(self) -> ClusterInfo:
        """Report servers, drives and sets as this server sees them now.

        Every drive is asked first; one that does not answer in _FRESH_S shows what it said last.
        """
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._ask_peers())
            with suppress(TimeoutError):
                async with asyncio.timeout(_FRESH_S):
                    await probe_all(self._engine.guards.values())
        drives, states, sets = tuple(self._drive_infos()), asking.result(), self.sets()
        quarantines = [self._quarantine(handle) for handle in self._engine.handles]
        return ClusterInfo(
            deployment=self._node.membership.deployment,
            servers=tuple(self._server_info(one, states) for one in self._node.layout.servers),
            drives=drives,
            sets=tuple(
                _set_info(one, drives, *quarantine)
                for one, quarantine in zip(sets, quarantines, strict=True)
            ),
            healing=any(
                guard.health.status is not None and heal_waits(guard.health.status)
                for guard in self._engine.guards.values()
            ),
            server=self._node.order.server,
            operations=explain(sets, drives, ready=self._serving),
            certificates=tuple(self._certificates()),
            witness=self.witness(),
            comparing=any(_compare_waits(guard) for guard in self._engine.guards.values()),
        )

    async def _ask_peers(self) -> Mapping[str, ServerState]:
        """Ask every peer for its state; those that do not answer in _FRESH_S are left out."""
        asked = self._node.order.server.encode()
        states: dict[str, ServerState] = {}

        async def ask(client: PeerClient) -> None:
            with suppress(RpcError, TimeoutError):
                answer = await client.call(METHOD_STATE, asked, deadline_s=_FRESH_S)
                states[client.name] = decode_state(answer)

        async with asyncio.TaskGroup() as group:
            for client in self._node.clients.values():
                group.create_task(ask(client))
        return states

    async def heal(self) -> None:
        await self._request(RequestHeal(self._now_ms()))

    async def compare(self) -> None:
        await self._request(RequestCompare(self._now_ms()))

    async def scrub(self, *, full_speed: bool) -> None:
        await self._request(RequestScrub(self._now_ms(), full_speed=full_speed))

    def _now_ms(self) -> int:
        return self._node.clock.now_ns() // 1_000_000

    async def _request(self, op: Op[None]) -> None:
        """Ask every drive's server to do something about it.

        Raises:
            WriteQuorumLost: no drive could be asked.
        """
        guards = tuple(self._engine.guards.values())
        fanout = await call_all(
            self._engine.context.group,
            {index: partial(guard.call, op) for index, guard in enumerate(guards)},
            deadline_s=CALL_DEADLINE_S,
        )
        if not fanout.answers:
            raise WriteQuorumLost("no drive answers")
        await probe_all(guards)  # so that `info` says that it waits, from now on

    async def usage(self) -> UsageInfo:
        buckets = []
        for bucket in await self._store.list_buckets():
            held = await self._store.bucket_usage(bucket.name)
            buckets.append(
                BucketInfo(
                    name=bucket.name,
                    owner=bucket.owner,
                    versioning=bucket.versioning.value,
                    objects=held.objects,
                    object_bytes=held.object_bytes,
                    versions=held.versions,
                    version_bytes=held.version_bytes,
                )
            )
        return UsageInfo(buckets=tuple(buckets))

    async def locate(self, bucket: BucketName, key: ObjectKey) -> Location:
        return await self._store.locate(bucket, key)

    def _quarantine(self, handle: SetHandle) -> tuple[int, tuple[QuarantinedKey, ...]]:
        asked = (self._health(handle, index) for index in handle.readable())
        return quarantine_of(one.status for one in asked if one.status is not None)

    def _drive_infos(self) -> Iterator[DriveInfo]:
        for handle in self._engine.handles:
            for index, address in enumerate(handle.layout.drives):
                slots = handle.slots_of_drive[index]
                health = self._health(handle, index) if slots else None
                status = health.status if health is not None else None
                state, reason = _state_of(health)
                yield DriveInfo(
                    server=address.server,
                    path=address.path,
                    pool=handle.layout.pool,
                    set_index=handle.layout.index,
                    slots=slots,
                    state=state,
                    reason=reason,
                    total_bytes=status.total_bytes if status else 0,
                    free_bytes=status.free_bytes if status else 0,
                    trusted=status.trusted if status else not slots,
                    objects=status.objects if status else 0,
                    missed=status.missed if status else 0,
                    progress=_progress(status.progress) if status else None,
                    object_bytes=status.object_bytes if status else 0,
                    missed_bytes=status.missed_bytes if status else 0,
                    missed_since_ms=status.missed_since_ms if status else 0,
                    scrub=scrub_info(status) if status else None,
                    comparison=_comparison(status.comparison) if status else None,
                )

    def _server_info(self, server: str, states: Mapping[str, ServerState]) -> ServerInfo:
        mine = self._node.membership.state()
        if server == mine.server:
            uptime_s = (mine.time_ms - mine.started_ms) / 1000
            return ServerInfo(
                address=server,
                state="online",
                version=mine.version,
                uptime_s=uptime_s,
                configuration=mine.configuration,
            )
        peer: PeerStatus = self._node.clients[server].status
        since_s = (self._node.clock.now_ns() - peer.since_ns) / 1e9
        return ServerInfo(
            address=server,
            state="online" if peer.up else "offline",
            reason=peer.reason,
            version=peer.claims.get("version", ""),
            uptime_s=since_s if peer.up else 0.0,
            configuration=states[server].configuration if server in states else "",
            clock_ahead_ms=peer.clock_ahead_ms,
        )

    def _certificates(self) -> Iterator[CertificateInfo]:
        now_s = self._node.clock.now_ns() / 1e9
        for port in self._node.tls.ports:
            yield CertificateInfo(
                port=port.files.port,
                names=port.leaf.names,
                expires_in_s=port.leaf.not_after_s - now_s,
            )


def _compare_waits(guard: GuardedDrive) -> bool:
    status = guard.health.status
    if status is None or guard.health.state is DriveState.OFFLINE:
        return False
    started_ms = status.comparison.started_ms if status.comparison is not None else 0
    return started_ms < status.compare_requested_ms


def _comparison(last: Comparison | None) -> ComparisonInfo | None:
    if last is None:
        return None
    return ComparisonInfo(
        finished_ms=last.finished_ms,
        seconds=max(0, last.finished_ms - last.started_ms) / 1000,
        differences=last.differences,
        failed=last.failed,
        read_bytes=last.read_bytes,
        mended=last.mended,
    )


def _state_of(health: DriveHealth | None) -> tuple[str, str]:
    """Return a drive's state in a word, and why it is not simply online."""
    if health is None:
        return "unused", "the layout puts no shard on it"
    if health.state is not DriveState.ONLINE or health.status is None:
        return health.state.value, health.reason
    if health.status.journal_damage:
        return "rebuilding", f"its journal is to be made anew: {health.status.journal_damage}"
    progress = health.status.progress
    if progress is not None and not progress.finished_ms:
        words = {
            "rebuild": "rebuilding",
            "catch-up": "catching up",
            "heal": "healing",
            "return": "returning",
        }
        return words.get(progress.job, progress.job), ""
    return ("online", "") if health.status.trusted else ("rebuilding", "waits to begin")


def _is_running(health: DriveHealth) -> bool:
    progress = health.status.progress if health.status is not None else None
    return progress is not None and not progress.finished_ms


def _progress(job: JobProgress | None) -> Progress | None:
    """Turn counters into rates; None once the job has ended."""
    if job is None or job.finished_ms:
        return None
    elapsed_s = max(job.updated_ms - job.started_ms, 1) / 1000
    keys_per_s = job.keys_done / elapsed_s
    left = job.keys_total - job.keys_done
    return Progress(
        objects_done=job.keys_done,
        objects_total=job.keys_total,
        bytes_done=job.bytes_done,
        objects_per_s=keys_per_s,
        bytes_per_s=job.bytes_done / elapsed_s,
        remaining_s=left / keys_per_s if keys_per_s else None,
    )


def _set_info(
    status: SetStatus,
    drives: Sequence[DriveInfo],
    quarantined: int,
    quarantined_keys: tuple[QuarantinedKey, ...],
) -> SetInfo:
    members = [one for one in drives if (one.pool, one.set_index) == (status.pool, status.index)]
    # A version is noted on every drive that took it: the drive that noted most knows of most.
    most = max(members, key=lambda one: (one.missed, one.missed_bytes), default=None)
    return SetInfo(
        pool=status.pool,
        index=status.index,
        scheme=f"{status.data} + {status.slots - status.data}",
        slots=status.slots,
        online=status.online,
        trusted=status.trusted,
        write_quorum=status.write_quorum,
        read_quorum=max(status.read_quorum, status.data),  # fresh records, and k shards
        can_read=status.can_read(),
        can_write=status.can_write(),
        healing_drives=status.healing_drives,
        degraded=most.missed if most else 0,
        degraded_bytes=most.missed_bytes if most else 0,
        degraded_since_ms=min((one.missed_since_ms for one in members if one.missed), default=0),
        quarantined=quarantined,
        quarantined_keys=quarantined_keys,
    )
