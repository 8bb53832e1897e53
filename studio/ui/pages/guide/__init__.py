"""The method guide."""
