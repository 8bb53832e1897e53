"""Sweeps: grids and searches over recipes."""
