"""Asking the witness in one process, when the operator has set one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from objstore.clock import Clock
from objstore.cluster.epoch_watch import EpochWatch
from objstore.cluster.etcd import open_etcd, own_first
from objstore.cluster.membership import Membership
from objstore.config import Settings
from objstore.server.tls import Tls


@asynccontextmanager
async def watching(
    settings: Settings, membership: Membership, *, clock: Clock, tls: Tls
) -> AsyncIterator[EpochWatch | None]:
    """Ask the witness of the member's deployment inside the context; None without a witness."""
    if not settings.witness:
        yield None
        return
    (other,) = membership.peers
    members = own_first(settings.witness, membership.server)
    secure = members[0].startswith("https:")
    async with open_etcd(
        members, deployment=membership.deployment, tls=tls.calling if secure else None
    ) as witness:
        watch = EpochWatch(witness, own=membership.server, other=other, clock=clock)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(watch.run())
            try:
                yield watch
            finally:
                running.cancel()
