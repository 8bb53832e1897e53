"""Pretrained networks: the catalogue, loading them, and the anatomy of their layers."""
