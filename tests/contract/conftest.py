"""The contract tests of the kit, run over every method."""

from studio.testing.options import pytest_addoption
from studio.testing.plugin import one_thread, pytest_generate_tests, pytest_terminal_summary, fixed_seed

__all__ = ["one_thread", "pytest_addoption", "pytest_generate_tests", "pytest_terminal_summary", "fixed_seed"]
