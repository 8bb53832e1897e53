"""Widgets and models that two or more pages use and that know recipes, runs or layers."""
