"""Image files: decoding, metadata, near duplicates."""
