"""docs/protocol/s3-support.md is what the operation table says."""

from pathlib import Path

from objstore.s3.operations import OPERATIONS
from objstore.s3.support_page import render

PAGE = Path(__file__).parents[3] / "docs/protocol/s3-support.md"


def test_the_page_is_current() -> None:
    command = "python -m objstore.s3.support_page > docs/protocol/s3-support.md"
    assert PAGE.read_text() == render(), f"run: {command}"


def test_every_operation_is_on_it() -> None:
    page = render()
    for operation, spec in OPERATIONS.items():
        line = f"| {operation.value} | `" if spec.served else f"- {operation.value}: {spec.note}\n"
        assert line in page
