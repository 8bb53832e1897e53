"""Comparison of runs and its report."""
