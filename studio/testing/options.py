"""The options of the contract tests; every pytest loads this plugin, so it imports nothing heavy."""

import contextlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, unless they exist already."""
    group = parser.getgroup("PEFT Studio")
    with contextlib.suppress(ValueError):
        group.addoption(
            "--method", action="append", metavar="NAME", help="test this PEFT method alone; may be repeated"
        )
        for kind in ("exporter", "source", "page"):
            group.addoption(
                f"--{kind}", action="append", metavar="NAME", help=f"test this {kind} alone; may be repeated"
            )
        group.addoption("--matrix", action="store_true", help="print which backbone families each PEFT method supports")
