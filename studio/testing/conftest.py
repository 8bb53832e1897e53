"""Hands pytest what the contract tests need."""

from studio.testing.plugin import one_thread, pytest_generate_tests, pytest_terminal_summary, fixed_seed

__all__ = ["one_thread", "pytest_generate_tests", "pytest_terminal_summary", "fixed_seed"]
