"""What a key may hold, after writes that were acknowledged, refused, or not answered."""

from objstore.cli.chaos.ledger import Ledger


def test_an_acknowledged_write_is_certain() -> None:
    ledger = Ledger()
    assert ledger.possible("key") == {None}
    ledger.acknowledge("key", "a")
    assert ledger.possible("key") == {"a"}
    assert ledger.certain() == 1
    ledger.acknowledge("key", None)
    assert ledger.possible("key") == {None}
    assert ledger.certain() == 0


def test_a_refused_write_is_possible_until_the_next_acknowledged_one() -> None:
    ledger = Ledger()
    ledger.acknowledge("key", "a")
    ledger.fail("key", "b", 503)
    assert ledger.possible("key") == {"a", "b"}
    ledger.acknowledge("key", "c")
    assert ledger.possible("key") == {"c"}


def test_a_write_without_an_answer_is_possible_for_good() -> None:
    ledger = Ledger()
    ledger.fail("key", None, 0)
    ledger.acknowledge("key", "a")
    assert ledger.possible("key") == {"a", None}
    assert ledger.certain() == 0
