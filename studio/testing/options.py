"""The options of the contract tests: a plugin that every pytest loads, so it imports nothing heavy."""

import contextlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--method`` and ``--matrix``, unless they are there already."""
    group = parser.getgroup("PEFT methods")
    with contextlib.suppress(ValueError):
        group.addoption(
            "--method", action="append", metavar="NAME", help="test this PEFT method alone; may be repeated"
        )
        group.addoption("--matrix", action="store_true", help="print which PEFT method goes on which backbone family")
