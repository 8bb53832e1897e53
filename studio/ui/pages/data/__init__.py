"""The Data page: images, issues, split and transforms."""
