"""Pretrained networks: the catalog, loading, and the roles of their layers."""
