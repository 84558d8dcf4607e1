"""What is counted of the traffic with a peer."""

import pytest

from objstore.errors import RpcError
from objstore.rpc.session import CallFailed
from objstore.rpc.traffic import Traffic


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (RpcError("no session"), 1),
        (TimeoutError(), 1),
        (CallFailed("superseded"), 0),  # the peer answered: it is well
    ],
)
def test_a_call_without_an_answer_is_a_failure(error: Exception, failures: int) -> None:
    traffic = Traffic()
    with pytest.raises(type(error)), traffic.call():
        raise error
    assert (traffic.calls, traffic.failures) == (1, failures)


def test_a_call_that_is_answered_is_none() -> None:
    traffic = Traffic()
    with traffic.call():
        pass
    assert (traffic.calls, traffic.failures) == (1, 0)
