"""Images: sources, checks, splits, transforms and batches."""
