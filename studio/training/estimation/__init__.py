"""Estimates before training: resources and learning rate."""
