"""Training: from a run directory with a recipe in it to an adapter, as a stream of events, without a window."""
