"""The first start as a function of values: who acts, who waits, and when a drive is trusted."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.cluster.bootstrap import Decision, Own, Peers, Step, decide
from objstore.cluster.membership import ServerState
from objstore.errors import ConfigError

D = "d" * 32
OTHER = "e" * 32


def state(
    server: str = "s2:1", deployment: str = "", *, forming: bool = False, formatted: bool = False
) -> ServerState:
    return ServerState(server, deployment, forming, formatted, "1", 0, 0)


EMPTY_FIRST = Own("s1:1", first=True)
EMPTY_OTHER = Own("s2:1", first=False)
DOWN = "it does not answer"

TABLE: list[tuple[Own, Peers, Decision]] = [
    # Drives that are in a deployment need nobody, and what joins them is not trusted.
    (Own("s1:1", True, D, False, True), {}, Decision(Step.START, D, trusted=False)),
    # Only the first server draws an id, and only when everybody said that there is none.
    (EMPTY_FIRST, {"s2:1": state()}, Decision(Step.FORM, trusted=True)),
    (EMPTY_FIRST, {}, Decision(Step.FORM, trusted=True)),
    (EMPTY_FIRST, {"s2:1": DOWN}, Decision(Step.WAIT, waiting_for=(f"s2:1 ({DOWN})",))),
    (
        EMPTY_FIRST,
        {"s2:1": state(), "s3:1": DOWN},
        Decision(Step.WAIT, waiting_for=(f"s3:1 ({DOWN})",)),
    ),
    (
        EMPTY_OTHER,
        {"s1:1": state("s1:1")},
        Decision(Step.WAIT, waiting_for=("s1:1 to create the deployment",)),
    ),
    # Whoever has empty drives adopts; trusted only while the deployment forms.
    (
        EMPTY_OTHER,
        {"s1:1": state("s1:1", D, forming=True)},
        Decision(Step.ADOPT, D, trusted=True),
    ),
    (
        EMPTY_OTHER,
        {"s1:1": state("s1:1", D, formatted=True), "s3:1": DOWN},
        Decision(Step.ADOPT, D, trusted=False),
    ),
    (EMPTY_FIRST, {"s2:1": state(deployment=D, formatted=True)}, Decision(Step.ADOPT, D)),
    # The first server formats last.
    (
        Own("s1:1", True, D, True, False),
        {"s2:1": state()},
        Decision(Step.WAIT, D, waiting_for=("s2:1 to format its drives",)),
    ),
    (
        Own("s1:1", True, D, True, False),
        {"s2:1": state(deployment=D, forming=True, formatted=True)},
        Decision(Step.START, D, trusted=True),
    ),
    # The others begin to serve when everybody has the deployment.
    (
        Own("s2:1", False, D, True, True),
        {"s1:1": state("s1:1", D, forming=True)},
        Decision(Step.WAIT, D, waiting_for=("s1:1 to format its drives",)),
    ),
    (
        Own("s2:1", False, D, True, True),
        {"s1:1": state("s1:1", D, formatted=True)},
        Decision(Step.START, D, trusted=True),
    ),
]


@pytest.mark.parametrize(("own", "peers", "expected"), TABLE)
def test_the_table(own: Own, peers: Peers, expected: Decision) -> None:
    assert decide(own, peers) == expected


def test_servers_of_different_deployments_are_refused_in_words() -> None:
    peers = {
        "s2:1": state("s2:1", D, formatted=True),
        "s3:1": state("s3:1", OTHER, formatted=True),
    }
    with pytest.raises(ConfigError) as caught:
        decide(EMPTY_FIRST, peers)
    assert D in caught.value.found
    assert OTHER in caught.value.found
    with pytest.raises(ConfigError):
        decide(Own("s1:1", True, D, True, False), {"s2:1": state("s2:1", OTHER)})


def run_servers(count: int, order: list[int], crash: int | None) -> dict[int, tuple[str, bool]]:
    """Play `count` servers with empty drives that act in `order`, again and again.

    One of them may crash, and come back, after its drives were formatted. Returns for each server
    its deployment and whether its drives are trusted.
    """
    servers = [f"s{n}:1" for n in range(count)]
    own = {n: Own(servers[n], first=n == 0) for n in range(count)}
    trusted: dict[int, bool] = {}
    started: set[int] = set()
    for turn, n in enumerate(itertools.islice(itertools.cycle(order), 200)):
        me = own[n]
        if n in started:
            continue
        peers: Peers = {
            servers[p]: state(
                servers[p],
                own[p].deployment,
                forming=own[p].forming,
                formatted=own[p].formatted,
            )
            for p in range(count)
            if p != n
        }
        decision = decide(me, {} if me.needs_nobody else peers)
        match decision.step:
            case Step.FORM:
                own[n] = Own(me.server, me.first, f"{turn:032x}", True, False)
            case Step.ADOPT:
                own[n] = Own(me.server, me.first, decision.deployment, decision.trusted, True)
                trusted[n] = decision.trusted
            case Step.START:
                trusted.setdefault(n, decision.trusted)
                own[n] = Own(me.server, me.first, decision.deployment, False, True)
                started.add(n)
            case Step.WAIT:
                pass
        if n == crash and own[n].formatted:
            own[n] = Own(me.server, me.first, own[n].deployment, False, True)
    assert started == set(range(count))
    return {n: (own[n].deployment, trusted[n]) for n in range(count)}


@settings(max_examples=100)
@given(data=st.data(), count=st.integers(1, 5))
def test_any_order_of_servers_forms_one_trusted_deployment(data: st.DataObject, count: int) -> None:
    order = data.draw(st.permutations(range(count)))
    crash = data.draw(st.none() | st.integers(0, count - 1))
    result = run_servers(count, list(order), crash)
    assert len({deployment for deployment, _ in result.values()}) == 1
    assert all(trusted for _, trusted in result.values())
