"""Preprocessing, augmentation and mixing."""
