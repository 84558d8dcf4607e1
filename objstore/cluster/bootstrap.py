"""First start: how servers with empty drives agree on one deployment, and when they need not.

`decide` is the whole protocol as a function of values; `Bootstrap` does what it says.

    own drives        peers                                    what happens
    some formatted    (not asked)                              start; empty drives join untrusted
    all empty         one has a deployment that is forming     adopt it, drives are trusted
    all empty         one has a deployment and serves          adopt it, drives are not trusted
    all empty, first  every other server says that it has none draw a deployment id and say it
    all empty         else                                     wait, and say for whom
    empty, id drawn   every other server has formatted for it  format, start
    formatted now     every other server has formatted for it  start
    either            else                                     wait, and say for whom

Only the first server of the layout draws an id, and only when every other server has said that
it has none, so drives that were lost are never mistaken for a first start. A drive that is
formatted while the deployment forms has never acknowledged anything, so what it does not have
counts as absent: it is trusted. One that joins later may stand where another one did
acknowledge: it is not. The first server formats last: until then it can crash and form again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from objstore.clock import Entropy
from objstore.cluster.membership import METHOD_STATE, Membership, ServerState, decode_state
from objstore.errors import ConfigError, RpcError
from objstore.rpc.client import PeerClient, PeerStatus

DEPLOYMENT_BYTES: Final = 16
_POLL_S: Final = 0.05
_ASK_S: Final = 1.0


class Step(Enum):
    """What a server does next."""

    START = "start"  # format what is empty, and serve
    FORM = "form"  # draw a deployment id and say it
    ADOPT = "adopt"  # format for the deployment of a peer
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, and for WAIT what it waits for, in words."""

    step: Step
    deployment: str = ""
    trusted: bool = False
    waiting_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Own:
    """What a server knows of itself.

    `deployment` is "" while it knows none, `forming` true when it learnt of it in this start, all
    its drives empty; `formatted` true when the drives are in it.
    """

    server: str
    first: bool
    deployment: str = ""
    forming: bool = False
    formatted: bool = False

    @property
    def needs_nobody(self) -> bool:
        """Its drives were in a deployment before this start."""
        return self.formatted and not self.forming


Peers = Mapping[str, ServerState | str]  # server -> its state, or why it did not tell it


class Bay(Protocol):
    """This server's drives before they are opened. What is wrong with one is a ConfigError."""

    async def inspect(self) -> str:
        """Return the deployment the drives belong to, "" when all are empty.

        Raises:
            ConfigError: a drive is foreign, swapped, duplicated, damaged, or of another
                deployment than the others.
        """
        ...

    async def format_empty(self, deployment: str, *, trusted: bool) -> int:
        """Format the drives that are empty for `deployment`; return how many there were."""
        ...


def decide(own: Own, peers: Peers) -> Decision:
    """Decide what `own` does, given what it knows of every peer of the layout.

    Raises:
        ConfigError: peers belong to different deployments.
    """
    if own.needs_nobody:
        return Decision(Step.START, own.deployment, trusted=False)
    states = [state for state in peers.values() if isinstance(state, ServerState)]
    deployments = {state.deployment for state in states} | {own.deployment}
    deployments.discard("")
    if len(deployments) > 1:
        raise _different(states, own)
    if own.deployment:
        missing = _without(peers, own.deployment)
        if missing:
            return Decision(Step.WAIT, own.deployment, waiting_for=missing)
        return Decision(Step.START, own.deployment, trusted=True)
    if deployments:
        forming = any(state.forming for state in states)
        return Decision(Step.ADOPT, deployments.pop(), trusted=forming)
    return _decide_empty(own, peers)


def _decide_empty(own: Own, peers: Peers) -> Decision:
    """All drives are empty, here and on every peer that told: only the first server acts."""
    silent = tuple(f"{name} ({why})" for name, why in peers.items() if isinstance(why, str))
    if not own.first:
        told = tuple(
            f"{state.server} to create the deployment"
            for state in peers.values()
            if isinstance(state, ServerState)
        )
        return Decision(Step.WAIT, waiting_for=silent or told)
    if silent:
        return Decision(Step.WAIT, waiting_for=silent)
    return Decision(Step.FORM, trusted=True)


def _without(peers: Peers, deployment: str) -> tuple[str, ...]:
    return tuple(
        f"{name} ({state})" if isinstance(state, str) else f"{name} to format its drives"
        for name, state in peers.items()
        if isinstance(state, str) or state.deployment != deployment or not state.formatted
    )


def _different(states: list[ServerState], own: Own) -> ConfigError:
    found = [f"{state.server} in {state.deployment}" for state in states if state.deployment]
    if own.deployment:
        found.append(f"{own.server} in {own.deployment}")
    return ConfigError(
        found=f"servers of one layout in different deployments: {', '.join(sorted(found))}",
        expected="the drives of one deployment on all servers",
        remedy="find out which deployment holds your data; give the servers of the other one "
        "empty drives, or the drives that belong to them",
    )


class Bootstrap:
    """Brings this server's drives into a deployment, the first one or the one they are in."""

    def __init__(
        self,
        membership: Membership,
        bay: Bay,
        clients: Mapping[str, PeerClient],
        *,
        first: bool,
        entropy: Entropy,
        say: Callable[[str], None],
    ) -> None:
        """Bootstrap with the peers behind `clients`; `say` is told what is waited for."""
        self._membership = membership
        self._bay = bay
        self._clients = clients
        self._first = first
        self._entropy = entropy
        self._say = say
        self._said = ""

    async def run(self) -> str:
        """Return the deployment once this server may start.

        The caller answers `membership.answer_state` to peers and runs the clients meanwhile.

        Raises:
            ConfigError: the drives, or a peer, are not what they have to be.
        """
        mine = self._membership
        mine.deployment = await self._bay.inspect()
        mine.formatted = bool(mine.deployment)
        while True:
            own = Own(mine.server, self._first, mine.deployment, mine.forming, mine.formatted)
            decision = decide(own, {} if own.needs_nobody else await self._ask())
            match decision.step:
                case Step.WAIT:
                    self._wait_for(decision.waiting_for)
                    await asyncio.sleep(_POLL_S)
                case Step.FORM:
                    mine.deployment = self._entropy.draw(DEPLOYMENT_BYTES).hex()
                    mine.forming = True
                case Step.ADOPT:
                    await self._format(decision)
                    mine.forming = decision.trusted
                case Step.START:
                    await self._format(decision)
                    return decision.deployment

    async def _format(self, decision: Decision) -> None:
        count = await self._bay.format_empty(decision.deployment, trusted=decision.trusted)
        if count:
            how = "" if decision.trusted else "; they are rebuilt before what they lack counts"
            self._say(f"{count} empty drive(s) joined deployment {decision.deployment}{how}")
        self._membership.deployment = decision.deployment
        self._membership.formatted = True

    def _wait_for(self, whom: tuple[str, ...]) -> None:
        said = f"waiting for {', '.join(whom)}"
        if said != self._said:
            self._said = said
            self._say(said)

    async def _ask(self) -> Peers:
        """Ask every peer for its state, side by side."""
        async with asyncio.TaskGroup() as group:
            asked = {
                name: group.create_task(self._state_of(client))
                for name, client in self._clients.items()
            }
        peers: dict[str, ServerState | str] = {}
        for name, task in asked.items():
            answer = task.result()
            if isinstance(answer, ConfigError):
                raise answer
            peers[name] = answer
        return peers

    async def _state_of(self, client: PeerClient) -> ServerState | str | ConfigError:
        """Return the peer's state, or why it did not tell it.

        A ConfigError means that it was reached and the two will not talk: waiting does not help.
        """
        me = self._membership.server.encode()
        try:
            return decode_state(await client.call(METHOD_STATE, me, deadline_s=_ASK_S))
        except TimeoutError:
            return "it does not answer"
        except RpcError as error:
            if client.status.refused:
                return _refused(client.status)
            return client.status.reason or str(error)


def _refused(status: PeerStatus) -> ConfigError:
    return ConfigError(
        found=f"server {status.name}: {status.reason}",
        expected="peers with the same layout, the same OBJSTORE_CLUSTER_SECRET, and clocks "
        "that agree",
        remedy="compare the endpoints, the parity, the secret and the time of both servers",
    )
