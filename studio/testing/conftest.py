"""Fixtures and hooks of the contract tests."""

from studio.testing.plugin import fixed_seed, one_thread, pytest_generate_tests, pytest_terminal_summary

__all__ = ["fixed_seed", "one_thread", "pytest_generate_tests", "pytest_terminal_summary"]
