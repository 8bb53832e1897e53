"""Dataset index, overrides, splits and the map-style dataset."""
