"""Whether an answer is what the model says: every field, nothing missing, nothing more."""

from collections.abc import Mapping
from typing import Any

from tests.model.values import Fields, Opaque, Refused
from tests.property.wire import Answered
from tests.unit.s3.client import MODEL


class Comparison:
    """Compares answers, and remembers the names that the server chose."""

    def __init__(self) -> None:
        self._named: dict[str, Opaque] = {}

    def matches(self, operation: str, expected: Fields | Refused, answered: Answered) -> None:
        """Assert that an answer is the expected one."""
        if isinstance(expected, Refused):
            self._refused(operation, expected, answered)
            return
        assert answered.status < 300, f"{operation}: expected {expected}, got {answered}"
        shape = MODEL.operation_model(operation).output_shape
        members = shape.members if shape is not None else {}
        wanted = {name: value for name, value in expected.items() if name in members}
        self._same(wanted, answered.out, operation)

    def _refused(self, operation: str, expected: Refused, answered: Answered) -> None:
        if answered.body:
            found = (answered.status, answered.code) in expected.answers
        else:  # of a HEAD or a 304 the status is all there is
            found = answered.status in {status for status, _ in expected.answers}
        assert found, f"{operation}: expected {expected!r}, got {answered}"
        said = answered.headers.get("x-amz-delete-marker")
        assert said == ("true" if expected.marker else None), f"{operation}: {answered}"
        if expected.marker is not None:
            self._same(expected.marker.id, answered.headers.get("x-amz-version-id"), operation)

    def _same(self, wanted: Any, got: Any, where: str) -> None:
        match wanted:
            case None:
                assert got is not None, f"{where} is missing"
            case Opaque():
                self._same_name(wanted, got, where)
            case Mapping():
                assert isinstance(got, dict), f"{where}: {got}"
                assert set(wanted) == set(got), f"{where}: expected {wanted}, got {got}"
                for name, value in wanted.items():
                    self._same(value, got[name], f"{where}.{name}")
            case list():
                assert isinstance(got, list), f"{where}: {got}"
                assert len(wanted) == len(got), f"{where}: expected {wanted}, got {got}"
                for at, value in enumerate(wanted):
                    self._same(value, got[at], f"{where}[{at}]")
            case _:
                assert wanted == got, f"{where}: expected {_short(wanted)}, got {_short(got)}"

    def _same_name(self, wanted: Opaque, got: Any, where: str) -> None:
        assert isinstance(got, str), f"{where}: {got}"
        assert got, f"{where} is empty"
        if wanted.bound is None:
            if not where.endswith("Token"):
                assert got not in self._named, f"{where}: {got} names {self._named[got]}"
                self._named[got] = wanted
            wanted.bound = got
        assert wanted.bound == got, f"{where}: expected {wanted}, got {got}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 300 else f"{text[:140]} ... {text[-140:]} ({len(value)})"
