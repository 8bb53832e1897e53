"""The options of the contract tests; every pytest loads this plugin, so it imports nothing heavy."""

import contextlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--method`` and ``--matrix``, unless they exist already."""
    group = parser.getgroup("PEFT methods")
    with contextlib.suppress(ValueError):
        group.addoption(
            "--method", action="append", metavar="NAME", help="test this PEFT method alone; may be repeated"
        )
        group.addoption("--matrix", action="store_true", help="print which backbone families each PEFT method supports")
