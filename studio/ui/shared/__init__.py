"""Widgets and models for two or more pages that know recipes, runs or layers."""
