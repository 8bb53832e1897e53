"""The contract tests of the kit, run over every method."""

from studio.testing.options import pytest_addoption
from studio.testing.plugin import fixed_seed, one_thread, pytest_generate_tests, pytest_terminal_summary

__all__ = ["fixed_seed", "one_thread", "pytest_addoption", "pytest_generate_tests", "pytest_terminal_summary"]
