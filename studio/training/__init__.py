"""Training of a run directory, as a stream of events, without a window."""
